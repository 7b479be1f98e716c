//! The host names that a server answers to. A foreign page whose name resolves to this computer
//! sends its own name as the host: by that a server without keys that listens on this computer only
//! refuses it.

use crate::request_error::{ErrorKind, RequestError};
use crate::settings::Settings;
use hyper::Version;
use hyper::header::{HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use std::net::IpAddr;

/// The accepted names; `None` accepts all.
pub(crate) struct Hosts(Option<Vec<String>>);

impl Hosts {
    /// Returns the names of a server that listens at an address.
    pub(crate) fn new(settings: &Settings, address: IpAddr) -> Self {
        let named = &settings.allow_hosts;
        let exposed = !address.is_loopback() || settings.keys.is_some();
        if named.iter().any(|name| name == "*") || (exposed && named.is_empty()) {
            return Self(None);
        }
        let named = named.iter().chain([&settings.host]).map(|name| name_of(name).to_lowercase());
        Self(Some(named.collect()))
    }

    /// Checks the host and the framing of a request.
    ///
    /// # Errors
    /// If the host is missing, repeated, or not this server's, or the framing is not supported.
    pub(crate) fn check(&self, head: &Parts) -> Result<(), RequestError> {
        let mut hosts = head.headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (_, Some(_)) => {
                return Err(RequestError::new(ErrorKind::Syntax, "the request has two `Host` headers; send one"));
            }
            (None, None) if head.version >= Version::HTTP_11 => {
                return Err(RequestError::new(
                    ErrorKind::Syntax,
                    "the request has no `Host` header, which HTTP/1.1 needs",
                ));
            }
            (host, None) => host,
        };
        let codings = head.headers.get_all(TRANSFER_ENCODING).iter();
        if let Some(coding) = codings.into_iter().find(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
            let message = format!("`Transfer-Encoding: {}` is not supported; `chunked` is", shown(coding));
            return Err(RequestError::new(ErrorKind::Unsupported, message));
        }
        // An address in the request line takes precedence over the header.
        let named = head.uri.authority().map(|authority| authority.as_str());
        let header = host.map(|host| host.to_str().map_err(|_| self.refused(&shown(host)))).transpose()?;
        match named.or(header) {
            Some(host) if !self.knows(host) => Err(self.refused(host)),
            _ => Ok(()),
        }
    }

    fn knows(&self, host: &str) -> bool {
        let Some(named) = &self.0 else { return true };
        let name = name_of(host).to_lowercase();
        // A numeric address cannot be made to point elsewhere.
        let is_local = name == "localhost" || name.ends_with(".localhost");
        is_local || name.parse::<IpAddr>().is_ok() || named.contains(&name)
    }

    fn refused(&self, host: &str) -> RequestError {
        let name = name_of(host);
        RequestError::new(
            ErrorKind::Host,
            format!(
                "the host `{name}` is not this server's; if it is reached under that name, start it with --allow-host {name}"
            ),
        )
    }
}

/// Removes the port, the brackets of an address and the final dot of a host.
fn name_of(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    // With two colons it is an address, not a name and a port.
    let name = match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

fn shown(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Source;
    use std::net::Ipv4Addr;

    fn hosts(address: [u8; 4], change: impl FnOnce(&mut Settings)) -> Hosts {
        let mut settings = Settings::new(Source { name: "m".into(), place: "m".into() });
        change(&mut settings);
        Hosts::new(&settings, Ipv4Addr::from(address).into())
    }

    #[test]
    fn a_local_server_answers_to_its_own_names() {
        let here = hosts([127, 0, 0, 1], |settings| settings.host = "my-box".into());
        for host in
            ["localhost", "LOCALHOST:8080", "a.localhost", "127.0.0.1:1", "[::1]:80", "::1", "my-box:80", "localhost."]
        {
            assert!(here.knows(host), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8080", "", "my-box2", "xlocalhost"]
        {
            assert!(!here.knows(host), "{host}");
        }
    }

    #[test]
    fn names_are_added_and_all_are_accepted_with_keys_or_on_a_network() {
        let named = |settings: &mut Settings| settings.allow_hosts = vec!["Maana.example:443".into()];
        for (hosts, host, known) in [
            (hosts([127, 0, 0, 1], named), "maana.EXAMPLE", true),
            (hosts([127, 0, 0, 1], named), "evil.example", false),
            (hosts([0, 0, 0, 0], named), "evil.example", false),
            (hosts([0, 0, 0, 0], |_| {}), "evil.example", true),
            (hosts([127, 0, 0, 1], |settings| settings.keys = Some("keys".into())), "evil.example", true),
            (hosts([127, 0, 0, 1], |settings| settings.allow_hosts = vec!["*".into()]), "evil.example", true),
        ] {
            assert_eq!(hosts.knows(host), known, "{host}");
        }
    }
}
