//! Reads names and dimensions from cards.

use super::escape;

/// Reads the dimensions that a model was trained for from its card, written by this program or by
/// Sentence Transformers. Largest first; empty if the card names none.
pub fn matryoshka_dims(card: &str) -> Vec<usize> {
    const KEY: &str = "\"matryoshka_dims\":";
    let list = card.split_once(KEY).and_then(|(_, rest)| rest.trim_start().strip_prefix('[')?.split_once(']'));
    let dims = list.map(|(list, _)| list.split(',').map(|dim| dim.trim().parse()).collect::<Result<Vec<usize>, _>>());
    let mut dims = dims.and_then(Result::ok).unwrap_or_default();
    dims.sort_unstable_by(|a, b| b.cmp(a));
    dims.dedup();
    dims
}

/// Reads the name of a model from its card: the name on the hub in the examples of use, else the
/// title. Generic names that every card has are ignored.
pub fn model_name(card: &str) -> Option<String> {
    let body = match card.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---")) {
        Some((_, body)) => body,
        None => card,
    };
    let uses = body.match_indices("SentenceTransformer(").filter_map(|(at, call)| {
        let rest = &body[at + call.len()..];
        let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        rest[1..].split_once(quote).map(|(name, _)| name)
    });
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let is_hub_name = |name: &&str| name.split('/').count() == 2 && name.split('/').all(is_part);
    let mut uses = uses.filter(is_hub_name);
    if let Some(name) = uses.next() {
        return Some(name.to_owned());
    }
    const LONGEST: usize = 100;
    let title = body.lines().find_map(|line| line.strip_prefix("# ")).map(escape::plain)?;
    let is_own =
        !title.is_empty() && !title.contains('{') && !["CrossEncoder", "SentenceTransformer"].contains(&&*title);
    (is_own && title.chars().count() <= LONGEST).then_some(title)
}
