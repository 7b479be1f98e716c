//! `Reply`: an answer before it is bytes on a wire, and how numbers are written into one.

use bytes::Bytes;
use maana::kernels::Rows;
use serde::Serialize;
use std::time::Duration;

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    /// What it took, where something was computed.
    pub(crate) effort: Option<Effort>,
}

/// What an answer took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effort {
    pub(crate) model: String,
    pub(crate) texts: usize,
    /// The texts themselves, if they are to be logged.
    pub(crate) logged: Vec<String>,
    pub(crate) tokens: usize,
    pub(crate) characters: usize,
    pub(crate) tokenization: Duration,
    pub(crate) queue: Duration,
    pub(crate) inference: Duration,
}

impl Effort {
    /// Of both, one after the other.
    pub(crate) fn with(self, other: &Self) -> Self {
        Self {
            logged: [self.logged, other.logged.clone()].concat(),
            model: self.model,
            texts: self.texts + other.texts,
            tokens: self.tokens + other.tokens,
            characters: self.characters + other.characters,
            tokenization: self.tokenization + other.tokenization,
            queue: self.queue + other.queue,
            inference: self.inference + other.inference,
        }
    }
}

impl Reply {
    /// Text of some kind.
    pub(crate) fn text(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status: 200, content_type, headers: Vec::new(), body: body.into(), effort: None }
    }

    /// JSON that is ready.
    pub(crate) fn ready_json(body: Vec<u8>) -> Self {
        Self::text("application/json", body)
    }

    /// A value as JSON.
    pub(crate) fn json(value: &impl Serialize) -> Self {
        let mut body = Vec::with_capacity(256);
        write_json(&mut body, value);
        Self::ready_json(body)
    }

    pub(crate) fn with_effort(self, effort: Effort) -> Self {
        Self { effort: Some(effort), ..self }
    }

    pub(crate) fn header(&mut self, name: &'static str, value: impl Into<String>) {
        self.headers.push((name, value.into()));
    }
}

/// Appends a value of plain data as JSON.
pub(crate) fn write_json(out: &mut Vec<u8>, value: &impl Serialize) {
    // Writing to memory does not fail, and every type that comes here is made of strings, numbers, lists and maps of them.
    if let Err(error) = serde_json::to_writer(&mut *out, value) {
        unreachable!("plain data is JSON: {error}");
    }
}

/// Appends `[[…],…]`: the shortest digits that give back the same bits.
pub(crate) fn write_rows(out: &mut Vec<u8>, rows: Rows<'_>) {
    out.reserve(rows.rows() * rows.columns() * 13);
    out.push(b'[');
    for row in 0..rows.rows() {
        if row > 0 {
            out.push(b',');
        }
        write_json(out, &rows.row(row));
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_with_the_same_bits() {
        let values = [0.0, -0.0, 1.0, 0.1, f32::MIN_POSITIVE, 1e-42, f32::MAX, 16_777_216.0, 1.0 / 3.0, -0.062_345_98];
        let mut out = Vec::new();
        write_rows(&mut out, Rows::new(&values, 2, 5, 5));
        let read: Vec<Vec<f32>> = serde_json::from_slice(&out).unwrap();
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read.concat()), bits(&values));
    }
}
