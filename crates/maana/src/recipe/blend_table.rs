//! The table `[blend]`, checked where it is read, so that an error has the line.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

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
    /// Amount by which a guard may fall. Default 0.
    #[serde(deserialize_with = "read_tolerance")]
    pub tolerance: f64,
}

impl Default for BlendTable {
    fn default() -> Self {
        Self { alphas: vec![0.3, 0.5, 0.7, 0.85, 1.0], guard: Vec::new(), tolerance: 0.0 }
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

fn read_tolerance<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let tolerance = f64::deserialize(deserializer)?;
    if tolerance.is_finite() && tolerance >= 0.0 {
        return Ok(tolerance);
    }
    let expected = "expected 0 or more: the amount by which a guard may fall, such as 0.005";
    Err(D::Error::custom(format!("[blend] tolerance is {tolerance}; {expected}")))
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
        ] {
            let message = fault(line);
            assert!(message.contains(expected), "{line}: {message}");
        }
        let twice = toml::from_str::<BlendTable>("guard = [\"a\", \"b\", \"a\"]").unwrap_err();
        assert!(twice.message().contains("guard names \"a\" twice"), "{twice}");
        assert_eq!(toml::from_str::<BlendTable>("").unwrap(), BlendTable::default());
    }
}
