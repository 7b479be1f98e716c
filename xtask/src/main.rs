//! `cargo xtask`: the project's automation.
#![forbid(unsafe_code)]

mod attack;
mod bench_peers;
mod bench_python;
mod bench_search;
mod bench_serve;
mod bench_static;
mod browser;
mod check;
mod clients;
mod command;
mod container;
mod debian;
mod distillation;
mod emulate;
mod forgetting;
mod package;
mod postgres;
mod python;
mod quality;
mod reference;
mod results_file;
mod serving;
mod soak;
mod static_quality;
mod suite;

use anyhow::{Context, Result};
use std::path::Path;

const HELP: &str = "\
cargo xtask test    formatting, clippy, all tests, documentation, the rules below, a short demo, and the page in a browser
cargo xtask check [--prose [PART]...]
                    the rules of ARCHITECTURE.md: layers of crates, circles between modules, `unsafe`, documentation, tests
                    of the invariants, writers of files; with --prose the number of violations of the style in each crate
                    and document, and the list of those in PART (such as crates/text)
cargo xtask reference [MODEL]
                    opens a model folder with Sentence Transformers, and compares its embeddings with ours
cargo xtask bench-peers [--only encode,rerank,train,evaluate,start] [--rounds N] [--threads N] [--out DIR] [--quick]
                    speed and memory compared with Sentence Transformers, ONNX Runtime, OpenVINO and candle;
                    writes RESULTS.md, results.svg and results.json into bench, or into DIR (with --quick: into target/peers)
cargo xtask bench-search [--rows N,N] [--dims 768,384] [--graph-values N] [--rounds N] [--threads N] [--build] [--made] [--quick]
                    search compared with faiss and usearch; writes its part of bench/RESULTS.md. With --build only builds the
                    indexes; with more than --graph-values numbers builds no graphs; with --made embeds no texts
cargo xtask bench-serve [--only minilm,bge-base] [--engines NAME,...] [--clients 1,8,64,512] [--rounds N] [--seconds N]
                       [--threads N] [--quick]
                    `maana serve` under load compared with Infinity and FastAPI with Sentence Transformers; writes its part
                    of bench/RESULTS.md, serving.svg and serving.json (with --quick: into target/serve-peers)
cargo xtask bench-static [--rounds N] [--threads N] [--quick]
                    short texts a second through a static model compared with model2vec and model2vec-rs; writes its part of
                    bench/RESULTS.md (with --quick: into target/peers)
cargo xtask static-quality DATA [--base MODEL] [--maana PROGRAM]
                    a static model distilled from MODEL on DATA/pairs and its teacher, on the retrieval sets of DATA/ir at
                    five dimensions; prints the table of docs/static.md
cargo xtask quality MODEL SET...
                    retrieval of a model in f32, bf16 and int8, on folders of retrieval sets
cargo xtask seeds RECIPE SET [OPTIONS]
                    fine-tuning with a recipe and three seeds, in f32 and bf16, evaluated on a retrieval set
cargo xtask forgetting DATA [--seeds 1,2,3] [--base MODEL] [--maana PROGRAM]
                    fine-tuning on DATA/pairs with several seeds, and blends with the base on sets like the training data
                    and of other domains; writes its table of docs/blending.md
cargo xtask distillation DATA [--teacher MODEL] [--base MODEL] [--pairs N] [--seed N] [--out DIR] [--maana PROGRAM]
                    a cross-encoder trained on mined negatives of DATA/pairs teaches bi-encoders; measures all of them and
                    writes the table of docs/distillation.md
cargo xtask clients [--maana PROGRAM]
                    tests `maana serve` with third-party clients (OpenAI's, Hugging Face's, Schemathesis), and the event files, model
                    cards and pushed models with TensorBoard and huggingface_hub
cargo xtask python [OPTIONS OF PYTEST]
                    tests the Python package, with LangChain, LlamaIndex, Haystack, scikit-learn, Ray, Spark and Dask
cargo xtask python-peers [OPTIONS OF PYTEST]
                    the same tests, also with MTEB, BERTopic, KeyBERT, SetFit and Sentence Transformers, which need PyTorch
cargo xtask wheel   builds the wheel and the source distribution of the Python package, and tests both in an empty environment
cargo xtask bench-python [--rounds N] [--threads N]
                    the Python package next to Sentence Transformers, fastembed and kjarni, and next to the command
cargo xtask soak [--seconds N] [--url http://HOST:PORT] [--maana PROGRAM] [--model MODEL] [--shared]
                    runs `maana serve` for N seconds (600) at twice its capacity: nothing lost or wrong, constant memory; then
                    SIGTERM and SIGKILL under load. With --url tests a running server, without the signals; with --shared
                    uses limits of time and memory for a machine with other load
cargo xtask store   100,000 random operations on the store, with restarts, compared with a plain list
cargo xtask fuzz    100,000 malformed requests to a server of the tests
cargo xtask attack  [--minutes N] [--trials N] [--seed N] [--only NAME] [--trial N] [--maana PROGRAM]
                    mutates every kind of file, request and hub answer for N minutes (10), or N trials: no panic, no hang, no lost file
cargo xtask postgres
                    tests of stores on a PostgreSQL of their own, or on that of MAANA_TEST_POSTGRES
cargo xtask loom    the pool of threads in every interleaving
cargo xtask browser [--screenshots DIR] [--only WORDS]
                    compares the server's page in headless Chromium with the server's answers
cargo xtask container
                    builds and tests the image of deploy/Containerfile as an OCI archive; needs no container tools
cargo xtask emulate [avx512|neon] [FILTER]... [--minutes N]
                    the kernels' tests on instruction sets that this machine lacks; only those whose names contain FILTER;
                    fails after N minutes (40)";

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask is in the workspace")?;
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
        "bench-static" => bench_static::run(options),
        "static-quality" => static_quality::run(options),
        "quality" => quality::retrieval(options),
        "seeds" => quality::seeds(options),
        "distillation" => distillation::measure(options),
        "forgetting" => forgetting::measure(options),
        "python" => package::test(options),
        "python-peers" => package::test_peers(options),
        "bench-python" => bench_python::compare(options),
        "wheel" => package::wheel(),
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
