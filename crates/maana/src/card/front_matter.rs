//! The YAML front matter of a card, which the hub reads: metadata, examples and all metrics in full
//! precision.

use super::escape::{cut, yaml, yaml_number};
use super::facts::CardFacts;
use maana_eval::{Kind, Scores};
use std::fmt::Write;

/// Longest sentence of a widget, in characters.
const WIDGET_LETTERS: usize = 500;

/// Renders the front matter, from `---` to `---` and a newline.
pub(super) fn front_matter(facts: &CardFacts) -> String {
    let mut out = String::from("---\n");
    list(&mut out, "language", facts.languages.iter().map(String::as_str));
    if let Some(licence) = &facts.licence {
        let _ = writeln!(out, "license: {}", yaml(licence));
    }
    out += "library_name: sentence-transformers\n";
    let size = format!("dataset_size:{}", facts.rows());
    let losses: Vec<String> = facts.loss_classes().iter().map(|class| format!("loss:{class}")).collect();
    let tags = match facts.is_cross_encoder() {
        true => ["cross-encoder", "reranker"],
        false => ["sentence-similarity", "feature-extraction"],
    };
    let trained = ["generated_from_trainer", &size].into_iter().filter(|_| facts.rows() > 0);
    let tags = ["sentence-transformers"].into_iter().chain(tags).chain(trained);
    list(&mut out, "tags", tags.chain(losses.iter().map(String::as_str)));
    if let Some(id) = facts.base_model.as_ref().and_then(|base| base.hub_id.as_ref()) {
        let _ = writeln!(out, "base_model: {}", yaml(id));
    }
    let mut metrics: Vec<&str> = Vec::new();
    for (key, _) in facts.after.iter().filter(|scores| scores.kind != Kind::Loss).flat_map(Scores::own_values) {
        if !metrics.contains(&key.as_str()) {
            metrics.push(key);
        }
    }
    list(&mut out, "metrics", metrics.into_iter());
    widget(&mut out, facts);
    let _ = writeln!(out, "pipeline_tag: {}", yaml(&facts.pipeline_tag));
    model_index(&mut out, facts);
    out + "---\n"
}

/// Returns the task on the hub of a model with this number of labels, 0 of one that embeds.
pub(crate) fn pipeline_tag(labels: usize) -> &'static str {
    match labels {
        0 => "sentence-similarity",
        1 => "text-ranking",
        _ => "text-classification",
    }
}

fn list<'a>(out: &mut String, key: &str, items: impl Iterator<Item = &'a str>) {
    for (index, item) in items.enumerate() {
        if index == 0 {
            let _ = writeln!(out, "{key}:");
        }
        let _ = writeln!(out, "- {}", yaml(item));
    }
}

fn widget(out: &mut String, facts: &CardFacts) {
    for (index, example) in facts.widget.iter().filter(|example| !example.sentences.is_empty()).enumerate() {
        if index == 0 {
            *out += "widget:\n";
        }
        let _ = writeln!(out, "- source_sentence: {}\n  sentences:", yaml(&cut(&example.source, WIDGET_LETTERS)));
        for sentence in &example.sentences {
            let _ = writeln!(out, "  - {}", yaml(&cut(sentence, WIDGET_LETTERS)));
        }
    }
}

fn model_index(out: &mut String, facts: &CardFacts) {
    // A result without metrics is not valid.
    let is_shown = |scores: &&Scores| scores.kind != Kind::Loss && shown(scores).next().is_some();
    let mut evaluations = facts.after.iter().filter(is_shown).peekable();
    if evaluations.peek().is_none() {
        return;
    }
    let _ = writeln!(out, "model-index:\n- name: {}\n  results:", yaml(&facts.name));
    for scores in evaluations {
        let dataset = yaml(&scores.name.replace('_', " "));
        let (title, _) = scores.evaluator();
        let _ = write!(
            out,
            "  - task:\n      type: {}\n      name: {title}\n    dataset:\n      name: {dataset}\n      type: {}\n    \
             metrics:\n",
            title.to_lowercase().replace(' ', "-"),
            yaml(&scores.name)
        );
        metrics(out, scores);
    }
}

/// Returns the metrics that are numbers.
fn shown(scores: &Scores) -> impl Iterator<Item = &(String, f64)> {
    scores.own_values().filter(|(_, value)| value.is_finite())
}

fn metrics(out: &mut String, scores: &Scores) {
    for (key, value) in shown(scores) {
        let _ = writeln!(
            out,
            "    - type: {}\n      value: {}\n      name: {}",
            yaml(key),
            yaml_number(*value),
            yaml(&metric_title(key))
        );
    }
}

/// Returns the title of a metric on the hub: `Cosine Ndcg@10` for `cosine_ndcg@10`.
fn metric_title(key: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
    };
    key.split('_').map(word).collect::<Vec<String>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_of_metrics() {
        assert_eq!(metric_title("cosine_ndcg@10"), "Cosine Ndcg@10");
        assert_eq!(metric_title(""), "");
    }
}
