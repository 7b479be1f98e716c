//! Held-out lists to be reordered: candidates that a model not under test found, with the right
//! documents among them wherever it ranks them.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;

/// Source of pairs whose two texts have the same intent and nothing else in common: all documents
/// of an intent are right for its queries.
const SAME_INTENT: &str = "injongo_same_intent";

/// Writes lists of a query, its right documents and the others, for this number of pairs; queries
/// whose documents are all right have none. `candidates` has the pairs as tuples with the nearest
/// other documents, and `groups` a line for each pair: its source and its group, separated by a
/// tab.
pub(super) fn write(number: usize, pairs: &Path, groups: &Path, candidates: &Path, to: &Path) -> Result<()> {
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| path.display().to_string());
    let rows = lists(number, &read(pairs)?, &read(groups)?, &read(candidates)?)?;
    maana_files::write(to, rows).with_context(|| to.display().to_string())
}

fn lists(number: usize, pairs: &str, groups: &str, candidates: &str) -> Result<String> {
    ensure!(pairs.lines().count() == groups.lines().count(), "the pairs and their groups have different lengths");
    // Intents by text. A text has one, as its pairs are of one row of the source.
    let mut intents: HashMap<String, &str> = HashMap::new();
    for (pair, group) in pairs.lines().zip(groups.lines()) {
        let pair: Value = serde_json::from_str(pair)?;
        if group.split('\t').next() == Some(SAME_INTENT) {
            for column in ["anchor", "positive"] {
                intents.insert(pair[column].as_str().unwrap_or_default().to_owned(), group);
            }
        }
    }
    let list = |line: &str| -> Result<String> {
        let row: Value = serde_json::from_str(line)?;
        let intent = row["anchor"].as_str().and_then(|query| intents.get(query));
        let found = (1..).map_while(|number| row.get(format!("negative_{number}")));
        let is_right =
            |document: &&Value| intent.is_some() && intent == document.as_str().and_then(|text| intents.get(text));
        let (right, wrong): (Vec<&Value>, Vec<&Value>) = found.partition(is_right);
        if wrong.is_empty() {
            return Ok(String::new());
        }
        let right: Vec<&Value> = std::iter::once(&row["positive"]).chain(right).collect();
        Ok(format!("{}\n", json!({"query": row["anchor"], "positive": right, "negative": wrong})))
    };
    candidates.lines().take(number).map(list).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_the_same_intent_are_right() {
        let pairs = "{\"anchor\": \"a\", \"positive\": \"A\"}\n{\"anchor\": \"b\", \"positive\": \"B\"}\n\
                     {\"anchor\": \"c\", \"positive\": \"C\"}\n{\"anchor\": \"d\", \"positive\": \"D\"}\n";
        let groups = "injongo_same_intent\talarm\ninjongo_same_intent\talarm\ntico19_en_sw\twiki\ntico19_en_sw\twiki\n";
        let candidates = "{\"anchor\": \"a\", \"positive\": \"A\", \"negative_1\": \"B\", \"negative_2\": \"C\"}\n\
                          {\"anchor\": \"c\", \"positive\": \"C\", \"negative_1\": \"D\", \"negative_2\": \"A\"}\n";
        let rows: Vec<Value> = lists(2, pairs, groups, candidates)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(rows[0], json!({"query": "a", "positive": ["A", "B"], "negative": ["C"]}));
        assert_eq!(rows[1], json!({"query": "c", "positive": ["C"], "negative": ["D", "A"]}));
        assert!(lists(2, pairs, "", candidates).is_err());
    }
}
