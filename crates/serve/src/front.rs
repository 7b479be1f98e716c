//! The front of a server: accepts connections until it is to end, and then drains: requests that
//! have arrived are answered, as far as there is time.

use crate::connection::{is_true, serve};
use crate::connections::Connection;
use crate::handler::Handler;
use crate::keys::Keys;
use crate::system::{System, sleep, timeout, timeout_at};
use crate::timed_stream::Stream;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

/// Time for which idle connections stay open when the server ends: a client that sends a request in
/// this time is answered, with `connection: close`.
const FAREWELL: Duration = Duration::from_millis(500);

/// Time between two checks of the file of keys.
const KEYS_CHECK: Duration = Duration::from_secs(1);

/// A source of connections.
pub(crate) trait Listener: Send {
    /// Accepts a connection.
    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Box<dyn Stream>>>;
}

impl Listener for tokio::net::TcpListener {
    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Box<dyn Stream>>> {
        tokio::net::TcpListener::poll_accept(self, context).map_ok(|(stream, _)| {
            // Answers are written completely; waiting for more to send would only delay them.
            let _ = stream.set_nodelay(true);
            Box::new(stream) as Box<dyn Stream>
        })
    }
}

/// The front of a server.
pub(crate) struct Front {
    pub(crate) handler: Arc<Handler>,
    pub(crate) tls: Option<TlsAcceptor>,
}

impl Front {
    /// Serves connections until `stop` is true and all have ended, or the time for that is over.
    /// Returns the number of requests that were given up.
    pub(crate) async fn run(self, mut listener: impl Listener, mut stop: watch::Receiver<bool>) -> usize {
        let app = &self.handler.app;
        let system = &*app.system;
        let closing = watch::Sender::new(false);
        // Nothing is ever sent: receiving ends with the last connection.
        let (alive, mut open) = mpsc::channel::<()>(1);
        let accept = |listener: &mut dyn Listener, context: &mut Context<'_>| listener.poll_accept(context);
        let mut keys_check = pin!(self.follow_keys());
        loop {
            tokio::select! {
                biased;
                () = is_true(&mut stop) => break,
                accepted = std::future::poll_fn(|context| accept(&mut listener, context)) => {
                    self.take(accepted, &closing, &alive).await;
                }
                () = &mut keys_check => {}
            }
        }
        app.log.note("the server ends after answering the requests that have arrived");
        app.ending.store(true, Ordering::Release);
        let end = system.now() + app.settings.times.drain;
        let drained = async {
            // Connections that wait to be accepted are served before the listener closes.
            while let Some(accepted) =
                timeout(system, Duration::ZERO, std::future::poll_fn(|context| accept(&mut listener, context))).await
            {
                self.take(accepted, &closing, &alive).await;
            }
            drop(listener);
            let farewell = system.now() + FAREWELL;
            while app.connections.open() > 0 && system.now() < farewell {
                sleep(system, Duration::from_millis(10)).await;
            }
            closing.send_replace(true);
            drop(alive);
            let _ = open.recv().await;
        };
        let in_time = timeout_at(system, end, drained).await.is_some();
        app.pipeline.queue.close();
        if in_time { 0 } else { app.pipeline.admission.held().requests }
    }

    async fn take(
        &self,
        accepted: io::Result<Box<dyn Stream>>,
        closing: &watch::Sender<bool>,
        alive: &mpsc::Sender<()>,
    ) {
        let app = &self.handler.app;
        let Ok(stream) = accepted else {
            // Too many files are open, or the client has gone: trying at once helps neither.
            sleep(&*app.system, Duration::from_millis(10)).await;
            return;
        };
        let Some(connection) = app.connections.admit() else {
            let system = Arc::clone(&app.system);
            app.system.spawn(Box::pin(async move { refuse(&*system, stream).await }));
            return;
        };
        let (handler, tls) = (Arc::clone(&self.handler), self.tls.clone());
        let (closing, alive) = (closing.subscribe(), alive.clone());
        app.system.spawn(Box::pin(async move {
            serve_stream(&handler, tls, connection, stream, closing).await;
            drop(alive);
        }));
    }

    /// Reads the file of keys again when it has changed.
    async fn follow_keys(&self) {
        let app = &self.handler.app;
        let Some(keys) = &self.handler.keys else { return std::future::pending().await };
        loop {
            sleep(&*app.system, KEYS_CHECK).await;
            let keys = Arc::clone(keys);
            match crate::system::blocking(&*app.system, move || Keys::refresh(&keys)).await {
                Some(Ok(Some(count))) => {
                    app.log.note(&format!("the file of keys was read again; keys: {count}"));
                }
                Some(Err(error)) => app.log.warn(&format!("the keys stay as they were: {error}")),
                Some(Ok(None)) | None => {}
            }
        }
    }
}

async fn serve_stream(
    handler: &Arc<Handler>,
    tls: Option<TlsAcceptor>,
    connection: Arc<Connection>,
    stream: Box<dyn Stream>,
    closing: watch::Receiver<bool>,
) {
    let app = &handler.app;
    let (times, system) = (app.settings.times.clone(), Arc::clone(&app.system));
    let stream = match tls {
        None => stream,
        Some(tls) => {
            let handshake = tokio::select! {
                biased;
                handshake = timeout(&*system, times.head, tls.accept(stream)) => handshake,
                () = connection.place_is_needed() => return,
            };
            // A client that does not speak TLS gets no answer.
            let Some(Ok(stream)) = handshake else { return };
            Box::new(stream)
        }
    };
    let answer = |request| Arc::clone(handler).answer(request, Arc::clone(&connection));
    serve(&connection, stream, closing, times, system, answer).await;
}

/// Answers that there are too many connections.
async fn refuse(system: &dyn System, mut stream: Box<dyn Stream>) {
    const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
        connection: close\r\ncontent-length: 66\r\n\r\n{\"error\":\"too many connections at once\",\"error_type\":\"overloaded\"}";
    // The connection is closed whether the client receives it or not.
    let _ = timeout(system, Duration::from_secs(1), stream.write_all(ANSWER)).await;
}
