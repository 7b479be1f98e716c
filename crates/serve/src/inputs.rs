//! Inputs of requests in the formats of both APIs: a text, texts, token ids, or lists of token ids.

use crate::request_error::{ErrorKind, RequestError};
use maana::text::TextError;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::fmt;

/// Most bytes of a text without white space.
const MOST_UNBROKEN_BYTES: usize = 1 << 20;

/// An input to embed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Text(String),
    Ids(Vec<u32>),
}

impl Input {
    /// Bytes that tokenising reads.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Ids(ids) => 4 * ids.len(),
        }
    }

    /// Returns it as the log shows it.
    pub(crate) fn for_log(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Ids(ids) => format!("{ids:?}"),
        }
    }

    /// Characters of a text; 0 for token ids.
    pub(crate) fn characters(&self) -> usize {
        match self {
            Self::Text(text) => text.chars().count(),
            Self::Ids(_) => 0,
        }
    }
}

/// One input or a list of them. A list of numbers is one input: token ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inputs(pub(crate) Vec<Input>);

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InputsVisitor)
    }
}

struct InputsVisitor;

impl<'de> Visitor<'de> for InputsVisitor {
    type Value = Inputs;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, a list of strings, a list of token ids, or a list of lists of token ids")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Inputs, E> {
        Ok(Inputs(vec![Input::Text(text.to_owned())]))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Inputs, E> {
        Ok(Inputs(vec![Input::Text(text)]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Inputs, A::Error> {
        let mut inputs = Vec::new();
        let mut ids: Vec<u32> = Vec::new();
        while let Some(item) = list.next_element::<Item>()? {
            match item {
                Item::Id(id) if inputs.is_empty() => ids.push(id),
                Item::Text(text) if ids.is_empty() => inputs.push(Input::Text(text)),
                Item::Ids(list) if ids.is_empty() => inputs.push(Input::Ids(list)),
                _ => return Err(A::Error::custom("token ids and texts are mixed in one list")),
            }
        }
        if !ids.is_empty() {
            inputs.push(Input::Ids(ids));
        }
        Ok(Inputs(inputs))
    }
}

/// An item of a list.
enum Item {
    Text(String),
    Id(u32),
    Ids(Vec<u32>),
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, a token id, or a list of token ids")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Item, E> {
        Ok(Item::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Item, E> {
        Ok(Item::Text(text))
    }

    fn visit_u64<E: Error>(self, id: u64) -> Result<Item, E> {
        let id = u32::try_from(id).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(id), &"a token id"))?;
        Ok(Item::Id(id))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Item, A::Error> {
        let mut ids = Vec::new();
        while let Some(id) = list.next_element::<u32>()? {
            ids.push(id);
        }
        Ok(Item::Ids(ids))
    }
}

/// A string or a list of strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Texts(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = |input| match input {
            Input::Text(text) => Ok(text),
            Input::Ids(_) => Err(D::Error::custom("expected a string or a list of strings, not token ids")),
        };
        Ok(Self(Inputs::deserialize(deserializer)?.0.into_iter().map(text).collect::<Result<_, _>>()?))
    }
}

/// A list of token ids, or a list of such lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdLists(pub(crate) Vec<Vec<u32>>);

impl<'de> Deserialize<'de> for IdLists {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ids = |input| match input {
            Input::Ids(ids) => Ok(ids),
            Input::Text(_) => {
                Err(D::Error::custom("expected a list of token ids or a list of such lists, not strings"))
            }
        };
        Ok(Self(Inputs::deserialize(deserializer)?.0.into_iter().map(ids).collect::<Result<_, _>>()?))
    }
}

/// The end at which a text that is too long is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Direction {
    #[serde(alias = "left")]
    Left,
    #[serde(alias = "right")]
    Right,
}

/// Checks the longest part of a text that a tokenizer can only take as a whole, because time and
/// memory of tokenising are proportional to it.
pub(crate) fn check_unbroken(index: usize, text: &str) -> Result<(), RequestError> {
    if text.len() <= MOST_UNBROKEN_BYTES {
        return Ok(());
    }
    let longest = text.split(|letter: char| letter.is_ascii_whitespace()).map(str::len).max().unwrap_or_default();
    if longest <= MOST_UNBROKEN_BYTES {
        return Ok(());
    }
    let message = format!(
        "text {index}: it has {longest} bytes without white space, and at most {MOST_UNBROKEN_BYTES} are tokenised at once; \
         send it in parts"
    );
    Err(RequestError::new(ErrorKind::TooLarge, message).in_field("input"))
}

/// Returns the error of a text that cannot be tokenised.
pub(crate) fn tokenizer_error(error: &TextError) -> RequestError {
    let kind = match error {
        TextError::TooLong { .. }
        | TextError::PairTooLong { .. }
        | TextError::NoToken { .. }
        | TextError::NoTokens { .. } => ErrorKind::Invalid,
        _ => ErrorKind::Tokenizer,
    };
    RequestError::new(kind, error.to_string()).in_field("input")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<Input>, String> {
        serde_json::from_str::<Inputs>(json).map(|inputs| inputs.0).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_of_inputs_is_read() {
        let text = |text: &str| Input::Text(text.into());
        assert_eq!(read(r#""a""#).unwrap(), [text("a")]);
        assert_eq!(read(r#"["a", "b\n"]"#).unwrap(), [text("a"), text("b\n")]);
        assert_eq!(read("[1, 2]").unwrap(), [Input::Ids(vec![1, 2])]);
        assert_eq!(read("[[1], [2, 3], []]").unwrap(), [vec![1], vec![2, 3], vec![]].map(Input::Ids));
        assert_eq!(read("[]").unwrap(), []);
    }

    #[test]
    fn other_values_are_refused_with_the_expected_forms() {
        for wrong in ["1", "null", "true", "{}", "[null]", "[1, \"a\"]", "[\"a\", 1]", "[-1]", "[1.5]", "[4294967296]"]
        {
            let error = read(wrong).unwrap_err();
            assert!(error.contains("string") || error.contains("token id"), "{wrong}: {error}");
        }
        assert!(serde_json::from_str::<Texts>("[1]").is_err());
        assert!(serde_json::from_str::<IdLists>("[\"a\"]").is_err());
    }
}
