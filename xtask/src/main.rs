//! `cargo xtask`: the project's own automation, with nothing to install.
#![forbid(unsafe_code)]

mod attack;
mod bars;
mod bench_peers;
mod bench_search;
mod bench_serve;
mod browser;
mod check;
mod clients;
mod command;
mod container;
mod emulate;
mod postgres;
mod python;
mod quality;
mod reference;
mod results_file;
mod serving;
mod soak;
mod suite;

use anyhow::{Context, Result};
use std::path::Path;

const HELP: &str = "\
cargo xtask test    formatting, clippy, all tests, docs, the layers, the demo on a small setting, and the page in a browser
cargo xtask check [--prose [PART]...]
                    the rules of ARCHITECTURE.md only: layers of crates, circles between modules, `unsafe`, documentation,
                    tests of the invariants, writers of files; with --prose the number of violations of the style in each
                    crate and document, and the list of those in PART (such as crates/text)
cargo xtask reference [MODEL]
                    open a model folder with Sentence Transformers, and compare its embeddings with ours
cargo xtask bench-peers [--only encode,train,evaluate,start] [--rounds N] [--threads N] [--quick]
                    speed and memory beside Sentence Transformers, ONNX Runtime, OpenVINO and candle, round by round;
                    writes bench/RESULTS.md, results.svg and results.json (with --quick: into target/peers)
cargo xtask bench-search [--rows N,N] [--dims 768,384] [--graph-values N] [--rounds N] [--threads N] [--build] [--made] [--quick]
                    finding neighbours beside faiss and usearch; writes its part of bench/RESULTS.md; with --build the
                    indexes are built and kept, and nothing is measured; of more than --graph-values numbers no graphs are built,
                    and with --made no texts are embedded
cargo xtask bench-serve [--only minilm,bge-base] [--engines NAME,...] [--clients 1,8,64,512] [--rounds N] [--seconds N]
                       [--threads N] [--quick]
                    `maana serve` under load beside Infinity and FastAPI with Sentence Transformers, round by round; writes
                    its part of bench/RESULTS.md, serving.svg and serving.json (with --quick: into target/serve-peers)
cargo xtask quality MODEL SET...
                    retrieval of a model in f32, bf16 and int8, on folders of retrieval sets
cargo xtask seeds RECIPE SET [OPTIONS]
                    fine-tuning as a recipe says from three seeds, in f32 and in bf16, measured on a retrieval set
cargo xtask clients [--maana PROGRAM]
                    `maana serve` as other people's clients see it: OpenAI's, Hugging Face's, Schemathesis
cargo xtask soak [--seconds N] [--url http://HOST:PORT] [--maana PROGRAM] [--model MODEL] [--shared]
                    `maana serve` for N seconds (600) at twice what it can do: nothing lost or wrong, memory flat; then
                    SIGTERM and SIGKILL under load. With --url a server that runs already, without the last two;
                    with --shared bounds of time and memory for a machine on which other things run
cargo xtask store   100,000 random operations on the store, with restarts, beside a plain list
cargo xtask fuzz    100,000 requests that nobody should send, to a server of the tests
cargo xtask attack  [--minutes N] [--seed N] [--only NAME] [--trial N] [--maana PROGRAM]
                    every kind of file, request and hub answer, mutated, for N minutes (10): no panic, no hang, no lost file
cargo xtask postgres
                    the tests of stores on a PostgreSQL of their own, or on that of MAANA_TEST_POSTGRES
cargo xtask loom    the pool of threads in every order in which its threads can meet
cargo xtask browser [--screenshots DIR] [--only WORDS]
                    the server's page in headless Chromium: the numbers it shows beside the server's
cargo xtask container
                    the image of deploy/Containerfile as an OCI archive, tried, with its size; needs no tool for containers
cargo xtask emulate [avx512|neon] [FILTER]... [--minutes N]
                    the kernels' tests on instruction sets that this machine need not have; those whose names
                    contain FILTER; one that takes more than N minutes (40) has failed";

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    std::env::set_current_dir(root)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, options) = arguments.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    match command {
        "test" => suite::test(),
        "check" => check::check(options),
        "reference" => reference::compare(options.first().map(String::as_str)),
        "bench-peers" => bench_peers::run(options),
        "bench-search" => bench_search::measure(options),
        "bench-serve" => bench_serve::run(options),
        "quality" => quality::retrieval(options),
        "seeds" => quality::seeds(options),
        "clients" => clients::test(options),
        "soak" => soak::run(options),
        "store" => suite::store(),
        "fuzz" => suite::fuzz(),
        "attack" => attack::run(options),
        "postgres" => postgres::test(),
        "loom" => suite::loom(),
        "browser" => browser::run_page(options),
        "container" => container::container(),
        "emulate" => emulate::emulate(options),
        _ => {
            println!("{HELP}");
            Ok(())
        }
    }
}
