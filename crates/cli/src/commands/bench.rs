//! `maana bench`.

mod batches;
mod lengths;

use crate::precision::PrecisionArgument;
use anyhow::{Result, bail};
use maana::data::{Dataset, ReadOptions, RetrievalSet, Source};
use maana::kernels::{Context, Precision};
use maana::model::{Architecture, CrossEncoder, Shape, TextEncoder, Trainable, TrainingModel, WeightStorage};
use maana::swahili::Pair;
use maana::train::Arguments;
use maana_bench::{Method, PRODUCT_SHAPES, PairSource, Round, SearchRound};
use std::io::BufRead;
use std::path::PathBuf;
use std::time::Instant;

/// Measure the limits of this machine, and the share of them that is reached.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  maana bench                                          limits, products, attention, encoding, training
  maana bench make-model --shape bge-base --out DIR    a model of that shape with random weights
  maana bench --model DIR                              the same measurements with another model")]
pub(crate) struct Bench {
    #[command(subcommand)]
    part: Option<Part>,
    /// The model to encode and train with: a folder, a name on the hub, or name@revision
    #[arg(long, default_value = "sentence-transformers/all-MiniLM-L6-v2", value_name = "MODEL")]
    model: String,
}

#[derive(clap::Subcommand)]
enum Part {
    /// Write a model folder with random weights, to measure a model of that shape
    MakeModel {
        /// The shape
        #[arg(long, value_enum)]
        shape: Named,
        /// The folder to write
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// The model with the tokenizer to use
        #[arg(long, default_value = "sentence-transformers/all-MiniLM-L6-v2", value_name = "MODEL")]
        tokenizer: String,
    },
    /// Write synthetic pairs, a few long ones among many short ones, to encode or to train on
    MakeTexts {
        /// Number of pairs
        #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..1 << 20))]
        pairs: u32,
        /// Make the positives passages of this number of words, to rerank
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..100_000))]
        words: Option<u32>,
        /// Seed; the same seed gives the same bytes on every machine
        #[arg(long, value_name = "N", default_value_t = 42)]
        seed: u64,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Measure the costs of encoding and training by part, by length of texts, by batch and by
    /// threads
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
    /// Measure time and memory of training steps by the size of their batch
    Batches(batches::Batches),
    /// Measure time and memory of one text by its length
    Lengths(lengths::Lengths),
    /// Write synthetic vectors, queries and their true neighbours, to measure search
    MakeVectors {
        /// The existing folder for base.npy, queries.npy and truth.npy
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Number of vectors
        #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..1 << 24))]
        rows: u32,
        /// Number of columns
        #[arg(long, value_name = "N", default_value_t = 384, value_parser = clap::value_parser!(u32).range(1..65536))]
        dims: u32,
        /// Number of queries
        #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..1 << 20))]
        queries: u32,
        /// Only find the true neighbours of the existing base.npy and queries.npy
        #[arg(long)]
        truth_only: bool,
    },
    /// Search for all queries of such a folder once per number on standard input, and print a line
    /// of JSON
    SearchRounds {
        /// The method; the number is the recall in percent for a funnel, and the width for a graph
        #[arg(value_enum)]
        method: SearchMethod,
        /// The folder
        #[arg(long, value_name = "DIR")]
        vectors: PathBuf,
    },
    /// Run one round per line `go` on standard input, and print a line of JSON, for programs that
    /// compare engines
    ServeRounds {
        /// The work of a round
        #[arg(value_enum)]
        job: Job,
        /// A folder, a name on the hub, or name@revision
        #[arg(long, value_name = "MODEL")]
        model: String,
        /// Pairs from `make-texts`, to encode (`positive`), to train on (both columns), or to
        /// rerank (all positives for the first anchor)
        #[arg(long, value_name = "FILE", required_unless_present = "set")]
        texts: Option<PathBuf>,
        /// A retrieval set in the layout of BEIR, to evaluate
        #[arg(long, value_name = "DIR")]
        set: Option<PathBuf>,
        /// Before each round forget which tokens words have, in `encode`: each word is tokenised
        /// once again
        #[arg(long)]
        forget_words: bool,
        /// Dimensions to train or to evaluate [default: the model's own]
        #[arg(long, value_delimiter = ',', value_name = "N,N,…")]
        dims: Vec<usize>,
        #[command(flatten)]
        precision: PrecisionArgument,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Named {
    /// 6 layers of 384, like all-MiniLM-L6-v2
    #[value(name = "minilm")]
    MiniLm,
    /// 12 layers of 768, like bge-base and bert-base
    BgeBase,
    /// 24 layers of 1024, like bge-large and bert-large
    BgeLarge,
    /// 22 layers of 384 for texts of 8,192 tokens, like mmBERT-small
    #[value(name = "mmbert-small")]
    MmBertSmall,
    /// 22 layers of 768 for texts of 8,192 tokens, like ModernBERT-base
    #[value(name = "modernbert-base")]
    ModernBertBase,
}

impl Named {
    fn shape(self) -> Shape {
        const BERT: Architecture = Architecture::Bert;
        const MODERN: Architecture = Architecture::ModernBert;
        match self {
            Self::MiniLm => Shape { architecture: BERT, layers: 6, hidden: 384, heads: 12, intermediate: 1536 },
            Self::BgeBase => Shape { architecture: BERT, layers: 12, hidden: 768, heads: 12, intermediate: 3072 },
            Self::BgeLarge => Shape { architecture: BERT, layers: 24, hidden: 1024, heads: 16, intermediate: 4096 },
            Self::MmBertSmall => Shape { architecture: MODERN, layers: 22, hidden: 384, heads: 6, intermediate: 1152 },
            Self::ModernBertBase => {
                Shape { architecture: MODERN, layers: 22, hidden: 768, heads: 12, intermediate: 1152 }
            }
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
    Rerank,
    Train,
    Evaluate,
}

impl Bench {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        match self.part {
            None => measure(context, &self.model),
            Some(Part::MakeModel { shape, out, tokenizer }) => {
                let opened = crate::terminal::open_model(
                    WeightStorage::Packed,
                    &tokenizer,
                    context,
                    Some(crate::precision::Choice::F32),
                )?;
                opened.model.spec().random_of_shape(shape.shape(), 42)?.save(&out, &[])?;
                outln!("{}", out.display())?;
                Ok(())
            }
            Some(Part::MakeTexts { pairs, words, seed, out }) => {
                let mut pairs = maana_bench::pairs_of_card_lengths(pairs as usize, seed);
                if let Some(words) = words {
                    pairs = maana_bench::with_passages(pairs, words as usize);
                }
                let row = |pair: Pair| serde_json::json!({"positive": pair.positive, "anchor": pair.anchor});
                maana::data::write_jsonl(&out, pairs.into_iter().map(row))?;
                outln!("{}", out.display())?;
                Ok(())
            }
            Some(Part::Batches(batches)) => batches.run(context, &processor_name()),
            Some(Part::Lengths(lengths)) => lengths.run(context, &processor_name()),
            Some(Part::Costs { model, precision, charts }) => costs(context, &model, precision, charts),
            Some(Part::MakeVectors { out, truth_only: true, .. }) => {
                Ok(maana_bench::write_true_neighbours(context, &out)?)
            }
            Some(Part::MakeVectors { out, rows, dims, queries, truth_only: false }) => {
                Ok(maana_bench::write_vectors(context, &out, rows as usize, dims as usize, queries as usize)?)
            }
            Some(Part::SearchRounds { method, vectors }) => {
                Ok(maana_bench::search_rounds(context, &vectors, method.method(), &mut next_search)?)
            }
            Some(Part::ServeRounds { job, model, texts, set, forget_words, mut dims, precision }) => {
                let precision = precision.precision;
                let encoder = || crate::terminal::open_model(WeightStorage::Packed, &model, context, precision);
                let or_whole = |dims: &mut Vec<usize>, whole| {
                    if dims.is_empty() {
                        dims.push(whole)
                    }
                };
                match (job, texts, set) {
                    (Job::Encode, Some(texts), _) => encode_rounds(&encoder()?.model, texts, forget_words),
                    (Job::Rerank, Some(texts), _) => {
                        let model = crate::terminal::open_cross_encoder(&model, context, precision)?.model;
                        rerank_rounds(&model, texts)
                    }
                    (Job::Train, Some(texts), _) => {
                        let mut model = crate::terminal::open_for_training(&model, context, precision)?;
                        or_whole(&mut dims, model.dimension());
                        train_rounds(context, &mut model, texts, dims)
                    }
                    (Job::Evaluate, _, Some(set)) => {
                        let encoder = encoder()?.model;
                        or_whole(&mut dims, encoder.spec().dimension());
                        evaluate_rounds(context, &encoder, set, &dims)
                    }
                    (Job::Evaluate, ..) => bail!("evaluate needs --set DIR"),
                    _ => bail!("encode, rerank and train need --texts FILE"),
                }
            }
        }
    }
}

/// Prints a round, or that the engine is ready, and reads the next line.
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

fn encode_rounds(encoder: &TextEncoder, texts: PathBuf, forgets: bool) -> Result<()> {
    let options = ReadOptions { columns: Some(vec!["positive".into()]), ..ReadOptions::default() };
    let rows = Dataset::open(&[texts], options)?;
    let texts = (0..rows.len()).map(|row| Ok(rows.get(row)?.texts.remove(0))).collect::<Result<Vec<_>>>()?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Ok(maana_bench::encode_rounds(encoder, &texts, forgets, &mut next_round)?)
}

fn rerank_rounds(encoder: &CrossEncoder, texts: PathBuf) -> Result<()> {
    let columns = Some(vec!["positive".into(), "anchor".into()]);
    let rows = Dataset::open(&[texts], ReadOptions { columns, ..ReadOptions::default() })?;
    let rows = (0..rows.len()).map(|row| Ok(rows.get(row)?.texts)).collect::<Result<Vec<_>>>()?;
    let Some(first) = rows.first() else { bail!("--texts: the file has no rows") };
    let passages: Vec<&str> = rows.iter().map(|texts| texts[0].as_str()).collect();
    Ok(maana_bench::rerank_rounds(encoder, &first[1], &passages, &mut next_round)?)
}

fn train_rounds(context: &Context, model: &mut TrainingModel, texts: PathBuf, dims: Vec<usize>) -> Result<()> {
    let columns = Some(vec!["positive".into(), "anchor".into()]);
    let rows = Dataset::open(&[texts], ReadOptions { columns, ..ReadOptions::default() })?;
    Ok(maana_bench::train_rounds(model, context, &rows, dims, &Arguments::default(), &mut next_round)?)
}

fn evaluate_rounds(context: &Context, encoder: &TextEncoder, set: PathBuf, dims: &[usize]) -> Result<()> {
    let set = RetrievalSet::open(set)?;
    Ok(maana_bench::evaluate_rounds(encoder, context, set, dims, &mut next_round)?)
}

/// Tokens of a product: those of one pass.
const TOKENS: usize = 2048;

fn measure(context: &Context, name: &str) -> Result<()> {
    outln!("{}, {} threads, {}", processor_name(), context.threads(), maana::kernels::InstructionSet::active().name())?;
    outln!("\nlimit of multiplications with operands in registers (GOP/s)")?;
    let mut limits = Vec::new();
    for precision in Precision::ALL {
        let limit = (0..3).map(|_| maana::kernels::peak_rate(context, precision)).fold(0.0, f64::max);
        outln!("  {:<5} {:>8.1}", precision.name(), limit / 1e9)?;
        limits.push(limit);
    }
    outln!("\nproducts of {TOKENS} tokens (GOP/s, share of the limit)")?;
    outln!("{:<32}{:>15}{:>15}{:>15}{:>18}", "", "f32", "bf16", "int8", "gradient, f32")?;
    for shape in PRODUCT_SHAPES {
        let products = Precision::ALL.iter().zip(&limits).map(|(precision, limit)| {
            let speed = maana_bench::product(context, *precision, shape, TOKENS);
            format!("{:>9.1} {:>3.0} %", speed / 1e9, 100.0 * speed / limit)
        });
        let products: String = products.collect();
        let speed = maana_bench::weight_gradient(context, Precision::F32, shape, TOKENS);
        let gradient = format!("{:>12.1} {:>3.0} %", speed / 1e9, 100.0 * speed / limits[0]);
        outln!("  {:<9} {:<20}{products}{gradient}", shape.model, shape.part)?;
    }
    outln!("\nattention of 12 heads × 64, {TOKENS} tokens (µs per token)")?;
    for length in [16, 64, 128, 512] {
        let (forward, both) = maana_bench::attention(context, length, TOKENS, 12);
        let micros = 1e6 / TOKENS as f64;
        outln!("  {length:>3} tokens  forward {:.2}  with backward {:.2}", forward * micros, both * micros)?;
    }
    measure_model(context, name)
}

fn measure_model(context: &Context, name: &str) -> Result<()> {
    let pairs = maana_bench::pairs_of_card_lengths(256, 7);
    let short: Vec<&str> = pairs.iter().map(|pair| pair.positive.as_str()).collect();
    let long: Vec<String> = pairs.chunks(16).map(joined).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    outln!("\n{name}")?;
    for precision in [crate::precision::Choice::F32, crate::precision::Choice::Bf16, crate::precision::Choice::Int8] {
        let began = Instant::now();
        let opened = crate::terminal::open_model(WeightStorage::Packed, name, context, Some(precision))?;
        let encoder = opened.model;
        encoder.embed(&short[..1], "")?;
        let start_up = began.elapsed().as_secs_f64();
        let (short_speed, one) = maana_bench::encoding(&encoder, &short)?;
        let (long_speed, _) = maana_bench::encoding(&encoder, &long)?;
        outln!(
            "  {:<5} start to first embedding {:>6.1} ms; encoding {:>7.0} tokens/s at {:.0} tokens per text, {:>7.0} at {:.0}; \
             one text {:.2} ms",
            encoder.precision().name(),
            1e3 * start_up,
            short_speed,
            encoder.spec().tokenize(&short)?.tokens() as f64 / short.len() as f64,
            long_speed,
            encoder.spec().tokenize(&long)?.tokens() as f64 / long.len() as f64,
            1e3 * one,
        )?;
    }
    for precision in [crate::precision::Choice::F32, crate::precision::Choice::Bf16] {
        let mut model = crate::terminal::open_for_training(name, context, Some(precision))?;
        let rows = PairSource::new(maana_bench::pairs_of_card_lengths(32, 8));
        let mut rounds = Vec::new();
        let whole = model.dimension();
        let dims = [768, 512, 384, 256, 128, 64, 32].into_iter().filter(|dim| *dim <= whole).take(5).collect();
        maana_bench::train_rounds(&mut model, context, &rows, dims, &Arguments::default(), &mut |round| {
            rounds.extend(round);
            rounds.len() < 5
        })?;
        let median = maana_bench::median_round(rounds);
        outln!(
            "  {:<5} training step of 32 pairs {:.2} s, {:.0} tokens/s, {:.2} GB peak memory",
            model.precision().name(),
            median.seconds,
            median.tokens as f64 / median.seconds,
            median.peak_bytes as f64 / 1e9,
        )?;
    }
    Ok(())
}

/// Prints tables in Markdown, for `docs/performance.md`.
fn costs(context: &Context, name: &str, precision: PrecisionArgument, charts: Option<PathBuf>) -> Result<()> {
    const SEQUENCES: usize = 64;
    const LENGTH: usize = 32;
    let model = &mut crate::terminal::open_for_training(name, context, precision.precision)?;
    let (threads, named) = (context.threads(), model.precision().name());
    outln!(
        "{}, {threads} threads, {}; {name}, {named}",
        processor_name(),
        maana::kernels::InstructionSet::active().name()
    )?;
    outln!("\n{SEQUENCES} texts of {LENGTH} tokens:\n")?;
    outln!("| part | encoding, ms | share | training step, ms | share |\n|---|---:|---:|---:|---:|")?;
    let parts = maana_bench::parts(model, context, SEQUENCES, LENGTH);
    let all = parts.last().map_or((1.0, 1.0), |all| (all.encoding, all.training));
    for part in &parts {
        let cell = |seconds: f64, all: f64| match seconds {
            0.0 => "| ".to_owned(),
            _ => format!("{:.1} | {:.1} %", 1e3 * seconds, 100.0 * seconds / all),
        };
        outln!("| {} | {} | {} |", part.name, cell(part.encoding, all.0), cell(part.training, all.1))?;
    }
    for growth in maana_bench::growth(model, threads) {
        outln!("\n| {} | encoding, µs per token | training step, µs per token |\n|---:|---:|---:|", growth.with)?;
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

fn processor_name() -> String {
    maana::hardware::processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}
