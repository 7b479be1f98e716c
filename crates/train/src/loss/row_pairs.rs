//! Pairs of texts that the rows of a micro-batch give to a cross-encoder.

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Pairs of texts that a row gives to a cross-encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// The first text with each other one.
    Each,
    /// The first text with the second, then with this number of documents of other rows, then with
    /// each further one of its own.
    WithOthers(NumNegatives),
}

/// Number of documents of other rows of the batch that a query is compared with: in recipes a
/// number, or `"all"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumNegatives {
    /// This number, drawn at random; all if there are fewer.
    Count(usize),
    /// All of them.
    All,
}

impl Serialize for NumNegatives {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Count(count) => serializer.serialize_u64(*count as u64),
        }
    }
}

impl<'de> Deserialize<'de> for NumNegatives {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = NumNegatives;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number of documents of other rows, or \"all\"")
            }

            fn visit_u64<E: Error>(self, count: u64) -> Result<NumNegatives, E> {
                Ok(NumNegatives::Count(count as usize))
            }

            fn visit_i64<E: Error>(self, count: i64) -> Result<NumNegatives, E> {
                let count = usize::try_from(count);
                count
                    .map(NumNegatives::Count)
                    .map_err(|_| E::invalid_value(Unexpected::Other("a negative number"), &self))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<NumNegatives, E> {
                match text {
                    "all" => Ok(NumNegatives::All),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Number)
    }
}
