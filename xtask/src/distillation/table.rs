//! Table of the results.

use crate::quality::SWAHILI_SETS;
use anyhow::{Context, Result};
use serde_json::Value;

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

#[cfg(test)]
mod tests {
    use super::super::{BI_ENCODER, CROSS_ENCODER, RECIPES, STUDENTS};
    use super::*;
    use crate::results_file::markers;
    use serde_json::json;

    #[test]
    fn the_page_has_a_place_for_the_table_and_names_the_recipes() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/distillation.md")).unwrap();
        let (begin, end) = markers("distillation");
        assert!(page.contains(&begin) && page.contains(&end));
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
