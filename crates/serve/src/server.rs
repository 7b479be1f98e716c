//! Start and end of a server.

use crate::app::App;
use crate::body::BodyReader;
use crate::budget::Budget;
use crate::connections::Connections;
use crate::cors::Cors;
use crate::error::ServeError;
use crate::front::Front;
use crate::handler::Handler;
use crate::host::Hosts;
use crate::keys::Keys;
use crate::log::Log;
use crate::models::Models;
use crate::offload::Offload;
use crate::pipeline::Pipeline;
use crate::settings::Settings;
use crate::signals::Signals;
use crate::store::Store;
use crate::system::{OperatingSystem, System};
use crate::worker::Worker;
use crate::{threads, tls};
use maana::kernels::Context;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// A running server.
pub struct Running {
    app: Arc<App>,
    address: SocketAddr,
    runtime: Runtime,
    compute: JoinHandle<()>,
    serving: tokio::task::JoinHandle<usize>,
    stop: watch::Sender<bool>,
}

/// End of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Requests that were given up when the time for answering them was over.
    pub given_up: usize,
}

/// Starts a server: listens, reads the first model, and then takes requests. `context` has the
/// threads that compute.
///
/// # Errors
/// If the address, a thread, a file or the model is not available, or settings contradict each
/// other.
pub fn start(settings: Settings, context: Arc<Context>) -> Result<Running, ServeError> {
    let refused = |what| move |source| ServeError::System { what, source, remedy: "" };
    let refused_thread = |source| ServeError::System {
        what: "a thread",
        source,
        remedy: "; raise the limit on processes (`ulimit -u`, TasksMax), or use fewer --threads",
    };
    let log = Log::new(settings.log).map_err(refused_thread)?;
    let tls = settings.tls.as_ref().map(tls::acceptor).transpose()?;
    let runtime = threads::runtime(context.threads()).map_err(refused_thread)?;
    let system: Arc<dyn System> = Arc::new(OperatingSystem { runtime: runtime.handle().clone() });
    let (listener, address) = listen(&runtime, &settings)?;
    let handler = handler(settings, address.ip(), context, log, system)?;
    let app = Arc::clone(&handler.app);
    let stop = watch::Sender::new(false);
    if app.settings.signals {
        let signals = {
            let _inside = runtime.enter();
            Signals::new().map_err(refused("a signal handler"))?
        };
        let ending = Arc::clone(&app);
        runtime.spawn(signals.watch(stop.clone(), move || end_at_once(&ending)));
    }
    app.settings.notes.iter().for_each(|note| app.log.note(note));
    let worker = worker(&app);
    let compute = std::thread::Builder::new().name("maana-compute".into());
    let compute = compute.spawn(move || worker.run()).map_err(refused_thread)?;
    let serving = runtime.spawn(Front { handler, tls }.run(listener, stop.subscribe()));
    let running = Running { app, address, runtime, compute, serving, stop };
    if let Err(error) = running.make_ready() {
        // The compute thread ends with the queue.
        running.app.pipeline.queue.close();
        return Err(error);
    }
    Ok(running)
}

fn listen(runtime: &Runtime, settings: &Settings) -> Result<(TcpListener, SocketAddr), ServeError> {
    let host = (settings.host.trim_start_matches('[').trim_end_matches(']'), settings.port);
    let listening = runtime.block_on(async {
        let listener = TcpListener::bind(host).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    let address = || format!("{}:{}", settings.host, settings.port);
    listening.map_err(|source| ServeError::Listen { address: address(), source })
}

/// Creates the handler of requests to a server that listens on an address; no model is read yet.
pub(crate) fn handler(
    settings: Settings,
    address: IpAddr,
    context: Arc<Context>,
    log: Log,
    system: Arc<dyn System>,
) -> Result<Arc<Handler>, ServeError> {
    let keys = settings.keys.as_deref().map(|path| Keys::open(path, Arc::clone(&system)));
    let keys = keys.transpose()?.map(Arc::new);
    let cors = settings.cors.as_deref().map(Cors::new).transpose()?;
    let hosts = Hosts::new(&settings, address);
    let memory = Budget::new(settings.limits.memory);
    let offload = Arc::new(Offload::new(Arc::clone(&system), context.threads()));
    let bodies = BodyReader {
        system: Arc::clone(&system),
        offload: Arc::clone(&offload),
        memory: memory.clone(),
        most: settings.limits.body,
        patience: settings.times.body,
    };
    let app = App {
        models: Arc::new(Models::new(&settings, Arc::clone(&context), log.clone(), Arc::clone(&system))?),
        pipeline: Pipeline::new(&settings, Arc::clone(&system), Arc::clone(&offload), memory),
        connections: Connections::new(settings.limits.connections),
        bodies,
        offload,
        metrics: Arc::default(),
        single: Arc::new(Context::new(1)),
        store: OnceLock::new(),
        started: AtomicBool::new(false),
        ending: AtomicBool::new(false),
        settings,
        system,
        context,
        log,
    };
    Ok(Arc::new(Handler::new(Arc::new(app), keys, hosts, cors)))
}

/// Creates the worker of an app.
pub(crate) fn worker(app: &App) -> Worker {
    Worker {
        queue: Arc::clone(&app.pipeline.queue),
        context: Arc::clone(&app.context),
        admission: Arc::clone(&app.pipeline.admission),
        metrics: Arc::clone(&app.metrics),
        log: app.log.clone(),
        system: Arc::clone(&app.system),
        before_batch: app.settings.before_batch.clone(),
        progress: Default::default(),
    }
}

impl Running {
    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks the server to end; [`Running::wait`] returns when it has ended.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for the end of the server: requests that have arrived are answered, as far as there is
    /// time.
    pub fn wait(self) -> Ended {
        let Self { app, runtime, compute, serving, .. } = self;
        let given_up = runtime.block_on(serving).unwrap_or_else(|_| app.pipeline.admission.held().requests);
        app.pipeline.queue.close();
        if given_up == 0 {
            // It catches the panics of batches, and so ends without one.
            let _ = compute.join();
        }
        runtime.shutdown_timeout(Duration::from_millis(100));
        app.log.note("the server has ended");
        app.log.flush();
        Ended { given_up }
    }

    /// True while the server takes requests.
    pub fn is_ready(&self) -> bool {
        self.app.is_ready()
    }

    /// Reads the first models and the store.
    fn make_ready(&self) -> Result<(), ServeError> {
        let app = &self.app;
        app.models.read_first()?;
        if let Some((place, model)) = app.settings.index.as_ref().zip(app.models.first()) {
            let store =
                Store::new(place.read()?, &place.to_string(), &model, app.log.clone(), Arc::clone(&app.system))?;
            // It is set only here, once.
            let _ = app.store.set(Arc::new(store));
        }
        let (limits, times) = (&app.settings.limits, &app.settings.times);
        app.log.note(&format!(
            "a request may have {} texts and {} bytes, and is answered within {:?} or given up; at most {} tokens wait",
            limits.inputs, limits.body, times.answer, limits.queued_tokens
        ));
        app.started.store(true, Ordering::Release);
        Ok(())
    }
}

/// Ends the process for an operator who has asked twice, with the status of one that SIGINT ended.
fn end_at_once(app: &App) {
    const INTERRUPTED: i32 = 130;
    let requests = app.pipeline.admission.held().requests;
    app.log.warn(&format!("the server ends at once; {requests} requests are not answered"));
    app.log.flush();
    std::process::exit(INTERRUPTED);
}
