//! `maana encode`

use anyhow::{Result, bail};
use maana::data::TextStream;
use maana::encode::Output;
use maana::kernels::Pool;
use maana::model::{Encoder, Purpose};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

const DEFAULT_BATCH_TOKENS: NonZeroUsize =
    NonZeroUsize::new(maana::model::DEFAULT_BATCH_TOKENS).expect("a batch has tokens");

/// Turn texts into embeddings.
#[derive(clap::Args)]
#[command(after_help = "\
Texts come from .txt (one a line), .jsonl, .csv, .tsv or .parquet, or with - one a line from standard input. They are \
read, embedded and written as they come, so that files may be larger than memory.

Examples:
  maana encode MODEL --input texts.txt --output embeddings.npy
  maana encode MODEL --input corpus.jsonl --column text --dim 128 --output embeddings.parquet
  printf 'Habari ya asubuhi\\n' | maana encode MODEL --input - --output embeddings.jsonl")]
pub(crate) struct Encode {
    /// A folder, a name on the hub, or name@revision
    model: String,
    #[command(flatten)]
    precision: crate::precision::PrecisionArgument,
    /// The file of texts, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    input: String,
    /// The file of embeddings: .npy, .jsonl or .parquet
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// The column with the text [default: `text`, else the first with strings]
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// Keep the first N columns of every embedding, of length 1 again if the model's are
    #[arg(long, value_name = "N")]
    dim: Option<usize>,
    /// Tokens that go through the model at once; changes speed and memory, never the result
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BATCH_TOKENS)]
    batch_tokens: NonZeroUsize,
    /// A prompt of the model to put before every text, by its name
    #[arg(long, value_name = "NAME")]
    prompt: Option<String>,
}

impl Encode {
    pub(crate) fn run(self, pool: &Pool) -> Result<()> {
        let place = |path: &Path| path.canonicalize().ok();
        if place(Path::new(&self.input)).is_some_and(|input| place(&self.output) == Some(input)) {
            bail!("{}: is the input, which would be lost; give --output another name", self.output.display());
        }
        let name = if self.input == "-" { "standard input" } else { &self.input };
        let texts = TextStream::open(&self.input, self.column.as_deref())?;
        let opened = crate::terminal::open_model(Purpose::Encode, &self.model, pool, self.precision.precision)?;
        let embedder = crate::terminal::embedder(&opened, pool, self.dim)?.with_batch_tokens(self.batch_tokens.get());
        let prompt = match &self.prompt {
            Some(name) => embedder.prompt(name)?,
            None => embedder.default_prompt(),
        };
        let output = Output::create(&self.output, embedder.dimension())?;
        let progress = crate::terminal::count("texts");
        let start = std::time::Instant::now();
        let encoded = maana::encode::encode(&embedder, prompt, texts, name, output, &mut |rows| {
            progress.set_position(rows);
        })?;
        progress.finish_and_clear();
        tell!(
            "{}: {} embeddings of {} dimensions in {:.1} s",
            self.output.display(),
            encoded.rows,
            encoded.dimension,
            start.elapsed().as_secs_f64()
        );
        Ok(())
    }
}
