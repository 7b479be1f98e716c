//! The workflow of `maana info --fingerprint`: a hash of embeddings or logits, to compare two
//! machines.

use maana_files::hex;
use maana_kernels::Matrix;
use maana_model::{CrossEncoder, ModelError, Role, TextEncoder};
use sha2::{Digest, Sha256};

/// Texts of several scripts, and an empty one. Never changed, so that recorded hashes remain
/// comparable.
const TEXTS: [&str; 7] = [
    "",
    "Habari",
    "Mwanamke anashona nguo sokoni.",
    "The price of maize has risen again, and nobody knows why.",
    "Bei ya mahindi imepanda tena kwa asilimia 12.5 mwezi huu; serikali haijasema lolote bado.",
    "ñandú, 日本語, العربية, ☀️ 👋🏾",
    "1,234.56 − 7⁄8 = x² · (a + b)",
];
/// A text longer than the limit of most models.
const LONG: (&str, usize) = ("Watoto wanacheza mpira nyuma ya shule. ", 100);

/// Returns the SHA-256 of the embeddings of fixed texts without a prompt, in hexadecimal digits. In
/// f32 and int8 it is the same on every machine.
///
/// # Errors
/// If a text cannot be tokenised.
pub fn of_embeddings(encoder: &TextEncoder) -> Result<String, ModelError> {
    let long = LONG.0.repeat(LONG.1);
    let texts: Vec<&str> = TEXTS.into_iter().chain([long.as_str()]).collect();
    let towers = match encoder.has_one_tower() {
        true => vec![encoder.clone()],
        false => [Role::Query, Role::Document].map(|role| encoder.for_role(role)).to_vec(),
    };
    let rows = towers.iter().map(|tower| tower.embed(&texts, "")).collect::<Result<Vec<_>, _>>()?;
    Ok(hash(&rows))
}

/// Returns the SHA-256 of the logits of pairs of the fixed texts, in hexadecimal digits. In f32 and
/// int8 it is the same on every machine.
///
/// # Errors
/// If a text cannot be tokenised.
pub fn of_logits(encoder: &CrossEncoder) -> Result<String, ModelError> {
    let long = LONG.0.repeat(LONG.1);
    let texts: Vec<&str> = TEXTS.into_iter().chain([long.as_str()]).collect();
    let pairs: Vec<(&str, &str)> = texts.iter().flat_map(|a| texts.iter().map(move |b| (*a, *b))).collect();
    Ok(hash(&[encoder.clone().with_prompt("")?.logits(&pairs)?]))
}

fn hash(rows: &[Matrix]) -> String {
    let mut hasher = Sha256::new();
    rows.iter().flat_map(Matrix::data).for_each(|value| hasher.update(value.to_le_bytes()));
    hex(&hasher.finalize())
}
