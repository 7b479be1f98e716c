//! `RESULTS.md`, which several commands write; each preserves the parts of the others.

use anyhow::{Context, Result};
use std::path::Path;

/// Commands with parts between markers, in the order of the file. The rest of the file is that of
/// bench-peers.
const COMMANDS: [&str; 3] = ["bench-search", "bench-serve", "bench-static"];

/// Writes everything outside the markers, and preserves the parts between them.
pub(crate) fn write_peers(path: &Path, text: &str) -> Result<()> {
    let (_, parts) = split(&earlier(path));
    write(path, &joined(text, &parts))
}

/// Writes the part of one command, and preserves the rest.
pub(crate) fn write_part(path: &Path, command: &str, text: &str) -> Result<()> {
    let (peers, mut parts) = split(&earlier(path));
    let index = COMMANDS.iter().position(|known| *known == command);
    text.clone_into(&mut parts[index.with_context(|| format!("{command} has no part in {}", path.display()))?]);
    write(path, &joined(&peers, &parts))
}

fn earlier(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn write(path: &Path, text: &str) -> Result<()> {
    maana_files::write(path, text).with_context(|| path.display().to_string())
}

/// Returns the markers around the part of a command.
pub(crate) fn markers(command: &str) -> (String, String) {
    (format!("<!-- written by cargo xtask {command} -->"), format!("<!-- end of the part of cargo xtask {command} -->"))
}

/// Replaces the part of a command in a page, if it has one.
pub(crate) fn replace_part(page: &Path, command: &str, part: &str) -> Result<()> {
    let text = std::fs::read_to_string(page).with_context(|| page.display().to_string())?;
    match with_part(&text, command, part) {
        Some(text) => write(page, &text),
        None => Ok(()),
    }
}

/// Returns the page with another part of a command.
fn with_part(page: &str, command: &str, part: &str) -> Option<String> {
    let (begin, end) = markers(command);
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n\n{}\n\n{end}{after}", part.trim()))
}

/// Splits the file into the text outside the markers and the part of each command.
fn split(text: &str) -> (String, [String; COMMANDS.len()]) {
    let mut around = text.to_owned();
    let parts = COMMANDS.map(|command| {
        let (begin, end) = markers(command);
        let Some((before, rest)) = around.split_once(&begin) else { return String::new() };
        let (part, after) = rest.split_once(&end).unwrap_or((rest, ""));
        let part = part.trim().to_owned();
        around = format!("{}\n\n{}", before.trim_end(), after.trim_start());
        part
    });
    (around.trim().to_owned(), parts)
}

fn joined(around: &str, parts: &[String]) -> String {
    let mut text = around.trim().to_owned();
    for (command, part) in COMMANDS.iter().zip(parts).filter(|(_, part)| !part.trim().is_empty()) {
        let (begin, end) = markers(command);
        text += &format!("\n\n{begin}\n\n{}\n\n{end}", part.trim());
    }
    text.trim_start().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_page_is_replaced() {
        let (begin, end) = markers("x: a");
        let page = format!("before\n\n{begin}\n{end}\n\nafter\n");
        let filled = with_part(&page, "x: a", "| table |\n").unwrap();
        assert_eq!(filled, format!("before\n\n{begin}\n\n| table |\n\n{end}\n\nafter\n"));
        assert_eq!(with_part(&filled, "x: a", "| table |").as_ref(), Some(&filled));
        assert_eq!(with_part(&page, "x: b", ""), None);
    }

    #[test]
    fn each_part_survives_writing_the_others() {
        let folder = std::env::temp_dir().join(format!("maana-results-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("RESULTS.md");
        write_part(&path, "bench-serve", "# Servers\n").unwrap();
        write_peers(&path, "# Peers\n").unwrap();
        write_part(&path, "bench-search", "# Search\n").unwrap();
        write_part(&path, "bench-serve", "# Servers, again").unwrap();
        write_peers(&path, "# Peers, again\n").unwrap();
        assert!(write_part(&path, "bench-tea", "").is_err());
        let text = earlier(&path);
        std::fs::remove_dir_all(&folder).unwrap();
        let [search, serve, _] = COMMANDS.map(markers);
        let expected = format!(
            "# Peers, again\n\n{}\n\n# Search\n\n{}\n\n{}\n\n# Servers, again\n\n{}\n",
            search.0, search.1, serve.0, serve.1
        );
        assert_eq!(text, expected);
    }
}
