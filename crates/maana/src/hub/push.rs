//! Pushes the folder of a model to the hub: creates the repository, uploads what it lacks, and
//! commits everything at once. Before the commit nothing of the new version is visible.

mod folder;
mod refusal;
mod remote;
mod upload;

use super::client::{Client, Failure};
use super::names::{is_id, is_revision};
use super::progress::{Progress, size};
use super::{EventHandler, HubError, HubEvent, HubOptions};
use folder::{Listing, LocalFile};
use remote::{Change, Remote, UploadMode};
use std::path::Path;
use std::time::Duration;
use upload::upload;

/// Summary of a commit, as the reference writes it.
const SUMMARY: &str = "Add new SentenceTransformer model";

/// Settings of a push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushSettings {
    /// Creates a private repository, and refuses a public one.
    pub private: bool,
    /// The branch, which is created if necessary. Default: `main`.
    pub revision: Option<String>,
    /// Summary of the commit.
    pub message: Option<String>,
    /// Opens a pull request instead of changing the branch.
    pub pull_request: bool,
    /// Leaves the repository's card as it is, if there is one.
    pub keep_card: bool,
}

/// A file of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushFile {
    /// Path in the repository.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// The repository has the same file, or a card that is kept.
    pub unchanged: bool,
}

/// Result of a dry run: the effects that a push would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushPlan {
    /// The repository would be created.
    pub new: bool,
    /// Files of the model.
    pub files: Vec<PushFile>,
    /// Files and folders that are not a part of the model.
    pub left_out: Vec<String>,
}

/// Outcome of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The page of the commit or of the pull request; that of the model if nothing had changed.
    pub address: String,
    /// Number of committed files.
    pub files: usize,
    /// Number of files that the repository had already.
    pub unchanged: usize,
}

/// Pushes a folder to `id`, which is `organisation/model`. Files that the repository has are not
/// sent again.
///
/// # Errors
/// If the folder is not that of a model, a file changes meanwhile, or the hub does not accept
/// something.
pub fn push(
    folder: &Path,
    id: &str,
    settings: &PushSettings,
    options: &HubOptions,
    notify: &mut EventHandler<'_>,
) -> Result<Pushed, HubError> {
    with_push(folder, id, settings, options, notify, |push, notify| push.run(notify))
}

/// Returns what [`push()`] would do. Requests to the hub change nothing there.
///
/// # Errors
/// As [`push()`].
pub fn plan_push(
    folder: &Path,
    id: &str,
    settings: &PushSettings,
    options: &HubOptions,
    notify: &mut EventHandler<'_>,
) -> Result<PushPlan, HubError> {
    with_push(folder, id, settings, options, notify, |push, notify| push.plan(notify))
}

fn with_push<T>(
    folder: &Path,
    id: &str,
    settings: &PushSettings,
    options: &HubOptions,
    notify: &mut EventHandler<'_>,
    action: impl FnOnce(&mut Push<'_>, &mut EventHandler<'_>) -> Result<T, HubError>,
) -> Result<T, HubError> {
    if !is_id(id) || !id.contains('/') {
        return Err(HubError::PushName(id.into()));
    }
    let revision = settings.revision.as_deref().unwrap_or("main");
    if !is_revision(revision) {
        return Err(HubError::BranchName(revision.into()));
    }
    let Listing { files, left_out } = Listing::of(folder, id)?;
    if let Some(variable) = &options.offline {
        return Err(HubError::PushOffline(variable.clone()));
    }
    if options.token.is_none() {
        return Err(HubError::PushToken { endpoint: options.endpoint.clone(), message: String::new() });
    }
    let client = Client::new(id, revision, options, Duration::MAX)?;
    let remote = Remote { client: &client, pull_request: settings.pull_request };
    let mut push = Push { settings, remote, files, left_out, progress: Progress::new() };
    action(&mut push, notify).map_err(|error| match error {
        HubError::Unreachable { endpoint, reason, .. } => HubError::NoConnection { endpoint, reason },
        HubError::Interrupted { url, reason } => HubError::UploadInterrupted { url, reason },
        other => other,
    })
}

/// A push under way.
struct Push<'a> {
    settings: &'a PushSettings,
    remote: Remote<'a>,
    files: Vec<LocalFile>,
    left_out: Vec<String>,
    progress: Progress,
}

impl Push<'_> {
    fn plan(&mut self, notify: &mut EventHandler<'_>) -> Result<PushPlan, HubError> {
        let client = self.remote.client;
        let exists = self.exists(notify)?;
        let modes = match exists {
            true => match client.attempts(notify, |_| self.remote.upload_modes(&self.files)) {
                // The branch would be created.
                Err(HubError::NoRevision { .. }) if self.settings.revision.is_some() => None,
                modes => Some(modes?),
            },
            false => None,
        };
        let mut files = Vec::new();
        for (index, file) in self.files.iter_mut().enumerate() {
            let unchanged = match modes.as_ref().map(|modes| &modes[index]) {
                Some(mode) if mode.ignored => {
                    self.left_out.push(file.name.clone());
                    continue;
                }
                Some(mode) => is_unchanged(file, mode, self.settings)?,
                None => false,
            };
            files.push(PushFile { name: file.name.clone(), size: file.size, unchanged });
        }
        Ok(PushPlan { new: !exists, files, left_out: std::mem::take(&mut self.left_out) })
    }

    fn run(&mut self, notify: &mut EventHandler<'_>) -> Result<Pushed, HubError> {
        let client = self.remote.client;
        self.check_card(notify)?;
        if !self.exists(notify)? {
            client.attempts(notify, |_| self.remote.create(self.settings.private))?;
        }
        if let Some(branch) = self.settings.revision.as_deref().filter(|branch| *branch != "main") {
            client.attempts(notify, |_| self.remote.create_branch(branch))?;
        }
        if !self.left_out.is_empty() {
            notify(HubEvent::Notice(&format!("not a part of the model: {}", self.left_out.join(", "))));
        }
        let bytes = self.files.iter().map(|file| file.size).sum();
        let (files, endpoint) = (self.files.len(), &client.options.endpoint);
        notify(HubEvent::Notice(&format!("pushing {files} files, {}, to {endpoint}/{}", size(bytes), client.id)));
        // If the answer to a commit is lost, the next round finds that nothing is left to do.
        client.attempts(notify, |notify| self.round(notify))
    }

    /// Returns whether the repository exists. Refuses a public one for a private push.
    fn exists(&self, notify: &mut EventHandler<'_>) -> Result<bool, HubError> {
        let client = self.remote.client;
        let found = client.attempts(notify, |_| self.remote.repository())?;
        if self.settings.private && found.as_ref().is_some_and(|repository| !repository.private) {
            return Err(HubError::Public { id: client.id.into(), endpoint: client.options.endpoint.clone() });
        }
        Ok(found.is_some())
    }

    /// Has the hub check the card, before anything is sent.
    fn check_card(&self, notify: &mut EventHandler<'_>) -> Result<(), HubError> {
        let Some(card) = self.files.iter().find(|file| file.name == "README.md") else { return Ok(()) };
        let text = String::from_utf8_lossy(&card.content()?).into_owned();
        let warnings = self.remote.client.attempts(notify, |_| self.remote.check_metadata(&text))?;
        for warning in warnings {
            notify(HubEvent::Notice(&format!("README.md: the hub warns: {warning}")));
        }
        Ok(())
    }

    /// Uploads what the repository lacks, and commits it.
    fn round(&mut self, notify: &mut EventHandler<'_>) -> Result<Pushed, Failure> {
        let modes = self.remote.upload_modes(&self.files)?;
        let mut changed = Vec::new();
        for (index, (file, mode)) in self.files.iter_mut().zip(&modes).enumerate() {
            if mode.ignored {
                notify(HubEvent::Notice(&format!("{} is left out by the repository's .gitignore", file.name)));
            } else if !is_unchanged(file, mode, self.settings)? {
                changed.push(index);
            }
        }
        let unchanged = modes.iter().filter(|mode| !mode.ignored).count() - changed.len();
        let client = self.remote.client;
        if changed.is_empty() {
            let address = format!("{}/{}", client.options.endpoint, client.id);
            return Ok(Pushed { address, files: 0, unchanged });
        }
        let large: Vec<usize> = changed.iter().copied().filter(|&index| modes[index].lfs).collect();
        self.progress = Progress::new();
        self.progress.total = large.iter().map(|&index| self.files[index].size).sum();
        for index in large {
            upload(&self.remote, &mut self.files[index], &mut self.progress, notify)?;
        }
        let summary = self.settings.message.as_deref().unwrap_or(SUMMARY);
        let mut changes = Vec::new();
        for &index in &changed {
            let file = &self.files[index];
            changes.push(match file.known_sha256().filter(|_| modes[index].lfs) {
                Some(sha256) => Change::Large { name: &file.name, sha256, size: file.size },
                None => Change::Regular { name: &file.name, content: file.content()? },
            });
            file.check_unchanged()?;
        }
        let commit = self.remote.commit(summary, &changes).map_err(|failure| match *failure.error {
            // A second pull request would be a mistake.
            HubError::Interrupted { .. } if self.remote.pull_request => Failure { retry: false, ..failure },
            _ => failure,
        })?;
        Ok(Pushed { address: commit.address, files: changes.len(), unchanged })
    }
}

/// Returns whether the repository has the same file, or a card that is kept.
fn is_unchanged(file: &mut LocalFile, mode: &UploadMode, settings: &PushSettings) -> Result<bool, HubError> {
    let Some(remote) = &mode.remote else { return Ok(false) };
    if settings.keep_card && file.name == "README.md" {
        return Ok(true);
    }
    let local = if mode.lfs { file.sha256()?.to_owned() } else { file.git_blob()? };
    Ok(*remote == local)
}
