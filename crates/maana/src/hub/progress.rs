//! Progress of transfers.

use super::{EventHandler, HubEvent};
use std::time::{Duration, Instant};

/// Interval of progress events.
const NOTIFY_EVERY: Duration = Duration::from_millis(100);

/// Progress of a transfer.
pub(super) struct Progress {
    /// Bytes of finished files.
    finished: u64,
    pub(super) total: u64,
    notified: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { finished: 0, total: 0, notified: Instant::now() }
    }

    /// Sends an event; `current` bytes of the current file have passed.
    pub(super) fn notify(&mut self, current: u64, notify: &mut EventHandler<'_>) {
        if self.total > 0 && self.notified.elapsed() >= NOTIFY_EVERY {
            self.notified = Instant::now();
            notify(HubEvent::Progress { done: (self.finished + current).min(self.total), total: self.total });
        }
    }

    pub(super) fn finish(&mut self, length: u64, notify: &mut EventHandler<'_>) {
        self.finished += length;
        if self.total > 0 {
            notify(HubEvent::Progress { done: self.finished.min(self.total), total: self.total });
        }
    }
}

/// Formats a number of bytes.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
