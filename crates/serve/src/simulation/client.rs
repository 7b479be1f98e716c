//! Clients of a simulated server, of every kind: prompt and slow, with connections that they drop
//! or close halfway.

use super::Simulation;
use crate::front::Listener;
use crate::system::{sleep, timeout};
use crate::timed_stream::Stream;
use serde_json::{Value, json};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// The server's end of a connection.
pub(super) struct ServerEnd {
    stream: DuplexStream,
    client_has_gone: Arc<AtomicBool>,
}

impl Stream for ServerEnd {
    fn error(&self) -> Option<io::Error> {
        self.client_has_gone.load(Ordering::Relaxed).then(|| io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for ServerEnd {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for ServerEnd {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The server's source of connections; some attempts fail.
pub(super) struct Connects {
    pub(super) connects: UnboundedReceiver<ServerEnd>,
    pub(super) system: Arc<Simulation>,
}

impl Listener for Connects {
    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Box<dyn Stream>>> {
        if self.system.once_in(30) {
            // As if too many files were open; the connection stays in the queue.
            return Poll::Ready(Err(io::ErrorKind::Other.into()));
        }
        match ready!(self.connects.poll_recv(context)) {
            Some(end) => Poll::Ready(Ok(Box::new(end))),
            // Without clients there are no more connections.
            None => Poll::Pending,
        }
    }
}

/// Behaviour of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    /// Sends its request at once and reads the answer at once.
    Prompt,
    /// Closes its half after the request.
    HalfClosing,
    /// Sends its request in pieces, some of them too late.
    SlowWriter,
    /// Reads the answer in pieces, some of them too late.
    SlowReader,
    /// Drops the connection at some time.
    Dropping,
}

/// Answer to a client.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Received {
    /// A complete answer with this status, and the time until its head.
    Answer(u16, Duration),
    /// The end of the connection before a complete answer.
    End,
    /// Nothing: the client has dropped the connection.
    Dropped,
}

/// The outcome of one request.
pub(super) struct Outcome {
    /// True if only the server could keep the client from a complete answer.
    pub(super) is_patient: bool,
    pub(super) sent: Duration,
    pub(super) received: Received,
}

/// Sends some requests on one connection, and returns their outcomes.
pub(super) async fn run(system: &Arc<Simulation>, connects: &UnboundedSender<ServerEnd>) -> Vec<Outcome> {
    let behaviour = [
        Behaviour::Prompt,
        Behaviour::Prompt,
        Behaviour::Prompt,
        Behaviour::HalfClosing,
        Behaviour::SlowWriter,
        Behaviour::SlowReader,
        Behaviour::Dropping,
    ][system.below(7)];
    let (mut stream, end) = tokio::io::duplex(4 << 10);
    let client_has_gone = Arc::new(AtomicBool::new(false));
    let mut outcomes = Vec::new();
    if connects.send(ServerEnd { stream: end, client_has_gone: Arc::clone(&client_has_gone) }).is_err() {
        return outcomes;
    }
    let requests = if behaviour == Behaviour::HalfClosing { 1 } else { 1 + system.below(3) };
    for _ in 0..requests {
        let sent = system.trace().0;
        let is_patient = matches!(behaviour, Behaviour::Prompt | Behaviour::HalfClosing);
        let received = exchange(system, &mut stream, behaviour).await;
        let continues = matches!(received, Received::Answer(..));
        outcomes.push(Outcome { is_patient, sent, received });
        if !continues {
            break;
        }
        sleep(&**system, system.some_ms(300)).await;
    }
    client_has_gone.store(true, Ordering::Relaxed);
    outcomes
}

async fn exchange(system: &Arc<Simulation>, stream: &mut DuplexStream, behaviour: Behaviour) -> Received {
    let request = request(system);
    let begin = system.trace().0;
    match behaviour {
        Behaviour::Prompt | Behaviour::SlowReader => {
            if stream.write_all(&request).await.is_err() {
                return Received::End;
            }
        }
        Behaviour::HalfClosing => {
            if stream.write_all(&request).await.is_err() || stream.shutdown().await.is_err() {
                return Received::End;
            }
        }
        Behaviour::SlowWriter => {
            for piece in request.chunks(1 + request.len() / 4) {
                sleep(&**system, system.some_ms(700)).await;
                if stream.write_all(piece).await.is_err() {
                    return Received::End;
                }
            }
        }
        Behaviour::Dropping => {
            let sent = &request[..system.below(request.len() + 1)];
            let whole = system.once_in(2);
            let _ = stream.write_all(if whole { &request } else { sent }).await;
            sleep(&**system, system.some_ms(600)).await;
            return Received::Dropped;
        }
    }
    let pause = if behaviour == Behaviour::SlowReader { 900 } else { 0 };
    // Longer than the server takes for anything.
    let read = timeout(&**system, Duration::from_secs(60), read(system, stream, begin, pause)).await;
    read.expect("the server keeps a client waiting forever")
}

/// Reads an answer; a slow client pauses for up to `pause` milliseconds.
async fn read(system: &Arc<Simulation>, stream: &mut DuplexStream, begin: Duration, pause: usize) -> Received {
    let mut bytes = Vec::new();
    let mut head_time = None;
    loop {
        // An interim response precedes the answer.
        if let Some(rest) = bytes.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n") {
            bytes = rest.to_vec();
            head_time = None;
        }
        if let Some((status, body)) = answer(&bytes) {
            check(status, &body);
            return Received::Answer(status, head_time.unwrap_or_default());
        }
        if pause > 0 && system.once_in(2) {
            sleep(&**system, system.some_ms(pause)).await;
        }
        let mut piece = [0; 2048];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return Received::End,
            Ok(count) => {
                head_time.get_or_insert_with(|| system.trace().0 - begin);
                bytes.extend_from_slice(&piece[..count]);
            }
        }
    }
}

/// Splits a complete answer into its status and its body.
fn answer(bytes: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head is ASCII").to_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let mut rest = &bytes[end..];
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    if let Some(length) = length.map(|length| length.parse::<usize>().expect("a length")) {
        assert!(rest.len() <= length, "more than one answer to a request");
        return (rest.len() == length).then(|| (status, rest.to_vec()));
    }
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?, 16).expect("the size of a chunk");
        let chunk = rest.get(line + 2..line + 2 + size)?;
        body.extend_from_slice(chunk);
        rest = rest.get(line + 2 + size + 2..)?;
        if size == 0 {
            assert!(rest.is_empty(), "more than one answer to a request");
            return Some((status, body));
        }
    }
}

fn check(status: u16, body: &[u8]) {
    let expected = [200, 400, 401, 404, 408, 413, 422, 429, 500, 503];
    let body: Value = serde_json::from_slice(body).expect("an answer is JSON");
    assert!(expected.contains(&status), "{status}: {body}");
    let is_error = body.get("error").or(body.get("message")).is_some();
    assert_eq!(status != 200, is_error, "{status}: {body}");
}

/// A random request; one in ten is invalid.
fn request(system: &Arc<Simulation>) -> Vec<u8> {
    let words = |count: usize| "the house ".repeat(1 + count / 2);
    let text = words(system.below(30));
    let texts = |system: &Simulation, most: usize| -> Vec<String> {
        (0..1 + system.below(most)).map(|_| words(system.below(12))).collect()
    };
    let (path, body) = match system.below(13) {
        0..=2 => ("/embed", json!({"inputs": text})),
        3 => ("/embed", json!({"inputs": texts(system, 60), "dimensions": 32})),
        4 => ("/v1/embeddings", json!({"input": texts(system, 40), "encoding_format": "base64"})),
        5 => ("/embed_all", json!({"inputs": texts(system, 4)})),
        6 => ("/tokenize", json!({"inputs": texts(system, 20)})),
        7 => ("/search", json!({"query": texts(system, 3), "k": 1 + system.below(20)})),
        8 => ("/similarity/matrix", json!({"inputs": texts(system, 40)})),
        9 => ("/rerank", json!({"query": text, "texts": texts(system, 5)})),
        10 => ("/v1/rerank", json!({"query": text, "documents": texts(system, 40)})),
        11 => ("/predict", json!({"inputs": [[text, "mto"], [text]]})),
        _ => ("/embed", json!({"inputs": 1})),
    };
    let (body, key) = (body.to_string(), if system.once_in(10) { "wrong" } else { "right" });
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}
