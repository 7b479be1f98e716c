//! Keys: who may ask, and how often. The file has a line `NAME:KEY` or `NAME:KEY:REQUESTS-PER-SECOND` for each, and comments
//! that begin with `#`. Keys are compared in a time that does not tell how much of them is right, and are never shown.

use crate::error::ServeError;
use crate::fault::{Fault, Kind};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

/// The keys of a file.
pub(crate) struct Keys(Vec<Key>);

struct Key {
    name: String,
    secret: Vec<u8>,
    rate: Option<Rate>,
}

/// A bucket that fills with a request's worth so many times a second, and holds what fills in a second, or one.
struct Rate {
    per_second: f64,
    bucket: Mutex<(f64, Instant)>,
}

impl Keys {
    /// Reads a file of keys.
    pub(crate) fn open(path: &Path) -> Result<Self, ServeError> {
        let text = std::fs::read_to_string(path).map_err(|source| ServeError::Io { path: path.into(), source })?;
        let wrong = |line: usize, reason: &str| ServeError::Key { path: path.into(), line, reason: reason.into() };
        let mut keys: Vec<Key> = Vec::new();
        for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = Key::read(line).map_err(|reason| wrong(number, reason))?;
            if keys.iter().any(|other| other.name == key.name || other.secret == key.secret) {
                return Err(wrong(number, "the name or the key is there twice"));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(wrong(1, "there is no key, so that nobody could ask"));
        }
        Ok(Self(keys))
    }

    /// The name of whoever shows this `Authorization`.
    ///
    /// # Errors
    /// If it is no key of the file, or was shown too often.
    pub(crate) fn check(&self, authorization: Option<&[u8]>) -> Result<&str, Fault> {
        let missing = || Fault::new(Kind::Key, "a key is needed: `Authorization: Bearer KEY`");
        let shown = shown_key(authorization.ok_or_else(missing)?).ok_or_else(missing)?;
        // All keys are looked at, whichever fits.
        let mut found = None;
        for key in &self.0 {
            if same(&key.secret, shown) {
                found = Some(key);
            }
        }
        let key = found.ok_or_else(|| Fault::new(Kind::Key, "the key is not known"))?;
        if let Some(wait) = key.rate.as_ref().and_then(Rate::wait) {
            return Err(Fault::overloaded("the key asks more often than it may", wait));
        }
        Ok(&key.name)
    }
}

impl Key {
    fn read(line: &str) -> Result<Self, &'static str> {
        let mut parts = line.splitn(3, ':').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty()).ok_or("the name is missing")?;
        let secret = parts.next().filter(|secret| !secret.is_empty()).ok_or("the key is missing")?;
        if secret.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err("a key is made of visible ASCII characters");
        }
        let rate = match parts.next() {
            None => None,
            Some(rate) => {
                let rate = rate.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
                Some(Rate::new(rate.ok_or("the number of requests per second is not one above 0")?))
            }
        };
        Ok(Self { name: name.into(), secret: secret.into(), rate })
    }
}

impl Rate {
    fn new(per_second: f64) -> Self {
        Self { per_second, bucket: Mutex::new((per_second.max(1.0), Instant::now())) }
    }

    /// Takes a request's worth, or says after how many seconds there is one.
    fn wait(&self) -> Option<u64> {
        let mut bucket = self.bucket.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (level, since) = *bucket;
        let now = Instant::now();
        let level = (level + now.duration_since(since).as_secs_f64() * self.per_second).min(self.per_second.max(1.0));
        let enough = level >= 1.0;
        *bucket = (if enough { level - 1.0 } else { level }, now);
        (!enough).then(|| (((1.0 - level) / self.per_second).ceil() as u64).max(1))
    }
}

/// The key of `Bearer KEY`.
fn shown_key(authorization: &[u8]) -> Option<&[u8]> {
    let space = authorization.iter().position(|byte| *byte == b' ')?;
    let (scheme, key) = (&authorization[..space], authorization[space..].trim_ascii());
    scheme.eq_ignore_ascii_case(b"bearer").then_some(key)
}

/// Whether both are the same, in a time that depends on the lengths alone.
fn same(secret: &[u8], shown: &[u8]) -> bool {
    let mut difference = secret.len() ^ shown.len();
    for (index, byte) in shown.iter().enumerate() {
        difference |= usize::from(secret[index % secret.len()] ^ byte);
    }
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Result<Keys, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, text).unwrap();
        Keys::open(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn the_right_key_alone_opens_and_names_its_owner() {
        let keys = keys("# two\namina:s3cret\n\n juma : another : 5 \n").unwrap();
        assert_eq!(keys.check(Some(b"Bearer s3cret")).unwrap(), "amina");
        assert_eq!(keys.check(Some(b"bearer  another")).unwrap(), "juma");
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
            assert_eq!(keys.check(authorization).unwrap_err().kind, Kind::Key, "{authorization:?}");
        }
    }

    #[test]
    fn a_key_that_asks_too_often_waits_and_others_do_not() {
        let keys = keys("slow:a:2\nfree:b").unwrap();
        let outcomes: Vec<_> = (0..4).map(|_| keys.check(Some(b"Bearer a")).map_err(|fault| fault.kind)).collect();
        assert_eq!(outcomes, [Ok("slow"), Ok("slow"), Err(Kind::Overloaded), Err(Kind::Overloaded)]);
        assert!((0..100).all(|_| keys.check(Some(b"Bearer b")).is_ok()));
        std::thread::sleep(std::time::Duration::from_millis(600));
        assert!(keys.check(Some(b"Bearer a")).is_ok());
    }

    #[test]
    fn lines_that_are_no_key_are_named_without_showing_it() {
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
