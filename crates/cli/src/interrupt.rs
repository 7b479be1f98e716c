//! Handles Ctrl-C, SIGTERM and SIGHUP. A signal ends the process and removes its temporary files,
//! unless the command handles the first signal itself. Signals that the caller set to be ignored,
//! as `nohup` does, stay ignored.
//!
//! On systems without Unix signals the system ends the process, and the next run removes the
//! temporary files.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Reaction to the next signal.
enum Reaction {
    /// End the process.
    End,
    /// Run this, and end the process at the second signal.
    First(Box<dyn FnOnce() + Send>),
    /// Leave signals to the server.
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

/// Runs `action` on the first signal; the second ends the process. In effect until the guard is
/// dropped.
pub(crate) fn on_first(action: impl FnOnce() + Send + 'static) -> FirstSignal {
    *reaction() = Reaction::First(Box::new(action));
    FirstSignal(())
}

/// Leaves signals to the server, which handles them itself.
pub(crate) fn leave_to_server() {
    *reaction() = Reaction::Leave;
}

/// Starts to handle signals.
pub(crate) fn listen() {
    #[cfg(unix)]
    // If no thread can be started, signals end the process in the default way.
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
        let handled = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
        let Ok(mut signals) = Signals::new(handled) else { return };
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
            // Moves below a progress bar.
            errln!("");
        }
        maana::files::remove_unfinished();
        let _ = signal_hook::low_level::emulate_default_handler(signal);
        std::process::exit(128 + signal);
    }

    /// Returns a bit mask of the signals that the process inherited as ignored, if the system
    /// reports it.
    fn ignored() -> u64 {
        let status = maana::files::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    }
}
