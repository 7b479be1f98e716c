//! Body of an answer: bytes, or pieces that are written while the client takes them, so that a
//! large answer is never in memory as a whole.

use crate::log::Log;
use crate::request_error::RequestError;
use crate::system::{System, start_blocking};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;

/// Size of a piece; one that cannot be divided may be larger.
pub(crate) const PIECE_BYTES: usize = 32 << 10;

/// An answer that is written piece by piece.
pub(crate) trait Pieces: Send {
    /// Appends the next part and returns true if more follows.
    ///
    /// # Errors
    /// Anything that keeps the rest from being written. After the first piece it breaks the
    /// connection off, because the status is sent by then.
    fn write(&mut self, out: &mut Vec<u8>) -> Result<bool, RequestError>;

    /// Returns the length of the whole body in bytes, if it is known in advance.
    fn length(&self) -> Option<u64> {
        None
    }
}

/// A piece with the writer of those that follow.
pub(crate) struct Written {
    bytes: Vec<u8>,
    rest: Option<Box<dyn Pieces>>,
}

impl Written {
    /// Writes a piece.
    ///
    /// # Errors
    /// As [`Pieces::write`].
    pub(crate) fn next(mut pieces: Box<dyn Pieces>) -> Result<Self, RequestError> {
        let mut bytes = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
        let mut more = true;
        while more && bytes.len() < PIECE_BYTES {
            more = pieces.write(&mut bytes)?;
        }
        if !more {
            bytes.shrink_to_fit();
        }
        Ok(Self { bytes, rest: more.then_some(pieces) })
    }
}

/// Body of an answer.
pub(crate) struct ReplyBody {
    state: State,
    /// Bytes that follow, if that is known.
    remaining: Option<u64>,
}

enum State {
    /// Bytes, then the rest.
    Ready(Bytes, Option<Rest>),
    /// The next piece is being written.
    Writing(oneshot::Receiver<Result<Written, RequestError>>, Arc<dyn System>, Log),
    Complete,
}

struct Rest {
    pieces: Box<dyn Pieces>,
    system: Arc<dyn System>,
    log: Log,
}

impl ReplyBody {
    /// Creates a body of bytes.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self { remaining: Some(bytes.len() as u64), state: State::Ready(bytes, None) }
    }

    /// Creates a body that begins with a piece. The following ones are written on threads for
    /// blocking work, each when the client has taken the one before.
    pub(crate) fn streamed(first: Written, length: Option<u64>, system: Arc<dyn System>, log: Log) -> Self {
        match first.rest {
            None => Self::whole(first.bytes.into()),
            Some(pieces) => {
                Self { state: State::Ready(first.bytes.into(), Some(Rest { pieces, system, log })), remaining: length }
            }
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let State::Writing(piece, system, log) = &mut self.state {
            let written = ready!(Pin::new(piece).poll(context));
            let (system, log) = (Arc::clone(system), log.clone());
            let Ok(Ok(Written { bytes, rest })) = written else {
                self.state = State::Complete;
                let message = written.map_or_else(
                    |_| "writing it panicked".to_owned(),
                    |written| match written {
                        Err(error) => error.message,
                        Ok(_) => String::new(),
                    },
                );
                log.warn(&format!("an answer breaks off: {message}"));
                return Poll::Ready(Some(Err(Broken(message))));
            };
            self.state = State::Ready(bytes.into(), rest.map(|pieces| Rest { pieces, system, log }));
        }
        let State::Ready(bytes, rest) = std::mem::replace(&mut self.state, State::Complete) else {
            return Poll::Ready(None);
        };
        if let Some(Rest { pieces, system, log }) = rest {
            let piece = start_blocking(&*system, move || Written::next(pieces));
            self.state = State::Writing(piece, system, log);
        }
        if bytes.is_empty() {
            return Poll::Ready(None);
        }
        self.remaining = self.remaining.map(|remaining| remaining.saturating_sub(bytes.len() as u64));
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Ready(bytes, None) => bytes.is_empty(),
            State::Ready(_, Some(_)) | State::Writing(..) => false,
            State::Complete => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// An answer that cannot be written to its end.
#[derive(Debug, thiserror::Error)]
#[error("the answer breaks off: {0}")]
pub(crate) struct Broken(String);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_error::ErrorKind;
    use crate::settings::LogForm;
    use crate::simulation::Simulation;
    use std::task::Waker;
    use std::time::Duration;

    /// Pieces of the full size; the third fails.
    struct Failing(usize);

    impl Pieces for Failing {
        fn write(&mut self, out: &mut Vec<u8>) -> Result<bool, RequestError> {
            self.0 += 1;
            if self.0 == 3 {
                return Err(RequestError::new(ErrorKind::Tokenizer, "a text that fails"));
            }
            out.resize(out.len() + PIECE_BYTES, b' ');
            Ok(true)
        }
    }

    #[test]
    fn a_piece_that_fails_breaks_the_answer_off() {
        let system = Simulation::new(1);
        let first = Written::next(Box::new(Failing(0))).unwrap();
        let log = Log::new(LogForm::Off).unwrap();
        let mut body = ReplyBody::streamed(first, None, system.clone(), log);
        let mut next = || {
            system.run_for(Duration::from_millis(10));
            Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()))
        };
        for _ in 0..2 {
            let Poll::Ready(Some(Ok(frame))) = next() else { panic!("a piece") };
            assert_eq!(frame.data_ref().map(Bytes::len), Some(PIECE_BYTES));
        }
        assert!(matches!(next(), Poll::Ready(Some(Err(Broken(message)))) if message == "a text that fails"));
        assert!(matches!(next(), Poll::Ready(None)) && body.is_end_stream());
    }
}
