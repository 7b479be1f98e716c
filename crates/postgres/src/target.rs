//! The address of a store: a database, the name of the store in it, and the encryption of the
//! connection.

use crate::error::{PostgresError, message};
use percent_encoding::percent_decode_str;
use postgres::config::{Config, SslMode};
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::time::Duration;

/// Default name of a store.
const DEFAULT_NAME: &str = "maana";
/// Longest name: PostgreSQL truncates longer ones, so that two could become equal.
const NAME_BYTES: usize = 63;
/// Default time limit for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The address of a store: `postgres://USER@HOST:PORT/DATABASE?store=NAME`, with other settings of
/// PostgreSQL's addresses (`host=` with the folder of a Unix socket, `connect_timeout=`, …).
#[derive(Clone, Debug)]
pub struct Target {
    pub(crate) config: Config,
    pub(crate) name: String,
    pub(crate) ssl: SslPolicy,
    /// The address without the password, for messages.
    shown: String,
}

/// The setting `sslmode`, with the names and meanings of PostgreSQL's own programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SslPolicy {
    /// No encryption.
    Disable,
    /// Encryption if the server supports it, with any server.
    Prefer,
    /// Encryption, with any server.
    Require,
    /// Encryption, with a server that has a certificate for its name, signed by a root of this
    /// file, or by one of those that browsers trust.
    VerifyFull(Option<PathBuf>),
}

impl Target {
    /// Returns whether a word is such an address, rather than a folder.
    pub fn is_address(word: &str) -> bool {
        word.starts_with("postgres://") || word.starts_with("postgresql://")
    }

    /// Parses an address.
    ///
    /// # Errors
    /// Describes the malformed part.
    pub fn parse(url: &str) -> Result<Self, PostgresError> {
        let (base, settings) = url.split_once('?').unwrap_or((url, ""));
        let mut shown = without_password(base);
        let wrong = |what: String| PostgresError::Address { shown: without_password(base), what };
        let (mut name, mut mode, mut roots, mut others) = (DEFAULT_NAME.to_owned(), String::new(), None, Vec::new());
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            let (key, value) = setting.split_once('=').ok_or_else(|| wrong(format!("`{setting}` has no value")))?;
            let decoded = percent_decode_str(value).decode_utf8();
            let decoded = decoded.map_err(|_| wrong(format!("the value of `{key}` is not UTF-8")))?.into_owned();
            match key {
                "store" => name = decoded,
                "sslmode" => mode = decoded,
                "sslrootcert" => roots = Some(PathBuf::from(decoded)),
                _ => others.push(setting),
            }
        }
        check_name(&name).map_err(wrong)?;
        let ssl = match (mode.as_str(), roots) {
            ("disable", None) => SslPolicy::Disable,
            ("" | "prefer", None) => SslPolicy::Prefer,
            ("require", None) => SslPolicy::Require,
            ("verify-full", roots) => SslPolicy::VerifyFull(roots),
            ("disable" | "" | "prefer" | "require", Some(_)) => {
                return Err(wrong("`sslrootcert` is used only with `sslmode=verify-full`; set both".to_owned()));
            }
            (mode, _) => {
                let what = format!("sslmode `{mode}` is unknown; use disable, prefer, require or verify-full");
                return Err(wrong(what));
            }
        };
        let mut config: Config =
            format!("{base}?{}", others.join("&")).parse().map_err(|error: postgres::Error| wrong(message(&error)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host("localhost");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("maana");
        }
        config.ssl_mode(match ssl {
            SslPolicy::Disable => SslMode::Disable,
            SslPolicy::Prefer => SslMode::Prefer,
            SslPolicy::Require | SslPolicy::VerifyFull(_) => SslMode::Require,
        });
        let public = others.iter().filter(|setting| !setting.starts_with("password=")).copied();
        let settings: Vec<String> = public.map(String::from).chain([format!("store={name}")]).collect();
        shown.push('?');
        shown.push_str(&settings.join("&"));
        Ok(Self { config, name, ssl, shown })
    }

    /// Sets the password, unless the address has one.
    pub fn or_password(mut self, password: Option<String>) -> Self {
        if let (None, Some(password)) = (self.config.get_password(), password) {
            self.config.password(password);
        }
        self
    }

    /// Returns the name of the store.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Display for Target {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(&self.shown)
    }
}

fn without_password(base: &str) -> String {
    let Some((scheme, rest)) = base.split_once("://") else { return base.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let Some((user, hosts)) = authority.rsplit_once('@') else { return base.to_owned() };
    let user = user.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}@{hosts}{path}")
}

fn check_name(name: &str) -> Result<(), String> {
    let what = match name {
        "" => "is empty",
        name if name.len() > NAME_BYTES => "is longer than 63 bytes",
        name if name.contains('\0') => "has a NUL character",
        name if name.starts_with("pg_") => "begins with `pg_`, which PostgreSQL reserves",
        _ => return Ok(()),
    };
    Err(format!("the name of the store, `{name}`, {what}; name another with store=NAME"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_displayed_without_its_password() {
        let target =
            Target::parse("postgres://me:se%40cret@db.example:5433/texts?store=habari%20zote&connect_timeout=3");
        let target = target.unwrap();
        assert_eq!(target.name(), "habari zote");
        assert_eq!(target.ssl, SslPolicy::Prefer);
        assert_eq!(target.config.get_password(), Some(&b"se@cret"[..]));
        assert_eq!(target.config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert_eq!(target.to_string(), "postgres://me@db.example:5433/texts?connect_timeout=3&store=habari zote");
        let target = Target::parse("postgresql:///texts?host=/run/db&password=secret").unwrap();
        assert_eq!(target.to_string(), "postgresql:///texts?host=/run/db&store=maana");
        assert_eq!(target.clone().or_password(Some("other".into())).config.get_password(), Some(&b"secret"[..]));
        let target = Target::parse("postgres://me@h/d").unwrap().or_password(Some("other".into()));
        assert_eq!(target.config.get_password(), Some(&b"other"[..]));
    }

    #[test]
    fn ssl_modes_are_those_of_postgresql() {
        let ssl = |settings: &str| Target::parse(&format!("postgres://h/d?{settings}")).map(|target| target.ssl);
        assert_eq!(ssl("sslmode=disable").unwrap(), SslPolicy::Disable);
        assert_eq!(ssl("sslmode=require").unwrap(), SslPolicy::Require);
        assert_eq!(ssl("sslmode=verify-full").unwrap(), SslPolicy::VerifyFull(None));
        let roots = ssl("sslmode=verify-full&sslrootcert=/etc/root.pem").unwrap();
        assert_eq!(roots, SslPolicy::VerifyFull(Some("/etc/root.pem".into())));
        for (settings, expected) in [
            ("sslmode=verify-ca", "use disable, prefer, require or verify-full"),
            ("sslrootcert=x", "set both"),
            ("sslmode", "has no value"),
        ] {
            let error = ssl(settings).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn names_that_postgresql_would_change_are_refused() {
        for name in ["", "pg_x", &"x".repeat(64), "a%00b"] {
            let error = Target::parse(&format!("postgres://me:secret@h/d?store={name}")).unwrap_err().to_string();
            assert!(error.contains("store=NAME") && !error.contains("secret"), "{error}");
        }
        let error = Target::parse("postgres://me@h:port/d").unwrap_err().to_string();
        assert!(error.contains("postgres://USER@HOST/DATABASE?store=NAME"), "{error}");
    }
}
