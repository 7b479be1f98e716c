//! An HTTP/1.1 client that keeps its connection and uses little CPU, because the servers under load
//! run on the same cores.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest time for one response.
const PATIENCE: Duration = Duration::from_secs(300);

/// Returns the bytes of a request with a JSON body. `headers` are complete lines, each with `\r\n`.
pub(crate) fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Returns the bytes of a request without a body.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}

/// A response in the buffer of its connection.
#[derive(Debug)]
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    head: &'a str,
    pub(crate) body: &'a [u8],
}

impl Response<'_> {
    /// Returns the value of a header; `name` is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(self.head, name)
    }

    /// Returns the start of the body, for error messages.
    pub(crate) fn excerpt(&self) -> String {
        String::from_utf8_lossy(&self.body[..self.body.len().min(200)]).into_owned()
    }
}

/// A connection, reopened if the server has closed it between two requests.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    received: Vec<u8>,
    closed: bool,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        Ok(Self { address, stream: connect(address)?, received: Vec::new(), closed: false })
    }

    /// Sends a request and waits for its response. After an error the connection is unusable.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<Response<'_>> {
        self.send(request)?;
        self.receive()
    }

    /// Sends a request without waiting for the response.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<()> {
        if self.closed || ended(&self.stream)? {
            self.stream = connect(self.address)?;
            self.closed = false;
        }
        self.stream.write_all(request)
    }

    pub(crate) fn receive(&mut self) -> Result<Response<'_>> {
        self.received.clear();
        let end = loop {
            match find(&self.received, b"\r\n\r\n") {
                Some(end) => break end,
                None => self.read_more()?,
            }
        };
        let head = str::from_utf8(&self.received[..end]).map_err(|_| malformed("a head that is not UTF-8"))?;
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| malformed("no status"))?;
        let length = header(head, "content-length").and_then(|value| value.parse::<usize>().ok());
        let is_chunked = header(head, "transfer-encoding") == Some("chunked");
        self.closed = header(head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let body = end + 4;
        let body_end = match length {
            _ if is_chunked => self.join_chunks(body)?,
            Some(length) => self.read_until(body + length)?,
            None => return Err(malformed("neither a length nor chunks")),
        };
        let head = str::from_utf8(&self.received[..end]).map_err(|_| malformed("a head that is not UTF-8"))?;
        Ok(Response { status, head, body: &self.received[body..body_end] })
    }

    /// Joins the chunks that begin at `body` in place and returns the end of the body.
    fn join_chunks(&mut self, body: usize) -> Result<usize> {
        let (mut written, mut place) = (body, body);
        loop {
            let line = loop {
                match find(&self.received[place..], b"\r\n") {
                    Some(length) => break place + length,
                    None => self.read_more()?,
                }
            };
            let size = str::from_utf8(&self.received[place..line]).ok();
            let size = size.and_then(|size| usize::from_str_radix(size.split(';').next()?.trim(), 16).ok());
            let size = size.ok_or_else(|| malformed("a chunk without a size"))?;
            let start = line + 2;
            self.read_until(start + size + 2)?;
            if size == 0 {
                return Ok(written);
            }
            self.received.copy_within(start..start + size, written);
            written += size;
            place = start + size + 2;
        }
    }

    fn read_until(&mut self, end: usize) -> Result<usize> {
        while self.received.len() < end {
            self.read_more()?;
        }
        Ok(end)
    }

    fn read_more(&mut self) -> Result<()> {
        let mut part = [0; 16 * 1024];
        match self.stream.read(&mut part)? {
            0 => Err(Error::new(ErrorKind::UnexpectedEof, "closed before the end of the response")),
            length => {
                self.received.extend_from_slice(&part[..length]);
                Ok(())
            }
        }
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Returns true if the server has closed an idle connection.
fn ended(stream: &TcpStream) -> Result<bool> {
    stream.set_nonblocking(true)?;
    let seen = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    Ok(!matches!(seen, Err(error) if error.kind() == ErrorKind::WouldBlock))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("a response with {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Starts a server that sends one of `answers` per request and closes.
    fn server(answers: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in answers {
                let length = stream.read(&mut [0; 1024]).unwrap();
                assert!(length > 0);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        address
    }

    #[test]
    fn answers_of_known_length_and_in_chunks() {
        let address = server(&[
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
        ]);
        let mut connection = Connection::open(address).unwrap();
        let first = connection.exchange(&get("/")).unwrap();
        assert_eq!((first.status, first.body), (200, b"hello".as_slice()));
        let second = connection.exchange(&post("/", "", "{}")).unwrap();
        assert_eq!((second.status, second.body), (429, b"abcde".as_slice()));
        assert_eq!(second.header("retry-after"), Some("1"));
    }

    #[test]
    fn an_answer_cut_short_is_an_error() {
        let address = server(&["HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello"]);
        let error = Connection::open(address).unwrap().exchange(&get("/")).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error}");
    }
}
