//! Embeds the engine in a server of one's own: `GET /similarity?a=TEXT&b=TEXT` answers with the
//! similarity of two texts.
//!
//! cargo run --example embed_in_server [MODEL] [PORT]
//!
//! The server is the standard library's sockets, one thread per connection; an HTTP framework takes
//! its place in practice. An encoder is shared by cloning it. For the API of OpenAI, batching
//! across requests, limits and metrics, run `maana serve`.

use maana::kernels::{Context, Precision};
use maana::model::{TextEncoder, WeightStorage};
use maana::open::open;
use maana::similarity::similarities;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

/// Decodes `%41` and `+` of a query string.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex: Vec<u8> = if byte == b'%' { rest.by_ref().take(2).collect() } else { Vec::new() };
        let decoded = std::str::from_utf8(&hex).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(decoded.unwrap_or(if byte == b'+' { b' ' } else { byte }));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the status and the body of the answer to a request for `target`.
fn answer(encoder: &TextEncoder, context: &Context, target: &str) -> (&'static str, String) {
    let Some(query) = target.strip_prefix("/similarity?") else {
        return ("404 Not Found", "{\"error\": \"GET /similarity?a=TEXT&b=TEXT\"}".into());
    };
    let value = |name| query.split('&').find_map(|field| field.strip_prefix(name)?.strip_prefix('=')).map(decode);
    let (Some(a), Some(b)) = (value("a"), value("b")) else {
        return ("400 Bad Request", "{\"error\": \"the fields a and b are required\"}".into());
    };
    match similarities(encoder, context, &[&a, &b]) {
        Ok(scores) => ("200 OK", format!("{{\"similarity\": {:.6}}}", scores.row(0)[1])),
        Err(error) => ("500 Internal Server Error", format!("{{\"error\": {:?}}}", error.to_string())),
    }
}

fn serve(encoder: &TextEncoder, context: &Context, mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = BufReader::new(&stream).lines();
    let line = head.next().transpose()?.unwrap_or_default();
    while head.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let (status, body) = answer(encoder, context, line.split(' ').nth(1).unwrap_or_default());
    let headers = format!("content-type: application/json\r\ncontent-length: {}\r\nconnection: close", body.len());
    write!(stream, "HTTP/1.1 {status}\r\n{headers}\r\n\r\n{body}")
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or("golden/tiny-bert".into());
    let port = arguments.next().map_or(Ok(8081), |port| port.parse())?;
    let context = Context::available();
    let encoder = open(WeightStorage::Packed, &name, &context, Precision::F32, &mut |note| eprintln!("{note}"))?.model;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("listening on http://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let (encoder, context, stream) = (encoder.clone(), context.clone(), stream?);
        std::thread::spawn(move || serve(&encoder, &context, stream));
    }
    Ok(())
}
