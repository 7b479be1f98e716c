//! `maana serve`

use crate::precision::PrecisionArgument;
use anyhow::{Context, Result, bail};
use maana::hub::HubOptions;
use maana::kernels::Pool;
use maana_serve::{Dims, Limits, LogForm, Settings, Source, Times, Tls};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Answer over HTTP: embeddings, similarities, search and labels, for clients of OpenAI and of text-embeddings-inference.
#[derive(clap::Args)]
#[command(after_help = "\
It prints `listening on http://…` when it answers; a page for people is at that address, the API at /docs. SIGTERM ends
it when what was asked is answered.

Examples:
  maana serve MODEL
  maana serve MODEL --index store --host 0.0.0.0 --keys keys.txt
  maana serve MODEL --model small=sentence-transformers/all-MiniLM-L6-v2 --memory 2000000000
  curl localhost:8080/v1/embeddings -H 'content-type: application/json' -d '{\"input\": \"Habari ya asubuhi\"}'")]
pub(crate) struct Serve {
    /// A folder, a name on the hub, or name@revision
    model: String,
    /// A further model under a name, read when it is first asked for; may be given several times
    #[arg(long = "model", value_name = "NAME=MODEL")]
    models: Vec<String>,
    /// Bytes that all models may take together; those unused for longest are let go [default: no limit]
    #[arg(long, value_name = "BYTES")]
    memory: Option<u64>,
    /// A store of documents to search in, made by `maana index` with this model
    #[arg(long, value_name = "DIR")]
    index: Option<PathBuf>,
    /// A classifier, made by `maana classify fit` with this model [default: the one in the model's folder]
    #[arg(long, value_name = "DIR|FILE")]
    head: Option<PathBuf>,
    #[command(flatten)]
    precision: PrecisionArgument,
    #[command(flatten)]
    queries: crate::prompts::QueryPromptArgument,
    #[command(flatten)]
    documents: crate::prompts::DocumentPromptArgument,
    /// The address to listen at; 0.0.0.0 is all of this computer's
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 lets the system choose
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    /// The dimensions that may be asked for, or any [default: those that the model was trained for]
    #[arg(long, value_name = "N,N,…|any", value_parser = dims)]
    dims: Option<Dims>,
    /// A file of keys, without one of which nothing is answered: lines NAME:KEY or NAME:KEY:REQUESTS-PER-SECOND
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// The origin whose pages may ask, or * [default: none but the page of this server]
    #[arg(long, value_name = "ORIGIN")]
    cors: Option<String>,
    /// A certificate (PEM), to answer over https
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Tokens that may wait; more are refused at once with 429
    #[arg(long, value_name = "N", default_value_t = Limits::default().queued_tokens, value_parser = one_or_more())]
    max_tokens_queued: usize,
    /// Tokens that go through a model at once; changes speed and memory, never the result
    #[arg(long, value_name = "N", default_value_t = Limits::default().batch_tokens, value_parser = one_or_more())]
    max_batch_tokens: usize,
    /// Texts of a request
    #[arg(long, value_name = "N", default_value_t = Limits::default().inputs, value_parser = one_or_more())]
    max_inputs: usize,
    /// Bytes of a request
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().body, value_parser = one_or_more())]
    max_body: usize,
    /// Connections that may be open
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections, value_parser = one_or_more())]
    max_connections: usize,
    /// Seconds after which an answer is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    deadline: u64,
    /// Seconds for what was asked to be answered when the server ends
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    drain: u64,
    /// How requests are logged on standard error
    #[arg(long, value_enum, default_value_t = LogChoice::Plain, value_name = "plain|json|off", hide_possible_values = true)]
    log: LogChoice,
    /// Log the texts of requests too
    #[arg(long)]
    log_texts: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LogChoice {
    Plain,
    Json,
    Off,
}

impl Serve {
    pub(crate) fn run(self, pool: &Arc<Pool>) -> Result<()> {
        let settings = self.settings()?;
        let drain = settings.times.drain;
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let running = maana_serve::start(settings, Arc::clone(pool))?;
        crate::interrupt::leave_to_server();
        say!("listening on {scheme}://{}", running.address())?;
        let ended = running.wait();
        if ended.given_up > 0 {
            tell!("{} requests were not answered within the {} s of --drain", ended.given_up, drain.as_secs());
        }
        Ok(())
    }

    fn settings(self) -> Result<Settings> {
        let first = Source { name: name_of(&self.model), place: self.model };
        let mut settings = Settings::new(first);
        for model in &self.models {
            let Some((name, place)) =
                model.split_once('=').filter(|(name, place)| !name.is_empty() && !place.is_empty())
            else {
                bail!("--model {model}: expected NAME=MODEL");
            };
            settings.models.push(Source { name: name.into(), place: place.into() });
        }
        // What has to be fetched is fetched now, where people see it; what is misspelt is told now.
        let options = HubOptions::from_environment();
        for source in &settings.models {
            let resolved = crate::terminal::fetching(|tell| maana::hub::resolve(&source.place, &options, tell));
            resolved.with_context(|| format!("model `{}`", source.place))?;
        }
        settings.precision = crate::precision::of(self.precision.precision);
        settings.notes = match self.precision.precision {
            None => crate::precision::faster(maana::kernels::isa()).into_iter().collect(),
            Some(_) => Vec::new(),
        };
        settings.query_prompt = self.queries.query_prompt;
        settings.document_prompt = self.documents.document_prompt;
        settings.memory = self.memory;
        settings.index = self.index;
        settings.head = self.head;
        settings.dims = self.dims.unwrap_or_default();
        settings.host = self.host;
        settings.port = self.port;
        settings.keys = self.keys;
        settings.cors = self.cors;
        settings.tls = self.tls_cert.zip(self.tls_key).map(|(certificate, key)| Tls { certificate, key });
        settings.limits = Limits {
            queued_tokens: self.max_tokens_queued,
            batch_tokens: self.max_batch_tokens,
            inputs: self.max_inputs,
            body: self.max_body,
            bodies: Limits::default().bodies.max(self.max_body),
            connections: self.max_connections,
        };
        let seconds = Duration::from_secs;
        settings.times = Times { answer: seconds(self.deadline), drain: seconds(self.drain), ..Times::default() };
        settings.log = match self.log {
            LogChoice::Plain => LogForm::Plain,
            LogChoice::Json => LogForm::Json,
            LogChoice::Off => LogForm::Off,
        };
        settings.log_texts = self.log_texts;
        settings.signals = true;
        Ok(settings)
    }
}

/// What requests call a model: the name of its folder, or its name on the hub without the revision.
fn name_of(model: &str) -> String {
    let path = std::path::Path::new(model);
    let folder = path.canonicalize().ok().filter(|path| path.is_dir());
    match folder.as_deref().and_then(std::path::Path::file_name) {
        Some(name) => name.to_string_lossy().into_owned(),
        None => model.split('@').next().unwrap_or(model).to_owned(),
    }
}

fn dims(text: &str) -> Result<Dims, String> {
    if text == "any" {
        return Ok(Dims::Any);
    }
    let dim = |dim: &str| dim.trim().parse().ok().filter(|dim| *dim > 0);
    let dims: Option<Vec<usize>> = text.split(',').map(dim).collect();
    dims.map(Dims::These).ok_or_else(|| "expected numbers above 0 with commas between them, or `any`".into())
}

fn one_or_more() -> impl clap::builder::TypedValueParser<Value = usize> {
    use clap::builder::TypedValueParser;
    clap::value_parser!(u32).range(1..).map(|number| number as usize)
}
