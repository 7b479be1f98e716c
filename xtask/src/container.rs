//! `cargo xtask container`: builds the image of `deploy/Containerfile` without a base image or
//! container tools. Collects the program and its libraries, tests them in a root of their own, and
//! packs them as an OCI archive.

mod archive;
mod start;

use crate::command::{cargo, run};
use anyhow::{Context, Result, bail, ensure};
use start::{CONTAINERFILE, Start};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const FOLDER: &str = "target/container";
const MOST_BYTES: u64 = 60_000_000;

/// Builds, collects, tests and packs the image.
pub(crate) fn container() -> Result<()> {
    cargo(&["build", "--release", "--locked", "-p", "maana-cli"])?;
    let folder = Path::new(FOLDER);
    let _ = std::fs::remove_dir_all(folder);
    let image = folder.join("root");
    run(Command::new("deploy/collect.sh").arg("target/release/maana").arg(&image))?;
    let program = std::fs::metadata(image.join("usr/bin/maana"))?.len();
    let all = bytes(&image)?;
    println!("the program has {}, the image {} without a model", megabytes(program), megabytes(all));
    ensure!(all < MOST_BYTES, "the image must be smaller than {}", megabytes(MOST_BYTES));
    let start = Start::read(&std::fs::read_to_string(CONTAINERFILE)?)?;
    test(&image, &start)?;
    let archive = archive::write(folder, &image, &start)?;
    println!(
        "{}: {}; load it with `podman load -i` or `skopeo copy oci-archive:`",
        archive.display(),
        megabytes(std::fs::metadata(&archive)?.len())
    );
    Ok(())
}

/// Starts the program as the image's user, with only the image's files and a model, and requests an
/// embedding.
fn test(image: &Path, start: &Start) -> Result<()> {
    let root = PathBuf::from(FOLDER).join("test");
    run(Command::new("cp").arg("-a").arg(image).arg(&root))?;
    run(Command::new("cp").args(["-r", "golden/tiny-bert/."]).arg(root.join("model")))?;
    let mut command = enter(&root, start)?;
    // The image's port may be in use on this machine.
    let arguments = start.arguments.iter().map(String::as_str).map(|word| if word == start.port { "0" } else { word });
    command.args(&start.entrypoint).args(arguments).stdout(Stdio::piped());
    println!("\n— {command:?}");
    let mut server = Running(command.spawn().with_context(|| format!("{command:?}"))?);
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().context("the server's output")?).read_line(&mut line)?;
    let port = line.trim().rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    let port = port.with_context(|| format!("the server printed {line:?} instead of its address"))?;
    ask(port, "GET", "/health/ready", "")?;
    let answer = ask(port, "POST", "/embed", r#"{"inputs":"Habari ya asubuhi."}"#)?;
    let rows: Vec<Vec<f32>> = serde_json::from_str(&answer).context("the answer of /embed")?;
    ensure!(rows.len() == 1 && !rows[0].is_empty(), "/embed answered {} rows for one text", rows.len());
    println!("the image runs as user {}, is ready, and returns {} numbers", start.user, rows[0].len());
    std::fs::remove_dir_all(root)?;
    Ok(())
}

/// Returns a command in another root: with the image's user if this is root, else in a namespace.
fn enter(root: &Path, start: &Start) -> Result<Command> {
    let user = Command::new("id").arg("-u").output().context("id -u")?;
    let mut command = Command::new(if user.stdout.trim_ascii() == b"0" { "chroot" } else { "unshare" });
    if user.stdout.trim_ascii() == b"0" {
        command.arg(format!("--userspec={}", start.user));
    } else {
        command.args(["--map-root-user", "chroot"]);
    }
    command.arg(root).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    Ok(command)
}

/// A process that is killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a request and returns the body; any status but 200 is an error.
fn ask(port: u16, method: &str, path: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).context("the server does not listen")?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n"
    );
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("{path}: no answer"))?;
    if head.split(' ').nth(1) != Some("200") {
        bail!("{path} answered {head} {body}");
    }
    Ok(body.to_owned())
}

/// Returns the size of all files below a folder.
fn bytes(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        sum += if about.is_dir() { bytes(&entry.path())? } else { about.len() };
    }
    Ok(sum)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
