//! Packs an image as an OCI archive: one layer, its configuration, a manifest and an index, each
//! named by its checksum, in one `tar` file. Follows the OCI image specification 1.1. The same
//! files give the same bytes.

use super::start::Start;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Packs the files and the start of `image`; returns the path of the archive.
pub(super) fn write(folder: &Path, image: &Path, start: &Start) -> Result<PathBuf> {
    let layout = folder.join("layout");
    let blobs = layout.join("blobs/sha256");
    std::fs::create_dir_all(&blobs)?;
    let layer = folder.join("layer.tar");
    tar(image, &layer)?;
    let content = format!("sha256:{}", checksum(&layer)?);
    output(Command::new("gzip").args(["-n", "-9", "-f"]).arg(&layer))?;
    let layer = put(&blobs, &folder.join("layer.tar.gz"), "application/vnd.oci.image.layer.v1.tar+gzip")?;
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {
            "User": start.user,
            "ExposedPorts": {format!("{}/tcp", start.port): {}},
            "Env": ["PATH=/usr/bin", start.environment],
            "Entrypoint": start.entrypoint,
            "Cmd": start.arguments,
            "StopSignal": start.signal,
            "Labels": {"org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
                       "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE")},
        },
        "rootfs": {"type": "layers", "diff_ids": [content]},
    });
    let config = put_json(folder, &blobs, &config, "application/vnd.oci.image.config.v1+json")?;
    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
    let mut manifest = put_json(folder, &blobs, &manifest, MANIFEST)?;
    let name = concat!("maana:", env!("CARGO_PKG_VERSION"));
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    std::fs::write(layout.join("index.json"), index.to_string())?;
    std::fs::write(layout.join("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}).to_string())?;
    let archive = folder.join("maana.oci.tar");
    tar(&layout, &archive)?;
    std::fs::remove_dir_all(layout)?;
    Ok(archive)
}

/// Archives a folder in the order of names, without times and owners.
fn tar(folder: &Path, archive: &Path) -> Result<()> {
    let mut command = Command::new("tar");
    command.args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-cf"]);
    output(command.arg(archive).arg("-C").arg(folder).arg(".")).map(drop)
}

fn put_json(folder: &Path, blobs: &Path, value: &Value, kind: &str) -> Result<Value> {
    let file = folder.join("blob.json");
    std::fs::write(&file, value.to_string())?;
    put(blobs, &file, kind)
}

/// Moves a file to the name of its checksum, and returns its descriptor.
fn put(blobs: &Path, file: &Path, kind: &str) -> Result<Value> {
    let (digest, size) = (checksum(file)?, std::fs::metadata(file)?.len());
    std::fs::rename(file, blobs.join(&digest))?;
    Ok(json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": size}))
}

fn checksum(file: &Path) -> Result<String> {
    let line = output(Command::new("sha256sum").arg(file))?;
    line.split(' ').next().map(str::to_owned).context("sha256sum printed nothing")
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed: {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
