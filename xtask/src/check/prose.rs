//! The style of comments, documentation, messages and names of tests.

use super::rust::{Located, Token, tokens, without_tests, word};
use super::tree::{Tree, is_test};
use std::collections::BTreeMap;
use std::path::Path;

/// Words that do not begin a doc comment.
const OPENINGS: [&str; 5] = ["What", "How", "Whether", "Of each", "That"];

/// Phrases that do not occur, and plain ones for them.
const PHRASES: [(&str, &str); 16] = [
    ("told", "say who passes what to whom"),
    ("is none", "\"is missing\", \"is NaN\", \"there is no\""),
    ("are none", "\"are missing\", \"there are no\""),
    ("that is no", "say what it is"),
    ("so many", "\"that many\", or the number's name"),
    ("so manieth", "\"every n-th\""),
    ("so few", "\"fewer than\""),
    ("whoever", "name the user, the caller or the process"),
    ("beside", "\"next to\", \"in addition to\", \"compared with\""),
    ("alone", "\"only\""),
    ("stands", "\"is\""),
    ("stood", "\"was\""),
    ("goes on", "\"continues\""),
    ("go on", "\"continue\""),
    ("was asked", "\"request\", \"requested\""),
    ("judges", "\"evaluates\""),
];

/// Columns of a comment or a line of documentation.
const WIDTH: usize = 100;

/// Files whose strings are data in the language that they are about.
const DATA: [&str; 1] = ["crates/swahili/src"];
/// Files that quote the phrases, or that another program wrote.
const EXEMPT: [&str; 2] = ["xtask/src/check/prose.rs", "golden/st301/model/README.md"];

/// A place that violates the style.
pub(super) struct Violation {
    /// The crate, or the document.
    pub(super) part: String,
    pub(super) text: String,
}

/// Lists the violations of all files.
pub(super) fn rule(tree: &Tree) -> Vec<String> {
    violations(tree).into_iter().map(|violation| violation.text).collect()
}

/// Returns the violations of all files.
pub(super) fn violations(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    let is_exempt = |path: &Path| EXEMPT.iter().any(|exempt| path == Path::new(exempt));
    for (path, text) in tree.texts("", "rs").filter(|(path, _)| !is_exempt(path)) {
        for (line, message) in rust_file(path, text) {
            found.push(Violation { part: part(path), text: format!("{}:{line}: {message}", path.display()) });
        }
    }
    for ending in ["md", "html", "jinja"] {
        for (path, text) in tree.texts("", ending).filter(|(path, _)| !is_exempt(path)) {
            for (line, content) in text.lines().enumerate() {
                for message in phrases(content) {
                    let text = format!("{}:{}: {message}", path.display(), line + 1);
                    found.push(Violation { part: part(path), text });
                }
            }
        }
    }
    found
}

/// Returns the number of violations of each crate and document.
pub(super) fn counts(found: &[Violation]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for violation in found {
        *counts.entry(violation.part.as_str()).or_default() += 1;
    }
    counts
}

fn part(path: &Path) -> String {
    let mut parts = path.iter().map(|part| part.to_string_lossy().into_owned());
    match (parts.next(), parts.next()) {
        (Some(first), Some(second)) if first == "crates" => format!("{first}/{second}"),
        (first, _) => first.unwrap_or_default(),
    }
}

fn rust_file(path: &Path, text: &str) -> Vec<(usize, String)> {
    let all = tokens(text);
    let mut found = Vec::new();
    for (at, (token, line)) in all.iter().enumerate() {
        match token {
            Token::Comment { text: comment, doc } => {
                found.extend(phrases(comment).into_iter().map(|message| (*line, message)));
                let continues = |before: usize| is_doc(&all[before]) && all[before].1 + 1 == *line;
                let begins = *doc && !at.checked_sub(1).is_some_and(continues);
                if let Some(opening) = OPENINGS.iter().find(|opening| begins && begins_with(comment, opening)) {
                    found
                        .push((*line, format!("a doc comment begins with \"{opening}\": begin with a verb or a noun")));
                }
                let full = text.lines().nth(line - 1).unwrap_or_default();
                if full.trim_start().starts_with("//") && full.chars().count() > WIDTH && !full.contains("://") {
                    found.push((*line, format!("a comment is wider than {WIDTH} columns")));
                }
            }
            Token::Word(keyword) if keyword == "fn" => {
                let name = all.get(at + 1).and_then(|(token, _)| word(token)).unwrap_or_default();
                found.extend(phrases(&name.replace('_', " ")).into_iter().map(|message| (*line, message)));
            }
            _ => {}
        }
    }
    if !is_test(path) && !DATA.iter().any(|folder| path.starts_with(folder)) {
        for (token, line) in without_tests(&all) {
            if let Token::Text(text) = token {
                found.extend(phrases(&text).into_iter().map(|message| (line, message)));
            }
        }
    }
    found.sort();
    found
}

fn is_doc((token, _): &Located) -> bool {
    matches!(token, Token::Comment { doc: true, .. })
}

fn begins_with(text: &str, opening: &str) -> bool {
    text.strip_prefix(opening).is_some_and(|rest| !rest.starts_with(|letter: char| letter.is_alphanumeric()))
}

/// Returns a message for each phrase in a text, without what is in code quotes.
fn phrases(text: &str) -> Vec<String> {
    let plain: String = text.split('`').step_by(2).collect::<Vec<_>>().join("`").to_lowercase();
    let is_letter = |letter: char| letter.is_alphanumeric();
    let occurs = |phrase: &str| {
        plain
            .match_indices(phrase)
            .any(|(at, _)| !plain[..at].ends_with(is_letter) && !plain[at + phrase.len()..].starts_with(is_letter))
    };
    let found = PHRASES.iter().filter(|(phrase, _)| occurs(phrase));
    found.map(|(phrase, plain)| format!("\"{phrase}\": {plain}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_in_plain_english() {
        assert_eq!(rule(super::super::workspace()), [""; 0]);
    }

    #[test]
    fn openings_phrases_and_wide_comments_are_found() {
        let wide = format!("// {}\n", "x".repeat(WIDTH));
        let source = format!(
            "/// What it does.\n/// How it does it.\nfn a_number_that_is_none() {{ fail(\"it is told `alone`\"); }}\n{wide}\
             /// Whatever, besides.\n#[cfg(test)]\nmod tests {{ fn f() {{ g(\"beside\") }} }}"
        );
        let tree = Tree::from([("crates/a/src/b.rs", source.as_str()), ("README.md", "Judges models.\n\nIt stands.")]);
        let found = violations(&tree);
        let texts: Vec<&str> = found.iter().map(|violation| violation.text.split(": ").next().unwrap()).collect();
        assert_eq!(
            texts,
            [
                "crates/a/src/b.rs:1",
                "crates/a/src/b.rs:3",
                "crates/a/src/b.rs:3",
                "crates/a/src/b.rs:4",
                "README.md:1",
                "README.md:3"
            ]
        );
        assert_eq!(counts(&found), BTreeMap::from([("README.md", 2), ("crates/a", 4)]));
        assert_eq!(rule(&tree).len(), 6);
    }

    #[test]
    fn a_doc_comment_behind_that_of_its_module_begins_anew() {
        let tree = Tree::from([("crates/a/src/b.rs", "//! The head.\n\n/// How it is done.\nfn f() {}")]);
        assert_eq!(rule(&tree).len(), 1);
    }
}
