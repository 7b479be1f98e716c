//! The table `[blend]`, checked where it is read, so that an error has the line.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::Formatter;

/// `[blend]`: models between the base and the trained model, one of which is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BlendTable {
    /// Shares of the trained model in the blends, in ascending order: 0 is the base, 1 the trained
    /// model. Default 0.3, 0.5, 0.7, 0.85, 1.
    #[serde(deserialize_with = "read_alphas")]
    pub alphas: Vec<f64>,
    /// Sets whose primary metric must not fall below the base's: names of `[evaluation]` or paths.
    #[serde(deserialize_with = "read_guard")]
    pub guard: Vec<String>,
    /// Fall of a guard that is accepted. Default 0.
    pub tolerance: Tolerance,
}

/// Fall of a guard that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Tolerance {
    /// At most this amount.
    Amount(f64),
    /// One that a paired bootstrap over its queries or texts does not distinguish from chance.
    #[serde(serialize_with = "write_chance")]
    Chance,
}

/// Name of [`Tolerance::Chance`] in a recipe.
const CHANCE: &str = "chance";

fn write_chance<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(CHANCE)
}

impl<'de> Deserialize<'de> for Tolerance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ToleranceVisitor)
    }
}

struct ToleranceVisitor;

impl Visitor<'_> for ToleranceVisitor {
    type Value = Tolerance;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "a number of 0 or more, such as 0.005, or \"{CHANCE}\"")
    }

    fn visit_f64<E: Error>(self, amount: f64) -> Result<Tolerance, E> {
        if amount.is_finite() && amount >= 0.0 {
            return Ok(Tolerance::Amount(amount));
        }
        let expected =
            format!("expected 0 or more: the amount by which a guard may fall, such as 0.005, or \"{CHANCE}\"");
        Err(E::custom(format!("[blend] tolerance is {amount}; {expected}")))
    }

    fn visit_i64<E: Error>(self, amount: i64) -> Result<Tolerance, E> {
        self.visit_f64(amount as f64)
    }

    fn visit_u64<E: Error>(self, amount: u64) -> Result<Tolerance, E> {
        self.visit_f64(amount as f64)
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Tolerance, E> {
        match word {
            CHANCE => Ok(Tolerance::Chance),
            _ => Err(E::custom(format!("[blend] tolerance is {word:?}; expected a number or \"{CHANCE}\""))),
        }
    }
}

impl Default for BlendTable {
    fn default() -> Self {
        Self { alphas: vec![0.3, 0.5, 0.7, 0.85, 1.0], guard: Vec::new(), tolerance: Tolerance::Amount(0.0) }
    }
}

fn read_alphas<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let alphas = Vec::<f64>::deserialize(deserializer)?;
    if alphas.is_empty() {
        return Err(D::Error::custom("[blend] alphas is empty; expected at least one, such as [0.5, 0.7, 1.0]"));
    }
    if let Some(alpha) = alphas.iter().find(|alpha| !(0.0..=1.0).contains(*alpha)) {
        let range = "expected from 0 (the base) to 1 (the trained model)";
        return Err(D::Error::custom(format!("[blend] alphas has {alpha}; {range}")));
    }
    if alphas.windows(2).any(|pair| pair[0] >= pair[1]) {
        let mut sorted = alphas.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.dedup();
        let text = format!("[blend] alphas is {alphas:?}; each must exceed the one before, for example {sorted:?}");
        return Err(D::Error::custom(text));
    }
    Ok(alphas)
}

fn read_guard<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let guard = Vec::<String>::deserialize(deserializer)?;
    match guard.iter().enumerate().find(|(index, name)| guard[..*index].contains(name)) {
        Some((_, twice)) => Err(D::Error::custom(format!("[blend] guard names {twice:?} twice; name it once"))),
        None => Ok(guard),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_their_line_and_a_remedy() {
        let fault = |line: &str| {
            let text = format!("guard = []\n{line}\n");
            let error = toml::from_str::<BlendTable>(&text).unwrap_err();
            let start = error.span().expect("the place is known").start;
            assert_eq!(text[..start].matches('\n').count(), 1, "{line}: {error}");
            error.message().to_owned()
        };
        for (line, expected) in [
            ("alphas = []", "at least one"),
            ("alphas = [0.5, 1.5]", "alphas has 1.5; expected from 0"),
            ("alphas = [-0.1]", "alphas has -0.1"),
            ("alphas = [nan]", "alphas has NaN"),
            ("alphas = [0.7, 0.3, 0.7]", "for example [0.3, 0.7]"),
            ("alphas = [0.3, 0.3]", "for example [0.3]"),
            ("tolerance = -0.1", "tolerance is -0.1; expected 0 or more"),
            ("tolerance = nan", "tolerance is NaN"),
            ("tolerance = inf", "tolerance is inf"),
            ("tolerance = -1", "tolerance is -1; expected 0 or more"),
            ("tolerance = \"luck\"", "tolerance is \"luck\"; expected a number or \"chance\""),
            ("tolerance = true", "expected a number of 0 or more, such as 0.005, or \"chance\""),
        ] {
            let message = fault(line);
            assert!(message.contains(expected), "{line}: {message}");
        }
        let twice = toml::from_str::<BlendTable>("guard = [\"a\", \"b\", \"a\"]").unwrap_err();
        assert!(twice.message().contains("guard names \"a\" twice"), "{twice}");
        assert_eq!(toml::from_str::<BlendTable>("").unwrap(), BlendTable::default());
        for line in ["tolerance = 0.5\n", "tolerance = \"chance\"\n"] {
            let table: BlendTable = toml::from_str(line).unwrap();
            assert!(toml::to_string(&table).unwrap().contains(line), "{table:?}");
        }
    }
}
