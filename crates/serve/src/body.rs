//! The body of a request, read completely: up to a size, within a time, and only while there is
//! memory for it. The size of a compressed body is that of its content.

use crate::budget::{Budget, Share};
use crate::connections::Connection;
use crate::offload::Offload;
use crate::request_error::{ErrorKind, RequestError};
use crate::system::{System, timeout};
use bytes::{Bytes, BytesMut};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

/// Time for which a body that is too long is read on, so that its client comes to read the answer.
const LINGER: Duration = Duration::from_secs(2);

/// Memory for a body is taken in steps of this size.
const BODY_STEP: usize = 64 << 10;

/// Reads bodies.
pub(crate) struct BodyReader {
    pub(crate) system: Arc<dyn System>,
    pub(crate) offload: Arc<Offload>,
    /// Memory for requests and answers.
    pub(crate) memory: Budget,
    /// Most bytes of a body.
    pub(crate) most: usize,
    /// Longest time until a body is complete.
    pub(crate) patience: Duration,
}

/// A body that is arriving.
pub(crate) struct RequestBody {
    incoming: Incoming,
    coding: Result<Option<Coding>, RequestError>,
    connection: Arc<Connection>,
}

/// A complete body with its memory.
pub(crate) struct Received {
    pub(crate) bytes: Bytes,
    pub(crate) memory: Share,
}

/// A supported compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
}

impl Coding {
    /// Returns the compression that headers name.
    fn of(headers: &HeaderMap) -> Result<Option<Self>, RequestError> {
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
                Err(RequestError::new(ErrorKind::Coding, message))
            }
        }
    }

    /// Decompresses a body of at most `most` bytes.
    fn decode(self, bytes: &[u8], most: usize) -> Result<Vec<u8>, RequestError> {
        let mut out = Vec::new();
        let most_read = most as u64 + 1;
        let read = match self {
            Self::Gzip => MultiGzDecoder::new(bytes).take(most_read).read_to_end(&mut out),
            Self::Deflate => ZlibDecoder::new(bytes).take(most_read).read_to_end(&mut out),
        };
        let name = if self == Self::Gzip { "gzip" } else { "deflate" };
        read.map_err(|error| RequestError::new(ErrorKind::Syntax, format!("the body is not valid {name}: {error}")))?;
        if out.len() > most { Err(too_large(most)) } else { Ok(out) }
    }
}

impl RequestBody {
    /// Creates the body of a request with these headers.
    pub(crate) fn new(incoming: Incoming, headers: &HeaderMap, connection: Arc<Connection>) -> Self {
        Self { coding: Coding::of(headers), incoming, connection }
    }
}

impl BodyReader {
    /// Reads a body.
    ///
    /// # Errors
    /// If it is too long or too slow, breaks off, is compressed in an unsupported way, or there is
    /// no memory for it.
    pub(crate) async fn read(&self, body: RequestBody) -> Result<Received, RequestError> {
        let RequestBody { mut incoming, coding, connection } = body;
        let (system, most) = (&*self.system, self.most);
        let declared = incoming.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        let coding = match coding {
            Ok(coding) if declared.is_none_or(|length| length <= most) => coding,
            refused => {
                discard(system, &mut incoming, most).await;
                return Err(refused.err().unwrap_or_else(|| too_large(most)));
            }
        };
        let mut memory = self.take_memory(BODY_STEP)?;
        let read = async {
            let mut bytes = BytesMut::new();
            let mut taken = BODY_STEP;
            while let Some(frame) = incoming.frame().await {
                let broken = |error| RequestError::new(ErrorKind::Syntax, format!("the body broke off: {error}"));
                let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
                if bytes.len() + data.len() > most {
                    discard(system, &mut incoming, most).await;
                    return Err(too_large(most));
                }
                // Memory is taken as the body arrives, so that slow clients cannot occupy it.
                while bytes.len() + data.len() > taken {
                    memory.merge(self.take_memory(BODY_STEP)?);
                    taken += BODY_STEP;
                }
                bytes.extend_from_slice(&data);
            }
            Ok(bytes.freeze())
        };
        let read = timeout(system, self.patience, read).await;
        let slow = || RequestError::new(ErrorKind::Slow, "the body did not arrive in time");
        let mut bytes = read.ok_or_else(slow)??;
        connection.request_is_complete();
        if let Some(coding) = coding {
            let mut decoded_memory = self.take_memory(most)?;
            bytes = self.offload.run(true, move || coding.decode(&bytes, most)).await??.into();
            decoded_memory.shrink(bytes.len());
            memory = decoded_memory;
        }
        Ok(Received { bytes, memory })
    }

    fn take_memory(&self, bytes: usize) -> Result<Share, RequestError> {
        let refused = || RequestError::overloaded("too many large requests at once; try again later", 1);
        self.memory.take(bytes).ok_or_else(refused)
    }
}

fn too_large(most: usize) -> RequestError {
    let message = format!("the body is longer than the {most} bytes that are allowed; send it in parts");
    RequestError::new(ErrorKind::TooLarge, message)
}

/// Reads for a while without keeping anything.
async fn discard(system: &dyn System, body: &mut Incoming, most: usize) {
    let read = async {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > most.saturating_mul(4) {
                return;
            }
        }
    };
    // The answer is the same if the body does not end.
    let _ = timeout(system, LINGER, read).await;
}
