//! Uploads of large files by the batch API of git LFS: with one request, or in parts, which the hub
//! joins (its extension of the protocol). Files that the storage already has are not sent.

use super::super::HubError;
use super::super::address::shown;
use super::super::client::Failure;
use super::super::progress::Progress;
use super::super::{EventHandler, HubOptions};
use super::folder::LocalFile;
use super::remote::Remote;
use maana_files::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

const LFS: &str = "application/vnd.git-lfs+json";
/// Address of the hub that servers use whatever address they were asked at.
const PUBLIC_ENDPOINT: &str = "https://huggingface.co";

/// Statuses of a storage server for an address that has expired.
const EXPIRED: [u16; 3] = [400, 403, 404];

/// Instructions of the hub for one file.
struct Instructions {
    upload: String,
    /// Bytes of a part, and the addresses of all parts in order.
    parts: Option<(u64, Vec<String>)>,
    verify: Option<String>,
}

/// Uploads a file, unless the storage has it. Returns whether it was sent.
pub(super) fn upload(
    remote: &Remote<'_>,
    file: &mut LocalFile,
    progress: &mut Progress,
    notify: &mut EventHandler<'_>,
) -> Result<bool, HubError> {
    let oid = file.sha256()?.to_owned();
    let size = file.size;
    let sent = remote.client.attempts(notify, |notify| {
        // Addresses expire, so that each attempt asks for new ones.
        let Some(instructions) = instructions(remote, &oid, size)? else { return Ok(false) };
        match &instructions.parts {
            None => send_whole(remote, &instructions.upload, file, &oid, progress, notify)?,
            Some((length, addresses)) => {
                send_parts(remote, &instructions.upload, (*length, addresses), file, &oid, progress, notify)?;
            }
        }
        if let Some(url) = &instructions.verify {
            let body = json!({"oid": oid, "size": size}).to_string();
            remote.sent(url, remote.client.post(url, LFS, body.as_bytes())?)?;
        }
        Ok(true)
    })?;
    file.check_unchanged()?;
    progress.finish(size, notify);
    Ok(sent)
}

/// Requests the instructions for a file; `None` if the storage has it.
fn instructions(remote: &Remote<'_>, oid: &str, size: u64) -> Result<Option<Instructions>, Failure> {
    let client = remote.client;
    let url = format!("{}/{}.git/info/lfs/objects/batch", client.options.endpoint, client.id);
    let mut body = json!({
        "operation": "upload",
        "transfers": ["basic", "multipart"],
        "objects": [{"oid": oid, "size": size}],
        "hash_algo": "sha256",
    });
    // Who may read may open a pull request, but not write to its target.
    if !remote.pull_request {
        body["ref"] = json!({"name": client.revision});
    }
    let answer = remote.ask(&url, LFS, body.to_string().as_bytes())?;
    let wrong = |reason: &str| Failure::from(client.protocol(&url, reason.into()));
    let object = answer["objects"].as_array().into_iter().flatten().find(|object| object["oid"] == oid);
    let object = object.ok_or_else(|| wrong("the answer lacks the file of the request"))?;
    if let Some(error) = object["error"].as_object() {
        let (status, said) = (error.get("code").and_then(Value::as_u64), error.get("message").and_then(Value::as_str));
        let (status, message) = (status.unwrap_or(0) as u16, format!(": {}", said.unwrap_or("no message")));
        return Err(match status {
            413 => HubError::TooLarge { url: shown(&url), message },
            _ => HubError::Rejected { url: shown(&url), status, message },
        }
        .into());
    }
    let action = |name: &str| object["actions"][name]["href"].as_str().map(|href| address(href, client.options));
    let Some(upload) = action("upload") else { return Ok(None) };
    let header = &object["actions"]["upload"]["header"];
    let parts = match &header["chunk_size"] {
        Value::Null => None,
        length => {
            let length = length.as_u64().or_else(|| length.as_str()?.parse().ok()).filter(|length| *length > 0);
            let length = length.ok_or_else(|| wrong("the size of parts is not a number above 0"))?;
            let addresses = (1..=size.div_ceil(length)).map_while(|part| {
                let keys = [part.to_string(), format!("{part:05}")];
                keys.iter().find_map(|key| header[key].as_str()).map(|href| address(href, client.options))
            });
            let addresses: Vec<String> = addresses.collect();
            if addresses.len() as u64 != size.div_ceil(length) {
                return Err(wrong("the answer has no address for each part of the file"));
            }
            Some((length, addresses))
        }
    };
    Ok(Some(Instructions { upload, parts, verify: action("verify") }))
}

/// Returns an address of the hub at the endpoint that is used.
fn address(href: &str, options: &HubOptions) -> String {
    match href.strip_prefix(PUBLIC_ENDPOINT).filter(|rest| rest.starts_with('/')) {
        Some(rest) => format!("{}{rest}", options.endpoint),
        None => href.to_owned(),
    }
}

fn send_whole(
    remote: &Remote<'_>,
    url: &str,
    file: &LocalFile,
    oid: &str,
    progress: &mut Progress,
    notify: &mut EventHandler<'_>,
) -> Result<(), Failure> {
    let (hash, _) = send_range(remote, url, file, (0, file.size), Sha256::new(), progress, notify)?;
    check_sent(file, hash, oid)
}

fn send_parts(
    remote: &Remote<'_>,
    complete: &str,
    (length, addresses): (u64, &[String]),
    file: &LocalFile,
    oid: &str,
    progress: &mut Progress,
    notify: &mut EventHandler<'_>,
) -> Result<(), Failure> {
    let mut hash = Sha256::new();
    let mut parts = Vec::new();
    for (index, url) in addresses.iter().enumerate() {
        let start = index as u64 * length;
        let range = (start, length.min(file.size - start));
        // A part that fails is sent again on its own.
        let sent = remote.client.attempts(notify, |notify| {
            let sent = send_range(remote, url, file, range, hash.clone(), progress, notify);
            sent.map_err(|failure| match *failure.error {
                HubError::Server { status, .. } if EXPIRED.contains(&status) => Failure { retry: false, ..failure },
                _ => failure,
            })
        });
        let (so_far, etag) = sent.map_err(|error| match error {
            HubError::Server { status, .. } if EXPIRED.contains(&status) => Failure::transient(error),
            _ => error.into(),
        })?;
        hash = so_far;
        let etag = etag.ok_or_else(|| remote.client.protocol(url, "the answer for a part has no ETag".into()))?;
        parts.push(json!({"partNumber": index + 1, "etag": etag}));
    }
    check_sent(file, hash, oid)?;
    let body = json!({"oid": oid, "parts": parts}).to_string();
    remote.sent(complete, remote.client.post(complete, LFS, body.as_bytes())?)?;
    Ok(())
}

/// Sends a range of a file, given as start and length. Returns the checksum continued over its
/// bytes, and the ETag of the answer.
fn send_range(
    remote: &Remote<'_>,
    url: &str,
    file: &LocalFile,
    (start, length): (u64, u64),
    hash: Sha256,
    progress: &mut Progress,
    notify: &mut EventHandler<'_>,
) -> Result<(Sha256, Option<String>), Failure> {
    let opened = || -> io::Result<File> {
        let mut opened = maana_files::open(&file.path)?;
        opened.seek(SeekFrom::Start(start))?;
        Ok(opened)
    };
    let source = opened().map_err(HubError::io(&file.path))?;
    let mut body = Outgoing { source, left: length, passed: start, hash, fault: None, progress, notify };
    let sent = remote.client.put(url, length, &mut body);
    let Outgoing { hash, fault, .. } = body;
    match fault {
        Some(fault) if fault.kind() == ErrorKind::UnexpectedEof => {
            return Err(HubError::PushChanged(file.path.clone()).into());
        }
        Some(fault) => return Err(HubError::io(&file.path)(fault).into()),
        None => {}
    }
    let response = remote.sent(url, sent?)?;
    let etag = response.headers().get("etag").and_then(|etag| etag.to_str().ok()).map(String::from);
    Ok((hash, etag))
}

/// Returns an error if the bytes that were sent are not those of the checksum.
fn check_sent(file: &LocalFile, hash: Sha256, oid: &str) -> Result<(), Failure> {
    if hex(&hash.finalize()) == oid { Ok(()) } else { Err(HubError::PushChanged(file.path.clone()).into()) }
}

/// The body of an upload: counts and hashes what is sent.
struct Outgoing<'a, 'b> {
    source: File,
    left: u64,
    /// Bytes of the file before those that are left.
    passed: u64,
    hash: Sha256,
    /// Error of the disk, which the connection would hide.
    fault: Option<io::Error>,
    progress: &'a mut Progress,
    notify: &'a mut EventHandler<'b>,
}

impl Read for Outgoing<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let length = match self.source.read(&mut buffer[..wanted]) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            other => other,
        };
        let length = length.inspect_err(|error| self.fault = Some(error.kind().into()))?;
        self.hash.update(&buffer[..length]);
        self.left -= length as u64;
        self.passed += length as u64;
        self.progress.notify(self.passed, self.notify);
        Ok(length)
    }
}
