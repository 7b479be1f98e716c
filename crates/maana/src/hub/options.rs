//! Options of locating, fetching and pushing models, read from the environment variables of
//! Python's `huggingface_hub`.

use super::HubError;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Options of locating, fetching and pushing models.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// The cache, in the layout of Python's `huggingface_hub`.
    pub cache: PathBuf,
    /// The address of the hub, without a slash at the end.
    pub endpoint: String,
    /// Access token. It is sent only to the endpoint.
    pub token: Option<Token>,
    /// The variable that turns the network off, if any.
    pub offline: Option<String>,
    /// If `true`, snapshots link to blobs where links are possible; otherwise files are copied.
    pub links: bool,
    /// A PEM file with the certificates to trust instead of the built-in ones.
    pub certificates: Option<PathBuf>,
    /// Timeout of name resolution and connection; at most 5 seconds for a model with an alternative
    /// source.
    pub connect_timeout: Duration,
    /// Timeout of a silent server.
    pub timeout: Duration,
    /// Retries of a failed request without progress.
    pub retries: u32,
    /// Wait before the first retry; doubles with each further one.
    pub backoff: Duration,
    /// Python interpreter with pip.
    pub python: OsString,
}

impl HubOptions {
    /// Reads the options from `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME`,
    /// `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_DISABLE_IMPLICIT_TOKEN`,
    /// `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE`, `HF_HUB_DISABLE_SYMLINKS`,
    /// `HF_HUB_DOWNLOAD_TIMEOUT` and `SSL_CERT_FILE`.
    pub fn from_environment() -> Self {
        Self::from_variables(&|name| std::env::var_os(name))
    }

    /// As [`HubOptions::from_environment`], from the variables that `variable` returns.
    pub fn from_variables(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| given(name).and_then(|value| value.into_string().ok());
        let user = || PathBuf::from(given("HOME").or_else(|| given("USERPROFILE")).unwrap_or_default());
        let folder = |name: &str| {
            let path = PathBuf::from(given(name)?);
            Some(path.strip_prefix("~").map(|rest| user().join(rest)).unwrap_or(path))
        };
        let set = |name: &str| text(name).is_some_and(|value| is_true(&value));

        let home = folder("HF_HOME")
            .unwrap_or_else(|| folder("XDG_CACHE_HOME").unwrap_or_else(|| user().join(".cache")).join("huggingface"));
        let cache = folder("HF_HUB_CACHE").or_else(|| folder("HUGGINGFACE_HUB_CACHE"));
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        // As in Python, the first of the two that is set decides.
        let offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].into_iter().find(|name| given(name).is_some());
        let token = || {
            let named = text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN"));
            let file = folder("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
            Token::new(&named.or_else(|| maana_files::read_to_string(&file).ok())?)
        };
        let seconds = text("HF_HUB_DOWNLOAD_TIMEOUT").and_then(|value| value.trim().parse().ok());
        Self {
            token: if set("HF_HUB_DISABLE_IMPLICIT_TOKEN") { None } else { token() },
            cache: cache.unwrap_or_else(|| home.join("hub")),
            endpoint: endpoint.trim_end_matches('/').into(),
            offline: offline.filter(|name| set(name)).map(Into::into),
            links: !set("HF_HUB_DISABLE_SYMLINKS"),
            certificates: folder("SSL_CERT_FILE"),
            connect_timeout: Duration::from_secs(15),
            timeout: Duration::from_secs(seconds.filter(|&seconds| seconds > 0).unwrap_or(10)),
            retries: 4,
            backoff: Duration::from_secs(1),
            python: "python3".into(),
        }
    }

    pub(super) fn check_endpoint(&self) -> Result<ureq::http::Uri, HubError> {
        let wrong = || HubError::Endpoint(self.endpoint.clone());
        let address: ureq::http::Uri = self.endpoint.parse().map_err(|_| wrong())?;
        let valid = matches!(address.scheme_str(), Some("http" | "https")) && address.query().is_none();
        if valid && address.host().is_some_and(|host| !host.is_empty()) { Ok(address) } else { Err(wrong()) }
    }
}

/// Returns whether Python reads the value as true.
fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str())
}

/// An access token, which is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Creates a token from a text without the surrounding white space, if it is valid.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(text.into()))
    }

    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Removes the token from a text that a server sent.
    pub(super) fn removed_from(&self, text: &str) -> String {
        text.replace(&self.0, "(token)")
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn from(variables: &[(&str, &str)]) -> HubOptions {
        HubOptions::from_variables(&|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_cache_is_that_of_python() {
        let home = ("HOME", "/home/u");
        let cache = |variables: &[(&str, &str)]| from(variables).cache;
        assert_eq!(cache(&[home]), Path::new("/home/u/.cache/huggingface/hub"));
        assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/hf")]), Path::new("/home/u/hf/hub"));
        let legacy = ("HUGGINGFACE_HUB_CACHE", "/legacy");
        assert_eq!(cache(&[home, ("HF_HOME", "/hf"), legacy]), Path::new("/legacy"));
        assert_eq!(cache(&[home, legacy, ("HF_HUB_CACHE", "/own")]), Path::new("/own"));
        assert_eq!(cache(&[home, ("HF_HUB_CACHE", "")]), Path::new("/home/u/.cache/huggingface/hub"));
    }

    #[test]
    fn offline_names_its_variable_and_is_parsed_as_in_python() {
        assert_eq!(from(&[]).offline, None);
        assert_eq!(from(&[("HF_HUB_OFFLINE", "1")]).offline.as_deref(), Some("HF_HUB_OFFLINE"));
        assert_eq!(from(&[("TRANSFORMERS_OFFLINE", "yes")]).offline.as_deref(), Some("TRANSFORMERS_OFFLINE"));
        assert_eq!(from(&[("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")]).offline, None);
        assert_eq!(from(&[("HF_HUB_OFFLINE", "perhaps")]).offline, None);
    }

    #[test]
    fn the_token_comes_from_the_environment_or_its_file_and_is_not_printed() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().to_str().unwrap();
        std::fs::write(home.path().join("token"), "hf_file\n").unwrap();
        std::fs::write(home.path().join("other"), "hf_other\n").unwrap();
        let other = home.path().join("other");
        let token = |more: &[(&str, &str)]| from(&[&[("HF_HOME", folder)], more].concat()).token;
        assert_eq!(token(&[]), Token::new("hf_file"));
        assert_eq!(token(&[("HF_TOKEN_PATH", other.to_str().unwrap())]), Token::new("hf_other"));
        assert_eq!(token(&[("HF_TOKEN", " hf_named ")]), Token::new("hf_named"));
        assert_eq!(token(&[("HF_TOKEN", "hf_named"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        assert_eq!(Token::new("two\r\nlines: x"), None);
        let printed = format!("{:?}", from(&[("HF_TOKEN", "hf_named")]));
        assert!(printed.contains("hidden") && !printed.contains("hf_named"), "{printed}");
    }

    #[test]
    fn an_endpoint_must_be_an_address() {
        assert_eq!(from(&[("HF_ENDPOINT", "https://mirror.example/hub/")]).endpoint, "https://mirror.example/hub");
        assert!(from(&[]).check_endpoint().is_ok());
        for wrong in ["mirror.example", "ftp://mirror.example", "https://", "file:///etc", "https://x/?a=b"] {
            let error = from(&[("HF_ENDPOINT", wrong)]).check_endpoint().unwrap_err().to_string();
            assert!(error.contains("HF_ENDPOINT"), "{wrong}: {error}");
        }
    }
}
