//! The measures that select the best checkpoint.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// One measure or several, whose mean decides. Names are those of the evaluation, with or without
/// the reference's prefix `eval_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeepBest {
    measures: Vec<String>,
    /// Direction, if it is not that of the names.
    greater_is_better: Option<bool>,
}

/// Beginning of the reference's names of measures.
const PREFIX: &str = "eval_";

impl KeepBest {
    /// Returns the names without the prefix `eval_`.
    pub fn measures(&self) -> impl Iterator<Item = &str> {
        self.measures.iter().map(|name| name.strip_prefix(PREFIX).unwrap_or(name))
    }

    /// Returns the value of an evaluation, or the first measure that it lacks.
    ///
    /// # Errors
    /// Returns the name of a measure that is not among the scores.
    pub fn value(&self, scores: &[(String, f64)]) -> Result<f64, &str> {
        let mut sum = 0.0;
        for measure in self.measures() {
            let (_, value) = scores.iter().find(|(name, _)| name == measure).ok_or(measure)?;
            sum += value;
        }
        Ok(sum / self.measures.len() as f64)
    }

    /// Returns true if `value` is better than `best`.
    pub fn is_better(&self, value: f64, best: f64) -> bool {
        if self.greater_is_better() { value > best } else { value < best }
    }

    /// Returns true if greater values are better: by default, unless the measures are losses.
    pub fn greater_is_better(&self) -> bool {
        self.greater_is_better.unwrap_or_else(|| !self.measures().any(is_loss))
    }

    /// Returns the reason why the list is invalid, if it is.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let losses = self.measures().filter(|name| is_loss(name)).count();
        match self.measures.len() {
            0 => Some("at least one measure"),
            all if losses > 0 && losses < all && self.greater_is_better.is_none() => {
                Some("either losses or other measures, as smaller losses and greater measures are better")
            }
            _ => None,
        }
    }
}

/// Returns true for the name of a loss, such as `loss` or `dev_loss`.
fn is_loss(name: &str) -> bool {
    name.ends_with("loss")
}

impl From<&str> for KeepBest {
    fn from(name: &str) -> Self {
        vec![name.to_owned()].into()
    }
}

impl From<Vec<String>> for KeepBest {
    fn from(measures: Vec<String>) -> Self {
        Self { measures, greater_is_better: None }
    }
}

impl fmt::Display for KeepBest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.measures[..] {
            [name] => formatter.write_str(name),
            names => write!(formatter, "mean of {}", names.join(", ")),
        }
    }
}

/// The form with a direction.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Directed {
    measures: Vec<String>,
    greater_is_better: bool,
}

/// One name is a string, as in checkpoints of earlier versions.
impl Serialize for KeepBest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let measures = self.measures.clone();
        match (&self.measures[..], self.greater_is_better) {
            (_, Some(greater_is_better)) => Directed { measures, greater_is_better }.serialize(serializer),
            ([name], None) => name.serialize(serializer),
            (names, None) => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for KeepBest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> serde::de::Visitor<'de> for Names {
            type Value = KeepBest;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(
                    "the name of a measure, a list of names, or a table of `measures` and `greater_is_better`",
                )
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<KeepBest, E> {
                Ok(name.into())
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<KeepBest, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(names.into())
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, table: A) -> Result<KeepBest, A::Error> {
                let table = serde::de::value::MapAccessDeserializer::new(table);
                let Directed { measures, greater_is_better } = Directed::deserialize(table)?;
                Ok(KeepBest { measures, greater_is_better: Some(greater_is_better) })
            }
        }
        deserializer.deserialize_any(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> KeepBest {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_name_or_a_list_is_read_and_written() {
        for text in ["\"eval_loss\"", "[\"a\",\"b\"]"] {
            assert_eq!(serde_json::to_string(&read(text)).unwrap(), text);
        }
        assert_eq!(read("[\"a\"]"), read("\"a\""));
        assert!(serde_json::from_str::<KeepBest>("3").unwrap_err().to_string().contains("name of a measure"));
        assert_eq!((read("\"a\"").to_string(), read("[\"a\",\"b\"]").to_string()), ("a".into(), "mean of a, b".into()));
    }

    #[test]
    fn the_mean_decides_and_smaller_losses_are_better() {
        let scores = [("a", 0.25), ("b", 0.75), ("loss", 3.0)].map(|(name, value)| (name.to_string(), value));
        assert_eq!(read("[\"eval_a\",\"b\"]").value(&scores), Ok(0.5));
        assert_eq!(read("[\"a\",\"c\"]").value(&scores), Err("c"));
        assert!(read("\"a\"").is_better(2.0, 1.0) && !read("\"a\"").is_better(1.0, 1.0));
        assert!(read("\"eval_loss\"").is_better(1.0, 2.0) && !read("\"dev_loss\"").is_better(2.0, 1.0));
        assert!(!read("\"a\"").is_better(f64::NAN, 1.0));
    }

    #[test]
    fn a_direction_overrides_that_of_the_name() {
        let text = r#"{"measures":["distance"],"greater_is_better":false}"#;
        assert_eq!(serde_json::to_string(&read(text)).unwrap(), text);
        assert!(read(text).is_better(1.0, 2.0) && !read(text).greater_is_better());
        let mixed = read(r#"{"measures":["a","loss"],"greater_is_better":true}"#);
        assert!(mixed.greater_is_better() && mixed.fault().is_none());
        let unknown = serde_json::from_str::<KeepBest>(r#"{"measures":["a"],"greater":true}"#).unwrap_err();
        assert!(unknown.to_string().contains("greater_is_better"), "{unknown}");
    }

    #[test]
    fn invalid_lists_have_a_reason() {
        assert_eq!(read("[\"a\",\"b\"]").fault(), None);
        assert!(read("[]").fault().is_some_and(|reason| reason.contains("at least one")));
        assert!(read("[\"a\",\"loss\"]").fault().is_some_and(|reason| reason.contains("either losses")));
    }
}
