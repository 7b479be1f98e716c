//! Requests with single texts, short and long, and lists of texts, over both APIs, each with its
//! expected answer.

use crate::serving::embeddings;
use crate::serving::expected;
use crate::serving::http::{Connection, Response};
use crate::serving::load::Load;
use crate::serving::texts::{Draws, Lengths, texts};
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folder of the files that a run writes.
pub(crate) const WORK: &str = "target/soak";
/// Texts of each length distribution, and requests made of them.
const TEXTS: usize = 200;
const REQUESTS: usize = 500;
/// Most texts of a request.
const TOGETHER: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    OpenAi,
    Tei,
}

/// Requests with their expected embeddings.
pub(crate) struct Traffic {
    pub(crate) requests: Vec<Vec<u8>>,
    sources: Vec<(Api, Range<usize>)>,
    embeddings: Vec<Vec<f32>>,
}

impl Traffic {
    /// Makes requests whose expected answers are those of `maana encode`.
    pub(crate) fn encoded(maana: &Path, model: &str) -> Result<Self> {
        let texts = all_texts();
        let folder = folder_of(maana, model)?;
        let embeddings = expected::encode(maana, &folder, &texts, Path::new(WORK), &[])?;
        Ok(Self::of(&texts, embeddings))
    }

    /// Makes requests whose expected answers are those of the idle server for one text after
    /// another.
    pub(crate) fn of_server(address: SocketAddr) -> Result<Self> {
        let texts = all_texts();
        let mut connection = Connection::open(address)?;
        let mut all = Vec::new();
        for text in &texts {
            let response = connection.exchange(&embeddings::embed(&[text], ""))?;
            ensure!(response.status == 200, "{}: {}", response.status, response.excerpt());
            all.extend(embeddings::from_embed(response.body).map_err(anyhow::Error::msg)?);
        }
        ensure!(all.len() == texts.len(), "{} embeddings of {} texts", all.len(), texts.len());
        Ok(Self::of(&texts, all))
    }

    /// Makes requests: three of four have one text, and every fifth is bulk.
    fn of(texts: &[String], embeddings: Vec<Vec<f32>>) -> Self {
        let mut draws = Draws::new(3);
        let (mut requests, mut sources) = (Vec::new(), Vec::new());
        for _ in 0..REQUESTS {
            let count = if draws.below(4) == 0 { 2 + draws.below(TOGETHER - 1) } else { 1 };
            let start = draws.below(texts.len() - count);
            let range = start..start + count;
            let chosen: Vec<&str> = texts[range.clone()].iter().map(String::as_str).collect();
            let headers = if draws.below(5) == 0 { "x-priority: bulk\r\n" } else { "" };
            let api = if draws.below(2) == 0 { Api::OpenAi } else { Api::Tei };
            requests.push(match api {
                Api::OpenAi => embeddings::openai(None, &chosen, headers),
                Api::Tei => embeddings::embed(&chosen, headers),
            });
            sources.push((api, range));
        }
        Self { requests, sources, embeddings }
    }

    /// Checks the response to a request.
    pub(crate) fn check(&self, number: usize, response: &Response) -> Result<(), String> {
        match response.status {
            200 => {}
            429 if response.header("retry-after").is_none() => return Err("429 without retry-after".to_owned()),
            _ => return Ok(()),
        }
        let (api, range) = &self.sources[number];
        let answered = match api {
            Api::OpenAi => embeddings::from_openai(response.body)?,
            Api::Tei => embeddings::from_embed(response.body)?,
        };
        let expected = &self.embeddings[range.clone()];
        if answered.len() != expected.len() {
            return Err(format!("{} embeddings of {} texts", answered.len(), expected.len()));
        }
        match answered.iter().zip(expected).position(|(answered, expected)| !same_bits(answered, expected)) {
            None => Ok(()),
            Some(place) => Err(self.describe_wrong(range.start + place, &answered[place])),
        }
    }

    /// Sends the first request and checks its answer.
    pub(crate) fn check_first(&self, address: SocketAddr) -> Result<()> {
        let mut connection = Connection::open(address)?;
        let response = connection.exchange(&self.requests[0])?;
        ensure!(response.status == 200, "{}: {}", response.status, response.excerpt());
        self.check(0, &response).map_err(anyhow::Error::msg)
    }

    /// Describes a wrong embedding, with the text that it belongs to.
    fn describe_wrong(&self, text: usize, answered: &[f32]) -> String {
        match self.embeddings.iter().position(|other| same_bits(other, answered)) {
            Some(other) => format!("text {text} received the embedding of text {other}"),
            None => format!("text {text}: not the bits of `maana encode`"),
        }
    }

    /// Runs `load` with these requests and checks every response.
    pub(crate) fn with_load<T>(&self, address: SocketAddr, load: impl FnOnce(Load) -> T) -> T {
        let check = |number: usize, response: &Response| self.check(number, response);
        load(Load { address, requests: &self.requests, check: &check })
    }
}

fn all_texts() -> Vec<String> {
    let mut all = texts(Lengths::Short, TEXTS, 21);
    all.extend(texts(Lengths::Mixed, TEXTS, 22));
    all
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// Returns the folder of a model, downloaded if needed.
fn folder_of(maana: &Path, model: &str) -> Result<PathBuf> {
    let said = crate::command::output(Command::new(maana).args(["info", model]))?;
    let folder = said.lines().find_map(|line| line.strip_prefix("folder ")).context("maana info names no folder")?;
    Ok(folder.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swapped_embedding_is_named() {
        let texts = all_texts();
        let embeddings: Vec<Vec<f32>> = (0..texts.len()).map(|text| vec![text as f32, 0.5]).collect();
        let traffic = Traffic::of(&texts, embeddings);
        assert_eq!(traffic.requests.len(), REQUESTS);
        assert_eq!(traffic.describe_wrong(3, &[4.0, 0.5]), "text 3 received the embedding of text 4");
        assert!(traffic.describe_wrong(3, &[4.5, 0.5]).contains("not the bits"));
        assert!(traffic.sources.iter().any(|(api, range)| *api == Api::Tei && range.len() > 1));
    }
}
