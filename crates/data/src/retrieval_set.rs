//! Retrieval sets in the layout of BEIR: queries, a corpus, and which documents answer which query.
//! Knows no embedding and no measure.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use crate::DataError;
use crate::read::Lines;

/// Where judgements may be, the first that exists counts.
const JUDGEMENTS: [&str; 3] = ["qrels.tsv", "qrels/test.tsv", "qrels/dev.tsv"];

/// Queries, documents and judgements, whole in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrievalSet {
    /// The folder's name.
    pub name: String,
    /// Ids and texts, in the order of `queries.jsonl`.
    pub queries: Vec<(String, String)>,
    /// Ids and texts, in the order of `corpus.jsonl`. A document with a title that is not empty has the text
    /// `title + " " + text`, as in BEIR.
    pub corpus: Vec<(String, String)>,
    /// For each query, what answers it; empty for a query without a judgement above 0.
    pub relevant: Vec<Relevant>,
    /// How many judgements speak of a query that `queries.jsonl` does not have. They are passed over, as the reference
    /// passes over them; worth a warning.
    pub unknown_queries: usize,
}

/// The documents that answer a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relevant {
    /// Places in [`RetrievalSet::corpus`], ascending.
    pub documents: Vec<usize>,
    /// How many more are judged relevant but not in the corpus. The reference's recall counts them.
    pub absent: usize,
}

impl Relevant {
    /// How many documents are judged relevant, in the corpus or not.
    pub fn count(&self) -> usize {
        self.documents.len() + self.absent
    }
}

impl RetrievalSet {
    /// Opens a folder with `queries.jsonl` and `corpus.jsonl` (fields `_id`, `text`, and in the corpus `title` if it has
    /// one) and with `qrels.tsv`, `qrels/test.tsv` or `qrels/dev.tsv` (query id, document id, score, separated by tabs;
    /// a header may stand first; a score above 0 means relevant; of two judgements of a pair the last counts).
    ///
    /// # Errors
    /// If a file is missing or malformed, an id is claimed twice, or no query has a relevant document.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, DataError> {
        let folder = folder.as_ref();
        let missing = |file| DataError::RetrievalFileMissing { folder: folder.display().to_string(), file };
        let file = |name| Some(folder.join(name)).filter(|path| path.is_file()).ok_or(missing(name));
        let queries = documents(&file("queries.jsonl")?)?;
        let corpus = documents(&file("corpus.jsonl")?)?;
        let judgements = JUDGEMENTS.iter().find_map(|name| file(name).ok()).ok_or(missing(JUDGEMENTS[0]))?;
        let (relevant, unknown_queries) = judge(&judgements, &queries, &corpus)?;
        if relevant.iter().all(|relevant| relevant.count() == 0) {
            return Err(DataError::NothingRelevant { path: judgements.display().to_string() });
        }
        let name = std::path::absolute(folder).ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into()));
        Ok(Self { name: name.unwrap_or_default(), queries, corpus, relevant, unknown_queries })
    }

    /// SHA-256 of queries, corpus and judgements: differs whenever what would be measured could.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut content = Sha256::new();
        for part in [&self.queries, &self.corpus] {
            content.update((part.len() as u64).to_le_bytes());
            for text in part.iter().flat_map(|(id, text)| [id, text]) {
                content.update((text.len() as u64).to_le_bytes());
                content.update(text);
            }
        }
        for relevant in &self.relevant {
            content.update((relevant.absent as u64).to_le_bytes());
            content.update((relevant.documents.len() as u64).to_le_bytes());
            relevant.documents.iter().for_each(|&document| content.update((document as u64).to_le_bytes()));
        }
        content.finalize().into()
    }
}

/// One line of `queries.jsonl` or `corpus.jsonl`.
#[derive(Deserialize)]
struct Document {
    #[serde(rename = "_id", deserialize_with = "id")]
    id: String,
    #[serde(default)]
    title: Option<String>,
    text: String,
}

/// An id is a string; a whole number is taken as its digits.
fn id<'de, D: Deserializer<'de>>(json: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Text(String),
        Number(i64),
    }
    let id =
        Id::deserialize(json).map_err(|_| serde::de::Error::custom("`_id` is neither a string nor a whole number"))?;
    Ok(match id {
        Id::Text(text) => text,
        Id::Number(number) => number.to_string(),
    })
}

fn documents(path: &Path) -> Result<Vec<(String, String)>, DataError> {
    let mut lines = Lines::open(path)?;
    let name = lines.path().to_string();
    let mut documents = Vec::new();
    let mut seen: HashMap<String, u64> = HashMap::new();
    while let Some(line) = lines.next()? {
        if line.text.trim().is_empty() {
            continue;
        }
        let Document { id, title, text } =
            serde_json::from_str(line.text).map_err(|error| DataError::json(&name, line.number, &error))?;
        if let Some(first_line) = seen.insert(id.clone(), line.number) {
            return Err(DataError::DuplicateId { path: name, line: line.number, id, first_line });
        }
        let text = match title {
            Some(title) if !title.is_empty() => format!("{title} {text}"),
            _ => text,
        };
        documents.push((id, text));
    }
    if documents.is_empty() {
        return Err(DataError::NoRows { path: name });
    }
    Ok(documents)
}

/// What is relevant for each query, and how many judgements are of unknown queries.
fn judge(
    path: &Path,
    queries: &[(String, String)],
    corpus: &[(String, String)],
) -> Result<(Vec<Relevant>, usize), DataError> {
    let places = |documents: &[(String, String)]| -> HashMap<String, usize> {
        documents.iter().enumerate().map(|(place, (id, _))| (id.clone(), place)).collect()
    };
    let (query_places, document_places) = (places(queries), places(corpus));
    let mut scores: Vec<HashMap<String, bool>> = vec![HashMap::new(); queries.len()];
    let mut unknown = 0;
    let mut lines = Lines::open(path)?;
    let name = lines.path().to_string();
    let mut first = true;
    while let Some(line) = lines.next()? {
        if line.text.trim().is_empty() {
            continue;
        }
        let bad = |message| DataError::BadJudgement { path: name.clone(), line: line.number, message };
        let fields: Vec<&str> = line.text.split('\t').collect();
        let [query, document, score] = fields[..] else {
            return Err(bad(format!("{} fields", fields.len())));
        };
        let is_first = std::mem::take(&mut first);
        let score = match score.trim().parse::<f64>() {
            Ok(score) if score.is_finite() => score,
            _ if is_first => continue,
            _ => return Err(bad(format!("the score {score:?} is not a finite number"))),
        };
        match query_places.get(query) {
            Some(&place) => {
                scores[place].insert(document.into(), score > 0.0);
            }
            None => unknown += 1,
        }
    }
    let relevant = scores.into_iter().map(|judged| {
        let mut relevant = Relevant::default();
        for (document, _) in judged.into_iter().filter(|(_, is_relevant)| *is_relevant) {
            match document_places.get(&document) {
                Some(&place) => relevant.documents.push(place),
                None => relevant.absent += 1,
            }
        }
        relevant.documents.sort_unstable();
        relevant
    });
    Ok((relevant.collect(), unknown))
}
