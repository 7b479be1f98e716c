//! A stream that breaks when the client keeps it waiting for too long.
//!
//! A client that closes only its own half after a request still receives the answer; one that has
//! closed the connection does not wait for it, and its request is dropped. The two look the same
//! until something is sent: so the open half is sent `100 Continue`, which every client passes over
//! and a closed one answers with a reset.

use crate::connections::{Connection, Phase};
use crate::settings::Times;
use crate::system::{System, Task};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Time between two checks of a client that has closed its half.
const HALF_CLOSED_CHECK: Duration = Duration::from_millis(100);

/// A stream of bytes to a client.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// Returns an error that occurred without a call, such as a reset.
    fn error(&self) -> Option<io::Error>;
}

impl Stream for TcpStream {
    fn error(&self) -> Option<io::Error> {
        self.take_error().unwrap_or_else(Some)
    }
}

impl Stream for Box<dyn Stream> {
    fn error(&self) -> Option<io::Error> {
        (**self).error()
    }
}

impl<S: Stream> Stream for TlsStream<S> {
    fn error(&self) -> Option<io::Error> {
        self.get_ref().0.error()
    }
}

/// A stream with limits on the time until the next request, until the rest of a request's head, and
/// until the client takes what is written.
pub(crate) struct TimedStream {
    stream: Box<dyn Stream>,
    connection: Arc<Connection>,
    system: Arc<dyn System>,
    times: Times,
    /// Runs while nothing is read in a phase that has a limit.
    reading: Option<(Phase, Task)>,
    /// Runs while the client takes nothing.
    writing: Option<Task>,
    /// Runs between two checks of a client that has closed its half.
    half_closed: Option<Task>,
    /// True if a client that has closed its half was sent an interim response.
    interim_is_sent: bool,
}

impl TimedStream {
    /// Wraps the stream of a connection.
    pub(crate) fn new(
        stream: Box<dyn Stream>,
        connection: Arc<Connection>,
        times: Times,
        system: Arc<dyn System>,
    ) -> Self {
        Self {
            stream,
            connection,
            system,
            times,
            reading: None,
            writing: None,
            half_closed: None,
            interim_is_sent: false,
        }
    }

    fn timer(&self, time: Duration) -> Task {
        self.system.sleep_until(self.system.now() + time)
    }

    /// Waits for bytes for as long as the phase allows.
    fn wait_to_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let phase = self.connection.phase();
        let limit = match phase {
            Phase::Idle => self.times.keep_alive,
            Phase::Head => self.times.head,
            // The reader of the body has a limit of its own.
            Phase::Body | Phase::Answer | Phase::Reply | Phase::Sent => return Poll::Pending,
        };
        if self.reading.as_ref().is_none_or(|(timed, _)| *timed != phase) {
            self.reading = Some((phase, self.timer(limit)));
        }
        if let Some((_, timer)) = &mut self.reading {
            ready!(timer.as_mut().poll(context));
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Waits for the answer to a client that sends no more, and finds out if it has gone.
    fn wait_half_closed(&mut self, context: &mut Context<'_>, phase: Phase) -> Poll<io::Result<()>> {
        // Nothing may be inserted into an answer that the client has not taken completely.
        if !self.interim_is_sent && self.writing.is_none() && self.connection.takes_interim() {
            const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
            self.interim_is_sent = true;
            match Pin::new(&mut self.stream).poll_write(context, INTERIM) {
                Poll::Ready(Ok(written)) if written == INTERIM.len() => {
                    let _ = Pin::new(&mut self.stream).poll_flush(context);
                }
                Poll::Ready(_) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Poll::Pending => {}
            }
        }
        // Reading reports the end of the half, not a reset.
        if let Some(error) = self.stream.error() {
            return Poll::Ready(Err(error));
        }
        let mut check = self.half_closed.take().unwrap_or_else(|| self.timer(HALF_CLOSED_CHECK));
        while check.as_mut().poll(context).is_ready() {
            if phase == Phase::Body {
                // The rest of the body does not come.
                return Poll::Ready(Ok(()));
            }
            check = self.timer(HALF_CLOSED_CHECK);
        }
        self.half_closed = Some(check);
        Poll::Pending
    }

    /// Passes on the outcome of a write, and ends it when it takes too long.
    fn limit<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.writing = None;
            return outcome;
        }
        if self.writing.is_none() {
            self.writing = Some(self.timer(self.times.write));
        }
        if let Some(timer) = &mut self.writing {
            ready!(timer.as_mut().poll(context));
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        match Pin::new(&mut this.stream).poll_read(context, into) {
            Poll::Pending => this.wait_to_read(context),
            Poll::Ready(Ok(())) if into.filled().len() > before => {
                if this.connection.head_begins() {
                    this.reading = None;
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(())) => match this.connection.phase() {
                Phase::Idle | Phase::Head => Poll::Ready(Ok(())),
                phase => this.wait_half_closed(context, phase),
            },
            broken => broken,
        }
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.limit(context, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.limit(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_flush(context);
        // The connection flushes after it has written everything that it was given.
        if outcome.is_ready() && this.connection.is_flushed() {
            // From now on the next request is waited for, with a limit.
            context.waker().wake_by_ref();
        }
        this.limit(context, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_shutdown(context);
        this.limit(context, outcome)
    }
}
