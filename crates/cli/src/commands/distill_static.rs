//! `maana distill-static`

use crate::precision::PrecisionArgument;
use crate::terminal;
use anyhow::{Result, bail};
use maana::data::Blanks;
use maana::distill_static::{Progress, Settings, Vocabulary, distill, save};
use maana::kernels::Context;
use maana::model::WeightStorage;
use maana::texts::{Columns, read};
use std::path::PathBuf;

/// Make a static model, which imitates an encoder without a transformer.
#[derive(clap::Args)]
#[command(after_help = "\
A static model is a table with an embedding for each token; their mean is the embedding of a text. Each token, and each \
frequent word of the texts, goes through the encoder once; --epochs then trains the table to give the texts the embeddings \
that the encoder gives them (docs/static.md).

Vocabulary:
  both       all tokens of the encoder's tokenizer, and frequent words of the texts
  texts      the tokens that occur in the texts, and frequent words of the texts: a smaller table
  tokenizer  all tokens of the encoder's tokenizer

Examples:
  maana distill-static sentence-transformers/all-MiniLM-L6-v2 --texts corpus.txt --out static
  maana distill-static intfloat/multilingual-e5-small --texts corpus.jsonl --vocabulary texts --epochs 10 --out static")]
pub(crate) struct DistillStatic {
    /// The encoder: a folder, a name on the hub, or name@revision
    model: String,
    /// Texts in the languages of the model: .txt, .jsonl, .csv, .tsv or .parquet
    #[arg(long, value_name = "FILE")]
    texts: PathBuf,
    /// Column of the texts [default: text, else the first column of texts]
    #[arg(long, value_name = "COLUMN")]
    column: Option<String>,
    /// Columns of the table; at most those of the encoder
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = crate::number::one_or_more)]
    dimension: usize,
    /// Tokens of the table
    #[arg(long, value_enum, value_name = "NAME", default_value = "both", hide_possible_values = true)]
    vocabulary: VocabularyName,
    /// The most words of the texts that become tokens
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    words: usize,
    /// Factor a of the weights a / (a + p) of tokens with the probability p; 0 for equal weights
    #[arg(long, value_name = "A", default_value_t = 1e-4, value_parser = sif, allow_negative_numbers = true)]
    sif: f64,
    /// Passes over the texts to train the table
    #[arg(long, value_name = "N", default_value_t = 0)]
    epochs: usize,
    /// Learning rate of the training
    #[arg(long, value_name = "RATE", default_value_t = 0.01, value_parser = rate, allow_negative_numbers = true)]
    learning_rate: f64,
    /// Seed of the order of the texts in training
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
    #[command(flatten)]
    precision: PrecisionArgument,
    /// Folder of the result
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Value of `--vocabulary`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum VocabularyName {
    Both,
    Texts,
    Tokenizer,
}

/// Parses the factor of the weights of tokens.
fn sif(text: &str) -> Result<f64, String> {
    let remedy = "expected 0 (equal weights), or a number above 0 and below 1";
    text.parse::<f64>().ok().filter(|sif| (0.0..1.0).contains(sif)).ok_or_else(|| remedy.into())
}

/// Parses a learning rate.
fn rate(text: &str) -> Result<f64, String> {
    crate::number::finite::<f64>(text).ok().filter(|rate| *rate > 0.0).ok_or_else(|| "expected a number above 0".into())
}

impl DistillStatic {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        if maana::files::is_same(std::path::Path::new(&self.model), &self.out) {
            bail!("{}: this is the encoder, which would be overwritten; give --out another path", self.out.display());
        }
        terminal::check_destination(&self.out)?;
        let settings = Settings {
            dimension: self.dimension,
            vocabulary: match self.vocabulary {
                VocabularyName::Both => Vocabulary::Both,
                VocabularyName::Texts => Vocabulary::Texts,
                VocabularyName::Tokenizer => Vocabulary::Tokenizer,
            },
            words: self.words,
            sif: Some(self.sif).filter(|sif| *sif != 0.0),
            epochs: self.epochs,
            learning_rate: self.learning_rate,
            seed: self.seed,
        };
        let columns = Columns { text: self.column, header: None };
        let texts = read(&self.texts, &columns, &[], Blanks::Skip)?;
        if let Some(note) = &texts.chosen {
            errln!("note: {note}");
        }
        let opened = terminal::open_model(WeightStorage::Packed, &self.model, context, self.precision.precision)?;
        let mut notify = |progress: Progress| match progress {
            Progress::Vocabulary { tokens, words } => errln!("{tokens} tokens, {words} of them words of the texts"),
            Progress::Variance(share) => errln!("the table keeps {:.1} % of the variance", 100.0 * share),
            Progress::Epoch(epoch, cosine) => errln!("epoch {epoch}: mean cosine {cosine:.4} with the encoder"),
        };
        let model = distill(&opened.model, &texts.texts, &settings, &mut notify)?;
        save(&model, &opened.resolved, texts.texts.len(), &settings, &self.out)?;
        outln!("model   {}", self.out.display())
    }
}
