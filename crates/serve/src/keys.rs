//! Keys: who may ask, and how often. The file has a line `NAME:KEY` or `NAME:KEY:REQUESTS-PER-SECOND` for each, and comments
//! that begin with `#`. Keys are compared in a time that does not tell how much of them is right, and are never shown. The file
//! is read again when it has changed; what cannot be read leaves the keys as they were.

use crate::error::ServeError;
use crate::fault::{Fault, Kind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

/// The keys of a file.
pub(crate) struct Keys {
    path: PathBuf,
    state: Mutex<State>,
}

/// What the file held, and when.
struct State {
    keys: Arc<[Key]>,
    read: Option<Stamp>,
}

/// What differs between a file and the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    #[cfg(unix)]
    inode: u64,
}

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

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: file.modified().ok(),
            bytes: file.len(),
            #[cfg(unix)]
            inode: std::os::unix::fs::MetadataExt::ino(&file),
        })
    }
}

impl Keys {
    /// Reads a file of keys.
    pub(crate) fn open(path: &Path) -> Result<Self, ServeError> {
        let read = Stamp::of(path);
        let keys = Self::read(path)?.into();
        Ok(Self { path: path.to_owned(), state: Mutex::new(State { keys, read }) })
    }

    /// Reads the file again if it has changed, and how many keys there are then. A key that stays goes on with what it has
    /// asked.
    ///
    /// # Errors
    /// If the file cannot be read; it is said once for each change.
    pub(crate) fn refresh(&self) -> Result<Option<usize>, ServeError> {
        let stamp = Stamp::of(&self.path);
        let (old, changed) = {
            let mut state = self.state();
            let changed = state.read != stamp;
            state.read = stamp;
            (Arc::clone(&state.keys), changed)
        };
        if !changed {
            return Ok(None);
        }
        let mut keys = Self::read(&self.path)?;
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

    fn read(path: &Path) -> Result<Vec<Key>, ServeError> {
        let text = maana::files::read_to_string(path).map_err(|source| ServeError::Io { path: path.into(), source })?;
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
        Ok(keys)
    }

    /// The name of whoever shows this `Authorization`, or this `api-key` as Azure's clients do.
    ///
    /// # Errors
    /// If it is no key of the file, or was shown too often.
    pub(crate) fn check(&self, authorization: Option<&[u8]>, api_key: Option<&[u8]>) -> Result<String, Fault> {
        let shown = authorization.and_then(shown_key).or(api_key.map(<[u8]>::trim_ascii)).ok_or_else(|| {
            Fault::new(
                Kind::Key,
                "a key is needed: `Authorization: Bearer KEY`, or `api-key: KEY` as Azure's clients do",
            )
        })?;
        let keys = Arc::clone(&self.state().keys);
        // All keys are looked at, whichever fits.
        let mut found = None;
        for key in &*keys {
            if same(&key.secret, shown) {
                found = Some(key);
            }
        }
        let key = found.ok_or_else(|| Fault::new(Kind::Key, "the key is not known"))?;
        if let Some(wait) = key.rate.as_ref().and_then(Rate::wait) {
            return Err(Fault::overloaded("the key asks more often than it may", wait));
        }
        Ok(key.name.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut bucket = self.bucket();
        let (level, since) = *bucket;
        let now = Instant::now();
        let level = (level + now.duration_since(since).as_secs_f64() * self.per_second).min(self.per_second.max(1.0));
        let enough = level >= 1.0;
        *bucket = (if enough { level - 1.0 } else { level }, now);
        (!enough).then(|| (((1.0 - level) / self.per_second).ceil() as u64).max(1))
    }

    fn bucket(&self) -> MutexGuard<'_, (f64, Instant)> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
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
            assert_eq!(keys.check(authorization, None).unwrap_err().kind, Kind::Key, "{authorization:?}");
        }
    }

    #[test]
    fn a_key_that_asks_too_often_waits_and_others_do_not() {
        let keys = keys("slow:a:2\nfree:b").unwrap();
        let check = |key: &[u8]| keys.check(Some(key), None).map_err(|fault| fault.kind);
        let outcomes: Vec<_> = (0..4).map(|_| check(b"Bearer a")).collect();
        let named = || Ok("slow".to_owned());
        assert_eq!(outcomes, [named(), named(), Err(Kind::Overloaded), Err(Kind::Overloaded)]);
        assert!((0..100).all(|_| check(b"Bearer b").is_ok()));
        std::thread::sleep(std::time::Duration::from_millis(600));
        assert!(check(b"Bearer a").is_ok());
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, "slow:a:0.01\nold:b").unwrap();
        let keys = Keys::open(&path).unwrap();
        let check = |key: &[u8]| keys.check(None, Some(key)).map_err(|fault| fault.kind);
        assert_eq!(check(b"a"), Ok("slow".into()));
        assert_eq!(keys.refresh().unwrap(), None);
        std::fs::write(&path, "slow:a:0.01\nnewer:c").unwrap();
        assert_eq!(keys.refresh().unwrap(), Some(2));
        assert_eq!((check(b"a"), check(b"b")), (Err(Kind::Overloaded), Err(Kind::Key)));
        assert_eq!(check(b"c"), Ok("newer".into()));
        std::fs::write(&path, "nobody").unwrap();
        assert!(keys.refresh().is_err());
        assert_eq!(keys.refresh().unwrap(), None, "it is said once");
        std::fs::remove_file(&path).unwrap();
        assert!(keys.refresh().is_err());
        assert_eq!(check(b"c"), Ok("newer".into()));
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
