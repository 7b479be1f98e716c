//! Servers with the tiny model of the golden files, and a client of HTTP/1.1 for them.

use maana::kernels::{Context, Matrix};
use maana::model::{CrossEncoder, TextEncoder, WeightStorage, open_for_inference};
use maana_serve::{Dims, Ended, LogForm, Running, Settings, Source, start};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Returns the folder of the tiny model: 64 columns, texts of at most 128 tokens.
pub(crate) fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/tiny-bert").canonicalize().unwrap()
}

/// Returns a small cross-encoder for pairs of at most 40 tokens: `bert` with one score,
/// `bert-classes` with three labels.
pub(crate) fn cross_encoder(name: &str) -> Source {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/cross").join(name).canonicalize().unwrap();
    Source { name: name.into(), place: folder.display().to_string() }
}

/// A server that ends with its test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    running: Option<Running>,
}

impl Server {
    /// Starts a server of the tiny model at 64, 32 and 16 dimensions.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// Starts a server of the tiny model and the cross-encoder `bert`, with changed settings.
    pub(crate) fn with_reranker(change: impl FnOnce(&mut Settings)) -> Self {
        Self::with(|settings| {
            settings.rerankers.push(cross_encoder("bert"));
            change(settings);
        })
    }

    /// Starts a server with changed settings.
    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::try_with(change).unwrap()
    }

    /// Starts a server, or returns the error.
    pub(crate) fn try_with(change: impl FnOnce(&mut Settings)) -> Result<Self, String> {
        let mut settings = Settings::new(Source { name: "tiny".into(), place: tiny().display().to_string() });
        settings.dims = Dims::These(vec![64, 32, 16]);
        settings.log = LogForm::Off;
        settings.times.drain = Duration::from_secs(20);
        change(&mut settings);
        let running = start(settings, Arc::new(Context::new(2))).map_err(|error| error.to_string())?;
        Ok(Self { address: running.address(), running: Some(running) })
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        Client::new(self.address).post(path, body)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        Client::new(self.address).send("GET", path, &[], b"").unwrap()
    }

    /// Returns a number of the metrics.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
    }

    /// Waits for a condition, for a minute, because the machine may be busy.
    pub(crate) fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        for _ in 0..12_000 {
            if so(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it did not happen that {what}");
    }

    /// Asks it to end.
    pub(crate) fn stop(&self) {
        self.running.as_ref().unwrap().stop();
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Ended {
        self.running.take().unwrap().wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
            running.wait();
        }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Returns the body as JSON; checks the status.
    pub(crate) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Returns the body as rows.
    pub(crate) fn rows(&self) -> Vec<Vec<f32>> {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Returns the message of an error in the format of text-embeddings-inference; checks status
    /// and type.
    pub(crate) fn error(&self, status: u16, error_type: &str) -> String {
        let json = self.json(status);
        assert_eq!(json["error_type"], error_type, "{json}");
        json["error"].as_str().unwrap().to_owned()
    }
}

/// A client with one connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self::try_new(address).unwrap()
    }

    pub(crate) fn try_new(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub(crate) fn post(&mut self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[], body.as_bytes()).unwrap()
    }

    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        self.write(method, path, headers, body)?;
        self.read(method)
    }

    /// Sends a request without waiting for the answer.
    pub(crate) fn write(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<()> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n", body.len());
        headers.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
        request += "\r\n";
        self.raw(&[request.as_bytes(), body].concat())
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.stream.get_mut()
    }

    /// Reads an answer; the end of the connection is an error.
    pub(crate) fn read(&mut self, method: &str) -> std::io::Result<Answer> {
        let mut line = String::new();
        next_line(&mut self.stream, &mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
        let mut headers = Vec::new();
        loop {
            next_line(&mut self.stream, &mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let mut body = Vec::new();
        if header("transfer-encoding") == Some("chunked") && method != "HEAD" {
            loop {
                next_line(&mut self.stream, &mut line)?;
                let size = usize::from_str_radix(line.trim_end(), 16).expect("the size of a chunk");
                let start = body.len();
                body.resize(start + size, 0);
                self.stream.read_exact(&mut body[start..])?;
                next_line(&mut self.stream, &mut line)?;
                if size == 0 {
                    break;
                }
            }
        } else {
            let length = header("content-length").map_or(0, |length| length.parse().unwrap());
            body.resize(if method == "HEAD" { 0 } else { length }, 0);
            self.stream.read_exact(&mut body)?;
        }
        Ok(Answer { status, headers, body })
    }

    /// Returns what the server sends before it closes the connection; `None` if it does not in this
    /// time.
    pub(crate) fn closes_within(&mut self, time: Duration) -> Option<Vec<u8>> {
        self.stream.get_ref().set_read_timeout(Some(time)).unwrap();
        let mut said = Vec::new();
        match self.stream.read_to_end(&mut said) {
            Ok(_) => Some(said),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Some(said),
            Err(_) => None,
        }
    }
}

/// Reads a line; the end of the connection is an error.
fn next_line(stream: &mut BufReader<TcpStream>, line: &mut String) -> std::io::Result<()> {
    line.clear();
    let read = stream.read_line(line)?;
    if read == 0 { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// Returns the encoder of `maana encode`.
pub(crate) fn encoder() -> TextEncoder {
    static ENCODER: OnceLock<TextEncoder> = OnceLock::new();
    let open = || {
        let context = Context::new(1);
        let opened = open_for_inference(&tiny(), &context, maana::kernels::Precision::F32, WeightStorage::Packed);
        TextEncoder::new(opened.unwrap().model, &context).unwrap()
    };
    ENCODER.get_or_init(open).clone()
}

/// Returns the embeddings of `maana encode --dim` for each text by itself.
pub(crate) fn encoded(texts: &[&str], dimension: usize) -> Vec<Vec<f32>> {
    let encoder = encoder().with_dimension(dimension).unwrap();
    let one = |text: &&str| encoder.embed(&[text], "").map(Matrix::into_vec).unwrap();
    texts.iter().map(one).collect()
}

/// Returns the cross-encoder of `maana score`.
pub(crate) fn scorer(name: &str) -> CrossEncoder {
    let (place, context) = (cross_encoder(name).place, Context::new(1));
    let opened =
        maana::open_cross_encoder(WeightStorage::Packed, &place, &context, maana::kernels::Precision::F32, &mut |_| {});
    opened.unwrap().model
}

/// Checks that numbers have the same bits.
#[track_caller]
pub(crate) fn same_bits(ours: &[Vec<f32>], expected: &[Vec<f32>]) {
    let bits = |rows: &[Vec<f32>]| -> Vec<Vec<u32>> {
        rows.iter().map(|row| row.iter().map(|value| value.to_bits()).collect()).collect()
    };
    assert_eq!(bits(ours), bits(expected));
}

/// A generator of numbers, the same for the same seed.
pub(crate) struct Random(maana::files::SplitMix64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(maana::files::SplitMix64::new(seed))
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.0.next_u64() % end as u64) as usize
    }

    pub(crate) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Returns a text of `words` words.
    pub(crate) fn text(&mut self, words: usize) -> String {
        const WORDS: [&str; 12] = [
            "the",
            "house",
            "a",
            "of",
            "river",
            "habari",
            "ya",
            "asubuhi",
            "n'gombe",
            "\"quoted\"",
            "日本",
            "\u{1F600}",
        ];
        (0..words).map(|_| *self.one_of(&WORDS)).collect::<Vec<_>>().join(" ")
    }
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}
