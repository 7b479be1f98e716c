//! Ctrl-C, SIGTERM and SIGHUP. A signal ends the process at once and leaves no temporary files, unless the command has said
//! that it ends by itself. Signals that the caller has the process ignore, as `nohup` does, stay ignored.
//!
//! On systems without signals of Unix the system ends the process, and the next run removes what was left.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Reaction to the next signal.
enum Reaction {
    /// Ends the process.
    End,
    /// Runs this, and ends the process at the signal after it.
    First(Box<dyn FnOnce() + Send>),
    /// Leaves signals to the server.
    Leave,
}

static REACTION: Mutex<Reaction> = Mutex::new(Reaction::End);

fn reaction() -> MutexGuard<'static, Reaction> {
    REACTION.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Resets the reaction to signals when it is dropped.
pub(crate) struct FirstSignal(());

impl Drop for FirstSignal {
    fn drop(&mut self) {
        *reaction() = Reaction::End;
    }
}

/// Runs `action` on the first signal; the second ends the process. Holds until the guard is dropped.
pub(crate) fn on_first(action: impl FnOnce() + Send + 'static) -> FirstSignal {
    *reaction() = Reaction::First(Box::new(action));
    FirstSignal(())
}

/// Leaves signals to the server, which listens to them itself.
pub(crate) fn leave_to_server() {
    *reaction() = Reaction::Leave;
}

/// Listens to signals from now on.
pub(crate) fn listen() {
    #[cfg(unix)]
    // Where there can be no further thread, signals end the process as they do without this.
    let _ = std::thread::Builder::new().name("maana-signals".into()).spawn(unix::listen);
}

#[cfg(unix)]
mod unix {
    use super::{Reaction, reaction};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use std::io::IsTerminal;

    pub(super) fn listen() {
        let ignored = ignored();
        let heard = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
        let Ok(mut signals) = Signals::new(heard) else { return };
        for signal in signals.forever() {
            let before = std::mem::replace(&mut *reaction(), Reaction::End);
            match before {
                Reaction::First(action) => action(),
                Reaction::Leave => *reaction() = Reaction::Leave,
                Reaction::End => end(signal),
            }
        }
    }

    /// Ends the process as the signal would have done, so that shells see why.
    fn end(signal: i32) {
        if std::io::stderr().is_terminal() {
            // Off the line of a bar that shows progress.
            errln!("");
        }
        maana::files::remove_unfinished();
        let _ = signal_hook::low_level::emulate_default_handler(signal);
        std::process::exit(128 + signal);
    }

    /// Returns the signals that the process was started to ignore, a bit each, where the system tells it.
    fn ignored() -> u64 {
        let status = maana::files::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    }
}
