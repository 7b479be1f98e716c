//! A hub on the loopback interface: the routes of the real one, large files behind a redirect to
//! another port, a log of all requests, and faults on demand.

use crate::writing::Repository;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const ID: &str = "org/name";

/// Small files and the output of `git hash-object`.
const GIT: [(&str, &str); 10] = [
    (CONFIG, "46332c50668921e90868a1d44a2550bb60ffdb1d"),
    (MODULES, "3666f55fed4cf6c6b72e614adeb9c0481f292074"),
    (POOLING, "e1a6994bd77dd7a73f3b90a30b314dcf5fa880a0"),
    (TOKENIZER, "fdef94443aef6c464d438c4654540cb4245f8f1e"),
    (SENTENCE, "368084f70c277fe61aa26cf80c4bd289a1d6192f"),
    (README, "17f7db2225cff76b125bac0876e5f0c5054fa794"),
    (INDEX, "875ba650e96a1dbc4a3e2cb050f5d3304fccb582"),
    (HOSTILE_INDEX, "b09f43be94fe8ee42e4a36f03c8cd36f9b33b307"),
    ("{}", "9e26dfeeb6e641a33dae4961196235bdb965b21b"),
    (INVENTED_INDEX, "dc69b2676584a18cc4208167834dedea28f05a54"),
];
pub(crate) const CONFIG: &str = r#"{"model_type": "bert"}"#;
pub(crate) const MODULES: &str = r#"[{"path": "", "type": "sentence_transformers.models.Transformer"}, {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#;
pub(crate) const POOLING: &str = r#"{"pooling_mode_cls_token": true}"#;
pub(crate) const TOKENIZER: &str = r#"{"version": "1.0"}"#;
pub(crate) const SENTENCE: &str = r#"{"max_seq_length": 128}"#;
pub(crate) const README: &str = "# A model";
pub(crate) const INDEX: &str =
    r#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
pub(crate) const HOSTILE_INDEX: &str = r#"{"weight_map": {"a": "../../secret.safetensors"}}"#;
pub(crate) const INVENTED_INDEX: &str = r#"{"weight_map": {"a": "invented.safetensors"}}"#;

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Returns the files of a sentence encoder with weights of `length` bytes, and files that are not
/// needed.
pub(crate) fn model(length: usize) -> Files {
    let small = [
        ("README.md", README),
        ("1_Pooling/config.json", POOLING),
        ("config.json", CONFIG),
        ("modules.json", MODULES),
        ("sentence_bert_config.json", SENTENCE),
        ("tokenizer.json", TOKENIZER),
        ("trainer_state.json", "not wanted"),
        ("onnx/config.json", "not wanted"),
    ];
    let mut files: Files = small.into_iter().map(|(name, text)| (name.into(), text.into())).collect();
    files.insert("model.safetensors".into(), weights(length, 1));
    files.insert("pytorch_model.bin".into(), weights(1000, 2));
    files
}

pub(crate) fn weights(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the ETag of a file on the hub.
pub(crate) fn etag(file: &str, bytes: &[u8]) -> String {
    let large = file.ends_with(".safetensors") || file.ends_with(".bin");
    let known = GIT.iter().find(|(text, _)| text.as_bytes() == bytes).map(|(_, sha1)| (*sha1).to_owned());
    if large { sha256(bytes) } else { known.unwrap_or_else(|| "not-wanted".into()) }
}

/// A request that the hub received.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) range: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) body: Vec<u8>,
    /// `true` if it was sent to the storage server of large files.
    pub(crate) storage: bool,
    /// Number of earlier requests with the same method, path and server.
    pub(crate) before: usize,
}

impl Request {
    pub(crate) fn is(&self, method: &str, end: &str) -> bool {
        self.method == method && self.path.ends_with(end)
    }

    /// Returns whether it fetches the weights.
    pub(crate) fn is_weights(&self) -> bool {
        self.storage && self.method == "GET"
    }
}

/// A fault of the hub.
pub(crate) enum Fault {
    None,
    /// An answer with this status and these headers, without a body.
    Status(u16, Vec<(&'static str, String)>),
    /// These bytes instead of those of the file.
    Bytes(Vec<u8>),
    /// The connection ends after this number of bytes.
    Cut(usize),
    /// The server falls silent after this number of bytes.
    Silent(usize),
    /// The server ignores ranges.
    NoRange,
    /// A wrong `Content-Range`.
    WrongRange,
    /// Another ETag.
    Etag(String),
    /// An answer with this status and body, after the request has been read.
    Answer(u16, String),
    /// The connection ends after this number of bytes of the request's body.
    Drop(usize),
    /// The request is obeyed, and the connection ends before the answer.
    Lost,
    /// No length, an ETag that is not a checksum, and an end after this number of bytes.
    NoLength(usize),
}

type Faults = dyn Fn(&Request) -> Fault + Send + Sync;

pub(crate) struct Hub {
    pub(crate) endpoint: String,
    log: Arc<Mutex<Vec<Request>>>,
    shared: Arc<Shared>,
}

struct Shared {
    repository: Mutex<Repository>,
    storage: String,
    log: Arc<Mutex<Vec<Request>>>,
    faults: Box<Faults>,
}

impl Hub {
    pub(crate) fn new(files: Files, faults: impl Fn(&Request) -> Fault + Send + Sync + 'static) -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (hub, storage) = (listen(), listen());
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let (endpoint, log) = (address(&hub), Arc::default());
        let storage_address = address(&storage);
        let repository = Mutex::new(Repository::with(files, &endpoint, &storage_address));
        let log_here = Arc::clone(&log);
        let shared = Arc::new(Shared { repository, storage: storage_address, log: log_here, faults: Box::new(faults) });
        let all = Arc::clone(&shared);
        for (listener, is_storage) in [(hub, false), (storage, true)] {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || shared.serve(stream, is_storage));
                }
            });
        }
        Self { endpoint, log, shared: all }
    }

    pub(crate) fn sound(files: Files) -> Self {
        Self::new(files, |_| Fault::None)
    }

    /// Reads or changes the repository.
    pub(crate) fn with<T>(&self, action: impl FnOnce(&mut Repository) -> T) -> T {
        action(&mut self.shared.repository.lock().unwrap())
    }

    pub(crate) fn log(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, matches: impl Fn(&Request) -> bool) -> usize {
        self.log().iter().filter(|request| matches(request)).count()
    }

    /// Returns the `Range` headers of the requests for the weights.
    pub(crate) fn ranges(&self) -> Vec<Option<String>> {
        self.log().into_iter().filter(Request::is_weights).map(|request| request.range).collect()
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream, storage: bool) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut line = || -> Option<String> {
            let mut line = String::new();
            (reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
        };
        let first = line()?;
        let mut words = first.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let (mut range, mut token, mut length) = (None, None, 0);
        while let Some(line) = line().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':')?;
            match name.to_lowercase().as_str() {
                "range" => range = Some(value.trim().to_owned()),
                "authorization" => token = Some(value.trim().to_owned()),
                "content-length" => length = value.trim().parse().ok()?,
                "transfer-encoding" => panic!("storage servers take no chunked bodies"),
                _ => {}
            }
        }
        let mut request = Request { method, path, query, range, token, body: Vec::new(), storage, before: 0 };
        {
            let mut log = self.log.lock().unwrap();
            let same = |other: &&Request| {
                (&other.method, &other.path, other.storage) == (&request.method, &request.path, request.storage)
            };
            request.before = log.iter().filter(same).count();
            log.push(request.clone());
        }
        let fault = (self.faults)(&request);
        if let Fault::Drop(read) = fault {
            reader.take(read as u64).read_to_end(&mut request.body).ok()?;
            return None;
        }
        reader.take(length).read_to_end(&mut request.body).ok()?;
        if let Some(logged) = self.log.lock().unwrap().iter_mut().rev().find(|logged| {
            (&logged.method, &logged.path, logged.before) == (&request.method, &request.path, request.before)
        }) {
            logged.body.clone_from(&request.body);
        }
        let mut answer = match &fault {
            Fault::Status(status, headers) => Answer { status: *status, headers: headers.clone(), body: Vec::new() },
            Fault::Answer(status, body) => Answer::json(*status, body.clone()),
            _ if request.method != "GET" && request.method != "HEAD" => {
                self.repository.lock().unwrap().change(&request)
            }
            _ if storage => self.bytes(&request),
            _ => self.route(&request),
        };
        match &fault {
            Fault::Bytes(bytes) => answer.body = bytes.clone(),
            Fault::Etag(etag) => {
                answer.set("ETag", etag.clone()).set("X-Linked-Etag", etag.clone());
            }
            Fault::NoLength(_) => {
                answer.set("ETag", "weak".into()).set("X-Linked-Etag", "weak".into());
                answer.headers.retain(|(name, _)| *name != "X-Linked-Size");
            }
            _ => {}
        }
        if let Some(range) = &request.range
            && answer.status == 200
            && !matches!(fault, Fault::NoRange)
        {
            let start: usize = range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()?;
            let (first, total) = (start - usize::from(matches!(fault, Fault::WrongRange)), answer.body.len());
            answer.status = 206;
            answer.set("Content-Range", format!("bytes {first}-{}/{total}", total - 1));
            answer.body.drain(..start);
        }
        if matches!(fault, Fault::Lost) {
            return None;
        }
        let mut head = format!("HTTP/1.1 {} status\r\nConnection: close\r\n", answer.status);
        if !matches!(fault, Fault::NoLength(_)) {
            head += &format!("Content-Length: {}\r\n", answer.body.len());
        }
        for (name, value) in &answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
        let sent = match fault {
            Fault::Cut(length) | Fault::Silent(length) | Fault::NoLength(length) => length.min(answer.body.len()),
            _ => answer.body.len(),
        };
        if request.method != "HEAD" {
            stream.write_all(&answer.body[..sent]).ok()?;
        }
        if matches!(fault, Fault::Silent(_)) {
            std::thread::sleep(Duration::from_secs(3));
        }
        Some(())
    }

    fn bytes(&self, request: &Request) -> Answer {
        let wanted = request.path.trim_start_matches('/');
        match self.repository.lock().unwrap().files.iter().find(|(_, bytes)| sha256(bytes) == wanted) {
            Some((_, bytes)) => {
                Answer { status: 200, headers: vec![("ETag", "\"of-the-storage\"".into())], body: bytes.clone() }
            }
            None => Answer::error(404, "EntryNotFound"),
        }
    }

    fn route(&self, request: &Request) -> Answer {
        let repository = self.repository.lock().unwrap();
        if !repository.exists {
            return Answer::error(404, "RepoNotFound");
        }
        if request.path == format!("/api/models/{ID}") {
            return Answer::json(200, json!({"private": repository.private}).to_string());
        }
        if let Some(rest) = request.path.strip_prefix("/api/models/") {
            return match rest.split_once("/revision/") {
                Some((ID, "main" | "v1" | "refs%2Fpr%2F1" | COMMIT)) => {
                    let file = |(name, bytes): (&String, &Vec<u8>)| json!({"rfilename": name, "size": bytes.len()});
                    let siblings: Vec<_> = repository.files.iter().map(file).collect();
                    let body = json!({"id": ID, "sha": COMMIT, "siblings": siblings}).to_string().into();
                    Answer { status: 200, headers: Vec::new(), body }
                }
                Some((ID, _)) => Answer::error(404, "RevisionNotFound"),
                _ => Answer::error(401, "RepoNotFound"),
            };
        }
        let file = request.path.strip_prefix(&format!("/{ID}/resolve/{COMMIT}/"));
        let Some((name, bytes)) = file.and_then(|file| repository.files.get_key_value(file)) else {
            return Answer::error(404, "EntryNotFound");
        };
        let etag = etag(name, bytes);
        let quoted = format!("\"{etag}\"");
        let commit = ("X-Repo-Commit", COMMIT.to_owned());
        if etag.len() == 64 {
            let linked = [("X-Linked-Etag", quoted), ("X-Linked-Size", bytes.len().to_string())];
            let location = ("Location", format!("{}/{etag}", self.storage));
            let headers = linked.into_iter().chain([commit, location]).collect();
            return Answer { status: 302, headers, body: b"elsewhere".into() };
        }
        Answer { status: 200, headers: vec![("ETag", quoted), commit], body: bytes.clone() }
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(status: u16, body: String) -> Self {
        Self { status, headers: Vec::new(), body: body.into_bytes() }
    }

    pub(crate) fn error(status: u16, code: &str) -> Self {
        Self { status, headers: vec![("X-Error-Code", code.into())], body: b"error".into() }
    }

    fn set(&mut self, name: &'static str, value: String) -> &mut Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value));
        self
    }
}
