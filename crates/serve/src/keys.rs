//! Keys of clients and their rates. The file has a line `NAME:KEY` or
//! `NAME:KEY:REQUESTS-PER-SECOND` for each, and comments that begin with `#`. Keys are compared in
//! a time that does not depend on how much of them is right, and are never shown. The file is read
//! again when it has changed; a file that cannot be read leaves the keys as they were.

use crate::error::ServeError;
use crate::request_error::{ErrorKind, RequestError};
use crate::system::System;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The keys of a file.
pub(crate) struct Keys {
    path: PathBuf,
    system: Arc<dyn System>,
    state: Mutex<State>,
}

/// The keys, and the file as it was read last.
struct State {
    keys: Arc<[Key]>,
    text: Result<String, std::io::ErrorKind>,
}

struct Key {
    name: String,
    secret: Vec<u8>,
    rate: Option<Rate>,
}

/// A bucket that fills at the rate and holds the requests of one second, at least one.
struct Rate {
    per_second: f64,
    /// Level, and the time of the last change; `None` while it is full.
    bucket: Mutex<Option<(f64, Instant)>>,
}

impl Keys {
    /// Reads a file of keys.
    pub(crate) fn open(path: &Path, system: Arc<dyn System>) -> Result<Self, ServeError> {
        let text = system.read_to_string(path).map_err(|source| ServeError::Io { path: path.into(), source })?;
        let keys = parse(path, &text)?.into();
        Ok(Self { path: path.to_owned(), system, state: Mutex::new(State { keys, text: Ok(text) }) })
    }

    /// Reads the file again and returns the number of keys if it has changed. A key that stays
    /// keeps the state of its rate.
    ///
    /// # Errors
    /// If the file cannot be read; reported once for each change.
    pub(crate) fn refresh(&self) -> Result<Option<usize>, ServeError> {
        let read = self.system.read_to_string(&self.path);
        let text = read.as_ref().map(Clone::clone).map_err(std::io::Error::kind);
        let old = {
            let mut state = self.state();
            if state.text == text {
                return Ok(None);
            }
            state.text = text;
            Arc::clone(&state.keys)
        };
        let text = read.map_err(|source| ServeError::Io { path: self.path.clone(), source })?;
        let mut keys = parse(&self.path, &text)?;
        for (secret, rate) in keys.iter_mut().filter_map(|key| Some((&key.secret, key.rate.as_mut()?))) {
            let before = old.iter().find(|key| key.secret == *secret).and_then(|key| key.rate.as_ref());
            if let Some(before) = before.filter(|before| before.per_second == rate.per_second) {
                rate.bucket = Mutex::new(*before.bucket());
            }
        }
        let count = keys.len();
        self.state().keys = keys.into();
        Ok(Some(count))
    }

    /// Returns the name of the key in `Authorization`, or in `api-key` as Azure's clients send it.
    ///
    /// # Errors
    /// If it is not a key of the file, or exceeds its rate.
    pub(crate) fn check(&self, authorization: Option<&[u8]>, api_key: Option<&[u8]>) -> Result<String, RequestError> {
        let sent = authorization.and_then(bearer_key).or(api_key.map(<[u8]>::trim_ascii)).ok_or_else(|| {
            RequestError::new(
                ErrorKind::Key,
                "a key is needed: `Authorization: Bearer KEY`, or `api-key: KEY` as Azure's clients send it",
            )
        })?;
        let keys = Arc::clone(&self.state().keys);
        // All keys are compared, so that the time is the same for each.
        let mut found = None;
        for key in &*keys {
            if same(&key.secret, sent) {
                found = Some(key);
            }
        }
        let key = found.ok_or_else(|| RequestError::new(ErrorKind::Key, "the key is unknown"))?;
        if let Some(wait) = key.rate.as_ref().and_then(|rate| rate.wait(self.system.now())) {
            return Err(RequestError::overloaded("the key exceeds its rate of requests", wait));
        }
        Ok(key.name.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the text of a file of keys.
fn parse(path: &Path, text: &str) -> Result<Vec<Key>, ServeError> {
    let wrong = |line: usize, reason: &str| ServeError::Key { path: path.into(), line, reason: reason.into() };
    let mut keys: Vec<Key> = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = Key::parse(line).map_err(|reason| wrong(number, reason))?;
        if keys.iter().any(|other| other.name == key.name || other.secret == key.secret) {
            return Err(wrong(number, "the name or the key is there twice"));
        }
        keys.push(key);
    }
    if keys.is_empty() {
        return Err(wrong(1, "there is no key, so that no client would be served"));
    }
    Ok(keys)
}

impl Key {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let mut parts = line.splitn(3, ':').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty()).ok_or("the name is missing")?;
        let secret = parts.next().filter(|secret| !secret.is_empty()).ok_or("the key is missing")?;
        if secret.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err("a key consists of visible ASCII characters");
        }
        let rate = match parts.next() {
            None => None,
            Some(rate) => {
                let rate = rate.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
                Some(Rate::new(rate.ok_or("the number of requests per second is not above 0")?))
            }
        };
        Ok(Self { name: name.into(), secret: secret.into(), rate })
    }
}

impl Rate {
    fn new(per_second: f64) -> Self {
        Self { per_second, bucket: Mutex::default() }
    }

    /// Takes one request from the bucket, or returns the seconds until there is one.
    fn wait(&self, now: Instant) -> Option<u64> {
        let mut bucket = self.bucket();
        let full = self.per_second.max(1.0);
        let level = bucket.map_or(full, |(level, since)| {
            let filled = now.saturating_duration_since(since).as_secs_f64() * self.per_second;
            (level + filled).min(full)
        });
        let enough = level >= 1.0;
        *bucket = Some((if enough { level - 1.0 } else { level }, now));
        (!enough).then(|| (((1.0 - level) / self.per_second).ceil() as u64).max(1))
    }

    fn bucket(&self) -> MutexGuard<'_, Option<(f64, Instant)>> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the key of `Bearer KEY`.
fn bearer_key(authorization: &[u8]) -> Option<&[u8]> {
    let space = authorization.iter().position(|byte| *byte == b' ')?;
    let (scheme, key) = (&authorization[..space], authorization[space..].trim_ascii());
    scheme.eq_ignore_ascii_case(b"bearer").then_some(key)
}

/// Compares two keys in a time that depends only on their lengths.
fn same(secret: &[u8], sent: &[u8]) -> bool {
    let mut difference = secret.len() ^ sent.len();
    for (index, byte) in sent.iter().enumerate() {
        difference |= usize::from(secret[index % secret.len()] ^ byte);
    }
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::Simulation;
    use std::time::Duration;

    fn keys(text: &str) -> Result<Keys, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, text).unwrap();
        Keys::open(&path, Simulation::on_disk()).map_err(|error| error.to_string())
    }

    #[test]
    fn only_the_right_key_is_accepted_and_named() {
        let keys = keys("# two\namina:s3cret\n\n juma : another : 5 \n").unwrap();
        assert_eq!(keys.check(Some(b"Bearer s3cret"), None).unwrap(), "amina");
        assert_eq!(keys.check(Some(b"bearer  another"), None).unwrap(), "juma");
        assert_eq!(keys.check(None, Some(b"another")).unwrap(), "juma");
        assert_eq!(keys.check(Some(b"Basic eDpz"), Some(b"s3cret")).unwrap(), "amina");
        assert!(keys.check(Some(b"Bearer wrong"), Some(b"s3cret")).is_err());
        assert!(keys.check(None, Some(b"Bearer s3cret")).is_err());
        let wrong: [Option<&[u8]>; 8] = [
            None,
            Some(b""),
            Some(b"s3cret"),
            Some(b"Bearer "),
            Some(b"Bearer s3cre"),
            Some(b"Bearer s3crets3cret"),
            Some(b"Bearer \xff\xfe"),
            Some(b"Basic eDpzM2NyZXQ="),
        ];
        for authorization in wrong {
            assert_eq!(keys.check(authorization, None).unwrap_err().kind, ErrorKind::Key, "{authorization:?}");
        }
    }

    #[test]
    fn a_key_that_exceeds_its_rate_waits_and_others_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, "slow:a:2\nfree:b").unwrap();
        let simulation = Simulation::on_disk();
        let keys = Keys::open(&path, simulation.clone()).unwrap();
        let check = |key: &[u8]| keys.check(Some(key), None).map_err(|error| error.kind);
        let outcomes: Vec<_> = (0..4).map(|_| check(b"Bearer a")).collect();
        let named = || Ok("slow".to_owned());
        assert_eq!(outcomes, [named(), named(), Err(ErrorKind::Overloaded), Err(ErrorKind::Overloaded)]);
        assert!((0..100).all(|_| check(b"Bearer b").is_ok()));
        simulation.advance(Duration::from_millis(499));
        assert!(check(b"Bearer a").is_err());
        simulation.advance(Duration::from_millis(1));
        assert!(check(b"Bearer a").is_ok());
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, "slow:a:0.01\nold:b").unwrap();
        let keys = Keys::open(&path, Simulation::on_disk()).unwrap();
        let check = |key: &[u8]| keys.check(None, Some(key)).map_err(|error| error.kind);
        assert_eq!(check(b"a"), Ok("slow".into()));
        assert_eq!(keys.refresh().unwrap(), None);
        std::fs::write(&path, "slow:a:0.01\nnewer:c").unwrap();
        assert_eq!(keys.refresh().unwrap(), Some(2));
        assert_eq!((check(b"a"), check(b"b")), (Err(ErrorKind::Overloaded), Err(ErrorKind::Key)));
        assert_eq!(check(b"c"), Ok("newer".into()));
        std::fs::write(&path, "nobody").unwrap();
        assert!(keys.refresh().is_err());
        assert_eq!(keys.refresh().unwrap(), None, "it is reported once");
        std::fs::remove_file(&path).unwrap();
        assert!(keys.refresh().is_err());
        assert_eq!(check(b"c"), Ok("newer".into()));
    }

    #[test]
    fn invalid_lines_are_named_without_showing_keys() {
        for (text, expected) in [
            ("", "line 1: there is no key"),
            ("amina", "line 1: the key is missing"),
            ("a:k\n:k2", "line 2: the name is missing"),
            ("a:hidden:0", "above 0"),
            ("a:hidden:many", "above 0"),
            ("a:k\na:k2", "line 2: the name or the key is there twice"),
            ("a:sch\u{f6}n", "visible ASCII"),
        ] {
            let error = keys(text).err().unwrap();
            assert!(error.contains(expected) && !error.contains("hidden"), "{text:?}: {error}");
        }
    }
}
