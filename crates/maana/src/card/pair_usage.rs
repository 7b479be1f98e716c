//! Labels and examples of use in the card of a cross-encoder.

use super::escape::{python, shell};
use super::facts::CardFacts;

/// Values of the template that are others for a cross-encoder.
#[derive(serde::Serialize)]
pub(super) struct CrossValues<'a> {
    /// Names of the labels; none of a model that embeds.
    labels: &'a [String],
    label_count: usize,
    /// Page of the reference's documentation.
    reference: &'static str,
    /// Module of the reference's evaluators.
    evaluators: &'static str,
}

impl<'a> CrossValues<'a> {
    pub(super) fn of(facts: &'a CardFacts) -> Self {
        let (reference, evaluators) = match facts.is_cross_encoder() {
            true => ("cross_encoder", "cross_encoder.evaluation"),
            false => ("sentence_transformer", "evaluation"),
        };
        let labels = &facts.model.labels;
        Self { labels, label_count: labels.len(), reference, evaluators }
    }
}

/// Returns the commands.
pub(super) fn shell_usage(facts: &CardFacts, model: &str) -> String {
    let model = shell(model);
    let mut lines = Vec::new();
    if facts.model.labels.len() == 1 {
        let query = facts.example_pairs.first().map_or("a question", |[query, _]| query.as_str());
        lines.push("# Which lines of a file answer the question best?".to_string());
        lines.push(format!("maana rerank {model} {} documents.txt", shell(query)));
    }
    lines.push("# A score for each pair of texts of a file".into());
    lines.push(format!("maana score {model} pairs.jsonl --output scores.jsonl"));
    lines.join("\n")
}

/// Returns the program in Python, as the reference's card has it.
pub(super) fn python_usage(facts: &CardFacts, model: &str) -> String {
    let mut lines = vec![
        "from sentence_transformers import CrossEncoder\n".to_string(),
        format!("model = CrossEncoder({})", python(model)),
        "# Get scores for pairs of inputs".into(),
        "pairs = [".into(),
    ];
    let pair = |[query, document]: &[String; 2]| format!("    [{}, {}],", python(query), python(document));
    lines.extend(facts.example_pairs.iter().map(pair));
    lines.push("]".into());
    lines.push("scores = model.predict(pairs)".into());
    lines.push("print(scores)".into());
    lines.extend(facts.example_similarities.iter().map(|scores| printed(scores)));
    if let ([[query, _], ..], [_]) = (&facts.example_pairs[..], &facts.model.labels[..]) {
        lines.push("\n# Or rank different texts based on similarity to a single text".into());
        lines.push(format!("ranks = model.rank(\n    {},\n    [", python(query)));
        lines.extend(facts.example_pairs.iter().map(|[_, document]| format!("        {},", python(document))));
        lines.push("    ]\n)".into());
        lines.push("# [{'corpus_id': ..., 'score': ...}, {'corpus_id': ..., 'score': ...}, ...]".into());
    }
    lines.join("\n")
}

/// Formats scores as NumPy prints them: a line for one label, else a row for each pair.
fn printed(scores: &[Vec<f32>]) -> String {
    let numbers = |row: &[f32]| row.iter().map(|value| format!("{value:.4}")).collect::<Vec<_>>().join(" ");
    if scores.iter().all(|row| row.len() == 1) {
        return format!("# [{}]", numbers(&scores.concat()));
    }
    let rows: Vec<String> = scores.iter().map(|row| format!("[{}]", numbers(row))).collect();
    format!("# [{}]", rows.join("\n#  "))
}
