//! From the hub into the cache: asks what there is, fetches what an encoder needs and the cache lacks, publishes it as a whole.

use super::cache::{Link, Place, create_folder};
use super::checksum;
use super::client::{Client, Failure, Info, plain_etag};
use super::wanted::{MODULES, Module, TOKENIZERS, Weights, shards, small_files, stays_inside};
use super::{HubError, News, Tell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use ureq::Body;
use ureq::http::{Response, StatusCode};

/// So much must arrive between two failures for the patience to begin anew.
const GAIN_BYTES: u64 = 1 << 20;
/// A model of more bytes than these is refused, and so is a file whose length nobody tells once it has grown to them.
const MODEL_BYTES: u64 = 1 << 40;
const UNTOLD_BYTES: u64 = 1 << 34;
/// The most bytes of a file that decides what else is needed.
const DECIDING_BYTES: u64 = 1 << 26;
const TELL_EVERY: Duration = Duration::from_millis(100);

/// Fetches the client's revision into its place. To be called with the lock.
pub(super) fn fetch(client: &Client<'_>, place: &Place, tell: &mut Tell<'_>) -> Result<(), HubError> {
    let Info { commit, files } = client.info(tell)?;
    if let Some(file) = files.keys().find(|file| !stays_inside(file)) {
        return Err(HubError::UnsafeName { id: client.id.into(), file: file.clone() });
    }
    create_folder(&place.folder.join("blobs"))?;
    let mut work = Work { client, place, commit: &commit, files: &files, links: Vec::new(), progress: Progress::new() };

    let modules = match work.read(MODULES, tell)? {
        Some(json) => Module::list(&json),
        None => Module::plain(),
    };
    let snapshot = place.snapshot(&commit);
    let mut lacking = work.wanted(&modules, tell)?;
    lacking.retain(|file| !snapshot.join(file).exists());
    let total = lacking.iter().filter_map(|file| files[*file]).fold(0, u64::saturating_add);
    if total > MODEL_BYTES {
        return Err(client.protocol(&client.file_url(&commit, ""), format!("the files are said to have {total} bytes")));
    }
    work.progress.total = total;
    if !lacking.is_empty() {
        tell(News::Notice(&format!(
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
        work.fetch(file, tell)?;
    }
    place.publish(&commit, client.revision, &work.links, client.options.links)
}

/// One fetching of one model.
struct Work<'a> {
    client: &'a Client<'a>,
    place: &'a Place,
    commit: &'a str,
    files: &'a BTreeMap<String, Option<u64>>,
    /// What is to be published.
    links: Vec<Link>,
    progress: Progress,
}

impl<'a> Work<'a> {
    /// The files that make the encoder; small ones first, so that what is wrong is seen before the weights come.
    fn wanted(&mut self, modules: &[Module], tell: &mut Tell<'_>) -> Result<Vec<&'a str>, HubError> {
        let id = || self.client.id.to_owned();
        let present: BTreeSet<&str> = self.files.keys().map(String::as_str).collect();
        let mut wanted = small_files(present.iter().copied(), modules);
        let (mut weights, mut indices) = (Vec::new(), Vec::new());
        for module in modules {
            let config = module.file("config.json");
            if module.has_config() && !present.contains(config.as_str()) {
                return Err(HubError::NotEncoder { id: id(), file: config });
            }
            let tokenizers = TOKENIZERS.map(|name| module.file(name));
            if module.kind == "Transformer" && !tokenizers.iter().any(|file| present.contains(file.as_str())) {
                return Err(HubError::NotEncoder { id: id(), file: tokenizers[0].clone() });
            }
            if !module.has_weights() {
                continue;
            }
            match Weights::of(module, &present) {
                Weights::Whole(file) => weights.push(file),
                Weights::Sharded(index) => indices.push((module, index)),
                Weights::Foreign(file) => {
                    return Err(HubError::NoSafetensors { id: id(), found: format!(", only {file}") });
                }
                Weights::Nowhere => {
                    let found = if module.folder.is_empty() { String::new() } else { format!(" in {}", module.folder) };
                    return Err(HubError::NoSafetensors { id: id(), found });
                }
            }
        }
        for (module, index) in indices {
            let json = self.read(&index, tell)?.unwrap_or_default();
            let url = self.client.file_url(self.commit, &index);
            let named = shards(&json);
            let named = named.ok_or_else(|| self.client.protocol(&url, "the index names no sound shards".into()))?;
            weights.push(index);
            weights.extend(named.iter().map(|shard| module.file(shard)));
        }
        for file in weights {
            // From the list, so that a shard which the index invents is found out here.
            match present.get(file.as_str()) {
                Some(file) => wanted.push(file),
                None => return Err(HubError::NoFile { url: self.client.file_url(self.commit, &file) }),
            }
        }
        Ok(wanted)
    }

    /// Fetches a small file that decides what else is needed.
    fn read(&mut self, file: &str, tell: &mut Tell<'_>) -> Result<Option<Vec<u8>>, HubError> {
        let Some((file, _)) = self.files.get_key_value(file) else { return Ok(None) };
        if self.files[file].is_some_and(|size| size > DECIDING_BYTES) {
            let url = self.client.file_url(self.commit, file);
            return Err(self
                .client
                .protocol(&url, format!("the file is said to have more than {DECIDING_BYTES} bytes")));
        }
        let path = self.fetch(file, tell)?;
        maana_files::read(&path).map(Some).map_err(HubError::io(&path))
    }

    /// Sees to it that a file is in the cache, and returns where.
    fn fetch(&mut self, file: &str, tell: &mut Tell<'_>) -> Result<std::path::PathBuf, HubError> {
        if let Some(link) = self.links.iter().find(|link| link.file == file) {
            return Ok(self.place.blob(&link.blob));
        }
        let there = self.place.snapshot(self.commit).join(file);
        if there.exists() {
            return Ok(there);
        }
        let url = self.client.file_url(self.commit, file);
        let listed = self.files[file];
        let mut damaged = false;
        let name = self.client.attempts(tell, |tell| {
            let metadata = self.client.metadata(&url, self.commit)?;
            // What the list of files says is kept to; the file's own server may say anything, or nothing.
            let size = listed.or(metadata.size);
            if size.is_none() && !checksum::is_checksum(&metadata.etag) {
                let reason = "neither its length nor its checksum is told, so that a part would be taken for the whole";
                return Err(self.client.protocol(&url, reason.into()).into());
            }
            let name = checksum::blob_name(&metadata.etag, file);
            let blob = self.place.blob(&name);
            let whole = || blob.metadata().is_ok_and(|blob| size.is_none_or(|size| size == blob.len()));
            if whole() {
                return Ok(name);
            }
            let _lock = self.place.lock_blob(&name)?;
            if whole() {
                return Ok(name);
            }
            let part = self.place.blob(&format!("{name}.incomplete"));
            let received = receive(self.client, &url, &part, &metadata.etag, size, &mut self.progress, tell)?;
            if let Err(error) = checksum::check(&part, &metadata.etag) {
                std::fs::remove_file(&part).map_err(HubError::io(&part))?;
                // What an earlier process left may have been the damage; once more from the start, and no oftener.
                let again = !std::mem::replace(&mut damaged, true);
                return Err(Failure { again, ..error.into() });
            }
            received.sync_all().map_err(HubError::io(&part))?;
            drop(received);
            maana_files::rename(&part, &blob).map_err(HubError::io(&blob))?;
            Ok(name)
        })?;
        let blob = self.place.blob(&name);
        let length = blob.metadata().map_err(HubError::io(&blob))?.len();
        self.progress.finish(length, tell);
        self.links.push(Link { file: file.into(), blob: name });
        Ok(blob)
    }
}

/// Brings a partial file to its full length, from where it ends.
fn receive(
    client: &Client<'_>,
    url: &str,
    part: &Path,
    etag: &str,
    size: Option<u64>,
    progress: &mut Progress,
    tell: &mut Tell<'_>,
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
    let passing = |reason: &str| Failure::passing(HubError::Interrupted { url: url.into(), reason: reason.into() });
    let other = |name: &str| {
        let given = response.headers().get(name).and_then(|value| value.to_str().ok()).and_then(plain_etag);
        given.is_some_and(|given| given != etag)
    };
    // Behind a redirect the ETag is that of another server, and no evidence.
    if response.headers().contains_key("x-repo-commit") && other("x-linked-etag") {
        empty(&file)?;
        return Err(passing("the file changed while it was fetched"));
    }
    match response.status() {
        StatusCode::PARTIAL_CONTENT if continues(&response, offset, size) => {}
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
            empty(&file)?;
            return Err(passing("the server does not continue where the last transfer ended"));
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
                return Err(Failure { gained: offset - start >= GAIN_BYTES, ..failure });
            }
        };
        offset += length as u64;
        if offset > size.unwrap_or(UNTOLD_BYTES) {
            empty(&file)?;
            return Err(client.protocol(url, "the file is longer than the hub says".into()).into());
        }
        file.write_all(&buffer[..length]).map_err(HubError::io(part))?;
        progress.tell(offset, tell);
    }
    if size.is_some_and(|size| offset < size) {
        let gained = offset - start >= GAIN_BYTES;
        return Err(Failure { gained, ..passing("the connection was cut before the end of the file") });
    }
    Ok(file)
}

/// Whether a partial answer begins where the file ends, and is part of a file of the right length.
fn continues(response: &Response<Body>, offset: u64, size: Option<u64>) -> bool {
    let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
    let Some((range, total)) = range.and_then(|range| range.strip_prefix("bytes ")?.split_once('/')) else {
        return false;
    };
    let starts = range.split_once('-').is_some_and(|(start, _)| start.parse() == Ok(offset));
    starts && (total == "*" || size.is_none_or(|size| total.parse() == Ok(size)))
}

/// How much has arrived.
struct Progress {
    /// Bytes of files that are finished.
    finished: u64,
    total: u64,
    told: Instant,
}

impl Progress {
    fn new() -> Self {
        Self { finished: 0, total: 0, told: Instant::now() }
    }

    /// `current` bytes of the current file have arrived.
    fn tell(&mut self, current: u64, tell: &mut Tell<'_>) {
        if self.total > 0 && self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            tell(News::Progress { done: (self.finished + current).min(self.total), total: self.total });
        }
    }

    fn finish(&mut self, length: u64, tell: &mut Tell<'_>) {
        self.finished += length;
        if self.total > 0 {
            tell(News::Progress { done: self.finished.min(self.total), total: self.total });
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
