//! Settings of a server, with their defaults.

use maana::kernels::Precision;
use maana::search::StoreLocation;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Settings of a server.
#[derive(Clone)]
pub struct Settings {
    /// The models of embeddings. The first is read at the start and serves requests that name none.
    pub models: Vec<Source>,
    /// Cross-encoders that rank documents. The first is read at the start and serves requests that
    /// name none. A server may have rerankers only.
    pub rerankers: Vec<Source>,
    /// Precision of the matrix products.
    pub precision: Precision,
    /// Notes at the start of the log.
    pub notes: Vec<String>,
    /// Most bytes of all models; those unused for longest are released. The first model and the
    /// first reranker always stay.
    pub memory: Option<u64>,
    /// Makes a server of one model answer only to its name; by default it answers to any.
    pub strict_model: bool,
    /// Lets the routes of OpenAI take token ids. Its clients send ids of OpenAI's own tokenizers,
    /// which cannot be distinguished from the model's.
    pub token_ids: bool,
    /// A store of documents to search, made by the first model.
    pub index: Option<StoreLocation>,
    /// A classifier for the first model; by default the one in its folder.
    pub head: Option<PathBuf>,
    /// The dimensions that requests may ask of the first model.
    pub dims: Dims,
    /// Prompt before queries of the first model: a name, a text or `none`; by default the model's
    /// own.
    pub query_prompt: Option<String>,
    /// Prompt before documents of the first model.
    pub document_prompt: Option<String>,
    /// The address to listen on.
    pub host: String,
    /// The port; 0 lets the system choose.
    pub port: u16,
    /// A file of keys, one of which every request then needs.
    pub keys: Option<PathBuf>,
    /// Names under which clients reach the server, in addition to its own; `*` means any. Without
    /// them a server without keys that listens on this computer only answers to its own names, and
    /// every other server to any.
    pub allow_hosts: Vec<String>,
    /// The origin whose pages may send requests, or `*`.
    pub cors: Option<String>,
    /// A certificate and its key, for TLS.
    pub tls: Option<Tls>,
    /// Limits on amounts.
    pub limits: Limits,
    /// Limits on times.
    pub times: Times,
    /// Format of the log.
    pub log: LogForm,
    /// Logs the texts of requests.
    pub log_texts: bool,
    /// Makes SIGTERM, SIGINT and SIGHUP end the server as [`crate::Running::stop`] does. A further
    /// SIGINT ends the process at once.
    pub signals: bool,
    /// Called on the compute thread before every batch.
    pub before_batch: Option<Hook>,
}

/// A function that is called with the number of tokens of a batch.
pub type Hook = Arc<dyn Fn(usize) + Send + Sync>;

/// A model to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Name in requests.
    pub name: String,
    /// A folder, a name on the hub, or `name@revision`.
    pub place: String,
}

/// A certificate and its key, both PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Dimensions that requests may ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Dims {
    /// Those that the model's card declares, and the model's own.
    #[default]
    Declared,
    /// These, and the model's own.
    These(Vec<usize>),
    /// All up to the model's own.
    Any,
}

/// Limits on amounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tokens that wait or are being computed; more are refused at once. A larger request is
    /// admitted when nothing else waits.
    pub queued_tokens: usize,
    /// Tokens of a batch.
    pub batch_tokens: usize,
    /// Texts of a request.
    pub inputs: usize,
    /// Bytes of a request.
    pub body: usize,
    /// Bytes of all requests and answers in memory.
    pub memory: usize,
    /// Bytes of text that wait for the tokenizer or are being tokenised; more are refused at once.
    pub tokenizing: usize,
    /// Connections; more are refused.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queued_tokens: 131_072,
            batch_tokens: maana::model::DEFAULT_BATCH_TOKENS,
            inputs: 2048,
            body: 8 << 20,
            memory: 256 << 20,
            tokenizing: 32 << 20,
            connections: 4096,
        }
    }
}

/// Limits on times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// From the arrival of a request to its answer.
    pub answer: Duration,
    /// Until the head of a request is complete, from the start of the connection or the first byte.
    pub head: Duration,
    /// From an answer to the next request on a connection.
    pub keep_alive: Duration,
    /// Until a body is complete.
    pub body: Duration,
    /// Between two writes that the client accepts.
    pub write: Duration,
    /// From the request to end to the end.
    pub drain: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            answer: seconds(60),
            head: seconds(30),
            // Balancers keep connections for 60 s, and must be the side that closes them.
            keep_alive: seconds(75),
            body: seconds(30),
            write: seconds(30),
            drain: seconds(30),
        }
    }
}

/// Format of the log on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogForm {
    /// No log.
    Off,
    /// Plain lines.
    #[default]
    Plain,
    /// Lines of JSON.
    Json,
}

impl Settings {
    /// Creates the default settings for one model.
    pub fn new(source: Source) -> Self {
        Self { models: vec![source], ..Self::default() }
    }
}

impl Default for Settings {
    /// Settings without a model: on this computer only, on a port that the system chooses.
    fn default() -> Self {
        Self {
            models: Vec::new(),
            rerankers: Vec::new(),
            precision: Precision::F32,
            notes: Vec::new(),
            memory: None,
            strict_model: false,
            token_ids: false,
            index: None,
            head: None,
            dims: Dims::Declared,
            query_prompt: None,
            document_prompt: None,
            host: "127.0.0.1".into(),
            port: 0,
            keys: None,
            allow_hosts: Vec::new(),
            cors: None,
            tls: None,
            limits: Limits::default(),
            times: Times::default(),
            log: LogForm::Plain,
            log_texts: false,
            signals: false,
            before_batch: None,
        }
    }
}
