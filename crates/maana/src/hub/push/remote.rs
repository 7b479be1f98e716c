//! The hub's routes that write: repositories, branches and commits.

use super::super::HubError;
use super::super::address::escape;
use super::super::client::{Client, Failure};
use super::folder::LocalFile;
use super::refusal::{message, refusal};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use ureq::http::Response;

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
/// Files of one question about the way of their upload.
const FILES_PER_REQUEST: usize = 256;

/// A repository of the hub.
pub(super) struct Remote<'a> {
    pub(super) client: &'a Client<'a>,
    /// Commits become a pull request.
    pub(super) pull_request: bool,
}

/// An existing repository.
pub(super) struct Repository {
    pub(super) private: bool,
}

/// The way in which the hub takes a file.
pub(super) struct UploadMode {
    /// Through the storage of large files.
    pub(super) lfs: bool,
    /// Excluded by the repository's `.gitignore`.
    pub(super) ignored: bool,
    /// Checksum of the file that is there: SHA-256 of a large file, git's name of another one.
    pub(super) remote: Option<String>,
}

/// A line of a commit.
pub(super) enum Change<'a> {
    /// A small file with its content.
    Regular { name: &'a str, content: Vec<u8> },
    /// A file that has been uploaded.
    Large { name: &'a str, sha256: &'a str, size: u64 },
}

/// A new commit.
pub(super) struct Commit {
    /// Its page, or that of the pull request.
    pub(super) address: String,
}

impl Remote<'_> {
    /// Returns the repository, if it exists and the token may read it.
    pub(super) fn repository(&self) -> Result<Option<Repository>, Failure> {
        let url = format!("{}/api/models/{}", self.client.options.endpoint, self.client.id);
        match self.client.get_json(&url) {
            Ok(json) => Ok(Some(Repository { private: json["private"].as_bool().unwrap_or(false) })),
            Err(failure) => match *failure.error {
                HubError::NoModel { .. } => Ok(None),
                HubError::Refused { message, .. } => {
                    let endpoint = self.client.options.endpoint.clone();
                    Err(HubError::PushToken { endpoint, message: format!(" ({})", message.trim_start_matches(": ")) }
                        .into())
                }
                _ => Err(failure),
            },
        }
    }

    /// Creates the repository.
    pub(super) fn create(&self, private: bool) -> Result<(), Failure> {
        let (organization, name) = self.client.id.split_once('/').expect("a name with its owner was required");
        let mut settings = json!({"name": name, "organization": organization, "type": "model"});
        if private {
            settings["visibility"] = json!("private");
        }
        let url = format!("{}/api/repos/create", self.client.options.endpoint);
        let response = self.client.post(&url, JSON, settings.to_string().as_bytes())?;
        match response.status().as_u16() {
            200..=299 => Ok(()),
            // Another process has created it meanwhile.
            409 if message(self.client, &response).contains("already") => Ok(()),
            _ => Err(refusal(self.client, &url, &response)),
        }
    }

    /// Creates the branch, if it does not exist.
    pub(super) fn create_branch(&self, branch: &str) -> Result<(), Failure> {
        let url = self.api(&format!("branch/{}", escape(branch, false)));
        let response = self.client.post(&url, JSON, b"{}")?;
        match response.status().as_u16() {
            200..=299 | 409 => Ok(()),
            _ => Err(refusal(self.client, &url, &response)),
        }
    }

    /// Checks the metadata of a card. Returns the hub's warnings.
    pub(super) fn check_metadata(&self, card: &str) -> Result<Vec<String>, Failure> {
        let url = format!("{}/api/validate-yaml", self.client.options.endpoint);
        let body = json!({"content": card, "repoType": "model"}).to_string();
        let response = self.client.post(&url, JSON, body.as_bytes())?;
        let json: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        match response.status().as_u16() {
            200..=299 => {
                let warnings = json["warnings"].as_array().into_iter().flatten();
                Ok(warnings.filter_map(|warning| warning["message"].as_str().map(String::from)).collect())
            }
            400 | 422 => Err(HubError::Metadata(message(self.client, &response)).into()),
            // A mirror without this route.
            404 | 405 => Ok(Vec::new()),
            _ => Err(refusal(self.client, &url, &response)),
        }
    }

    /// Requests the way in which the hub takes each file.
    pub(super) fn upload_modes(&self, files: &[LocalFile]) -> Result<Vec<UploadMode>, Failure> {
        let url = self.with_flags(self.api(&format!("preupload/{}", escape(self.client.revision, false))));
        let mut modes = Vec::new();
        for files in files.chunks(FILES_PER_REQUEST) {
            let entry = |file: &LocalFile| -> Result<Value, HubError> {
                Ok(json!({"path": file.name, "sample": STANDARD.encode(file.sample()?), "size": file.size}))
            };
            let entries = files.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
            let answer = self.ask(&url, JSON, json!({"files": entries}).to_string().as_bytes())?;
            for file in files {
                let found = answer["files"].as_array().into_iter().flatten().find(|mode| mode["path"] == *file.name);
                let mode = found.and_then(|mode| Some((mode, mode["uploadMode"].as_str()?)));
                let Some((mode, way @ ("lfs" | "regular"))) = mode else {
                    let reason = format!("the answer has no way to upload {}", file.name);
                    return Err(self.client.protocol(&url, reason).into());
                };
                modes.push(UploadMode {
                    // The storage of large files takes no empty ones.
                    lfs: way == "lfs" && file.size > 0 && !file.is_edited(),
                    ignored: mode["shouldIgnore"].as_bool().unwrap_or(false),
                    remote: mode["oid"].as_str().map(String::from),
                });
            }
        }
        Ok(modes)
    }

    /// Commits the changes.
    pub(super) fn commit(&self, summary: &str, changes: &[Change<'_>]) -> Result<Commit, Failure> {
        let url = self.with_flags(self.api(&format!("commit/{}", escape(self.client.revision, false))));
        let mut lines = json!({"key": "header", "value": {"summary": summary, "description": ""}}).to_string();
        for change in changes {
            let line = match change {
                Change::Regular { name, content } => {
                    let value = json!({"content": STANDARD.encode(content), "path": name, "encoding": "base64"});
                    json!({"key": "file", "value": value})
                }
                Change::Large { name, sha256, size } => {
                    let value = json!({"path": name, "algo": "sha256", "oid": sha256, "size": size});
                    json!({"key": "lfsFile", "value": value})
                }
            };
            lines += "\n";
            lines += &line.to_string();
        }
        lines += "\n";
        let answer = self.ask(&url, LINES, lines.as_bytes())?;
        let key = if self.pull_request { "pullRequestUrl" } else { "commitUrl" };
        match answer[key].as_str() {
            Some(address) => Ok(Commit { address: address.to_owned() }),
            None => Err(self.client.protocol(&url, format!("the answer has no `{key}`")).into()),
        }
    }

    /// Sends a request and reads its answer in JSON.
    pub(super) fn ask(&self, url: &str, kind: &str, body: &[u8]) -> Result<Value, Failure> {
        let response = self.sent(url, self.client.post(url, kind, body)?)?;
        Ok(self.client.json(url, response.body())?)
    }

    /// Returns a successful answer, or the failure that another one means.
    pub(super) fn sent(&self, url: &str, response: Response<Vec<u8>>) -> Result<Response<Vec<u8>>, Failure> {
        if response.status().is_success() { Ok(response) } else { Err(refusal(self.client, url, &response)) }
    }

    fn api(&self, route: &str) -> String {
        format!("{}/api/models/{}/{route}", self.client.options.endpoint, self.client.id)
    }

    fn with_flags(&self, url: String) -> String {
        if self.pull_request { url + "?create_pr=1" } else { url }
    }
}
