//! The card of a model that is saved as it was opened.

use super::body::PLACEHOLDER_ID;
use super::facts::{CardFacts, Hardware};
use super::front_matter::pipeline_tag;
use maana_model::ModelSummary;
use maana_train::TrainingRecord;

/// Sentences of the examples of use.
const SENTENCES: [&str; 3] = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."];

/// Returns the card of a model that is saved without training: that of its folder, or else a new
/// one with its modules and examples of use, which open the model `id`.
pub fn card_of_saved(card: Option<String>, id: Option<&str>, model: ModelSummary) -> String {
    match (card, id) {
        (Some(card), Some(id)) => card.replace(PLACEHOLDER_ID, id),
        (Some(card), None) => card,
        (None, id) => super::render(&facts(id, model)),
    }
}

fn facts(id: Option<&str>, model: ModelSummary) -> CardFacts {
    let sentences = SENTENCES.map(String::from);
    let pairs = sentences[1..].iter().map(|other| [sentences[0].clone(), other.clone()]).collect();
    // Readers of cards take the title for a name, unless it is that of the class.
    let class = if model.labels.is_empty() { "SentenceTransformer" } else { "CrossEncoder" };
    let name = id.map_or(class, |id| id.rsplit('/').next().unwrap_or(id)).to_owned();
    CardFacts {
        hub_id: id.map(String::from),
        examples: sentences.into(),
        example_pairs: pairs,
        ..CardFacts::untrained(name, model)
    }
}

impl CardFacts {
    /// Returns the content of the card of a model that was not trained, without examples.
    pub(crate) fn untrained(name: String, model: ModelSummary) -> Self {
        Self {
            name,
            hub_id: None,
            languages: Vec::new(),
            licence: None,
            base_model: None,
            pipeline_tag: pipeline_tag(model.labels.len()).into(),
            model,
            data: Vec::new(),
            losses: Vec::new(),
            changed_hyperparameters: Vec::new(),
            hyperparameters: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            blend: None,
            adapters: None,
            evaluation_sets: Vec::new(),
            record: TrainingRecord::default(),
            examples: Vec::new(),
            example_pairs: Vec::new(),
            example_similarities: None,
            widget: Vec::new(),
            versions: Vec::new(),
            hardware: Hardware::default(),
            reproduce_301: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_without_a_card_gets_one_without_a_training() {
        let card = card_of_saved(None, Some("maana/tiny"), crate::card::tests::facts().model);
        assert!(card.contains("# tiny\n") && card.contains("SentenceTransformer('maana/tiny')"), "{card}");
        assert!(!card.contains("Training") && !card.contains("generated_from_trainer"), "{card}");
        let pairs = ModelSummary { labels: vec!["LABEL_0".into()], ..crate::card::tests::facts().model };
        let card = card_of_saved(None, None, pairs);
        assert!(card.contains("CrossEncoder('path/to/this/folder')"), "{card}");
    }

    #[test]
    fn the_card_of_a_folder_is_kept() {
        let model = || crate::card::tests::facts().model;
        let card = format!("# Mine\n{PLACEHOLDER_ID}\n");
        assert_eq!(card_of_saved(Some(card.clone()), None, model()), card);
        assert_eq!(card_of_saved(Some(card), Some("maana/tiny"), model()), "# Mine\nmaana/tiny\n");
    }
}
