//! Table of the results, and its place in the page.

use crate::quality::SWAHILI_SETS;
use crate::results_file::markers;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;

/// Formats the results in Markdown.
pub(super) fn of(results: &Value) -> Result<String> {
    let mut text = format!(
        "nDCG@10 after training on {} pairs (seed {}), of {} held-out lists (reranking) and of retrieval sets.\n\n\
         | model | reranking | {} |\n|---|---:|{}\n",
        results["pairs"],
        results["seed"],
        results["lists"],
        SWAHILI_SETS.join(" | "),
        "---:|".repeat(SWAHILI_SETS.len())
    );
    for model in results["models"].as_array().context("no models")? {
        let cell = |value: &Value| value.as_f64().map_or("–".to_owned(), |value| format!("{value:.4}"));
        let cells: Vec<String> = SWAHILI_SETS.iter().map(|set| cell(&model["retrieval"][set])).collect();
        let title = model["model"].as_str().unwrap_or_default();
        text += &format!("| {title} | {} | {} |\n", cell(&model["reranking"]), cells.join(" | "));
    }
    let seconds = results["seconds"].as_object().context("no times")?;
    let shown: Vec<String> =
        seconds.iter().map(|(step, seconds)| format!("{step} {:.0} s", seconds.as_f64().unwrap_or_default())).collect();
    text += &format!("\nTime: {}.\n", shown.join("; "));
    Ok(text)
}

/// Replaces the table of the page.
pub(super) fn write_page(page: &Path, table: &str) -> Result<()> {
    let text = std::fs::read_to_string(page).with_context(|| page.display().to_string())?;
    let text = with_table(&text, table).with_context(|| page.display().to_string())?;
    maana_files::write(page, text).with_context(|| page.display().to_string())
}

fn with_table(page: &str, table: &str) -> Result<String> {
    let (begin, end) = markers("distillation");
    let (before, rest) = page.split_once(&begin).context("the page has no place for the table")?;
    let (_, after) = rest.split_once(&end).context("the place for the table has no end")?;
    Ok(format!("{before}{begin}\n\n{}\n\n{end}{after}", table.trim()))
}

#[cfg(test)]
mod tests {
    use super::super::{BI_ENCODER, CROSS_ENCODER, RECIPES, STUDENTS};
    use super::*;
    use serde_json::json;

    #[test]
    fn the_page_has_a_place_for_the_table_and_names_the_recipes() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/distillation.md")).unwrap();
        let filled = with_table(&page, "| a |\n").unwrap();
        assert!(filled.contains("| a |"));
        assert_eq!(with_table(&filled, "| a |").unwrap(), filled);
        for [recipe, _] in [BI_ENCODER, CROSS_ENCODER].iter().chain(&STUDENTS) {
            let path = format!("{}/../{RECIPES}/{recipe}.toml", env!("CARGO_MANIFEST_DIR"));
            assert!(std::fs::exists(&path).unwrap(), "{path}");
            assert!(page.contains(&format!("{recipe}.toml")), "{recipe}");
        }
    }

    #[test]
    fn results_become_a_table() {
        let results = json!({
            "pairs": 10, "lists": 3, "seed": 1, "seconds": {"scores": 3.0},
            "models": [{"model": "cross-encoder", "reranking": 0.5, "retrieval": {}}],
        });
        let text = of(&results).unwrap();
        assert!(text.contains("| cross-encoder | 0.5000 | – | – | – | – |") && text.contains("scores 3 s"), "{text}");
    }
}
