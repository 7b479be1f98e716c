//! A number or all: in recipes a number, or `"all"`.

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A number of things, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberOrAll {
    /// This number; all if there are fewer.
    Number(usize),
    /// All of them.
    All,
}

impl Serialize for NumberOrAll {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Number(count) => serializer.serialize_u64(*count as u64),
        }
    }
}

impl<'de> Deserialize<'de> for NumberOrAll {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ANumber;
        impl Visitor<'_> for ANumber {
            type Value = NumberOrAll;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number, or \"all\"")
            }

            fn visit_u64<E: Error>(self, count: u64) -> Result<NumberOrAll, E> {
                Ok(NumberOrAll::Number(count as usize))
            }

            fn visit_i64<E: Error>(self, count: i64) -> Result<NumberOrAll, E> {
                let count = usize::try_from(count);
                count
                    .map(NumberOrAll::Number)
                    .map_err(|_| E::invalid_value(Unexpected::Other("a negative number"), &self))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<NumberOrAll, E> {
                match text {
                    "all" => Ok(NumberOrAll::All),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(ANumber)
    }
}
