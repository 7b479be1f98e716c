//! Starts servers around the tiny model of the golden files, and speaks HTTP/1.1 to them byte by byte.

use maana::kernels::{Context, Matrix};
use maana::model::{TextEncoder, WeightStorage, open_for_inference};
use maana_serve::{Dims, Ended, LogForm, Running, Settings, Source, start};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The folder of the tiny model: 64 columns, texts of at most 128 tokens.
pub(crate) fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/tiny-bert").canonicalize().unwrap()
}

/// A server that ends with its test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    running: Option<Running>,
}

impl Server {
    /// A server of the tiny model at 64, 32 and 16 dimensions.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// One whose settings are changed.
    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::try_with(change).unwrap()
    }

    /// One that may not come to be.
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

    /// A number of the metrics.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
    }

    /// Waits until something is so: a minute, as a machine may have other things to do.
    pub(crate) fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        for _ in 0..12_000 {
            if so(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it never came that {what}");
    }

    /// Asks it to end, from beside those that wait.
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

/// What came back.
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

    /// The body as JSON; the answer has to be of this status.
    pub(crate) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The body as rows.
    pub(crate) fn rows(&self) -> Vec<Vec<f32>> {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The message of an error in the form of text-embeddings-inference, of this status and type.
    pub(crate) fn error(&self, status: u16, error_type: &str) -> String {
        let json = self.json(status);
        assert_eq!(json["error_type"], error_type, "{json}");
        json["error"].as_str().unwrap().to_owned()
    }
}

/// A connection that is kept.
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

    /// Sends and does not wait.
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

    /// Reads an answer; an end before its first byte is an error like any other.
    pub(crate) fn read(&mut self, method: &str) -> std::io::Result<Answer> {
        let mut line = String::new();
        let mut next = |line: &mut String| -> std::io::Result<()> {
            line.clear();
            let read = self.stream.read_line(line)?;
            if read == 0 { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
        };
        next(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
        let mut headers = Vec::new();
        loop {
            next(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let length =
            headers.iter().find(|(name, _)| name == "content-length").map(|(_, length)| length.parse().unwrap());
        let mut body = vec![0; if method == "HEAD" { 0 } else { length.unwrap_or(0) }];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, headers, body })
    }

    /// Whether the other side closes within a while, having said this before.
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

/// What `maana encode` computes with.
pub(crate) fn encoder() -> TextEncoder {
    static ENCODER: OnceLock<TextEncoder> = OnceLock::new();
    let open = || {
        let context = Context::new(1);
        let opened = open_for_inference(&tiny(), &context, maana::kernels::Precision::F32, WeightStorage::Packed);
        TextEncoder::new(opened.unwrap().model, &context).unwrap()
    };
    ENCODER.get_or_init(open).clone()
}

/// What `maana encode --dim` gives for each text alone.
pub(crate) fn encoded(texts: &[&str], dimension: usize) -> Vec<Vec<f32>> {
    let embedder = encoder().with_dimension(dimension).unwrap();
    let one = |text: &&str| embedder.embed(&[text], "").map(Matrix::into_vec).unwrap();
    texts.iter().map(one).collect()
}

/// That numbers are the same to the last bit.
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

    /// A text of so many words.
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
