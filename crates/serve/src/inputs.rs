//! What requests ask about: a text, texts, token ids, or lists of them, as both APIs write it.

use crate::fault::{Fault, Kind};
use crate::models::Model;
use maana::text::Overlong;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::fmt;

/// A text to embed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Text(String),
    Ids(Vec<u32>),
}

impl Input {
    /// Bytes that tokenising has to read.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Ids(ids) => 4 * ids.len(),
        }
    }

    /// As the log shows it.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Ids(ids) => format!("{ids:?}"),
        }
    }

    /// Characters of a text.
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

/// What a list may hold.
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

/// Which end of a text that is too long is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Direction {
    #[serde(alias = "left")]
    Left,
    #[serde(alias = "right")]
    Right,
}

/// What becomes of a text that is too long, as both fields say, else as the model's folder does.
pub(crate) fn overlong(model: &Model, truncate: Option<bool>, direction: Option<Direction>) -> Overlong {
    match (truncate, direction) {
        (Some(false), _) => Overlong::Refuse,
        (_, Some(Direction::Left)) => Overlong::CutBeginning,
        (_, Some(Direction::Right)) => Overlong::CutEnd,
        (_, None) => model.sentence.spec().tokenizer().overlong(),
    }
}

/// Reads a body.
///
/// # Errors
/// If it is no JSON, or another than the route takes.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| {
        if let Some(reason) = no_text(body) {
            return Fault::new(Kind::Syntax, reason);
        }
        let kind = if error.is_data() { Kind::Invalid } else { Kind::Syntax };
        Fault::new(kind, format!("the body is not what the route takes: {error}"))
    })
}

/// Why a body cannot be read as JSON, where its characters are the reason.
fn no_text(body: &[u8]) -> Option<String> {
    let named = |name: &str| Some(format!("the body is {name}; JSON is sent as UTF-8"));
    match body {
        [0xEF, 0xBB, 0xBF, ..] => {
            return Some("the body begins with a byte order mark (BOM); send UTF-8 without one".into());
        }
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] | [_, 0, 0, 0, ..] | [0, 0, 0, _, ..] => {
            return named("UTF-32");
        }
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [_, 0, ..] | [0, _, ..] => return named("UTF-16"),
        [0x1F, 0x8B, ..] => {
            return Some("the body is compressed with gzip; say so with `Content-Encoding: gzip`".into());
        }
        _ => {}
    }
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => {
            let byte = error.valid_up_to();
            let found = body[byte];
            return Some(format!("the body is not UTF-8: byte {byte} is 0x{found:02X}; JSON is sent as UTF-8"));
        }
    };
    lone_surrogate(text).map(|(escape, line, column)| {
        format!(
            "line {line}, column {column}: `{escape}` is one half of a character, which is no text; leave it out, or send the \
             whole character (in Python: text.encode(\"utf-16\", \"surrogatepass\").decode(\"utf-16\", \"ignore\"))"
        )
    })
}

/// The first escape of half a character that its other half does not stand beside, its line and its column.
fn lone_surrogate(text: &str) -> Option<(&str, usize, usize)> {
    // An escape is six bytes of ASCII.
    let half = |place: usize| {
        let digits = text.get(place..place + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok().filter(|unit| (0xD800..=0xDFFF).contains(unit))
    };
    let mut place = 0;
    while let Some(found) = text[place..].find('\\') {
        place += found;
        match (half(place), half(place + 6)) {
            (None, _) => place += 2,
            (Some(0xD800..=0xDBFF), Some(0xDC00..)) => place += 12,
            (Some(_), _) => {
                let before = &text[..place];
                let line = 1 + before.matches('\n').count();
                let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
                return Some((&text[place..place + 6], line, column));
            }
        }
        if !text.is_char_boundary(place) || place > text.len() {
            // A backslash before what is no escape.
            place -= 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn read(json: &str) -> Result<Vec<Input>, String> {
        serde_json::from_str::<Inputs>(json).map(|inputs| inputs.0).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_of_inputs() {
        let text = |text: &str| Input::Text(text.into());
        assert_eq!(read(r#""a""#).unwrap(), [text("a")]);
        assert_eq!(read(r#"["a", "b\n"]"#).unwrap(), [text("a"), text("b\n")]);
        assert_eq!(read("[1, 2]").unwrap(), [Input::Ids(vec![1, 2])]);
        assert_eq!(read("[[1], [2, 3], []]").unwrap(), [vec![1], vec![2, 3], vec![]].map(Input::Ids));
        assert_eq!(read("[]").unwrap(), []);
    }

    #[test]
    fn what_is_no_text_is_told_by_name() {
        let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        for (body, expected) in [
            (&b"\xEF\xBB\xBF{\"inputs\": \"a\"}"[..], "byte order mark"),
            (&utf_16("{\"inputs\": \"a\"}"), "the body is UTF-16"),
            (&utf_16("\u{FEFF}{}"), "the body is UTF-16"),
            (b"{\0\0\0", "the body is UTF-32"),
            (b"\x1F\x8B\x08\x00\x00\x00", "Content-Encoding: gzip"),
            (b"{\"inputs\": \"caf\xE9\"}", "not UTF-8: byte 15 is 0xE9"),
            (br#"{"inputs": "a\ud800b"}"#, r"line 1, column 14: `\ud800`"),
            (br#"{"inputs": "\ud83d\ude00\uDE00"}"#, r"column 25: `\uDE00`"),
            (b"{\n\"inputs\":\n \"\xC3\xA9\\\\\\ud800\"}", r"line 3, column 6: `\ud800`"),
            (b"{\"inputs\": \"\\ud83d", r"`\ud83d`"),
        ] {
            let fault = parse::<Value>(body).unwrap_err();
            assert!(fault.message.contains(expected), "{expected}: {}", fault.message);
            assert_eq!(fault.kind, Kind::Syntax);
        }
        for sound in [r#"{"inputs": "\ud83d\ude00"}"#, r#"{"inputs": "\\ud800"}"#, "\"\\\\é\\n\""] {
            assert!(parse::<Value>(sound.as_bytes()).is_ok(), "{sound}");
            assert_eq!(lone_surrogate(sound), None, "{sound}");
        }
        for broken in ["{\"a\": \"\\é\"", "\"\\", "\"\\u12é", "\"\\ud83d\\", "{"] {
            lone_surrogate(broken);
            assert!(parse::<Value>(broken.as_bytes()).is_err());
        }
    }

    #[test]
    fn what_is_no_input_is_refused_with_what_is() {
        for wrong in ["1", "null", "true", "{}", "[null]", "[1, \"a\"]", "[\"a\", 1]", "[-1]", "[1.5]", "[4294967296]"]
        {
            let error = read(wrong).unwrap_err();
            assert!(error.contains("string") || error.contains("token id"), "{wrong}: {error}");
        }
        assert!(serde_json::from_str::<Texts>("[1]").is_err());
        assert!(serde_json::from_str::<IdLists>("[\"a\"]").is_err());
    }
}
