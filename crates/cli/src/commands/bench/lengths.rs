//! `maana bench lengths`.

use crate::precision::PrecisionArgument;
use anyhow::{Result, bail};
use maana::kernels::{Context, Precision};
use maana::model::WeightStorage;

#[derive(clap::Args)]
pub(super) struct Lengths {
    /// A folder, a name on the hub, or name@revision
    #[arg(value_name = "MODEL")]
    model: String,
    /// Tokens of a text; lengths beyond the model's positions are left out
    #[arg(long, value_delimiter = ',', value_name = "N,N,…",
        default_values_t = [64, 128, 256, 512, 1024, 2048, 4096, 8192])]
    lengths: Vec<usize>,
    /// Measure forward and backward of training instead of encoding
    #[arg(long)]
    train: bool,
    /// In training, keep only the input of each layer, and recompute the rest
    #[arg(long, requires = "train")]
    gradient_checkpointing: bool,
    #[command(flatten)]
    precision: PrecisionArgument,
}

impl Lengths {
    /// Prints a table in Markdown, for `docs/performance.md`.
    pub(super) fn run(self, context: &Context, processor: &str) -> Result<()> {
        let Self { model: name, lengths, train, gradient_checkpointing, precision } = self;
        if lengths.contains(&0) {
            bail!("--lengths {lengths:?}: expected numbers of at least 1");
        }
        let print = |tokens: usize, seconds: f64, bytes: usize| {
            let micros = 1e6 * seconds / tokens as f64;
            outln!("| {tokens} | {:.1} | {micros:.0} | {:.1} |", 1e3 * seconds, bytes as f64 / 1e6)
        };
        let head = |longest: usize, precision: Precision, what: &str| -> Result<Vec<usize>> {
            outln!("{processor}, {} threads; {name}, {}; {what}\n", context.threads(), precision.name())?;
            outln!("| tokens | ms a text | µs a token | memory of the pass, MB |\n|---:|---:|---:|---:|")?;
            Ok(lengths.iter().copied().filter(|length| *length <= longest).collect())
        };
        if train {
            let model = &mut crate::terminal::open_for_training(&name, context, precision.precision)?;
            model.set_gradient_checkpointing(gradient_checkpointing);
            let what = match gradient_checkpointing {
                true => "forward and backward with gradient checkpointing",
                false => "forward and backward",
            };
            for tokens in head(model.spec().config().longest(), model.precision(), what)? {
                let cost = maana_bench::length_of_training(model, context, tokens);
                print(cost.tokens, cost.seconds, cost.bytes)?;
            }
            return Ok(());
        }
        let opened = crate::terminal::open_model(WeightStorage::Packed, &name, context, precision.precision)?;
        let model = opened.model.model();
        for tokens in head(model.spec().config().longest(), model.precision(), "encoding")? {
            let cost = maana_bench::length_of_encoding(model, context, tokens);
            print(cost.tokens, cost.seconds, cost.bytes)?;
        }
        Ok(())
    }
}
