//! The life of a server: it listens, reads its model, answers, and ends so that nothing that it has taken on is lost.

use crate::app::App;
use crate::connection::{self, Line};
use crate::error::ServeError;
use crate::index::Index;
use crate::keys::Keys;
use crate::log::Log;
use crate::settings::Settings;
use crate::tls;
use crate::worker::Worker;
use maana::kernels::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

/// Threads for connections. They read, tokenise and write; what computes has threads of its own.
const CONNECTION_THREADS: usize = 2;

/// How long connections that nobody uses stay open after the wish to end: whoever asks once more in this time is answered, and
/// hears that it is the end.
const FAREWELL: Duration = Duration::from_millis(500);

/// Between two looks at the file of keys.
const KEYS_LOOK: Duration = Duration::from_secs(1);

/// A server that answers.
pub struct Running {
    app: Arc<App>,
    address: SocketAddr,
    runtime: Runtime,
    compute: JoinHandle<()>,
    accepting: tokio::task::JoinHandle<()>,
    stop: watch::Sender<bool>,
    closing: watch::Sender<bool>,
    /// Ends when every connection has.
    open: mpsc::Receiver<()>,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Requests that were given up when the time for ending was over.
    pub given_up: usize,
}

/// Begins to listen, reads the first model, and answers from then on. The pool is the one that computes.
///
/// # Errors
/// If the address, a file or the model is not to be had, or settings contradict each other.
pub fn start(settings: Settings, context: Arc<Context>) -> Result<Running, ServeError> {
    let log = Log::new(settings.log).map_err(ServeError::System)?;
    let tls = settings.tls.as_ref().map(tls::acceptor).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONNECTION_THREADS)
        .thread_name("maana-http")
        .enable_all()
        .build()
        .map_err(ServeError::System)?;
    let place = format!("{}:{}", settings.host, settings.port);
    let host = (settings.host.trim_start_matches('[').trim_end_matches(']'), settings.port);
    let listening = runtime.block_on(async {
        let listener = TcpListener::bind(host).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    let (listener, address) = listening.map_err(|source| ServeError::Listen { address: place, source })?;
    let app = Arc::new(App::new(settings, address.ip(), context, log)?);
    let stop = watch::Sender::new(false);
    let closing = watch::Sender::new(false);
    let (alive, open) = mpsc::channel(1);
    if app.settings.signals {
        let _inside = runtime.enter();
        let signals = Signals::new().map_err(ServeError::System)?;
        runtime.spawn(signals.watch(stop.clone(), Arc::clone(&app)));
    }
    if app.keys.is_some() {
        runtime.spawn(follow_keys(Arc::clone(&app)));
    }
    let accepting = Accepting { app: Arc::clone(&app), listener, tls, closing: closing.subscribe(), alive };
    app.settings.notes.iter().for_each(|note| app.log.note(note));
    let accepting = runtime.spawn(accepting.run(stop.subscribe()));
    let compute = compute(&app)?;
    let running = Running { app, address, runtime, compute, accepting, stop, closing, open };
    if let Err(error) = running.make_ready() {
        // So that the thread that computes ends.
        running.app.queue.close();
        return Err(error);
    }
    Ok(running)
}

/// The thread that computes.
fn compute(app: &App) -> Result<JoinHandle<()>, ServeError> {
    let worker = Worker {
        queue: Arc::clone(&app.queue),
        context: Arc::clone(&app.context),
        admission: Arc::clone(&app.admission),
        metrics: Arc::clone(&app.metrics),
        log: app.log.clone(),
        before_batch: app.settings.before_batch.clone(),
    };
    let thread = std::thread::Builder::new().name("maana-compute".into());
    thread.spawn(move || worker.run()).map_err(ServeError::System)
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it to end; [`Running::wait`] says when it has.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for the wish to end, then for the end: what was asked is answered, as far as there is time for it.
    pub fn wait(mut self) -> Ended {
        let app = Arc::clone(&self.app);
        let given_up = self.runtime.block_on(async {
            let mut stop = self.stop.subscribe();
            connection::told(&mut stop).await;
            app.log.note("the server ends; what was asked is answered first");
            app.ending.store(true, Ordering::Release);
            let drained = async {
                // It ends when whoever knocked before has been let in.
                let _ = (&mut self.accepting).await;
                farewell(&app).await;
                self.closing.send_replace(true);
                // Nothing is ever sent: it ends with the last connection.
                let _ = self.open.recv().await;
            };
            let in_time = tokio::time::timeout(app.settings.times.drain, drained).await.is_ok();
            if in_time { 0 } else { app.admission.held().requests }
        });
        app.queue.close();
        if given_up == 0 {
            // It catches what batches throw, so that it ends as it should.
            let _ = self.compute.join();
        }
        self.runtime.shutdown_timeout(Duration::from_millis(100));
        app.log.note("the server has ended");
        app.log.flush();
        Ended { given_up }
    }

    /// Whether requests are answered.
    pub fn is_ready(&self) -> bool {
        self.app.is_ready()
    }

    /// Reads what requests need.
    fn make_ready(&self) -> Result<(), ServeError> {
        let app = &self.app;
        let model = app.models.read_first()?;
        if let Some(place) = &app.settings.index {
            // It is set here alone, once.
            let _ = app.index.set(Arc::new(Index::open(place, &model, app.log.clone())?));
        }
        app.log.note(&app.limits());
        app.ready.store(true, Ordering::Release);
        Ok(())
    }
}

/// Waits until all connections have ended by themselves, or long enough.
async fn farewell(app: &App) {
    let end = tokio::time::Instant::now() + FAREWELL;
    while app.connections.load(Ordering::Relaxed) > 0 && tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Lets connections in.
struct Accepting {
    app: Arc<App>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    closing: watch::Receiver<bool>,
    alive: mpsc::Sender<()>,
}

impl Accepting {
    async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                biased;
                () = connection::told(&mut stop) => break,
                accepted = self.listener.accept() => self.take(accepted).await,
            }
        }
        // Whoever stands at the door already is let in before it closes.
        while let Ok(accepted) = tokio::time::timeout(Duration::ZERO, self.listener.accept()).await {
            self.take(accepted).await;
        }
    }

    async fn take(&self, accepted: std::io::Result<(TcpStream, SocketAddr)>) {
        let Ok((stream, _)) = accepted else {
            // Too many files are open, or the other side has gone: neither is mended by trying at once.
            tokio::time::sleep(Duration::from_millis(10)).await;
            return;
        };
        // Answers are written whole; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let is_full = self.app.connections.load(Ordering::Relaxed) >= self.app.settings.limits.connections;
        if is_full && !self.app.waiting.make_place() {
            tokio::spawn(turn_away(stream));
            return;
        }
        let (line, closing, alive) = (Line::new(Arc::clone(&self.app)), self.closing.clone(), self.alive.clone());
        let (tls, patience) = (self.tls.clone(), self.app.settings.times.head);
        tokio::spawn(async move {
            match tls {
                None => connection::serve(&line, stream, closing).await,
                Some(tls) => {
                    let greeted = tokio::select! {
                        greeted = tokio::time::timeout(patience, tls.accept(stream)) => greeted,
                        () = line.place_is_needed() => return,
                    };
                    // Whoever does not speak TLS is left alone.
                    if let Ok(Ok(stream)) = greeted {
                        connection::serve(&line, stream, closing).await;
                    }
                }
            }
            drop(alive);
        });
    }
}

/// Tells whoever is one too many so.
async fn turn_away(mut stream: TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
        connection: close\r\ncontent-length: 66\r\n\r\n{\"error\":\"too many connections at once\",\"error_type\":\"overloaded\"}";
    // Whether it is heard makes no difference.
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(ANSWER)).await;
}

/// Reads the file of keys again when it has changed.
async fn follow_keys(app: Arc<App>) {
    loop {
        tokio::time::sleep(KEYS_LOOK).await;
        let asked = Arc::clone(&app);
        let refreshed = tokio::task::spawn_blocking(move || asked.keys.as_ref().map(Keys::refresh)).await;
        match refreshed {
            Ok(Some(Ok(Some(keys)))) => app.log.note(&format!("the file of keys was read again; it has {keys}")),
            Ok(Some(Err(error))) => app.log.warn(&format!("the keys stay as they were: {error}")),
            _ => {}
        }
    }
}

/// SIGTERM, SIGINT, and SIGHUP where it is not ignored, as `nohup` has it.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hang_up = if hang_up_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())?, hang_up })
    }

    async fn watch(mut self, stop: watch::Sender<bool>, app: Arc<App>) {
        let hung_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hung_up => {}
        }
        stop.send_replace(true);
        self.interrupt.recv().await;
        end_at_once(&app);
    }
}

/// Whether whoever started the process wants it to outlive the terminal, where the system tells.
#[cfg(unix)]
fn hang_up_is_ignored() -> bool {
    const HANG_UP: u64 = 1;
    let status = maana::files::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & HANG_UP != 0)
}

/// Ctrl-C, where there is nothing else.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn watch(self, stop: watch::Sender<bool>, app: Arc<App>) {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.send_replace(true);
            if tokio::signal::ctrl_c().await.is_ok() {
                end_at_once(&app);
            }
        }
    }
}

/// Ends the process for somebody who has asked twice, with the status of one that SIGINT ended.
fn end_at_once(app: &App) {
    const INTERRUPTED: i32 = 130;
    let requests = app.admission.held().requests;
    app.log.warn(&format!("the server ends at once; {requests} requests are not answered"));
    app.log.flush();
    std::process::exit(INTERRUPTED);
}
