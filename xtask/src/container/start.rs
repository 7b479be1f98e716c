//! The start of an image, read from the Containerfile.

use anyhow::{Context, Result};

pub(super) const CONTAINERFILE: &str = "deploy/Containerfile";

/// The start of an image: the last stage of the Containerfile.
pub(super) struct Start {
    pub(super) user: String,
    pub(super) port: String,
    pub(super) signal: String,
    pub(super) environment: String,
    pub(super) entrypoint: Vec<String>,
    pub(super) arguments: Vec<String>,
}

impl Start {
    pub(super) fn read(containerfile: &str) -> Result<Self> {
        let (_, last) = containerfile
            .rsplit_once("\nFROM scratch\n")
            .with_context(|| format!("{CONTAINERFILE}: the last stage must be FROM scratch"))?;
        let line = |word: &str| {
            let found = last.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
            found.map(str::to_owned).with_context(|| format!("{CONTAINERFILE}: the last stage has no {word}"))
        };
        let list = |word: &str| {
            serde_json::from_str(&line(word)?)
                .with_context(|| format!("{CONTAINERFILE}: {word} must be a JSON list, because the image has no shell"))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_containerfile_starts_the_server_as_a_user() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = std::fs::read_to_string(root.join(CONTAINERFILE)).unwrap();
        let start = Start::read(&text).unwrap();
        assert_eq!(start.entrypoint, ["/usr/bin/maana"]);
        assert_eq!(start.arguments[0], "serve");
        assert!(start.arguments.contains(&start.port), "the exposed port is that of the server");
        assert!(!start.user.starts_with('0') && start.user != "root", "the image does not run as root");
        let version = env!("CARGO_PKG_RUST_VERSION");
        assert!(text.contains(&format!("FROM rust:{version}")), "built with another Rust than {version}");
    }

    #[test]
    fn missing_parts_of_a_containerfile_are_named() {
        let error = |text: &str| format!("{:#}", Start::read(text).err().unwrap());
        assert!(error("FROM debian\n").contains("FROM scratch"));
        let some = "FROM rust\nFROM scratch\nUSER 1\nEXPOSE 1\nSTOPSIGNAL SIGTERM\nENV A=b\nENTRYPOINT maana\n";
        assert!(error(some).contains("ENTRYPOINT must be a JSON list"), "{}", error(some));
    }
}
