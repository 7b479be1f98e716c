//! The model card: `README.md` of a saved model, for readers and for the hub. Renders plain data to
//! text.

mod blend_facts;
mod body;
mod citations;
pub(crate) mod escape;
mod facts;
mod front_matter;
pub(crate) mod pair_usage;
pub(crate) mod quantity;
mod read;
mod table;
mod template;
mod untrained;

pub use blend_facts::{BlendFacts, BlendPoint, GuardFacts, Verdict};
pub(crate) use body::PLACEHOLDER_ID;
pub use facts::{AdapterFacts, BaseModel, CardFacts, Hardware, LossFacts, WidgetExample};
pub(crate) use facts::{AtDimension, SetScores};
pub(crate) use front_matter::pipeline_tag;
pub use read::{matryoshka_dims, model_name};
pub(crate) use template::{markdown, template_syntax};
pub use untrained::card_of_saved;

/// Renders the card: YAML front matter, then Markdown.
pub fn render(facts: &CardFacts) -> String {
    let mut card = front_matter::front_matter(facts);
    card.push('\n');
    card += &body::body(facts);
    card
}

#[cfg(test)]
pub(crate) use blend_facts::tests::blend;
#[cfg(test)]
pub(crate) mod tests;
