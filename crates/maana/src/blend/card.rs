//! The card of a blended model, which says how it was made.

use super::method::Method;
use crate::card::{BaseModel, markdown, pipeline_tag};
use maana_model::ModelSummary;
use serde_json::json;

/// A model of a blend.
pub(super) struct Part {
    pub(super) model: BaseModel,
    /// Its weight; the base of task vectors has none.
    pub(super) weight: Option<f64>,
}

/// Renders the card.
pub(super) fn render(method: &Method, parts: &[Part], model: &ModelSummary) -> String {
    let mut bases: Vec<&String> = parts.iter().filter_map(|part| part.model.hub_id.as_ref()).collect();
    let mut seen = std::collections::HashSet::new();
    bases.retain(|base| seen.insert(*base));
    let name = |part: &Part| part.model.name.rsplit('/').next().unwrap_or_default().to_owned();
    let mut names: Vec<String> = parts.iter().map(name).collect();
    names.dedup();
    let (density, lambda) = match method {
        Method::Ties { density, lambda, .. } => (Some(*density), Some(*lambda)),
        _ => (None, None),
    };
    let values = json!({
        "title": names.join(" + "),
        "bases": bases,
        "method": method.name(),
        "density": density,
        "lambda": lambda,
        "parts": parts.iter().map(|part| json!({
            "name": part.model.name,
            "revision": part.model.revision,
            "weight": part.weight.map(|weight| weight.to_string()),
        })).collect::<Vec<_>>(),
        "dimension": model.dimension,
        "labels": model.labels.join(", "),
        "pipeline_tag": pipeline_tag(model.labels.len()),
        "max_seq_length": model.longest_text(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    markdown()
        .render_str(include_str!("card.md.jinja"), minijinja::value::Serde(values))
        .expect("the template is valid for every blend")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_names_models_weights_and_method() {
        let part = |name: &str, hub_id: Option<&str>, weight| Part {
            model: BaseModel { name: name.into(), hub_id: hub_id.map(String::from), revision: None },
            weight,
        };
        let summary = crate::card::tests::facts().model;
        let parts =
            [part("BAAI/bge-base-en-v1.5", Some("BAAI/bge-base-en-v1.5"), Some(0.3)), part("sw <b>", None, Some(0.7))];
        let card = render(&Method::Linear { weights: vec![0.3, 0.7] }, &parts, &summary);
        let (head, body) = card.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
        let yaml: serde_json::Value = serde_saphyr::from_str(head).unwrap();
        assert_eq!(yaml["base_model"], json!(["BAAI/bge-base-en-v1.5"]));
        assert_eq!(yaml["base_model_relation"], "merge");
        assert!(body.contains("| <code>BAAI/bge-base-en-v1.5</code> | 0.3 |"), "{body}");
        assert!(body.contains("`linear`") && !body.contains("<b>") && !body.contains("density"), "{body}");
        let ties = Method::Ties { weights: vec![1.0], density: 0.2, lambda: 1.0 };
        let parts = [part("a", None, None), part("b", None, Some(1.0))];
        let card = render(&ties, &parts, &summary);
        assert!(card.contains("density 0.2") && card.contains("base of the task vectors"), "{card}");
        assert!(!card.contains("base_model") && card.contains("pipeline_tag: sentence-similarity\n"), "{card}");
        assert!(card.contains("vectors of 768 dimensions") && card.contains("model.encode("), "{card}");
    }

    #[test]
    fn the_card_of_a_cross_encoder_names_its_labels() {
        let summary = ModelSummary { labels: vec!["no".into(), "yes".into()], ..crate::card::tests::facts().model };
        let card = render(&Method::Linear { weights: vec![1.0] }, &[], &summary);
        assert!(card.contains("scores pairs of texts (no, yes)") && card.contains("model.predict("), "{card}");
        assert!(card.contains("- cross-encoder\n- reranker\n- merge\n"), "{card}");
        assert!(card.contains("pipeline_tag: text-classification\n---"), "{card}");
        assert!(!card.contains("sentence-similarity"), "{card}");
    }
}
