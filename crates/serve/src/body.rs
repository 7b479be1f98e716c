//! The body of a request, read whole: as long as allowed, as fast as asked, and only while there is memory for it. One that
//! was compressed is as long as what comes out.

use crate::app::App;
use crate::connection::Line;
use crate::fault::{Fault, Kind};
use bytes::{Bytes, BytesMut};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Memory for bodies is counted in these.
const UNIT: usize = 1024;

/// What a body that is too long is read on for, so that whoever sends it comes to read the answer.
const LINGER: Duration = Duration::from_secs(2);

/// A body that is on its way.
pub(crate) struct Sent {
    incoming: Incoming,
    coding: Result<Option<Coding>, Fault>,
    line: Arc<Line>,
}

/// A body, and its share of the memory for bodies, which is held as long as the request is.
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    _memory: OwnedSemaphorePermit,
}

/// A compression that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
}

impl Coding {
    /// The compression that headers name.
    fn of(headers: &HeaderMap) -> Result<Option<Self>, Fault> {
        let named = headers.get_all(CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let named = named.collect::<Vec<_>>().join(",").to_lowercase();
        let named: Vec<&str> = named.split(',').map(str::trim).filter(|it| !matches!(*it, "" | "identity")).collect();
        match named[..] {
            [] => Ok(None),
            ["gzip" | "x-gzip"] => Ok(Some(Self::Gzip)),
            ["deflate"] => Ok(Some(Self::Deflate)),
            _ => {
                let message = format!(
                    "`Content-Encoding: {}` is not read; send the body as it is, or with gzip or deflate",
                    named.join(", ")
                );
                Err(Fault::new(Kind::Coding, message))
            }
        }
    }

    /// What comes out, if it is at most so many bytes.
    fn decode(self, bytes: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        let most_read = most as u64 + 1;
        let read = match self {
            Self::Gzip => MultiGzDecoder::new(bytes).take(most_read).read_to_end(&mut out),
            Self::Deflate => ZlibDecoder::new(bytes).take(most_read).read_to_end(&mut out),
        };
        let name = if self == Self::Gzip { "gzip" } else { "deflate" };
        read.map_err(|error| Fault::new(Kind::Syntax, format!("the body is not what {name} makes: {error}")))?;
        if out.len() > most { Err(too_large(most)) } else { Ok(out) }
    }
}

impl Sent {
    pub(crate) fn new(incoming: Incoming, headers: &HeaderMap, line: Arc<Line>) -> Self {
        if incoming.is_end_stream() {
            line.request_is_whole();
        }
        Self { coding: Coding::of(headers), incoming, line }
    }
}

impl App {
    /// Reads a body.
    pub(crate) async fn read_body(&self, sent: Sent) -> Result<Held, Fault> {
        let Sent { mut incoming, coding, line } = sent;
        let most = self.settings.limits.body;
        let declared = incoming.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        let coding = match coding {
            Ok(coding) if declared.is_none_or(|length| length <= most) => coding,
            refused => {
                discard(&mut incoming, most).await;
                return Err(refused.err().unwrap_or_else(|| too_large(most)));
            }
        };
        let mut memory = self.body_memory(declared.unwrap_or(most))?;
        let read = async {
            let mut bytes = BytesMut::with_capacity(declared.unwrap_or(0));
            while let Some(frame) = incoming.frame().await {
                let frame = frame.map_err(|error| Fault::new(Kind::Syntax, format!("the body broke off: {error}")))?;
                let Ok(data) = frame.into_data() else { continue };
                if bytes.len() + data.len() > most {
                    discard(&mut incoming, most).await;
                    return Err(too_large(most));
                }
                bytes.extend_from_slice(&data);
            }
            Ok(bytes.freeze())
        };
        let bytes = tokio::time::timeout(self.settings.times.body, read).await;
        let mut bytes = bytes.map_err(|_| Fault::new(Kind::Slow, "the body did not come in time"))??;
        line.request_is_whole();
        if let Some(coding) = coding {
            let mut decoded_memory = self.body_memory(most)?;
            bytes = self.elsewhere(true, move || coding.decode(&bytes, most)).await??.into();
            // What came out shorter gives back the rest.
            memory = decoded_memory.split(bytes.len().div_ceil(UNIT).max(1)).unwrap_or(decoded_memory);
        }
        Ok(Held { bytes, _memory: memory })
    }

    /// Room for so many bytes of bodies.
    fn body_memory(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Fault> {
        let units = u32::try_from(bytes.div_ceil(UNIT).max(1)).unwrap_or(u32::MAX);
        let memory = Arc::clone(&self.bodies).try_acquire_many_owned(units);
        memory.map_err(|_| Fault::overloaded("too many large requests at once; ask again later", 1))
    }
}

fn too_large(most: usize) -> Fault {
    Fault::new(Kind::TooLarge, format!("the body is longer than the {most} bytes that are allowed; send it in parts"))
}

/// Reads on for a while without keeping anything.
async fn discard(body: &mut Incoming, most: usize) {
    let read = async {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > most.saturating_mul(4) {
                return;
            }
        }
    };
    // Whether it came to its end makes no difference to the answer.
    let _ = tokio::time::timeout(LINGER, read).await;
}
