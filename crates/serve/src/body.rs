//! The body of a request, read whole: as long as allowed, as fast as asked, and only while there is memory for it.

use crate::app::App;
use crate::fault::{Fault, Kind};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Memory for bodies is counted in these.
const UNIT: usize = 1024;

/// What a body that is too long is read on for, so that whoever sends it comes to read the answer.
const LINGER: Duration = Duration::from_secs(2);

/// A body, and its share of the memory for bodies, which is held as long as the request is.
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    _memory: OwnedSemaphorePermit,
}

impl App {
    /// Reads a body.
    pub(crate) async fn read_body(&self, mut body: Incoming) -> Result<Held, Fault> {
        let most = self.settings.limits.body;
        let declared = body.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if declared.is_some_and(|length| length > most) {
            discard(&mut body, most).await;
            return Err(too_large(most));
        }
        let units = declared.unwrap_or(most).div_ceil(UNIT).max(1);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let memory = Arc::clone(&self.bodies).try_acquire_many_owned(units);
        let memory = memory.map_err(|_| Fault::overloaded("too many large requests at once; ask again later", 1))?;
        let read = async {
            let mut bytes = BytesMut::with_capacity(declared.unwrap_or(0));
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| Fault::new(Kind::Syntax, format!("the body broke off: {error}")))?;
                let Ok(data) = frame.into_data() else { continue };
                if bytes.len() + data.len() > most {
                    discard(&mut body, most).await;
                    return Err(too_large(most));
                }
                bytes.extend_from_slice(&data);
            }
            Ok(bytes.freeze())
        };
        let bytes = tokio::time::timeout(self.settings.times.body, read).await;
        let bytes = bytes.map_err(|_| Fault::new(Kind::Slow, "the body did not come in time"))??;
        Ok(Held { bytes, _memory: memory })
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
            if seen > 4 * most {
                return;
            }
        }
    };
    // Whether it came to its end makes no difference to the answer.
    let _ = tokio::time::timeout(LINGER, read).await;
}
