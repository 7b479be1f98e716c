//! `RESULTS.md`, which two commands write: each keeps the other's part.

use anyhow::{Context, Result};
use std::path::Path;

const BEGIN: &str = "<!-- written by cargo xtask bench-serve -->";
const END: &str = "<!-- end of what cargo xtask bench-serve wrote -->";

/// Everything but the part about servers, which stays as it is.
pub(crate) fn write_peers(path: &Path, text: &str) -> Result<()> {
    let serving = parts(&earlier(path)).1;
    write(path, &join(text, &serving))
}

/// The part about servers; everything else stays as it is.
pub(crate) fn write_serving(path: &Path, text: &str) -> Result<()> {
    let peers = parts(&earlier(path)).0;
    write(path, &join(&peers, text))
}

fn earlier(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

/// What stands around the markers, and what stands between them.
fn parts(text: &str) -> (String, String) {
    let Some((before, rest)) = text.split_once(BEGIN) else { return (text.to_owned(), String::new()) };
    let (serving, after) = rest.split_once(END).unwrap_or((rest, ""));
    (format!("{}{}", before.trim_end(), after.trim_end()), serving.trim().to_owned())
}

fn join(peers: &str, serving: &str) -> String {
    match (peers.trim_end(), serving.trim()) {
        (peers, "") => format!("{peers}\n"),
        ("", serving) => format!("{BEGIN}\n\n{serving}\n\n{END}\n"),
        (peers, serving) => format!("{peers}\n\n{BEGIN}\n\n{serving}\n\n{END}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_outlives_the_other() {
        let folder = std::env::temp_dir().join(format!("maana-results-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("RESULTS.md");
        write_serving(&path, "# Servers\n").unwrap();
        write_peers(&path, "# Peers\n").unwrap();
        write_serving(&path, "# Servers, again").unwrap();
        write_peers(&path, "# Peers, again\n").unwrap();
        let text = earlier(&path);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(text, format!("# Peers, again\n\n{BEGIN}\n\n# Servers, again\n\n{END}\n"));
    }
}
