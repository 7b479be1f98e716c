//! `cargo xtask container`: the image that `deploy/Containerfile` describes, made without a base image and without a tool for
//! containers: the program and the libraries it loads are collected, tried as a root of their own, and packed as an OCI archive.
//! How the image starts is read from the Containerfile, so that it is told once.

mod archive;

use crate::command::{cargo, run};
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const FOLDER: &str = "target/container";
const CONTAINERFILE: &str = "deploy/Containerfile";
const MOST_BYTES: u64 = 60_000_000;

/// Builds, collects, tries, packs.
pub(crate) fn container() -> Result<()> {
    cargo(&["build", "--release", "--locked", "-p", "maana-cli"])?;
    let folder = Path::new(FOLDER);
    let _ = std::fs::remove_dir_all(folder);
    let image = folder.join("root");
    run(Command::new("deploy/collect.sh").arg("target/release/maana").arg(&image))?;
    let program = std::fs::metadata(image.join("usr/bin/maana"))?.len();
    let all = bytes(&image)?;
    println!("the program takes {}, the image {} without a model", megabytes(program), megabytes(all));
    ensure!(all < MOST_BYTES, "the image is to stay under {}", megabytes(MOST_BYTES));
    let start = Start::read(&std::fs::read_to_string(CONTAINERFILE)?)?;
    try_it(&image, &start)?;
    let archive = archive::write(folder, &image, &start)?;
    println!(
        "{}: {}; load it with `podman load -i` or `skopeo copy oci-archive:`",
        archive.display(),
        megabytes(std::fs::metadata(&archive)?.len())
    );
    Ok(())
}

/// How an image starts: what the last stage of the Containerfile says.
struct Start {
    user: String,
    port: String,
    signal: String,
    environment: String,
    entrypoint: Vec<String>,
    arguments: Vec<String>,
}

impl Start {
    fn read(containerfile: &str) -> Result<Self> {
        let (_, last) = containerfile
            .rsplit_once("\nFROM scratch\n")
            .with_context(|| format!("{CONTAINERFILE}: the last stage is to be FROM scratch"))?;
        let line = |word: &str| {
            let found = last.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
            found.map(str::to_owned).with_context(|| format!("{CONTAINERFILE}: the last stage has no {word}"))
        };
        let list = |word: &str| {
            serde_json::from_str(&line(word)?)
                .with_context(|| format!("{CONTAINERFILE}: {word} is to be a list in JSON, as there is no shell"))
        };
        Ok(Self {
            user: line("USER")?,
            port: line("EXPOSE")?,
            signal: line("STOPSIGNAL")?,
            environment: line("ENV")?,
            entrypoint: list("ENTRYPOINT")?,
            arguments: list("CMD")?,
        })
    }
}

/// Starts the image's program as the image's user, with nothing but the image's files and a model, and asks it for an embedding.
fn try_it(image: &Path, start: &Start) -> Result<()> {
    let root = PathBuf::from(FOLDER).join("tried");
    run(Command::new("cp").arg("-a").arg(image).arg(&root))?;
    run(Command::new("cp").args(["-r", "golden/tiny-bert/."]).arg(root.join("model")))?;
    let mut command = enter(&root, start)?;
    // Another port than the image's, which may be taken here; the one given last counts.
    let arguments = start.arguments.iter().map(String::as_str).map(|word| if word == start.port { "0" } else { word });
    command.args(&start.entrypoint).args(arguments).stdout(Stdio::piped());
    println!("\n— {command:?}");
    let mut server = Running(command.spawn().with_context(|| format!("{command:?}"))?);
    let mut said = String::new();
    BufReader::new(server.0.stdout.take().context("the server has an output")?).read_line(&mut said)?;
    let port = said.trim().rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    let port = port.with_context(|| format!("the server said {said:?} instead of where it listens"))?;
    ask(port, "GET", "/health/ready", "")?;
    let answer = ask(port, "POST", "/embed", r#"{"inputs":"Habari ya asubuhi."}"#)?;
    let rows: Vec<Vec<f32>> = serde_json::from_str(&answer).context("the answer of /embed")?;
    ensure!(rows.len() == 1 && !rows[0].is_empty(), "/embed answered {} rows for one text", rows.len());
    println!("the image starts as user {}, is ready, and answers with {} numbers", start.user, rows[0].len());
    std::fs::remove_dir_all(root)?;
    Ok(())
}

/// A process with another root: as root with the image's user, else in a namespace of its own.
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

/// Ends with whoever looked after it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The body of an answer; any status but 200 is an error.
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

/// Bytes of all files below a folder.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_containerfile_says_how_the_image_starts() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = std::fs::read_to_string(root.join(CONTAINERFILE)).unwrap();
        let start = Start::read(&text).unwrap();
        assert_eq!(start.entrypoint, ["/usr/bin/maana"]);
        assert_eq!(start.arguments[0], "serve");
        assert!(start.arguments.contains(&start.port), "the port that is exposed is the one that is listened at");
        assert!(!start.user.starts_with('0') && start.user != "root", "the image does not run as root");
        let version = env!("CARGO_PKG_RUST_VERSION");
        assert!(text.contains(&format!("FROM rust:{version}")), "built with another Rust than {version}");
    }

    #[test]
    fn what_is_missing_in_a_containerfile_is_named() {
        let error = |text: &str| format!("{:#}", Start::read(text).err().unwrap());
        assert!(error("FROM debian\n").contains("FROM scratch"));
        let some = "FROM rust\nFROM scratch\nUSER 1\nEXPOSE 1\nSTOPSIGNAL SIGTERM\nENV A=b\nENTRYPOINT maana\n";
        assert!(error(some).contains("ENTRYPOINT is to be a list"), "{}", error(some));
    }
}
