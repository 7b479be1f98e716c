//! The log: lines on standard error, written by a thread of its own, so that no request waits for
//! the reader of the log. It contains texts only if the settings say so, and never keys.

use crate::settings::LogForm;
use serde_json::{Map, Value};
use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Most lines that wait to be written; more are dropped.
const WAITING_LINES: usize = 4096;

/// A log; cheap to clone.
#[derive(Clone)]
pub(crate) struct Log {
    form: LogForm,
    lines: Option<SyncSender<Line>>,
}

enum Line {
    Text(String),
    /// Reports that everything before it is written.
    Flush(SyncSender<()>),
}

impl Log {
    /// Creates a log.
    pub(crate) fn new(form: LogForm) -> std::io::Result<Self> {
        if form == LogForm::Off {
            return Ok(Self { form, lines: None });
        }
        let (sender, receiver) = sync_channel(WAITING_LINES);
        std::thread::Builder::new().name("maana-log".into()).spawn(move || write_lines(&receiver))?;
        Ok(Self { form, lines: Some(sender) })
    }

    /// Returns true unless the log is off.
    pub(crate) fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// Writes a note.
    pub(crate) fn note(&self, message: &str) {
        self.line("note", message, Map::new());
    }

    /// Writes a warning.
    pub(crate) fn warn(&self, message: &str) {
        self.line("warning", message, Map::new());
    }

    /// Writes a line with fields.
    pub(crate) fn line(&self, level: &str, message: &str, fields: Map<String, Value>) {
        let Some(lines) = &self.lines else { return };
        let time = timestamp(SystemTime::now());
        let line = match self.form {
            LogForm::Json => {
                let mut line = Map::new();
                line.insert("time".into(), time.into());
                line.insert("level".into(), level.into());
                line.insert("message".into(), message.into());
                line.extend(fields);
                Value::Object(line).to_string()
            }
            _ => {
                let fields: String = fields.iter().map(|(name, value)| format!(" {name}={value}")).collect();
                format!("{time} {level} {message}{fields}")
            }
        };
        // The server does not wait for a slow reader, which misses lines.
        let _ = lines.try_send(Line::Text(line));
    }

    /// Waits for everything to be written, for at most a second.
    pub(crate) fn flush(&self) {
        let Some(lines) = &self.lines else { return };
        let (sender, written) = sync_channel(1);
        if lines.try_send(Line::Flush(sender)).is_ok() {
            // A reader that takes nothing does not delay the end of the server.
            let _ = written.recv_timeout(Duration::from_secs(1));
        }
    }
}

fn write_lines(lines: &Receiver<Line>) {
    while let Ok(line) = lines.recv() {
        // The server continues when the log cannot be written.
        let _ = match line {
            Line::Text(line) => writeln!(std::io::stderr(), "{line}").is_ok(),
            Line::Flush(written) => written.send(()).is_ok(),
        };
    }
}

/// Formats a time in UTC as in ISO 8601, with milliseconds.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days as i64);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

/// Returns year, month and day of a number of days since 1970, after Howard Hinnant's
/// `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_the_calendar() {
        let format =
            |seconds, millis| timestamp(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis));
        assert_eq!(format(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(format(951_782_400, 5), "2000-02-29T00:00:00.005Z");
        assert_eq!(format(1_795_651_199, 999), "2026-11-25T23:59:59.999Z");
    }
}
