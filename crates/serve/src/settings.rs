//! Everything that can be set, with its defaults. Whoever starts a server fills this in.

use maana::kernels::Precision;
use maana::search::StoreLocation;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a server is to do.
#[derive(Clone)]
pub struct Settings {
    /// The models by name. The first is there from the start and answers where no name is given.
    pub models: Vec<Source>,
    /// What matrix products are computed in.
    pub precision: Precision,
    /// Sentences that the log begins with.
    pub notes: Vec<String>,
    /// Bytes that models may take together; those that were not used for longest are let go. The first model always stays.
    pub memory: Option<u64>,
    /// Whether a server of one model answers to that one's name alone, not to any.
    pub strict_model: bool,
    /// Whether the routes of OpenAI take token ids. Its clients send those of OpenAI's own tokenizers, which nothing tells
    /// from the model's.
    pub token_ids: bool,
    /// A store of documents to search in, made by the first model.
    pub index: Option<StoreLocation>,
    /// A classifier on top of the first model, if not the one in its folder.
    pub head: Option<PathBuf>,
    /// The dimensions that may be asked of the first model.
    pub dims: Dims,
    /// What stands before queries of the first model: the name of a prompt, a text or `none`, if not the model's own.
    pub query_prompt: Option<String>,
    /// What stands before documents of the first model, likewise.
    pub document_prompt: Option<String>,
    /// The address to listen at.
    pub host: String,
    /// The port; with 0 the system chooses.
    pub port: u16,
    /// A file of keys, without one of which nothing is answered.
    pub keys: Option<PathBuf>,
    /// Names under which the server is reached, beside its own; `*` stands for any. Without them a server that listens on this
    /// computer alone and has no keys answers to its own names, and every other to any.
    pub allow_hosts: Vec<String>,
    /// The origin whose pages may ask, or `*`.
    pub cors: Option<String>,
    /// A certificate and its key, where connections are to be encrypted.
    pub tls: Option<Tls>,
    /// What is too much.
    pub limits: Limits,
    /// What is too long.
    pub times: Times,
    /// How requests are logged.
    pub log: LogForm,
    /// Whether texts are logged.
    pub log_texts: bool,
    /// Whether SIGTERM, SIGINT and SIGHUP end the server as [`crate::Running::stop`] does. A SIGINT while it ends ends the
    /// process at once.
    pub signals: bool,
    /// Called before every batch where it is computed: for tests of slowness and of panics.
    pub before_batch: Option<Hook>,
}

/// What is called before a batch, with its number of tokens.
pub type Hook = Arc<dyn Fn(usize) + Send + Sync>;

/// A model to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What requests call it.
    pub name: String,
    /// A folder, a name on the hub, or name@revision.
    pub place: String,
}

/// A certificate and its key, both PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, and those behind it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Which dimensions may be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Dims {
    /// Those that the model was trained for, as its card tells, else its own alone.
    #[default]
    Declared,
    /// These, and the model's own.
    These(Vec<usize>),
    /// Any that the model has.
    Any,
}

/// What is too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tokens that wait or are computed; more are refused at once. A request that alone has more waits until nothing else does.
    pub queued_tokens: usize,
    /// Tokens that go through a model at once.
    pub batch_tokens: usize,
    /// Texts of a request.
    pub inputs: usize,
    /// Bytes of a request.
    pub body: usize,
    /// Bytes of all requests that are held.
    pub bodies: usize,
    /// Connections; more are told so and closed.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queued_tokens: 131_072,
            batch_tokens: maana::model::DEFAULT_BATCH_TOKENS,
            inputs: 2048,
            body: 8 << 20,
            bodies: 256 << 20,
            connections: 4096,
        }
    }
}

/// What is too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// From a request's arrival to its answer.
    pub answer: Duration,
    /// Until the head of a request is there, from the connection's start or the head's first byte.
    pub head: Duration,
    /// From an answer to the next request of a connection.
    pub keep_alive: Duration,
    /// Until the whole body is there.
    pub body: Duration,
    /// Between two bytes that the other side takes.
    pub write: Duration,
    /// From the wish to end to the end.
    pub drain: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            answer: seconds(60),
            head: seconds(30),
            // Balancers keep theirs for 60 s, and must be the ones that close.
            keep_alive: seconds(75),
            body: seconds(30),
            write: seconds(30),
            drain: seconds(30),
        }
    }
}

/// How requests are logged, on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogForm {
    /// Not at all.
    Off,
    /// A line that people read.
    #[default]
    Plain,
    /// A line of JSON.
    Json,
}

impl Settings {
    /// Serves one model, with every default: on this computer only, at a port that the system chooses.
    pub fn new(source: Source) -> Self {
        Self {
            models: vec![source],
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
