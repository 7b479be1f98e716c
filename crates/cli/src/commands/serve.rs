//! `maana serve`

use crate::precision::PrecisionArgument;
use anyhow::{Context as _, Result, bail};
use maana::hub::{HubOptions, Resolved};
use maana::kernels::Context;
use maana::search::StoreLocation;
use maana_serve::{Dims, Limits, LogForm, Settings, Source, Times, Tls};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Serve embeddings, similarities, search, labels and rankings over HTTP, for clients of OpenAI,
/// text-embeddings-inference, Cohere and Jina
#[derive(clap::Args)]
#[command(
    group = clap::ArgGroup::new("served").args(["model", "rerankers"]).required(true).multiple(true),
    after_help = "\
It prints `listening on http://…` when it takes requests; a page for people is at that address, the API at /docs. SIGTERM
and Ctrl-C end it after the requests that have arrived are answered, a second Ctrl-C at once.

Examples:
  maana serve MODEL
  maana serve MODEL --index store --host 0.0.0.0 --keys keys.txt
  maana serve MODEL --index store --reranker rank=runs/rank/model
  maana serve news=runs/news/model --model small=sentence-transformers/all-MiniLM-L6-v2 --memory 2000000000
  curl localhost:8080/v1/embeddings -H 'content-type: application/json' -d '{\"input\": \"Habari ya asubuhi\"}'"
)]
pub(crate) struct Serve {
    /// A folder, a name on the hub, or name@revision; NAME=MODEL sets its name in requests
    /// [default: its name on the hub or in its card, else the folder's]. A server with --reranker
    /// needs none
    model: Option<String>,
    /// A further model, read at its first request; repeatable
    #[arg(long = "model", value_name = "NAME=MODEL", requires = "model")]
    models: Vec<String>,
    /// A cross-encoder that ranks documents; the first is read at the start, further ones at their
    /// first request; repeatable
    #[arg(long = "reranker", value_name = "NAME=MODEL")]
    rerankers: Vec<String>,
    /// Answer only to the models' own names [default: a single model, and a single reranker, answer
    /// to any name]
    #[arg(long)]
    strict_model: bool,
    /// Accept token ids on OpenAI's routes; they are refused by default, because OpenAI's clients
    /// (LangChain) send ids of OpenAI's own tokenizers
    #[arg(long)]
    token_ids: bool,
    /// Most bytes of all models; those unused for longest are released [default: no limit]
    #[arg(long, value_name = "BYTES")]
    memory: Option<u64>,
    /// A store of documents to search, made by `maana index` with this model: a folder, or
    /// postgres://USER@HOST/DATABASE?store=NAME
    #[arg(long, value_name = "STORE")]
    index: Option<PathBuf>,
    /// A classifier, made by `maana classify fit` with this model [default: the one in the model's
    /// folder]
    #[arg(long, value_name = "DIR|FILE")]
    head: Option<PathBuf>,
    #[command(flatten)]
    precision: PrecisionArgument,
    #[command(flatten)]
    queries: crate::prompts::QueryPromptArgument,
    #[command(flatten)]
    documents: crate::prompts::DocumentPromptArgument,
    /// The address to listen on; 0.0.0.0 means all addresses of this computer
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 lets the system choose
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    /// The dimensions that requests may ask for, or any [default: those that the model declares]
    #[arg(long, value_name = "N,N,…|any", value_parser = dims)]
    dims: Option<Dims>,
    /// A file of keys, one of which every request then needs: lines NAME:KEY or
    /// NAME:KEY:REQUESTS-PER-SECOND. It is read again when it changes
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// A name under which clients reach the server, for a proxy on this computer; repeatable, *
    /// means any [default: localhost and addresses where it listens on this computer only and has
    /// no keys, else any]
    #[arg(long = "allow-host", value_name = "NAME")]
    allow_hosts: Vec<String>,
    /// The origin whose pages may send requests, or * [default: only the page of this server]
    #[arg(long, value_name = "ORIGIN")]
    cors: Option<String>,
    /// A certificate chain (PEM), for https
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Most tokens that wait; more are refused at once with 429
    #[arg(long, value_name = "N", default_value_t = Limits::default().queued_tokens, value_parser = one_or_more())]
    max_tokens_queued: usize,
    /// Tokens of a batch; changes speed and memory, never the result
    #[arg(long, value_name = "N", default_value_t = Limits::default().batch_tokens, value_parser = one_or_more())]
    max_batch_tokens: usize,
    /// Most texts of a request
    #[arg(long, value_name = "N", default_value_t = Limits::default().inputs, value_parser = one_or_more())]
    max_inputs: usize,
    /// Most bytes of a request
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().body, value_parser = one_or_more())]
    max_body: usize,
    /// Most open connections
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections, value_parser = one_or_more())]
    max_connections: usize,
    /// Seconds after which an answer is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    deadline: u64,
    /// Seconds that a connection stays open between two requests; longer than a balancer's
    #[arg(long, value_name = "SECONDS", default_value_t = 75, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    keep_alive: u64,
    /// Seconds to answer the requests that have arrived when the server ends
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    drain: u64,
    /// Format of the log on standard error
    #[arg(long, value_enum, default_value_t = LogChoice::Plain, value_name = "plain|json|off", hide_possible_values = true)]
    log: LogChoice,
    /// Log the texts of requests
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
    pub(crate) fn run(self, context: &Arc<Context>) -> Result<()> {
        let settings = self.settings()?;
        let drain = settings.times.drain;
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let running = maana_serve::start(settings, Arc::clone(context))?;
        crate::interrupt::leave_to_server();
        outln!("listening on {scheme}://{}", running.address())?;
        let ended = running.wait();
        if ended.given_up > 0 {
            errln!("{} requests were not answered within the {} s of --drain", ended.given_up, drain.as_secs());
        }
        Ok(())
    }

    fn settings(self) -> Result<Settings> {
        // Models are downloaded now, with visible progress, and misspelt names are reported now.
        let arguments: Vec<&String> = self.model.iter().chain(&self.models).chain(&self.rerankers).collect();
        let named = arguments.into_iter().map(|argument| Named::read(argument)).collect::<Result<Vec<_>>>()?;
        let source = |(name, model): (String, &Named)| Source { name, place: model.place.clone() };
        let mut models: Vec<Source> = names(&named).into_iter().zip(&named).map(source).collect();
        let rerankers = models.split_off(models.len() - self.rerankers.len());
        let mut settings = Settings { models, rerankers, ..Settings::default() };
        settings.precision = crate::precision::of(self.precision.precision);
        settings.notes = match self.precision.precision {
            None => crate::precision::faster(maana::kernels::InstructionSet::active()).into_iter().collect(),
            Some(_) => Vec::new(),
        };
        settings.query_prompt = self.queries.query_prompt;
        settings.document_prompt = self.documents.document_prompt;
        settings.memory = self.memory;
        settings.strict_model = self.strict_model;
        settings.token_ids = self.token_ids;
        settings.index = self.index.as_deref().map(StoreLocation::parse).transpose()?;
        settings.head = self.head;
        settings.dims = self.dims.unwrap_or_default();
        settings.host = self.host;
        settings.port = self.port;
        settings.keys = self.keys;
        settings.allow_hosts = self.allow_hosts;
        settings.cors = self.cors;
        settings.tls = self.tls_cert.zip(self.tls_key).map(|(certificate, key)| Tls { certificate, key });
        settings.limits = Limits {
            queued_tokens: self.max_tokens_queued,
            batch_tokens: self.max_batch_tokens,
            inputs: self.max_inputs,
            body: self.max_body,
            memory: Limits::default().memory.max(self.max_body),
            tokenizing: Limits::default().tokenizing.max(self.max_body),
            connections: self.max_connections,
        };
        let seconds = Duration::from_secs;
        settings.times = Times {
            answer: seconds(self.deadline),
            keep_alive: seconds(self.keep_alive),
            drain: seconds(self.drain),
            ..Times::default()
        };
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

/// A model of the command line, and its folder.
struct Named {
    /// The name in NAME=MODEL.
    name: Option<String>,
    place: String,
    resolved: Resolved,
}

impl Named {
    /// Reads MODEL or NAME=MODEL.
    fn read(argument: &str) -> Result<Self> {
        // A folder may have an equals sign in its path.
        let parts = argument.split_once('=').filter(|_| !Path::new(argument).exists());
        let (name, place) = match parts {
            None => (None, argument),
            Some((name, place)) if !name.is_empty() && !place.is_empty() => (Some(name.to_owned()), place),
            Some(_) => bail!("{argument}: expected MODEL or NAME=MODEL"),
        };
        let options = HubOptions::from_environment();
        let resolved = crate::terminal::fetching(|notify| maana::hub::resolve(place, &options, notify));
        let resolved = resolved.with_context(|| format!("model `{place}`"))?;
        Ok(Self { name, place: place.into(), resolved })
    }

    /// Returns its name on the hub, or the one in its card.
    fn own_name(&self) -> Option<String> {
        let card = || maana::files::read_to_string(self.resolved.folder.join("README.md")).ok();
        self.resolved.name.clone().or_else(|| maana::card::model_name(&card()?))
    }

    /// Returns the name of its folder, or of the run to which the folder belongs.
    fn name_of_place(&self) -> String {
        let folder = self.resolved.folder.canonicalize().ok().filter(|_| self.resolved.name.is_none());
        let named = |folder: &Path| folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let own = folder.as_deref().and_then(named);
        let run = folder.as_deref().and_then(Path::parent).and_then(named);
        match (own, run) {
            (Some(own), Some(run)) if own == MODEL_FOLDER => run,
            (Some(own), _) => own,
            (None, _) => self.place.clone(),
        }
    }
}

/// Folder of the model in a run.
const MODEL_FOLDER: &str = "model";

/// Returns the names of the models in requests. Models with the same own name, as two runs from one
/// base, get the names of their folders.
fn names(models: &[Named]) -> Vec<String> {
    let own: Vec<String> = models
        .iter()
        .map(|model| model.name.clone().or_else(|| model.own_name()).unwrap_or_else(|| model.name_of_place()))
        .collect();
    let is_shared = |name: &String| own.iter().filter(|other| *other == name).count() > 1;
    let name = |(model, name): (&Named, &String)| {
        if model.name.is_none() && is_shared(name) { model.name_of_place() } else { name.clone() }
    };
    models.iter().zip(&own).map(name).collect()
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
