//! `maana encode`

use anyhow::{Result, bail};
use maana::data::{Blanks, TextStream};
use maana::encode::{Dtype, EncodeError, Output, OutputError, encode_to, read_ranges, write_ranges};
use maana::kernels::Context;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

const DEFAULT_BATCH_TOKENS: NonZeroUsize =
    NonZeroUsize::new(maana::model::DEFAULT_BATCH_TOKENS).expect("a batch has tokens");

/// Turn texts into embeddings.
#[derive(clap::Args)]
#[command(after_help = "\
Reads texts from .txt (one per line), .jsonl, .json, .csv, .tsv or .parquet files, or with - from standard input (lines or JSON). \
Texts are streamed, so files may be larger than memory. Row n belongs to text n: a blank text is an error without --allow-blank.

Examples:
  maana encode MODEL --input texts.txt --output embeddings.npy
  maana encode MODEL --input corpus.jsonl --column text --dim 128 --output embeddings.parquet
  maana encode MODEL --input corpus.jsonl --dtype int8 --output corpus.npy      (and corpus.ranges.npy)
  maana encode MODEL --input queries.txt --dtype int8 --ranges corpus.ranges.npy --output queries.npy
  printf 'Habari ya asubuhi\\n' | maana encode MODEL --input - --output -")]
pub(crate) struct Encode {
    /// Model: a folder, a name on the hub, or name@revision
    model: String,
    #[command(flatten)]
    precision: crate::precision::PrecisionArgument,
    /// File of texts, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    input: String,
    /// Output file: .npy, .jsonl, .parquet or .safetensors; or - for JSON lines on standard output
    #[arg(long, value_name = "FILE|-")]
    output: PathBuf,
    /// Column with the text [default: `text`, else the first column of texts]
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// Embed blank texts too instead of refusing them
    #[arg(long)]
    allow_blank: bool,
    /// Keep the first N dimensions of every embedding, normalised again if the model normalises
    #[arg(long, value_name = "N")]
    dim: Option<usize>,
    /// Type of the numbers. int8 and uint8 quantise between the minimum and the maximum of each
    /// dimension, which are written to OUTPUT.ranges.npy; binary and ubinary pack eight signs into
    /// a byte
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = DtypeName::F32)]
    dtype: DtypeName,
    /// Quantise int8 and uint8 with the ranges of this file instead of those of these embeddings
    #[arg(long, value_name = "FILE.npy")]
    ranges: Option<PathBuf>,
    /// Tokens per batch; affects speed and memory, never the result
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BATCH_TOKENS)]
    batch_tokens: NonZeroUsize,
    /// Name of the model's prompt to prepend to every text
    #[arg(long, value_name = "NAME")]
    prompt: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum DtypeName {
    F32,
    F16,
    Int8,
    Uint8,
    Binary,
    Ubinary,
}

impl DtypeName {
    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Int8 => Dtype::Int8,
            Self::Uint8 => Dtype::Uint8,
            Self::Binary => Dtype::Binary,
            Self::Ubinary => Dtype::Ubinary,
        }
    }
}

impl Encode {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        let dtype = self.dtype.dtype();
        let ranges = (dtype.needs_ranges() && self.ranges.is_none()).then(|| self.output.with_extension("ranges.npy"));
        let given = self.ranges.as_deref().into_iter();
        let inputs: Vec<&Path> = given.chain([Path::new(&self.input), Path::new(&self.model)]).collect();
        crate::outputs::check(&inputs, &[("--output", Some(&self.output)), ("--output", ranges.as_deref())])?;
        let name = if self.input == "-" { "standard input" } else { &self.input };
        let blanks = if self.allow_blank { Blanks::Keep } else { Blanks::Refuse };
        let texts = TextStream::open(&self.input, self.column.as_deref(), blanks)?;
        let bytes = std::fs::metadata(&self.input).ok().filter(std::fs::Metadata::is_file);
        let bytes = bytes.map_or(usize::MAX, |input| input.len() as usize);
        let storage = crate::terminal::storage_for(bytes);
        let opened = crate::terminal::open_model(storage, &self.model, context, self.precision.precision)?;
        let encoder = crate::terminal::encoder(&opened, self.dim)?.with_batch_tokens(self.batch_tokens.get());
        let (encoder, prompt) = match &self.prompt {
            Some(name) => (encoder.for_prompt(name), encoder.prompt(name)?.to_owned()),
            None => (encoder.clone(), encoder.default_prompt().to_owned()),
        };
        encoder.expect_tower()?;
        if self.ranges.is_some() && !dtype.needs_ranges() {
            bail!("--ranges applies only to int8 and uint8; leave it out, or give --dtype int8 or uint8");
        }
        let ranges = self.ranges.as_deref().map(|path| read_ranges(path, encoder.dimension())).transpose()?;
        if self.output.as_os_str() == "-" {
            if dtype.needs_ranges() && ranges.is_none() {
                bail!(
                    "--output -: int8 and uint8 need --ranges here, since the ranges are known only after the last text"
                );
            }
            let mut out = std::io::stdout().lock();
            let printed = encode_to(&encoder, &prompt, texts, name, dtype, ranges.as_ref(), &mut out);
            return match printed {
                Err(EncodeError::Output(OutputError::Io { source, .. }))
                    if source.kind() == std::io::ErrorKind::BrokenPipe =>
                {
                    Ok(())
                }
                printed => Ok(printed.map(drop)?),
            };
        }
        let output = Output::create(&self.output, encoder.dimension(), dtype, ranges)?;
        let progress = crate::terminal::count("texts");
        let start = std::time::Instant::now();
        let encoded = maana::encode::encode(&encoder, &prompt, texts, name, output, &mut |rows| {
            progress.set_position(rows);
        })?;
        progress.finish_and_clear();
        errln!(
            "{}: {} embeddings of {} dimensions in {:.1} s",
            self.output.display(),
            encoded.rows,
            encoded.dimension,
            start.elapsed().as_secs_f64()
        );
        if let Some(ranges) = &encoded.ranges {
            let path = self.output.with_extension("ranges.npy");
            write_ranges(&path, ranges)?;
            errln!(
                "{}: the ranges; pass them with --ranges to encode texts that are compared with these",
                path.display()
            );
        }
        Ok(())
    }
}
