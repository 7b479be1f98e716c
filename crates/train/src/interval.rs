//! Intervals between evaluations, checkpoints and rows of the log: a number of updates, or a
//! fraction of those of the run.

use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// An interval in updates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Interval {
    /// A number of updates.
    Updates(u64),
    /// A fraction of the updates of the run, above 0 and below 1, rounded up to whole updates.
    Fraction(f64),
}

impl Interval {
    /// Returns the number of updates in a run of `updates`, which is at least 1 for a valid
    /// interval.
    pub fn of(self, updates: u64) -> u64 {
        match self {
            Self::Updates(interval) => interval,
            Self::Fraction(fraction) => ((updates as f64 * fraction).ceil() as u64).max(1),
        }
    }
}

impl From<u64> for Interval {
    fn from(updates: u64) -> Self {
        Self::Updates(updates)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Updates(updates) => updates.fmt(formatter),
            Self::Fraction(fraction) => fraction.fmt(formatter),
        }
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Updates(updates) => serializer.serialize_u64(*updates),
            Self::Fraction(fraction) => serializer.serialize_f64(*fraction),
        }
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Numbers)
    }
}

/// Reads the numbers of an interval.
struct Numbers;

impl Visitor<'_> for Numbers {
    type Value = Interval;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number of updates, or a fraction of the run above 0 and below 1")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Interval, E> {
        Ok(Interval::Updates(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Interval, E> {
        let updates = u64::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))?;
        Ok(Interval::Updates(updates))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Interval, E> {
        match value {
            _ if value > 0.0 && value < 1.0 => Ok(Interval::Fraction(value)),
            // Tools that write every number as a float.
            _ if value.fract() == 0.0 && (0.0..=9e15).contains(&value) => Ok(Interval::Updates(value as u64)),
            _ => Err(E::invalid_value(Unexpected::Float(value), &self)),
        }
    }
}

/// Times of evaluations: `"never"`, `"epoch"`, an interval, or `["epoch", interval]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Evaluate {
    /// Never.
    Never,
    /// After each epoch.
    Epoch,
    /// After each interval.
    Steps(Interval),
    /// After each epoch and after each interval.
    EpochAndSteps(Interval),
}

impl Evaluate {
    /// Returns the interval; `None` for evaluations after epochs only and for runs without
    /// evaluations.
    pub fn interval(self) -> Option<Interval> {
        match self {
            Self::Steps(interval) | Self::EpochAndSteps(interval) => Some(interval),
            Self::Never | Self::Epoch => None,
        }
    }

    /// Returns true if the model is evaluated at the end of each epoch.
    pub(crate) fn follows_epochs(self) -> bool {
        matches!(self, Self::Epoch | Self::EpochAndSteps(_))
    }
}

impl Serialize for Evaluate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Never => serializer.serialize_str("never"),
            Self::Epoch => serializer.serialize_str("epoch"),
            Self::Steps(interval) => interval.serialize(serializer),
            Self::EpochAndSteps(interval) => ("epoch", interval).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Evaluate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordOrNumber)
    }
}

/// Reads a word or an interval.
struct WordOrNumber;

impl<'de> Visitor<'de> for WordOrNumber {
    type Value = Evaluate;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "\"never\", \"epoch\", a number of updates, a fraction of the run above 0 and below 1, or [\"epoch\", interval]",
        )
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Evaluate, E> {
        match value {
            "never" => Ok(Evaluate::Never),
            "epoch" => Ok(Evaluate::Epoch),
            _ => Err(E::invalid_value(Unexpected::Str(value), &self)),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Evaluate, E> {
        Numbers.visit_u64(value).map(Evaluate::Steps)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Evaluate, E> {
        Numbers.visit_i64(value).map(Evaluate::Steps)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Evaluate, E> {
        Numbers.visit_f64(value).map(Evaluate::Steps)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Evaluate, A::Error> {
        let first: Option<Evaluate> = elements.next_element()?;
        let second: Option<Evaluate> = elements.next_element()?;
        match (first, second, elements.next_element::<Evaluate>()?) {
            (Some(Evaluate::Epoch), Some(Evaluate::Steps(interval)), None) => Ok(Evaluate::EpochAndSteps(interval)),
            _ => Err(A::Error::invalid_value(Unexpected::Seq, &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluate_is_a_word_or_a_number_or_both() {
        let read = |text: &str| serde_json::from_str::<Evaluate>(text);
        assert_eq!(read("\"never\"").unwrap(), Evaluate::Never);
        assert_eq!(read("\"epoch\"").unwrap(), Evaluate::Epoch);
        assert_eq!(read("50").unwrap(), Evaluate::Steps(50.into()));
        assert_eq!(read("0.1").unwrap(), Evaluate::Steps(Interval::Fraction(0.1)));
        assert_eq!(read("20.0").unwrap(), Evaluate::Steps(20.into()));
        assert!(read("-1").unwrap_err().to_string().contains("number of updates"));
        assert!(read("1.5").unwrap_err().to_string().contains("below 1"));
        assert!(read("\"epochs\"").unwrap_err().to_string().contains("\"epoch\""));
        assert_eq!(read(r#"["epoch", 50]"#).unwrap(), Evaluate::EpochAndSteps(50.into()));
        for text in [r#"["epoch"]"#, r#"[50, "epoch"]"#, r#"["epoch", "never"]"#, r#"["epoch", 5, 5]"#, "[]"] {
            assert!(read(text).unwrap_err().to_string().contains("[\"epoch\", interval]"), "{text}");
        }
        for text in ["\"epoch\"", "50", "0.1", r#"["epoch",0.5]"#] {
            assert_eq!(serde_json::to_string(&read(text).unwrap()).unwrap(), text);
        }
    }

    /// `TrainerState.compute_steps` of transformers rounds up.
    #[test]
    fn fractions_are_rounded_up_to_updates() {
        let cases = [(0.1, 100, 10), (0.1, 101, 11), (0.25, 3, 1), (0.9, 10, 9), (1e-9, 5, 1)];
        for (fraction, updates, expected) in cases {
            assert_eq!(Interval::Fraction(fraction).of(updates), expected, "{fraction} of {updates}");
        }
        assert_eq!(Interval::Updates(7).of(3), 7);
    }
}
