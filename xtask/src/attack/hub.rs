//! A hub on the loopback interface that serves the tiny model, with one mutation in its answers.

use super::fixture;
use super::mutate::{Format, mutate};
use super::process::{self, Outcome};
use super::report::Report;
use crate::serving::texts::Draws;
use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const ID: &str = "org/name";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A file of the hub.
struct HubFile {
    name: String,
    etag: String,
    bytes: Vec<u8>,
}

/// Part of the answers that is mutated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Nothing,
    Listing,
    Body,
    Etag,
    Length,
    Status,
    Cut,
}

const PARTS: [Part; 6] = [Part::Listing, Part::Body, Part::Etag, Part::Length, Part::Status, Part::Cut];

struct Hub {
    files: Vec<HubFile>,
    part: Part,
    /// Number of the file whose answers are mutated.
    target: usize,
    seed: u64,
    ended: AtomicBool,
}

/// Embeddings that the program makes with the model of a sound hub.
pub(crate) fn reference(maana: &Path, fixture: &Path) -> Result<Vec<u8>> {
    let folder = fixture.with_file_name("hub-reference");
    fixture::copy(fixture, &folder)?;
    let outcome = encode(maana, &folder, Hub::of(&folder, Part::Nothing, &mut Draws::new(0))?)?;
    ensure!(outcome.succeeded(), "the model of a sound hub: {}", outcome.excerpt());
    let embeddings = std::fs::read(folder.join("out.npy"))?;
    std::fs::remove_dir_all(folder)?;
    Ok(embeddings)
}

pub(crate) fn attack(
    fixture: &Path,
    maana: &Path,
    folder: &Path,
    draws: &mut Draws,
    expected: &[u8],
) -> Result<Report> {
    fixture::copy(fixture, folder)?;
    let part = PARTS[draws.below(PARTS.len())];
    let hub = Hub::of(folder, part, draws)?;
    let mutation = format!("{part:?} of {}", hub.files[hub.target].name);
    let outcome = encode(maana, folder, hub)?;
    let mut faults: Vec<String> = outcome.fault().into_iter().collect();
    // Another listing may be another model; every other mutation is damage that a checksum or a
    // length shows.
    if outcome.succeeded() && part != Part::Listing && std::fs::read(folder.join("out.npy"))? != expected {
        faults.push("succeeded with other embeddings".into());
    }
    Ok(Report { mutation, refused: !outcome.succeeded(), faults })
}

/// Encodes the texts with the hub's model, fetched into a cache of its own.
fn encode(maana: &Path, folder: &Path, hub: Hub) -> Result<Outcome> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let hub = Arc::new(hub);
    let server = std::thread::spawn({
        let hub = Arc::clone(&hub);
        move || hub.serve(&listener, address)
    });
    let out = folder.with_extension("out");
    std::fs::create_dir_all(&out)?;
    let mut command = process::limited(maana, folder);
    command.env_remove("HF_HUB_OFFLINE").env("HF_ENDPOINT", format!("http://{address}"));
    command.env("HF_HOME", folder.join("cache")).env("MAANA_PYTHON", "/nonexistent/python");
    command.args(["encode", ID, "--input", "texts.txt", "--output", "out.npy", "--precision", "f32"]);
    let outcome = process::run(&mut command, &out)?;
    hub.ended.store(true, Ordering::Release);
    // Wakes the thread that waits for connections.
    let _ = TcpStream::connect(address);
    server.join().expect("the hub panicked");
    std::fs::remove_dir_all(&out)?;
    Ok(outcome)
}

impl Hub {
    fn of(folder: &Path, part: Part, draws: &mut Draws) -> Result<Self> {
        let model = folder.join("model");
        let mut files = Vec::new();
        for file in fixture::files(&model)? {
            let path = model.join(&file);
            let name = file.to_str().context("a name in UTF-8")?.to_owned();
            let is_weights = name.ends_with(".safetensors");
            let mut command = Command::new(if is_weights { "sha256sum" } else { "git" });
            if !is_weights {
                command.args(["hash-object", "--no-filters"]);
            }
            let output = command.arg(&path).output().context("sha256sum and git")?;
            let sum = String::from_utf8(output.stdout)?.split_whitespace().next().map(str::to_owned);
            files.push(HubFile { name, etag: sum.context("no checksum")?, bytes: std::fs::read(path)? });
        }
        let target = draws.below(files.len());
        Ok(Self { files, part, target, seed: draws.number(), ended: AtomicBool::new(false) })
    }

    fn serve(&self, listener: &TcpListener, address: SocketAddr) {
        for stream in listener.incoming() {
            if self.ended.load(Ordering::Acquire) {
                return;
            }
            // A client that goes away ends its connection only.
            let _ = stream.map_err(anyhow::Error::from).and_then(|stream| self.answer(stream, address));
        }
    }

    fn answer(&self, mut stream: TcpStream, address: SocketAddr) -> Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines().map_while(Result::ok);
        let first = lines.next().context("no request")?;
        for line in lines {
            if line.is_empty() {
                break;
            }
        }
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path = target.split('?').next().unwrap_or_default();
        let mut draws = Draws::new(self.seed);
        let resolved = path.strip_prefix(&format!("/{ID}/resolve/{COMMIT}/"));
        let stored = path.strip_prefix("/storage/");
        let found = |file: &&HubFile| stored == Some(&file.etag) || resolved == Some(&file.name);
        let (mut status, mut headers, body) = if path.starts_with("/api/models/") {
            let siblings =
                self.files.iter().map(|file| serde_json::json!({"rfilename": file.name, "size": file.bytes.len()}));
            let siblings: Vec<_> = siblings.collect();
            let listing = serde_json::json!({"id": ID, "sha": COMMIT, "siblings": siblings});
            let mut body = listing.to_string().into_bytes();
            if self.part == Part::Listing {
                mutate(&mut body, Format::Json, &mut draws);
            }
            (200, String::new(), body)
        } else if let Some(file) = self.files.iter().find(found) {
            let attacked = file.name == self.files[self.target].name;
            let mut etag = file.etag.clone().into_bytes();
            if attacked && self.part == Part::Etag {
                mutate(&mut etag, Format::Bytes, &mut draws);
            }
            let etag = String::from_utf8_lossy(&etag).replace(|c: char| c.is_control(), "");
            let mut body = file.bytes.clone();
            if attacked && self.part == Part::Body {
                mutate(&mut body, Format::Bytes, &mut draws);
            }
            let mut headers = format!("ETag: \"{etag}\"\r\nX-Repo-Commit: {COMMIT}\r\n");
            let mut status = 200;
            if resolved.is_some() && file.name.ends_with(".safetensors") {
                headers = format!(
                    "X-Linked-Etag: \"{etag}\"\r\nX-Linked-Size: {}\r\nX-Repo-Commit: {COMMIT}\r\nLocation: http://{address}/storage/{}\r\n",
                    body.len(),
                    file.etag
                );
                status = 302;
                body = b"elsewhere".to_vec();
            }
            if attacked && self.part == Part::Status {
                status = [204, 206, 301, 302, 307, 400, 401, 403, 404, 416, 429, 500, 503][draws.below(13)];
            }
            (status, headers, body)
        } else {
            (404, "X-Error-Code: EntryNotFound\r\n".into(), b"error".to_vec())
        };
        let attacked = resolved.or(stored).is_some_and(|name| {
            let target = &self.files[self.target];
            name == target.name || name == target.etag
        });
        let mut length = body.len().to_string();
        let mut sent = body.len();
        if attacked && self.part == Part::Length {
            length = ["0", "1", "99999999", "18446744073709551616", "-1", "x", ""][draws.below(7)].to_owned();
        }
        if attacked && self.part == Part::Cut {
            sent = draws.below(sent.max(1));
        }
        if status == 204 {
            (length, sent) = ("0".into(), 0);
        }
        if !length.is_empty() {
            headers += &format!("Content-Length: {length}\r\n");
        }
        if attacked && self.part == Part::Status && draws.below(4) == 0 {
            status = 999;
        }
        stream.write_all(format!("HTTP/1.1 {status} status\r\nConnection: close\r\n{headers}\r\n").as_bytes())?;
        if method == "GET" {
            stream.write_all(&body[..sent])?;
        }
        Ok(())
    }
}
