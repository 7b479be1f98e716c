//! JSON of requests and answers.

use crate::request_error::{ErrorKind, RequestError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Appends a value of plain data as JSON.
pub(crate) fn write_json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Writing to memory does not fail, and all types here consist of strings, numbers, lists and
    // maps of them.
    if let Err(error) = serde_json::to_writer(&mut *out, value) {
        unreachable!("plain data is JSON: {error}");
    }
}

/// Reads a body.
///
/// # Errors
/// If it is not JSON, or not the JSON that the route takes.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, RequestError> {
    serde_json::from_slice(body).map_err(|error| {
        if let Some(reason) = unreadable(body) {
            return RequestError::new(ErrorKind::Syntax, reason);
        }
        let kind = if error.is_data() { ErrorKind::Invalid } else { ErrorKind::Syntax };
        RequestError::new(kind, format!("the body is not what the route takes: {}{error}", wrong_field::<T>(body)))
    })
}

/// Names the value of a body that the route does not take, followed by a colon; empty if it is the
/// body as a whole. A body is read a second time only here, as paths cost time.
fn wrong_field<T: DeserializeOwned>(body: &[u8]) -> String {
    let mut reader = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Err(error) if error.path().iter().next().is_some() => format!("`{}`: ", error.path()),
        _ => String::new(),
    }
}

/// Explains an error that is caused by the encoding of the body.
fn unreadable(body: &[u8]) -> Option<String> {
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
            "line {line}, column {column}: `{escape}` is one half of a surrogate pair; leave it out, or send the \
             whole character (in Python: text.encode(\"utf-16\", \"surrogatepass\").decode(\"utf-16\", \"ignore\"))"
        )
    })
}

/// Finds the first escape of an unpaired surrogate, with its line and column.
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
            // A backslash before a character that it does not escape.
            place -= 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn numbers_keep_their_bits() {
        let values = [0.0, -0.0, 1.0, 0.1, f32::MIN_POSITIVE, 1e-42, f32::MAX, 16_777_216.0, 1.0 / 3.0, -0.062_345_98];
        let mut out = Vec::new();
        write_json(&mut out, &values);
        let read: Vec<f32> = serde_json::from_slice(&out).unwrap();
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read), bits(&values));
    }

    #[test]
    fn bodies_in_other_encodings_are_named() {
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
            let error = parse::<Value>(body).unwrap_err();
            assert!(error.message.contains(expected), "{expected}: {}", error.message);
            assert_eq!(error.kind, ErrorKind::Syntax);
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
}
