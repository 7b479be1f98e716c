//! Pairs of rows that belong together, or seem to: paraphrases, translations, duplicates, and hard
//! negatives. All compare by cosine, in blocks, so that memory does not grow with the square of the
//! rows.

mod above;
mod bitext;
mod dedupe;
mod hard_negatives;
mod paraphrase;

pub(crate) use above::for_each_above;
pub use bitext::{Bitext, Direction, Margin, Translation, bitext};
pub use dedupe::{Duplicates, dedupe};
pub use hard_negatives::{HardNegatives, Mined, Sampling, hard_negatives, rescored_hard_negatives};
pub use paraphrase::{Mining, Pair, paraphrase_mining};
