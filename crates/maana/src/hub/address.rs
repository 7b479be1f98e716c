//! Addresses of the hub and of its storage servers.

use ureq::http::Uri;

/// Scheme, host and port: a token is sent only to the origin of the endpoint.
#[derive(PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    pub(super) fn of(address: &Uri) -> Option<Self> {
        let scheme = address.scheme_str()?.to_ascii_lowercase();
        let port = address.port_u16().or(match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        })?;
        Some(Self { scheme, host: address.host()?.to_ascii_lowercase(), port })
    }

    pub(super) fn is_this_machine(&self) -> bool {
        matches!(self.host.as_str(), "localhost" | "[::1]") || self.host.starts_with("127.")
    }
}

/// Resolves the location of a redirect. Returns `None` for an address that is not followed.
pub(super) fn join(url: &str, location: &str) -> Option<String> {
    let base: Uri = url.parse().ok()?;
    let (scheme, authority) = base.scheme_str().zip(base.authority())?;
    let absolute = |(scheme, _): (&str, &str)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let joined = if location.split_once("://").is_some_and(absolute) {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    let address: Uri = joined.parse().ok()?;
    matches!((scheme, address.scheme_str()), (_, Some("https")) | ("http", Some("http"))).then_some(joined)
}

/// Returns an address without its query, which contains signatures.
pub(super) fn shown(url: &str) -> String {
    url.split('?').next().unwrap_or_default().to_owned()
}

/// Percent-encodes a part of an address; `slashes` says whether slashes are separators and remain.
pub(super) fn escape(text: &str, slashes: bool) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (slashes && byte == b'/');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_never_lead_from_https_to_http() {
        let join = |location: &str| join("https://hub.example/a/b?c", location);
        assert_eq!(join("/x?y").as_deref(), Some("https://hub.example/x?y"));
        assert_eq!(join("/x?to=http://y").as_deref(), Some("https://hub.example/x?to=http://y"));
        assert_eq!(join("x").as_deref(), Some("https://hub.example/a/x"));
        assert_eq!(join("//cdn.example/x").as_deref(), Some("https://cdn.example/x"));
        assert_eq!(join("https://cdn.example/x").as_deref(), Some("https://cdn.example/x"));
        for wrong in ["http://cdn.example/x", "file:///etc/passwd", "https://"] {
            assert_eq!(join(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn origins_differ_by_scheme_host_and_port() {
        let origin = |address: &str| Origin::of(&address.parse().unwrap());
        let hub = origin("https://hub.example/prefix");
        assert!(origin("https://HUB.example:443/x") == hub && origin("https://hub.example:444/x") != hub);
        assert!(origin("http://hub.example/x") != hub && origin("https://hub.example.org/x") != hub);
    }

    #[test]
    fn revisions_and_files_are_encoded() {
        assert_eq!(escape("refs/pr/1", false), "refs%2Fpr%2F1");
        assert_eq!(escape("1_Pooling/a b#.json", true), "1_Pooling/a%20b%23.json");
    }
}
