//! Errors of locating, fetching and pushing a model, with their remedies.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// An error of locating, fetching or pushing a model.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// A malformed name.
    #[error("`{0}` is neither a folder nor a name of the form `organisation/model` or `organisation/model@revision`")]
    Name(String),
    /// The name of a file.
    #[error("`{0}` is a file; name the folder of the model")]
    File(String),
    /// The name of a folder where a name on the hub is needed.
    #[error("`{0}` is a folder; only a model of the hub can be fetched again, by its name there")]
    Folder(String),
    /// A malformed address of the hub.
    #[error("HF_ENDPOINT is `{0}`; use an address such as https://huggingface.co")]
    Endpoint(String),
    /// A model that is not in the cache while the network is turned off.
    #[error(
        "`{name}` is not in the cache {cache} ({missing}), and {variable} turns the network off; unset {variable} to fetch the \
         model, or name its folder"
    )]
    Offline {
        /// The name.
        name: String,
        /// The cache that was searched.
        cache: PathBuf,
        /// The variable that turned the network off.
        variable: String,
        /// Description of what the cache lacks.
        missing: String,
    },
    /// A hub that does not answer.
    #[error(
        "`{name}` is not in the cache ({missing}), and {endpoint} cannot be reached: {reason}.{tried} Check the network, \
         HTTPS_PROXY and HF_ENDPOINT, or name the folder of the model"
    )]
    Unreachable {
        /// The model.
        name: String,
        /// Description of what the cache lacks.
        missing: String,
        /// The address of the hub.
        endpoint: String,
        /// The reason.
        reason: String,
        /// Other sources that were tried: empty, or a sentence after a space.
        tried: String,
    },
    /// A model that does not exist, or is private.
    #[error(
        "{endpoint} has no model `{id}`, or it is private, and there is no folder of that name; check the spelling. {hint}"
    )]
    NoModel {
        /// The model.
        id: String,
        /// The address of the hub.
        endpoint: String,
        /// Advice on the token.
        hint: &'static str,
    },
    /// A branch, tag or commit that does not exist.
    #[error(
        "{endpoint}/{id} has no branch, tag or commit `{revision}`; its page lists them under \"Files and versions\""
    )]
    NoRevision {
        /// The model.
        id: String,
        /// The revision.
        revision: String,
        /// The address of the hub.
        endpoint: String,
    },
    /// A model with conditions to accept.
    #[error("{endpoint}/{id} is open only to those who accepted its conditions: do so on that page. {hint}")]
    Gated {
        /// The model.
        id: String,
        /// The address of the hub.
        endpoint: String,
        /// Advice on the token.
        hint: &'static str,
    },
    /// A request that the server refuses.
    #[error("{url}: the server refuses (status {status}{message}). {hint}")]
    Refused {
        /// The address.
        url: String,
        /// 401 or 403.
        status: u16,
        /// The server's message: empty, or text after a colon.
        message: String,
        /// Advice on the token.
        hint: &'static str,
    },
    /// A listed file that does not exist.
    #[error("{url}: the server lists this file but does not have it; try again, or name another revision")]
    NoFile {
        /// The file.
        url: String,
    },
    /// A failure of the server.
    #[error("{url}: the server failed (status {status}{message}); try again later")]
    Server {
        /// The address.
        url: String,
        /// The status.
        status: u16,
        /// The server's message: empty, or text after a colon.
        message: String,
    },
    /// A transfer that was interrupted in every attempt.
    #[error("{url}: {reason}; try again to continue the download")]
    Interrupted {
        /// The address.
        url: String,
        /// The reason.
        reason: String,
    },
    /// A server that does not follow the hub's protocol.
    #[error("{url}: {reason}; is HF_ENDPOINT the address of a hub?")]
    Protocol {
        /// The address.
        url: String,
        /// The deviation.
        reason: String,
    },
    /// A file name that leaves its folder.
    #[error("`{id}` has a file named {file:?}, which leaves its folder; the model is refused")]
    UnsafeName {
        /// The model.
        id: String,
        /// The name.
        file: String,
    },
    /// A model without weights in a form that is read.
    #[error(
        "`{id}` has no weights as safetensors or in PyTorch's form{found}; convert it in Python with \
         `SentenceTransformer(\"{id}\").save_pretrained(\"folder\")` and name that folder"
    )]
    NoWeights {
        /// The model.
        id: String,
        /// Weights in other formats: empty, or text after a comma.
        found: String,
    },
    /// A repository without a file that every encoder needs.
    #[error("`{id}` has no {file}, so it is not a supported sentence encoder; check the name and the revision")]
    NotEncoder {
        /// The model.
        id: String,
        /// The missing file.
        file: String,
    },
    /// A file with a wrong checksum.
    #[error("{path}: the checksum is {found}, expected {expected}; the download was damaged, try again")]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The checksum.
        found: String,
        /// The expected checksum.
        expected: String,
    },
    /// A name under which nothing can be pushed.
    #[error("`{0}` is not a name of the form `organisation/model`, under which a model can be pushed")]
    PushName(String),
    /// A branch that cannot exist.
    #[error("`{0}` cannot be the name of a branch; use letters, digits, `-`, `_`, `.` and `/`")]
    BranchName(String),
    /// A folder that is not that of a model, or has a file that cannot be pushed.
    #[error("{path}: {reason}")]
    PushFolder {
        /// The folder or file.
        path: PathBuf,
        /// The problem and its remedy.
        reason: String,
    },
    /// A push while the network is turned off.
    #[error("{0} turns the network off; unset it to push a model")]
    PushOffline(String),
    /// A push to a hub that does not answer.
    #[error("{endpoint} cannot be reached: {reason}. Check the network, HTTPS_PROXY and HF_ENDPOINT")]
    NoConnection {
        /// The address of the hub.
        endpoint: String,
        /// The reason.
        reason: String,
    },
    /// A push without a token, or with an invalid one.
    #[error(
        "{endpoint} needs a valid token to push a model{message}; set HF_TOKEN to one with write access (from the hub's page \
         Settings, Access Tokens), or run `hf auth login`"
    )]
    PushToken {
        /// The address of the hub.
        endpoint: String,
        /// The server's message: empty, or text in brackets.
        message: String,
    },
    /// A push without the right to write.
    #[error(
        "the token may not write to {endpoint}/{id} (status {status}{message}); use a token with write access to it, or push to \
         a name of your own"
    )]
    PushRight {
        /// The model.
        id: String,
        /// The address of the hub.
        endpoint: String,
        /// The status.
        status: u16,
        /// The server's message: empty, or text after a colon.
        message: String,
    },
    /// A private push to a public repository.
    #[error("{endpoint}/{id} exists and is public; make it private on its page Settings, or push without --private")]
    Public {
        /// The model.
        id: String,
        /// The address of the hub.
        endpoint: String,
    },
    /// Metadata that the hub does not accept.
    #[error("README.md: the hub does not accept the metadata between the lines `---`: {0}")]
    Metadata(String),
    /// A file or a commit that is too large for the hub.
    #[error("{url}: too large for the server (status 413{message}); see the limits of its page \"Storage limits\"")]
    TooLarge {
        /// The address.
        url: String,
        /// The server's message: empty, or text after a colon.
        message: String,
    },
    /// A request of a push that the server rejects.
    #[error("{url}: the server rejects the request (status {status}{message})")]
    Rejected {
        /// The address.
        url: String,
        /// The status.
        status: u16,
        /// The server's message: empty, or text after a colon.
        message: String,
    },
    /// An upload that was interrupted in every attempt.
    #[error("{url}: {reason}; run the same command again: large files that have arrived are not sent again")]
    UploadInterrupted {
        /// The address.
        url: String,
        /// The reason.
        reason: String,
    },
    /// A file that changed between the computation of its checksum and the end of its upload.
    #[error("{0}: the file changed while it was pushed; run the command again when nothing writes to it")]
    PushChanged(PathBuf),
    /// A file that cannot be read or written.
    #[error("{path}: {source}{}", remedy(.source))]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
}

impl HubError {
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; free space, or set HF_HOME to a folder on a larger disk; the download will continue"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotADirectory => {
            "; set HF_HOME or HF_HUB_CACHE to a folder that you may write to"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_reported_with_a_remedy() {
        let error = HubError::io(Path::new("cache/blob"))(ErrorKind::StorageFull.into()).to_string();
        assert!(error.starts_with("cache/blob: ") && error.contains("free space"), "{error}");
    }
}
