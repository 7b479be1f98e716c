//! What can go wrong between a model's name and its folder, each with what would mend it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Why a model was not found or not fetched.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The name is none.
    #[error("`{0}` is neither a folder nor a name of the form `organisation/model` or `organisation/model@revision`")]
    Name(String),
    /// The name is that of a file.
    #[error("`{0}` is a file; give the folder that holds the model")]
    File(String),
    /// The address of the hub is none.
    #[error("HF_ENDPOINT is `{0}`; expected an address such as https://huggingface.co")]
    Endpoint(String),
    /// The network may not be used, and the cache does not have the model.
    #[error(
        "`{name}` is not in the cache {cache} ({missing}), and {variable} turns the network off; unset {variable} to fetch the \
         model, or give its folder"
    )]
    Offline {
        /// The name.
        name: String,
        /// The cache that was searched.
        cache: PathBuf,
        /// The variable that turned the network off.
        variable: String,
        /// What the cache lacks.
        missing: String,
    },
    /// The hub did not answer.
    #[error(
        "`{name}` is not in the cache ({missing}), and {endpoint} cannot be reached: {reason}.{tried} Check the network, \
         HTTPS_PROXY and HF_ENDPOINT, or give the folder of the model"
    )]
    Unreachable {
        /// The model.
        name: String,
        /// What the cache lacks.
        missing: String,
        /// Whom was asked.
        endpoint: String,
        /// What happened.
        reason: String,
        /// What else was tried: empty, or a sentence behind a space.
        tried: String,
    },
    /// There is no such model, or it is not shown to everybody.
    #[error(
        "{endpoint} has no model `{id}`, or it is private, and there is no folder of that name; check the spelling. {hint}"
    )]
    NoModel {
        /// The model.
        id: String,
        /// Whom was asked.
        endpoint: String,
        /// What to do about the token.
        hint: &'static str,
    },
    /// The model has no such branch, tag or commit.
    #[error(
        "{endpoint}/{id} has no branch, tag or commit `{revision}`; its page lists them under \"Files and versions\""
    )]
    NoRevision {
        /// The model.
        id: String,
        /// What was asked for.
        revision: String,
        /// Whom was asked.
        endpoint: String,
    },
    /// The model wants its conditions accepted.
    #[error("{endpoint}/{id} is open only to those who accepted its conditions: do so on that page. {hint}")]
    Gated {
        /// The model.
        id: String,
        /// Whom was asked.
        endpoint: String,
        /// What to do about the token.
        hint: &'static str,
    },
    /// The hub knows the model but does not give it.
    #[error("{url}: the server refuses (status {status}{said}). {hint}")]
    Refused {
        /// What was asked for.
        url: String,
        /// 401 or 403.
        status: u16,
        /// What the server said.
        said: String,
        /// What to do about the token.
        hint: &'static str,
    },
    /// A file that was listed is not there.
    #[error("{url}: the server lists this file but does not have it; try again, or name another revision")]
    NoFile {
        /// The file.
        url: String,
    },
    /// The server answers with a failure.
    #[error("{url}: the server failed (status {status}{said}); try again later")]
    Server {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
        /// What the server said.
        said: String,
    },
    /// The transfer broke off, as often as it was tried.
    #[error("{url}: {reason}; try again, what has arrived is kept")]
    Interrupted {
        /// What was being fetched.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The server does not speak as the hub does.
    #[error("{url}: {reason}; is HF_ENDPOINT the address of a hub?")]
    Protocol {
        /// What was asked for.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A file name that leads out of the folder.
    #[error("`{id}` has a file named {file:?}, which would lead out of its folder; the model is refused")]
    UnsafeName {
        /// The model.
        id: String,
        /// The name.
        file: String,
    },
    /// The weights are only there in forms that are not read.
    #[error(
        "`{id}` has no safetensors weights{found}; convert it in Python with \
         `SentenceTransformer(\"{id}\").save_pretrained(\"folder\")` and give that folder"
    )]
    NoSafetensors {
        /// The model.
        id: String,
        /// What is there instead: empty, or words behind a comma.
        found: String,
    },
    /// The repository lacks a file that every encoder has.
    #[error(
        "`{id}` has no {file}, so it is not a sentence encoder that can be opened; check the name and the revision"
    )]
    NotEncoder {
        /// The model.
        id: String,
        /// What it lacks.
        file: String,
    },
    /// What was fetched is not what it should be.
    #[error("{path}: the checksum is {found}, expected {expected}; the download was damaged, try again")]
    Checksum {
        /// The file.
        path: PathBuf,
        /// What it has.
        found: String,
        /// What it should have.
        expected: String,
    },
    /// A file that cannot be read or written.
    #[error("{path}: {source}{}", remedy(.source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
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
            "; make room, or set HF_HOME to a folder on a larger disk: what has arrived is kept"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotADirectory => {
            "; set HF_HOME or HF_HUB_CACHE to a folder that you may write to"
        }
        _ => "",
    }
}
