//! Prints nothing yet.
fn main() {
    let mut args = std::env::args().skip(1);
    let n: usize = args.next().unwrap().parse().unwrap();
    let s = maana_swahili::Synthesis { pairs: n, queries: args.next().unwrap().parse().unwrap(), seed: 42 };
    for p in s.pairs() { println!("{}\n    -> {}", p.anchor, p.positive); }
    let r = s.retrieval();
    for d in r.queries { println!("{} {}", d.id, d.text); }
}
