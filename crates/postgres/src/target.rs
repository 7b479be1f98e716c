//! Where a store is: the address of a database, the name of the store in it, and how the way there is kept secret.

use crate::PostgresError;
use percent_encoding::percent_decode_str;
use postgres::config::{Config, SslMode};
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::time::Duration;

/// The name of a store whose address says none.
const USUAL_NAME: &str = "maana";
/// PostgreSQL cuts longer names, so that two of them could become one.
const NAME_BYTES: usize = 63;
/// How long a server may take to answer at all, unless the address says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The address of a store: `postgres://USER@HOST:PORT/DATABASE?store=NAME`, and what else the address of a database may
/// say (`host=` with the folder of a Unix socket, `connect_timeout=`, …).
#[derive(Clone, Debug)]
pub struct Target {
    pub(crate) config: Config,
    pub(crate) name: String,
    pub(crate) secrecy: Secrecy,
    /// The address as it may be told to anybody: without the password.
    shown: String,
}

/// What `sslmode` says, in the words and with the meaning of PostgreSQL's own programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// In the clear.
    Disable,
    /// Encrypted where the server can, whoever it is.
    Prefer,
    /// Encrypted, whoever the server is.
    Require,
    /// Encrypted, and the server shows a certificate for its name that one of these roots has signed: those of this file,
    /// or those that browsers trust.
    VerifyFull(Option<PathBuf>),
}

impl Target {
    /// Whether a word is meant as such an address, rather than as a folder.
    pub fn is_one(word: &str) -> bool {
        word.starts_with("postgres://") || word.starts_with("postgresql://")
    }

    /// Reads an address.
    ///
    /// # Errors
    /// What of it cannot be understood.
    pub fn parse(url: &str) -> Result<Self, PostgresError> {
        let (base, settings) = url.split_once('?').unwrap_or((url, ""));
        let mut shown = without_password(base);
        let wrong = |what: String| PostgresError::Address { shown: without_password(base), what };
        let (mut name, mut mode, mut roots, mut others) = (USUAL_NAME.to_owned(), String::new(), None, Vec::new());
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            let (key, value) = setting.split_once('=').ok_or_else(|| wrong(format!("`{setting}` has no value")))?;
            let decoded = percent_decode_str(value).decode_utf8();
            let decoded = decoded.map_err(|_| wrong(format!("the value of `{key}` is no text")))?.into_owned();
            match key {
                "store" => name = decoded,
                "sslmode" => mode = decoded,
                "sslrootcert" => roots = Some(PathBuf::from(decoded)),
                _ => others.push(setting),
            }
        }
        check_name(&name).map_err(wrong)?;
        let secrecy = match (mode.as_str(), roots) {
            ("disable", None) => Secrecy::Disable,
            ("" | "prefer", None) => Secrecy::Prefer,
            ("require", None) => Secrecy::Require,
            ("verify-full", roots) => Secrecy::VerifyFull(roots),
            ("disable" | "" | "prefer" | "require", Some(_)) => {
                return Err(wrong("`sslrootcert` is looked at with `sslmode=verify-full` alone; say both".to_owned()));
            }
            (mode, _) => {
                let what = format!("sslmode `{mode}`; it is one of disable, prefer, require, verify-full");
                return Err(wrong(what));
            }
        };
        let mut config: Config = format!("{base}?{}", others.join("&"))
            .parse()
            .map_err(|error: postgres::Error| wrong(crate::error::told(&error)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host("localhost");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("maana");
        }
        config.ssl_mode(match secrecy {
            Secrecy::Disable => SslMode::Disable,
            Secrecy::Prefer => SslMode::Prefer,
            Secrecy::Require | Secrecy::VerifyFull(_) => SslMode::Require,
        });
        let told = others.iter().filter(|setting| !setting.starts_with("password=")).copied();
        let settings: Vec<String> = told.map(String::from).chain([format!("store={name}")]).collect();
        shown.push('?');
        shown.push_str(&settings.join("&"));
        Ok(Self { config, name, secrecy, shown })
    }

    /// With this password, unless the address has one.
    pub fn or_password(mut self, password: Option<String>) -> Self {
        if let (None, Some(password)) = (self.config.get_password(), password) {
            self.config.password(password);
        }
        self
    }

    /// The store's name.
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
        name if name.starts_with("pg_") => "begins with `pg_`, which PostgreSQL keeps for itself",
        _ => return Ok(()),
    };
    Err(format!("the name of the store, `{name}`, {what}; say another with store=NAME"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_told_without_its_password() {
        let target =
            Target::parse("postgres://me:se%40cret@db.example:5433/texts?store=habari%20zote&connect_timeout=3");
        let target = target.unwrap();
        assert_eq!(target.name(), "habari zote");
        assert_eq!(target.secrecy, Secrecy::Prefer);
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
    fn the_modes_of_secrecy_are_those_of_postgresql() {
        let secrecy =
            |settings: &str| Target::parse(&format!("postgres://h/d?{settings}")).map(|target| target.secrecy);
        assert_eq!(secrecy("sslmode=disable").unwrap(), Secrecy::Disable);
        assert_eq!(secrecy("sslmode=require").unwrap(), Secrecy::Require);
        assert_eq!(secrecy("sslmode=verify-full").unwrap(), Secrecy::VerifyFull(None));
        let roots = secrecy("sslmode=verify-full&sslrootcert=/etc/root.pem").unwrap();
        assert_eq!(roots, Secrecy::VerifyFull(Some("/etc/root.pem".into())));
        for (settings, said) in [
            ("sslmode=verify-ca", "one of disable, prefer, require, verify-full"),
            ("sslrootcert=x", "say both"),
            ("sslmode", "has no value"),
        ] {
            let error = secrecy(settings).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn names_that_could_not_be_kept_apart_are_refused() {
        for name in ["", "pg_x", &"x".repeat(64), "a%00b"] {
            let error = Target::parse(&format!("postgres://me:secret@h/d?store={name}")).unwrap_err().to_string();
            assert!(error.contains("store=NAME") && !error.contains("secret"), "{error}");
        }
        let error = Target::parse("postgres://me@h:port/d").unwrap_err().to_string();
        assert!(error.contains("postgres://USER@HOST/DATABASE?store=NAME"), "{error}");
    }
}
