//! Fetches the files of an encoder that the cache lacks, and publishes them as one snapshot.

use super::cache::{CachedModel, Link, create_folder};
use super::checksum;
use super::client::{Client, Failure, Info, plain_etag};
use super::progress::{Progress, size};
use super::repository::{MODULES, Module, Weights, shards, small_files, stays_inside};
use super::{EventHandler, HubError, HubEvent};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;
use ureq::Body;
use ureq::http::{Response, StatusCode};

/// Bytes between two failures that reset the count of retries.
const PROGRESS_BYTES: u64 = 1 << 20;
/// Largest model.
const MODEL_BYTES: u64 = 1 << 40;
/// Largest file of unknown length.
const UNKNOWN_LENGTH_BYTES: u64 = 1 << 34;
/// Largest file that lists other files.
const LISTING_BYTES: u64 = 1 << 26;

/// Age at which an untouched part of a download is removed; younger parts are continued.
const PART_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Fetches the client's revision into the cache. The caller holds the lock. With `again`, cached
/// files are compared with their checksums, and files without one are replaced.
pub(super) fn fetch(
    client: &Client<'_>,
    cached: &CachedModel,
    again: bool,
    notify: &mut EventHandler<'_>,
) -> Result<(), HubError> {
    let Info { commit, files } = client.info(notify)?;
    if let Some(file) = files.keys().find(|file| !stays_inside(file)) {
        return Err(HubError::UnsafeName { id: client.id.into(), file: file.clone() });
    }
    create_folder(&cached.folder.join("blobs"))?;
    remove_old_parts(&cached.folder.join("blobs"));
    let mut download = Download {
        client,
        cached,
        commit: &commit,
        files: &files,
        again,
        links: Vec::new(),
        progress: Progress::new(),
    };

    let listed = match download.read(MODULES, notify)? {
        Some(json) => Module::list(&json),
        None => Module::plain(),
    };
    let mut modules = Vec::new();
    for module in listed {
        if let Some(file) = module.further_modules() {
            modules.extend(module.routed(&download.read(&file, notify)?.unwrap_or_default()));
        }
        modules.push(module.or_adapter(|file| files.contains_key(file)));
    }
    let snapshot = cached.snapshot(&commit);
    let mut lacking = download.required(&modules, notify)?;
    lacking.retain(|file| again || !snapshot.join(file).exists());
    let total = lacking.iter().filter_map(|file| files[*file]).fold(0, u64::saturating_add);
    if total > MODEL_BYTES {
        return Err(client.protocol(&client.file_url(&commit, ""), format!("the listed files have {total} bytes")));
    }
    download.progress.total = total;
    if !lacking.is_empty() {
        notify(HubEvent::Notice(&format!(
            "fetching {} at {} from {} into {}: {} files{}",
            client.id,
            &commit[..12],
            client.options.endpoint,
            client.options.cache.display(),
            lacking.len(),
            if total > 0 { format!(", {}", size(total)) } else { String::new() },
        )));
    }
    for file in lacking {
        download.fetch(file, notify)?;
    }
    cached.publish(&commit, client.revision, &download.links, client.options.links)
}

/// Removes parts of abandoned downloads. Errors do not prevent a download.
fn remove_old_parts(blobs: &Path) {
    for entry in std::fs::read_dir(blobs).into_iter().flatten().flatten() {
        let is_part = entry.path().extension().is_some_and(|ending| ending == "incomplete");
        let age = entry.metadata().and_then(|part| part.modified()).ok().and_then(|time| time.elapsed().ok());
        if is_part && age.is_some_and(|age| age > PART_AGE) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Download of one model.
struct Download<'a> {
    client: &'a Client<'a>,
    cached: &'a CachedModel,
    commit: &'a str,
    files: &'a BTreeMap<String, Option<u64>>,
    /// Do not trust cached files.
    again: bool,
    /// Files to publish.
    links: Vec<Link>,
    progress: Progress,
}

impl<'a> Download<'a> {
    /// Returns the required files, small ones first, so that errors occur before the weights are
    /// fetched.
    fn required(&mut self, modules: &[Module], notify: &mut EventHandler<'_>) -> Result<Vec<&'a str>, HubError> {
        let id = || self.client.id.to_owned();
        let present: BTreeSet<&str> = self.files.keys().map(String::as_str).collect();
        let mut required = small_files(present.iter().copied(), modules);
        let (mut weights, mut indices) = (Vec::new(), Vec::new());
        for module in modules {
            if let Some(config) = module.config().filter(|file| !present.contains(file.as_str())) {
                return Err(HubError::NotEncoder { id: id(), file: config });
            }
            let mut tokenizers = module.tokenizers();
            if !tokenizers.is_empty() && !tokenizers.iter().any(|file| present.contains(file.as_str())) {
                return Err(HubError::NotEncoder { id: id(), file: tokenizers.swap_remove(0) });
            }
            match Weights::of(module, |file| present.contains(file)) {
                Weights::None => {}
                Weights::Whole(file) => weights.push(file),
                Weights::Sharded(index, ending) => indices.push((module, index, ending)),
                Weights::Missing { foreign, .. } => {
                    let found = match (foreign, &*module.folder) {
                        (Some(file), _) => format!(", only {file}"),
                        (None, "") => String::new(),
                        (None, folder) => format!(" in {folder}"),
                    };
                    return Err(HubError::NoWeights { id: id(), found });
                }
            }
        }
        for (module, index, ending) in indices {
            let json = self.read(&index, notify)?.unwrap_or_default();
            let url = self.client.file_url(self.commit, &index);
            let named = shards(&json, ending);
            let named = named.ok_or_else(|| self.client.protocol(&url, "the index lists no valid shards".into()))?;
            weights.push(index);
            weights.extend(named.iter().map(|shard| module.file(shard)));
        }
        for file in weights {
            // Checks that the shards of the index exist.
            match present.get(file.as_str()) {
                Some(file) => required.push(file),
                None => return Err(HubError::NoFile { url: self.client.file_url(self.commit, &file) }),
            }
        }
        Ok(required)
    }

    /// Fetches a small file that lists other files.
    fn read(&mut self, file: &str, notify: &mut EventHandler<'_>) -> Result<Option<Vec<u8>>, HubError> {
        let Some((file, _)) = self.files.get_key_value(file) else { return Ok(None) };
        if self.files[file].is_some_and(|size| size > LISTING_BYTES) {
            let url = self.client.file_url(self.commit, file);
            return Err(self.client.protocol(&url, format!("the listed file has more than {LISTING_BYTES} bytes")));
        }
        let path = self.fetch(file, notify)?;
        maana_files::read(&path).map(Some).map_err(HubError::io(&path))
    }

    /// Fetches a file into the cache unless it is there, and returns its path.
    fn fetch(&mut self, file: &str, notify: &mut EventHandler<'_>) -> Result<std::path::PathBuf, HubError> {
        if let Some(link) = self.links.iter().find(|link| link.file == file) {
            return Ok(self.cached.blob(&link.blob));
        }
        let present = self.cached.snapshot(self.commit).join(file);
        if present.exists() && !self.again {
            return Ok(present);
        }
        let url = self.client.file_url(self.commit, file);
        let listed = self.files[file];
        let mut damaged = false;
        let name = self.client.attempts(notify, |notify| {
            let metadata = self.client.metadata(&url, self.commit)?;
            // The list of files is authoritative; a storage server may send another length or none.
            let size = listed.or(metadata.size);
            if size.is_none() && !checksum::is_checksum(&metadata.etag) {
                let reason =
                    "neither its length nor its checksum is known, so that a truncated file would go unnoticed";
                return Err(self.client.protocol(&url, reason.into()).into());
            }
            let name = checksum::blob_name(&metadata.etag, file);
            let blob = self.cached.blob(&name);
            let _lock = self.cached.lock_blob(&name)?;
            // The blob of another snapshot, or of a removed one, may have been damaged since it was
            // fetched.
            let has_evidence = !self.again || checksum::is_checksum(&metadata.etag);
            let is_right = |blob: Metadata| size.is_none_or(|size| size == blob.len());
            if has_evidence && blob.metadata().is_ok_and(is_right) && checksum::check(&blob, &metadata.etag).is_ok() {
                return Ok(name);
            }
            let part = self.cached.blob(&format!("{name}.incomplete"));
            let received = receive(self.client, &url, &part, &metadata.etag, size, &mut self.progress, notify)?;
            if let Err(error) = checksum::check(&part, &metadata.etag) {
                std::fs::remove_file(&part).map_err(HubError::io(&part))?;
                // The damage may be from an earlier process: retry once from the start.
                let retry = !std::mem::replace(&mut damaged, true);
                return Err(Failure { retry, ..error.into() });
            }
            received.sync_all().map_err(HubError::io(&part))?;
            drop(received);
            maana_files::rename(&part, &blob).map_err(HubError::io(&blob))?;
            Ok(name)
        })?;
        let blob = self.cached.blob(&name);
        let length = blob.metadata().map_err(HubError::io(&blob))?.len();
        self.progress.finish(length, notify);
        self.links.push(Link { file: file.into(), blob: name });
        Ok(blob)
    }
}

/// Appends the rest of a partial file.
fn receive(
    client: &Client<'_>,
    url: &str,
    part: &Path,
    etag: &str,
    size: Option<u64>,
    progress: &mut Progress,
    notify: &mut EventHandler<'_>,
) -> Result<File, Failure> {
    let mut file = maana_files::open_to_append(part).map_err(HubError::io(part))?;
    let empty = |file: &File| file.set_len(0).map_err(HubError::io(part));
    let mut offset = file.metadata().map_err(HubError::io(part))?.len();
    if size.is_some_and(|size| offset > size) {
        empty(&file)?;
        offset = 0;
    }
    if size == Some(offset) {
        return Ok(file);
    }
    let mut response = client.get(url, offset)?;
    let transient = |reason: &str| Failure::transient(HubError::Interrupted { url: url.into(), reason: reason.into() });
    let other = |name: &str| {
        let given = response.headers().get(name).and_then(|value| value.to_str().ok()).and_then(plain_etag);
        given.is_some_and(|given| given != etag)
    };
    // After a redirect the ETag is that of another server and proves nothing.
    if response.headers().contains_key("x-repo-commit") && other("x-linked-etag") {
        empty(&file)?;
        return Err(transient("the file changed during the download"));
    }
    match response.status() {
        StatusCode::PARTIAL_CONTENT if continues(&response, offset, size) => {}
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
            empty(&file)?;
            return Err(transient("the server does not continue the last transfer"));
        }
        StatusCode::OK => {
            if offset > 0 {
                empty(&file)?;
                offset = 0;
            }
        }
        status => return Err(client.protocol(url, format!("the answer has the status {}", status.as_u16())).into()),
    }

    let start = offset;
    let mut body = response.body_mut().as_reader();
    let mut buffer = vec![0; 1 << 17];
    loop {
        let length = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) => {
                let failure = client.broken(url, error.into());
                return Err(Failure { progressed: offset - start >= PROGRESS_BYTES, ..failure });
            }
        };
        offset += length as u64;
        if offset > size.unwrap_or(UNKNOWN_LENGTH_BYTES) {
            empty(&file)?;
            return Err(client.protocol(url, "the file is longer than the hub states".into()).into());
        }
        file.write_all(&buffer[..length]).map_err(HubError::io(part))?;
        progress.notify(offset, notify);
    }
    if size.is_some_and(|size| offset < size) {
        let progressed = offset - start >= PROGRESS_BYTES;
        return Err(Failure { progressed, ..transient("the connection was cut before the end of the file") });
    }
    Ok(file)
}

/// Returns whether a partial answer begins at the end of the partial file, and belongs to a file of
/// the expected length.
fn continues(response: &Response<Body>, offset: u64, size: Option<u64>) -> bool {
    let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
    let Some((range, total)) = range.and_then(|range| range.strip_prefix("bytes ")?.split_once('/')) else {
        return false;
    };
    let starts = range.split_once('-').is_some_and(|(start, _)| start.parse() == Ok(offset));
    starts && (total == "*" || size.is_none_or(|size| total.parse() == Ok(size)))
}
