//! Signals that end a server.

use tokio::sync::watch;

/// SIGTERM, SIGINT, and SIGHUP unless it is ignored, as under `nohup`.
#[cfg(unix)]
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    /// Installs the handlers; to be called inside a runtime.
    ///
    /// # Errors
    /// If the operating system refuses them.
    pub(crate) fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hang_up = if hang_up_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())?, hang_up })
    }

    /// Sets `stop` at the first signal, and calls `end_at_once` at a SIGINT after it.
    pub(crate) async fn watch(mut self, stop: watch::Sender<bool>, end_at_once: impl FnOnce()) {
        let hung_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hung_up => {}
        }
        stop.send_replace(true);
        self.interrupt.recv().await;
        end_at_once();
    }
}

/// Returns true if the process ignores SIGHUP, on systems that report it.
#[cfg(unix)]
fn hang_up_is_ignored() -> bool {
    const HANG_UP: u64 = 1;
    let status = maana::files::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & HANG_UP != 0)
}

/// Ctrl-C, on systems without signals of Unix.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Installs the handlers; to be called inside a runtime.
    ///
    /// # Errors
    /// None.
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    /// Sets `stop` at the first Ctrl-C, and calls `end_at_once` at the second.
    pub(crate) async fn watch(self, stop: watch::Sender<bool>, end_at_once: impl FnOnce()) {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.send_replace(true);
            if tokio::signal::ctrl_c().await.is_ok() {
                end_at_once();
            }
        }
    }
}
