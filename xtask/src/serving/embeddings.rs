//! Requests for embeddings and their responses, in the two formats that the servers speak: OpenAI's
//! with base64, and text-embeddings-inference's with numbers.

use super::http;
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;

/// `POST /v1/embeddings` with a response in base64, as the official client requests it. Without a
/// model the server uses its first.
pub(crate) fn openai(model: Option<&str>, texts: &[&str], headers: &str) -> Vec<u8> {
    let input = if let [text] = texts { json!(text) } else { json!(texts) };
    let mut body = json!({"input": input, "encoding_format": "base64"});
    if let Some(model) = model {
        body["model"] = json!(model);
    }
    http::post("/v1/embeddings", headers, &body.to_string())
}

/// `POST /embed`, answered as lists of numbers.
pub(crate) fn embed(texts: &[&str], headers: &str) -> Vec<u8> {
    http::post("/embed", headers, &json!({"inputs": texts, "truncate": true}).to_string())
}

#[derive(Deserialize)]
struct OpenAi<'a> {
    #[serde(borrow)]
    data: Vec<Item<'a>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    index: usize,
    #[serde(borrow)]
    embedding: Cow<'a, str>,
}

/// The embeddings of an answer of OpenAI's shape, by their index.
pub(crate) fn from_openai(body: &[u8]) -> Result<Vec<Vec<f32>>, String> {
    let mut answer: OpenAi =
        serde_json::from_slice(body).map_err(|error| format!("no embeddings in base64: {error}"))?;
    answer.data.sort_by_key(|item| item.index);
    if answer.data.iter().enumerate().any(|(place, item)| item.index != place) {
        return Err("indices are not 0, 1, 2, …".to_owned());
    }
    answer.data.iter().map(|item| floats(&item.embedding).ok_or_else(|| "not base64 of f32".to_owned())).collect()
}

/// The embeddings of an answer of `/embed`.
pub(crate) fn from_embed(body: &[u8]) -> Result<Vec<Vec<f32>>, String> {
    serde_json::from_slice(body).map_err(|error| format!("no list of embeddings: {error}"))
}

/// Little-endian f32 in base64.
fn floats(text: &str) -> Option<Vec<f32>> {
    let bytes = from_base64(text)?;
    let (floats, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').bytes();
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(text.len() / 4 * 3), 0_u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_others_write_it() {
        let cases = [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")];
        for (text, bytes) in cases {
            assert_eq!(from_base64(text), Some(bytes.as_bytes().to_vec()));
        }
        assert_eq!(from_base64("Zm9?"), None);
        assert_eq!(floats("AACAPwAAAMA="), Some(vec![1.0, -2.0]));
    }

    #[test]
    fn embeddings_come_by_index() {
        let body =
            br#"{"object":"list","data":[{"index":1,"embedding":"AAAAwA=="},{"index":0,"embedding":"AACAPw=="}]}"#;
        assert_eq!(from_openai(body), Ok(vec![vec![1.0], vec![-2.0]]));
        assert!(from_openai(br#"{"data":[{"index":1,"embedding":"AACAPw=="}]}"#).is_err());
        assert_eq!(from_embed(b"[[0.5,1e-3]]"), Ok(vec![vec![0.5, 1e-3]]));
    }
}
