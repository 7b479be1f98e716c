//! One connection: HTTP/1.1 with a limit on every wait, until it is idle at the end, breaks, or the server ends.
//!
//! A side that closes only its own half after a request still hears the answer; one that has closed altogether does not
//! wait for it, and its request is let go. The two look the same until something is sent: so the half that is open is sent
//! `100 Continue`, which every client passes over and a closed one answers with a reset.

use crate::app::App;
use crate::body::Sent;
use crate::settings::Times;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Version, server::conn::http1};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;

/// Between two looks at whether a side that has closed its half is still there.
const HALF_CLOSED_LOOK: Duration = Duration::from_millis(100);

/// What a connection goes over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// What went wrong with it unasked, such as a reset.
    fn error(&self) -> Option<io::Error>;
}

impl Stream for TcpStream {
    fn error(&self) -> Option<io::Error> {
        self.take_error().unwrap_or_else(Some)
    }
}

impl Stream for TlsStream<TcpStream> {
    fn error(&self) -> Option<io::Error> {
        self.get_ref().0.error()
    }
}

/// Serves a connection until its end. When `closing` becomes true, it ends with the answer that is under way.
pub(crate) async fn serve<S: Stream>(line: &Arc<Line>, stream: S, mut closing: watch::Receiver<bool>) {
    let service = service_fn(|request: Request<Incoming>| {
        let (app, line) = (Arc::clone(&line.app), Arc::clone(line));
        line.request_begins(request.version());
        async move {
            let (head, body) = request.into_parts();
            let sent = Sent::new(body, &head.headers, Arc::clone(&line));
            let response = app.answer(head, sent).await;
            line.request_is_answered();
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(Timed::new(stream, Arc::clone(line)));
    let mut builder = http1::Builder::new();
    // The stream keeps the time.
    builder.header_read_timeout(None).max_buf_size(64 << 10);
    let mut connection = pin!(builder.serve_connection(io, service));
    tokio::select! {
        // How a connection breaks is its other side's affair.
        _ = connection.as_mut() => return,
        () = told(&mut closing) => connection.as_mut().graceful_shutdown(),
        () = line.place_is_needed.notified() => {
            if matches!(line.phase(), Phase::Idle | Phase::Head | Phase::Body) {
                return;
            }
            connection.as_mut().graceful_shutdown();
        }
    }
    let _ = connection.await;
}

/// Waits until it is told to end, or nobody is left who could tell.
pub(crate) async fn told(end: &mut watch::Receiver<bool>) {
    let _ = end.wait_for(|end| *end).await;
}

/// Connections that wait for the other side, those that have done so for longest first. They give way to new ones when all
/// places are taken, so that nobody keeps others out by opening connections and asking nothing.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<(u64, BTreeMap<u64, Arc<Notify>>)>);

impl Waiting {
    /// Asks the one that has waited for longest to give its place; whether there is one.
    pub(crate) fn make_place(&self) -> bool {
        let first = self.lock().1.pop_first();
        first.inspect(|(_, place_is_needed)| place_is_needed.notify_one()).is_some()
    }

    fn add(&self, place_is_needed: &Arc<Notify>) -> u64 {
        let mut waiting = self.lock();
        waiting.0 += 1;
        let number = waiting.0;
        waiting.1.insert(number, Arc::clone(place_is_needed));
        number
    }

    fn remove(&self, number: u64) {
        self.lock().1.remove(&number);
    }

    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Arc<Notify>>)> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a connection is at: known to its stream, which sees when bytes come, and to its requests.
pub(crate) struct Line {
    app: Arc<App>,
    state: Mutex<State>,
    /// Told when another connection needs the place.
    place_is_needed: Arc<Notify>,
}

struct State {
    phase: Phase,
    /// Whether the other side passes over answers that are not the last, which HTTP/1.0 did not have.
    knows_interim: bool,
    /// The number among those that wait.
    number: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between two requests.
    Idle,
    /// The head of a request is on its way.
    Head,
    /// Its body is.
    Body,
    /// The request is there whole, and is answered.
    Answer,
    /// The answer is being written.
    Reply,
}

impl Line {
    /// A connection that begins; it is counted until it is dropped.
    pub(crate) fn new(app: Arc<App>) -> Arc<Self> {
        app.connections.fetch_add(1, Ordering::Relaxed);
        let place_is_needed = Arc::new(Notify::new());
        let number = Some(app.waiting.add(&place_is_needed));
        let state = Mutex::new(State { phase: Phase::Head, knows_interim: false, number });
        Arc::new(Self { app, state, place_is_needed })
    }

    /// Waits until another connection needs the place.
    pub(crate) async fn place_is_needed(&self) {
        self.place_is_needed.notified().await;
    }

    fn request_begins(&self, version: Version) {
        let mut state = self.state();
        state.phase = Phase::Body;
        state.knows_interim = version >= Version::HTTP_11;
    }

    /// Nothing more is to come of the request.
    pub(crate) fn request_is_whole(&self) {
        let mut state = self.state();
        state.phase = Phase::Answer;
        if let Some(number) = state.number.take() {
            self.app.waiting.remove(number);
        }
    }

    fn request_is_answered(&self) {
        self.state().phase = Phase::Reply;
    }

    /// The answer is written.
    fn answer_is_written(&self) {
        let mut state = self.state();
        state.phase = Phase::Idle;
        // One whose body was not read is among them still.
        if state.number.is_none() {
            state.number = Some(self.app.waiting.add(&self.place_is_needed));
        }
    }

    fn phase(&self) -> Phase {
        self.state().phase
    }

    /// Whether an answer that is not the last can be sent now.
    fn takes_interim(&self) -> bool {
        let state = self.state();
        state.phase == Phase::Answer && state.knows_interim
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(number) = self.state().number {
            self.app.waiting.remove(number);
        }
        self.app.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that breaks when the other side keeps it waiting for too long: with the next request, with the rest of a
/// request's head, or with taking what is written.
struct Timed<S> {
    stream: S,
    line: Arc<Line>,
    /// Runs while nothing is read in a phase that has a limit.
    reading: Option<(Phase, Pin<Box<Sleep>>)>,
    /// Runs while the other side takes nothing.
    writing: Option<Pin<Box<Sleep>>>,
    /// Runs between two looks at a side that has closed its half.
    half_closed: Option<Pin<Box<Sleep>>>,
    /// Whether a side that has closed its half was sent something to find out if it has gone.
    interim_is_sent: bool,
    /// Whether anything of the answer is written.
    replies: bool,
}

fn timer(time: Duration) -> Pin<Box<Sleep>> {
    Box::pin(tokio::time::sleep_until(Instant::now() + time))
}

impl<S: Stream> Timed<S> {
    fn new(stream: S, line: Arc<Line>) -> Self {
        Self { stream, line, reading: None, writing: None, half_closed: None, interim_is_sent: false, replies: false }
    }

    fn times(&self) -> &Times {
        &self.line.app.settings.times
    }

    /// Waits for bytes for as long as the phase allows.
    fn wait_to_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let phase = self.line.phase();
        let limit = match phase {
            Phase::Idle => self.times().keep_alive,
            Phase::Head => self.times().head,
            // Whoever reads the body keeps the time.
            Phase::Body | Phase::Answer | Phase::Reply => return Poll::Pending,
        };
        if self.reading.as_ref().is_none_or(|(timed, _)| *timed != phase) {
            self.reading = Some((phase, timer(limit)));
        }
        if let Some((_, timer)) = &mut self.reading {
            ready!(timer.as_mut().poll(context));
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Takes note of bytes that came.
    fn has_read(&mut self) {
        let mut state = self.line.state();
        if state.phase == Phase::Idle {
            state.phase = Phase::Head;
            self.reading = None;
        }
    }

    /// Waits for the answer to a side that sends no more, and finds out if it has gone.
    fn wait_half_closed(&mut self, context: &mut Context<'_>, phase: Phase) -> Poll<io::Result<()>> {
        // An answer that is not yet taken whole must not have anything put between.
        if !self.interim_is_sent && self.writing.is_none() && self.line.takes_interim() {
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
        // The end of what can be read hides a reset from whoever reads.
        if let Some(error) = self.stream.error() {
            return Poll::Ready(Err(error));
        }
        let mut look = self.half_closed.take().unwrap_or_else(|| timer(HALF_CLOSED_LOOK));
        while look.as_mut().poll(context).is_ready() {
            if phase == Phase::Body {
                // The rest of the body does not come.
                return Poll::Ready(Ok(()));
            }
            look = timer(HALF_CLOSED_LOOK);
        }
        self.half_closed = Some(look);
        Poll::Pending
    }

    /// Takes note of bytes that were written.
    fn has_written(&mut self, outcome: &Poll<io::Result<usize>>) {
        self.replies |= matches!(outcome, Poll::Ready(Ok(1..))) && self.line.phase() == Phase::Reply;
    }

    /// Hands on what a write came to, and ends it when it takes too long.
    fn watch<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.writing = None;
            return outcome;
        }
        let patience = self.times().write;
        let waiting = self.writing.get_or_insert_with(|| timer(patience));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: Stream> AsyncRead for Timed<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        match Pin::new(&mut this.stream).poll_read(context, into) {
            Poll::Pending => this.wait_to_read(context),
            Poll::Ready(Ok(())) if into.filled().len() > before => {
                this.has_read();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(())) => match this.line.phase() {
                Phase::Idle | Phase::Head => Poll::Ready(Ok(())),
                phase => this.wait_half_closed(context, phase),
            },
            broken => broken,
        }
    }
}

impl<S: Stream> AsyncWrite for Timed<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.has_written(&outcome);
        this.watch(context, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.has_written(&outcome);
        this.watch(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_flush(context);
        // It is called when all of an answer is written.
        if this.replies && outcome.is_ready() {
            this.replies = false;
            this.line.answer_is_written();
            // From now on the next request is waited for, with a limit.
            context.waker().wake_by_ref();
        }
        this.watch(context, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_shutdown(context);
        this.watch(context, outcome)
    }
}
