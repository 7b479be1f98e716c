//! Kills a writer at random delay during add and delete. The test starts itself as the writer,
//! reads the numbers of the changes that the writer reports as done, kills it, and checks the
//! store: reported changes are present, and the change in progress is present completely or not at
//! all.

use maana_kernels::Rows;
use maana_postgres::{Document, Header, Row, Store, Target};
use maana_vectors::search::Metric;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const DIMS: usize = 4;
const KILLS: usize = 25;
/// Address of the store, for the child, and the number of its first change.
const ADDRESS: &str = "MAANA_POSTGRES_KILL_ADDRESS";
const FIRST: &str = "MAANA_POSTGRES_KILL_FIRST";

/// Returns a xorshift generator of numbers below a limit.
fn draw(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |limit| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % limit
    }
}

enum Change {
    Add(Vec<(String, String)>),
    Delete(Vec<String>),
}

/// Returns change `number`, the same in parent and child; texts contain the number.
fn change(number: u64) -> Change {
    let mut draw = draw(number + 1);
    let first = draw(400);
    if draw(3) == 0 {
        return Change::Delete((first..first + draw(40)).map(|id| id.to_string()).collect());
    }
    let entry = |i: u64| ((first + i).to_string(), format!("{number} {}", "x".repeat(((i * 37) % 300) as usize)));
    Change::Add((0..1 + draw(150)).map(entry).collect())
}

fn apply(entries: &mut Vec<(String, String)>, change: &Change) {
    match change {
        Change::Add(new) => {
            entries.retain(|(id, _)| new.iter().all(|(other, _)| other != id));
            entries.extend(new.iter().cloned());
        }
        Change::Delete(ids) => entries.retain(|(id, _)| !ids.contains(id)),
    }
}

fn make(store: &Store, change: &Change) {
    match change {
        Change::Add(new) => {
            let fields = BTreeMap::new();
            let documents: Vec<Document<'_>> =
                new.iter().map(|(id, text)| Document { id, text, fields: &fields }).collect();
            let vectors = vec![1.0; new.len() * DIMS];
            store.add(&documents, Rows::new(&vectors, new.len(), DIMS, DIMS)).unwrap();
        }
        Change::Delete(ids) => {
            store.delete(&ids.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        }
    }
}

fn entries(store: &Store) -> Vec<(String, String)> {
    let mut entries = Vec::new();
    let look = |Row { id, text, .. }: Row, _| entries.push((id, text));
    store.read(|reader| reader.for_each(&[], look)).unwrap();
    entries
}

/// The writer; does nothing without the variable.
#[test]
fn child() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let store = Store::open(&Target::parse(&address).unwrap()).unwrap();
    let mut out = std::io::stdout();
    let mut report = |word: String| out.write_all(word.as_bytes()).and_then(|()| out.flush()).unwrap();
    report("|ready|".to_owned());
    for number in first.. {
        make(&store, &change(number));
        report(format!("|{number}|"));
    }
}

#[test]
fn kills_lose_nothing() {
    let Ok(url) = std::env::var("MAANA_TEST_POSTGRES") else {
        eprintln!("skipped: no MAANA_TEST_POSTGRES with the address of a database (`cargo xtask postgres` has one)");
        return;
    };
    let address = format!("{url}&store=kill_{}", std::process::id());
    let target = Target::parse(&address).unwrap();
    let store = Store::create(&target, Header::new(DIMS, Metric::Cosine, false, b"x", "a test")).unwrap();
    let mut expected: Vec<(String, String)> = Vec::new();
    let (mut next, mut delay, mut unreported) = (0u64, draw(77), 0);
    let start = Instant::now();
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(ADDRESS, &address)
            .env(FIRST, next.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        let mut output = Vec::new();
        while !output.ends_with(b"|ready|") {
            let mut byte = [0];
            out.read_exact(&mut byte).expect("the child becomes ready");
            output.push(byte[0]);
        }
        output.clear();
        std::thread::sleep(Duration::from_micros(delay(150_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        out.read_to_end(&mut output).unwrap();
        let output = String::from_utf8(output).unwrap();
        // A number without its closing bar was cut off by the kill and does not count.
        let whole = &output[..output.rfind('|').map_or(0, |end| end + 1)];
        for number in whole.split('|').filter_map(|number| number.parse::<u64>().ok()) {
            assert_eq!(number, next, "kill {kill}");
            apply(&mut expected, &change(next));
            next += 1;
        }
        // The server may still execute the last change; this change waits for it.
        store.delete(&[]).unwrap();
        assert!(store.verify().unwrap().damages.is_empty(), "kill {kill}");
        let found = entries(&store);
        let mut after = expected.clone();
        apply(&mut after, &change(next));
        if found != expected {
            assert!(found == after, "kill {kill}, change {next}: {} entries, {} expected", found.len(), expected.len());
            expected = after;
            next += 1;
            unreported += 1;
        }
        // A change without effect cannot be distinguished from one that was not made; the next
        // child makes it again.
    }
    println!("{KILLS} kills in {:?}, {next} changes, {unreported} done but not yet reported", start.elapsed());
    assert!(next > KILLS as u64);
    store.remove().unwrap();
}
