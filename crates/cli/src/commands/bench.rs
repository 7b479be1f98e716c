//! `maana bench`

use crate::precision::PrecisionArgument;
use anyhow::{Result, bail};
use maana::bench::{Method, PRODUCT_SHAPES, Round, SearchRound};
use maana::data::{Dataset, ReadOptions, RetrievalSet, Source};
use maana::kernels::{Context, Precision};
use maana::model::{Purpose, SentenceModel, Shape, Trainable};
use maana::swahili::Pair;
use std::io::BufRead;
use std::path::PathBuf;
use std::time::Instant;

/// Measure what this machine can do, and what share of it is reached.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  maana bench                                          limits, products, attention, encoding, training
  maana bench make-model --shape bge-base --out DIR    a model of that shape with random weights
  maana bench --model DIR                              the same measurements with a model of one's own")]
pub(crate) struct Bench {
    #[command(subcommand)]
    part: Option<Part>,
    /// The model to encode and train with: a folder, a name on the hub, or name@revision
    #[arg(long, default_value = "sentence-transformers/all-MiniLM-L6-v2", value_name = "MODEL")]
    model: String,
}

#[derive(clap::Subcommand)]
enum Part {
    /// Write a model folder with random weights, to measure what a model of that shape takes
    MakeModel {
        /// The shape
        #[arg(long, value_enum)]
        shape: Named,
        /// The folder to write
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// The model whose tokenizer is taken
        #[arg(long, default_value = "sentence-transformers/all-MiniLM-L6-v2", value_name = "MODEL")]
        tokenizer: String,
    },
    /// Write made pairs, a few long ones among many short ones as in the training set of the model card, to encode or to train on
    MakeTexts {
        /// Pairs
        #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..1 << 20))]
        pairs: u32,
        /// The same seed gives the same bytes everywhere
        #[arg(long, value_name = "N", default_value_t = 42)]
        seed: u64,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// What encoding and training cost, by part of the work, by the length of texts, by batch and by threads
    Costs {
        /// A folder, a name on the hub, or name@revision
        #[arg(default_value = "sentence-transformers/all-MiniLM-L6-v2", value_name = "MODEL")]
        model: String,
        #[command(flatten)]
        precision: PrecisionArgument,
        /// A folder for charts of the growth
        #[arg(long, value_name = "DIR")]
        charts: Option<PathBuf>,
    },
    /// Write made vectors, queries and the queries' true neighbours, to measure searching with
    MakeVectors {
        /// The folder to write base.npy, queries.npy and truth.npy to; it has to be there
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Vectors
        #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..1 << 24))]
        rows: u32,
        /// Columns
        #[arg(long, value_name = "N", default_value_t = 384, value_parser = clap::value_parser!(u32).range(1..65536))]
        dims: u32,
        /// Queries
        #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..1 << 20))]
        queries: u32,
        /// Take base.npy and queries.npy as they are, and find the true neighbours alone
        #[arg(long)]
        judge: bool,
    },
    /// All queries of such a folder at once for every number on standard input, told as a line of JSON
    SearchRounds {
        /// How to search; the number is the recall in percent for a funnel, the width for a graph
        #[arg(value_enum)]
        method: SearchMethod,
        /// The folder
        #[arg(long, value_name = "DIR")]
        vectors: PathBuf,
    },
    /// One round for every line `go` on standard input, told as a line of JSON: for programs that measure several engines in
    /// turn
    ServeRounds {
        /// What to do in a round
        #[arg(value_enum)]
        job: Job,
        /// A folder, a name on the hub, or name@revision
        #[arg(long, value_name = "MODEL")]
        model: String,
        /// Pairs as `maana synthesize` writes them, to encode (`positive`) or to train on (both columns)
        #[arg(long, value_name = "FILE", required_unless_present = "set")]
        texts: Option<PathBuf>,
        /// A retrieval set in the layout of BEIR, to evaluate
        #[arg(long, value_name = "DIR")]
        set: Option<PathBuf>,
        /// Dimensions to train or to measure [default: the model's own]
        #[arg(long, value_delimiter = ',', value_name = "N,N,…")]
        dims: Vec<usize>,
        #[command(flatten)]
        precision: PrecisionArgument,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Named {
    /// 6 layers of 384, as all-MiniLM-L6-v2
    #[value(name = "minilm")]
    MiniLm,
    /// 12 layers of 768, as bge-base and bert-base
    BgeBase,
    /// 24 layers of 1024, as bge-large and bert-large
    BgeLarge,
}

impl Named {
    fn shape(self) -> Shape {
        match self {
            Self::MiniLm => Shape { layers: 6, hidden: 384, heads: 12, intermediate: 1536 },
            Self::BgeBase => Shape { layers: 12, hidden: 768, heads: 12, intermediate: 3072 },
            Self::BgeLarge => Shape { layers: 24, hidden: 1024, heads: 16, intermediate: 4096 },
        }
    }
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum SearchMethod {
    Exact,
    Funnel,
    Graph,
}

impl SearchMethod {
    fn method(self) -> Method {
        match self {
            Self::Exact => Method::Exact,
            Self::Funnel => Method::Funnel,
            Self::Graph => Method::Graph,
        }
    }
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Job {
    Encode,
    Train,
    Evaluate,
}

impl Bench {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        match self.part {
            None => measure(context, &self.model),
            Some(Part::MakeModel { shape, out, tokenizer }) => {
                let opened = crate::terminal::open_model(
                    Purpose::Encode,
                    &tokenizer,
                    context,
                    Some(crate::precision::Choice::F32),
                )?;
                opened.model.random_of_shape(shape.shape(), 42)?.save(&out, &[])?;
                outln!("{}", out.display())?;
                Ok(())
            }
            Some(Part::MakeTexts { pairs, seed, out }) => {
                let pairs = maana::bench::pairs_of_card_lengths(pairs as usize, seed);
                let row = |pair: Pair| serde_json::json!({"positive": pair.positive, "anchor": pair.anchor});
                maana::data::write_jsonl(&out, pairs.into_iter().map(row))?;
                outln!("{}", out.display())?;
                Ok(())
            }
            Some(Part::Costs { model, precision, charts }) => costs(context, &model, precision, charts),
            Some(Part::MakeVectors { out, judge: true, .. }) => Ok(maana::bench::judge_vectors(context, &out)?),
            Some(Part::MakeVectors { out, rows, dims, queries, judge: false }) => {
                Ok(maana::bench::make_vectors(context, &out, rows as usize, dims as usize, queries as usize)?)
            }
            Some(Part::SearchRounds { method, vectors }) => {
                Ok(maana::bench::search_rounds(context, &vectors, method.method(), &mut next_search)?)
            }
            Some(Part::ServeRounds { job, model, texts, set, mut dims, precision }) => {
                let purpose = if matches!(job, Job::Train) { Purpose::Train } else { Purpose::Encode };
                let mut opened = crate::terminal::open_model(purpose, &model, context, precision.precision)?;
                if dims.is_empty() {
                    dims.push(opened.model.dimension());
                }
                match (job, texts, set) {
                    (Job::Encode, Some(texts), _) => encode_rounds(context, &opened.model, texts),
                    (Job::Train, Some(texts), _) => train_rounds(context, &mut opened.model, texts, dims),
                    (Job::Evaluate, _, Some(set)) => evaluate_rounds(context, &opened.model, set, &dims),
                    (Job::Evaluate, ..) => bail!("evaluating needs --set DIR"),
                    _ => bail!("encoding and training need --texts FILE"),
                }
            }
        }
    }
}

/// Tells of a round, or that all is ready for the first, and waits for the next word.
fn next_word(round: Option<impl serde::Serialize>) -> Option<String> {
    let line = match round {
        None => serde_json::json!({"ready": true}),
        Some(round) => serde_json::json!(round),
    };
    outln!("{line}").ok()?;
    let mut word = String::new();
    std::io::stdin().lock().read_line(&mut word).ok()?;
    Some(word.trim().to_owned())
}

fn next_round(round: Option<Round>) -> bool {
    next_word(round).is_some_and(|word| word == "go")
}

fn next_search(round: Option<SearchRound>) -> Option<usize> {
    next_word(round)?.parse().ok()
}

fn encode_rounds(context: &Context, model: &SentenceModel, texts: PathBuf) -> Result<()> {
    let options = ReadOptions { columns: Some(vec!["positive".into()]), ..ReadOptions::default() };
    let rows = Dataset::open(&[texts], options)?;
    let texts = (0..rows.len()).map(|row| Ok(rows.get(row)?.texts.remove(0))).collect::<Result<Vec<_>>>()?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Ok(maana::bench::encode_rounds(model, context, &texts, &mut next_round)?)
}

fn train_rounds(context: &Context, model: &mut SentenceModel, texts: PathBuf, dims: Vec<usize>) -> Result<()> {
    if model.precision() == Precision::Int8 {
        bail!("--precision int8: training is computed in f32 or bf16");
    }
    let columns = Some(vec!["positive".into(), "anchor".into()]);
    let rows = Dataset::open(&[texts], ReadOptions { columns, ..ReadOptions::default() })?;
    Ok(maana::bench::train_rounds(model, context, &rows, dims, &mut next_round)?)
}

fn evaluate_rounds(context: &Context, model: &SentenceModel, set: PathBuf, dims: &[usize]) -> Result<()> {
    let set = RetrievalSet::open(set)?;
    Ok(maana::bench::evaluate_rounds(model, context, set, dims, &mut next_round)?)
}

const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];
/// Tokens of a product: the budget of one pass.
const TOKENS: usize = 2048;

fn measure(context: &Context, name: &str) -> Result<()> {
    outln!("{}, {} threads, {}", processor(), context.threads(), maana::kernels::InstructionSet::active().name())?;
    outln!("\nlimit of the multiplications alone, operands in registers (GOP/s)")?;
    let mut limits = Vec::new();
    for precision in PRECISIONS {
        let limit = (0..3).map(|_| maana::kernels::peak_rate(context, precision)).fold(0.0, f64::max);
        outln!("  {:<5} {:>8.1}", precision.name(), limit / 1e9)?;
        limits.push(limit);
    }
    outln!("\nproducts of {TOKENS} tokens (GOP/s, share of the limit)")?;
    outln!("{:<32}{:>15}{:>15}{:>15}{:>18}", "", "f32", "bf16", "int8", "gradient, f32")?;
    for shape in PRODUCT_SHAPES {
        let products = PRECISIONS.iter().zip(&limits).map(|(precision, limit)| {
            let speed = maana::bench::product(context, *precision, shape, TOKENS);
            format!("{:>9.1} {:>3.0} %", speed / 1e9, 100.0 * speed / limit)
        });
        let products: String = products.collect();
        let speed = maana::bench::weight_gradient(context, Precision::F32, shape, TOKENS);
        let gradient = format!("{:>12.1} {:>3.0} %", speed / 1e9, 100.0 * speed / limits[0]);
        outln!("  {:<9} {:<20}{products}{gradient}", shape.model, shape.part)?;
    }
    outln!("\nattention of 12 heads × 64, {TOKENS} tokens (µs a token)")?;
    for length in [16, 64, 128, 512] {
        let (forward, both) = maana::bench::attention(context, length, TOKENS, 12);
        let micros = 1e6 / TOKENS as f64;
        outln!("  {length:>3} tokens  forward {:.2}  with backward {:.2}", forward * micros, both * micros)?;
    }
    measure_model(context, name)
}

fn measure_model(context: &Context, name: &str) -> Result<()> {
    let pairs = maana::bench::pairs_of_card_lengths(256, 7);
    let short: Vec<&str> = pairs.iter().map(|pair| pair.positive.as_str()).collect();
    let long: Vec<String> = pairs.chunks(16).map(joined).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    outln!("\n{name}")?;
    for precision in [crate::precision::Choice::F32, crate::precision::Choice::Bf16, crate::precision::Choice::Int8] {
        let began = Instant::now();
        let opened = crate::terminal::open_model(Purpose::Encode, name, context, Some(precision))?;
        let model = &opened.model;
        let embedder = maana::model::Embedder::new(model, context)?;
        embedder.embed(&short[..1], "")?;
        let start_up = began.elapsed().as_secs_f64();
        let (short_speed, one) = maana::bench::encoding(model, context, &short)?;
        let (long_speed, _) = maana::bench::encoding(model, context, &long)?;
        outln!(
            "  {:<5} start to first embedding {:>6.1} ms; encoding {:>7.0} tokens/s at {:.0} tokens a text, {:>7.0} at {:.0}; \
             one text {:.2} ms",
            model.precision().name(),
            1e3 * start_up,
            short_speed,
            model.tokenize(&short)?.tokens() as f64 / short.len() as f64,
            long_speed,
            model.tokenize(&long)?.tokens() as f64 / long.len() as f64,
            1e3 * one,
        )?;
    }
    for precision in [crate::precision::Choice::F32, crate::precision::Choice::Bf16] {
        let mut opened = crate::terminal::open_model(Purpose::Train, name, context, Some(precision))?;
        let rows = Pairs::new(maana::bench::pairs_of_card_lengths(32, 8));
        let mut rounds = Vec::new();
        let whole = opened.model.dimension();
        let dims = [768, 512, 384, 256, 128, 64, 32].into_iter().filter(|dim| *dim <= whole).take(5).collect();
        maana::bench::train_rounds(&mut opened.model, context, &rows, dims, &mut |round| {
            rounds.extend(round);
            rounds.len() < 5
        })?;
        rounds.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let median = rounds[rounds.len() / 2];
        outln!(
            "  {:<5} training step of 32 pairs {:.2} s, {:.0} tokens/s, {:.2} GB at most",
            opened.model.precision().name(),
            median.seconds,
            median.tokens as f64 / median.seconds,
            median.peak_bytes as f64 / 1e9,
        )?;
    }
    Ok(())
}

/// Tables as Markdown has them, for `docs/performance.md`.
fn costs(context: &Context, name: &str, precision: PrecisionArgument, charts: Option<PathBuf>) -> Result<()> {
    const SEQUENCES: usize = 64;
    const LENGTH: usize = 32;
    let opened = crate::terminal::open_model(Purpose::Train, name, context, precision.precision)?;
    let model = &opened.model;
    if model.precision() == Precision::Int8 {
        bail!("--precision int8: a training step is computed in f32 or bf16");
    }
    let (threads, named) = (context.threads(), model.precision().name());
    outln!("{}, {threads} threads, {}; {name}, {named}", processor(), maana::kernels::InstructionSet::active().name())?;
    outln!("\n{SEQUENCES} texts of {LENGTH} tokens:\n")?;
    outln!("| part | encoding, ms | share | training step, ms | share |\n|---|---:|---:|---:|---:|")?;
    let parts = maana::bench::parts(model, context, SEQUENCES, LENGTH);
    let all = parts.last().map_or((1.0, 1.0), |all| (all.encoding, all.training));
    for part in &parts {
        let cell = |seconds: f64, all: f64| match seconds {
            0.0 => "| ".to_owned(),
            _ => format!("{:.1} | {:.1} %", 1e3 * seconds, 100.0 * seconds / all),
        };
        outln!("| {} | {} | {} |", part.name, cell(part.encoding, all.0), cell(part.training, all.1))?;
    }
    for growth in maana::bench::growth(model, threads) {
        outln!("\n| {} | encoding, µs a token | training step, µs a token |\n|---:|---:|---:|", growth.with)?;
        for (x, encoding, training) in &growth.points {
            outln!("| {x:.0} | {encoding:.1} | {training:.1} |")?;
        }
        if let Some(folder) = &charts {
            std::fs::create_dir_all(folder)?;
            let file = growth.with.split(' ').next().unwrap_or_default();
            maana::files::write(&folder.join(format!("cost-by-{file}.svg")), growth.chart())?;
        }
    }
    Ok(())
}

fn joined(pairs: &[Pair]) -> String {
    pairs.iter().map(|pair| pair.anchor.as_str()).collect::<Vec<_>>().join(" ")
}

/// The name of the processor, where the system tells it.
fn processor() -> String {
    let information = maana_files::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

/// Pairs in memory.
struct Pairs {
    pairs: Vec<Pair>,
    columns: Vec<String>,
    keys: Vec<u32>,
}

impl Pairs {
    fn new(pairs: Vec<Pair>) -> Self {
        let keys = (0..2 * pairs.len() as u32).collect();
        Self { pairs, columns: vec!["positive".into(), "anchor".into()], keys }
    }
}

impl Source for Pairs {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn has_labels(&self) -> bool {
        false
    }

    fn get(&self, index: usize) -> Result<maana::data::Example, maana::data::DataError> {
        let Pair { positive, anchor } = self.pairs[index].clone();
        Ok(maana::data::Example { texts: vec![positive, anchor], label: None })
    }

    fn text_keys(&self) -> &[u32] {
        &self.keys
    }

    fn fingerprint(&self) -> [u8; 32] {
        [0; 32]
    }
}
