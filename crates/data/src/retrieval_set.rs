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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A folder with these files.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("qrels")).unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    const QUERIES: (&str, &str) =
        ("queries.jsonl", "{\"_id\":\"q1\",\"text\":\"nini?\"}\r\n\n{\"_id\":2,\"text\":\"nani?\",\"metadata\":{}}\n");
    const CORPUS: (&str, &str) = (
        "corpus.jsonl",
        "\u{feff}{\"_id\":\"b\",\"title\":\"\",\"text\":\"bure\"}\n{\"_id\":\"a\",\"title\":\"Jina\",\"text\":\"anga\"}\n\
         {\"_id\":\"c\",\"title\":null,\"text\":\"\"}",
    );

    fn message(files: &[(&str, &str)]) -> String {
        let folder = folder(files);
        let error = RetrievalSet::open(folder.path()).unwrap_err().to_string();
        error.replace(&format!("{}", folder.path().display()), "dev")
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(id, text)| (id.to_string(), text.to_string())).collect()
    }

    #[test]
    fn a_set_keeps_the_order_of_its_files() {
        let judgements = "query-id\tcorpus-id\tscore\nq1\ta\t1\nq1\tb\t2\nq1\tgone\t1\nq1\tc\t0\nq9\ta\t1\n\n2\ta\t0\n";
        let folder = folder(&[QUERIES, CORPUS, ("qrels.tsv", judgements)]);
        let set = RetrievalSet::open(folder.path()).unwrap();
        assert_eq!(set.name, folder.path().file_name().unwrap().to_str().unwrap());
        assert_eq!(set.queries, owned(&[("q1", "nini?"), ("2", "nani?")]));
        assert_eq!(set.corpus, owned(&[("b", "bure"), ("a", "Jina anga"), ("c", "")]));
        assert_eq!(set.relevant, [Relevant { documents: vec![0, 1], absent: 1 }, Relevant::default()]);
        assert_eq!((set.relevant[0].count(), set.unknown_queries), (3, 1));
    }

    #[test]
    fn judgements_may_lie_deeper_and_lack_a_header_and_the_last_of_a_pair_counts() {
        let test = ("qrels/test.tsv", "q1\ta\t1\nq1\tb\t1\nq1\ta\t0\n");
        let dev = ("qrels/dev.tsv", "q1\tc\t1\n");
        let set = RetrievalSet::open(folder(&[QUERIES, CORPUS, test, dev]).path()).unwrap();
        assert_eq!(set.relevant[0].documents, [0]);
        let set = RetrievalSet::open(folder(&[QUERIES, CORPUS, dev]).path()).unwrap();
        assert_eq!(set.relevant[0].documents, [2]);
    }

    #[test]
    fn fingerprints_differ_when_the_content_does() {
        let judged = |line: &str| {
            RetrievalSet::open(folder(&[QUERIES, CORPUS, ("qrels.tsv", line)]).path()).unwrap().fingerprint()
        };
        assert_eq!(judged("q1\ta\t1\n"), judged("query-id\tcorpus-id\tscore\nq1\ta\t3\n"));
        assert_ne!(judged("q1\ta\t1\n"), judged("q1\tb\t1\n"));
        assert_ne!(judged("q1\ta\t1\n"), judged("q1\ta\t1\nq1\tgone\t1\n"));
    }

    #[test]
    fn written_sets_open_again() {
        let folder = folder(&[]);
        let file = |name: &str| -> PathBuf { folder.path().join(name) };
        let document = |id: &str, text: &str| serde_json::json!({"_id": id, "text": text});
        crate::write_jsonl(file("queries.jsonl"), [document("q", "swali")]).unwrap();
        crate::write_jsonl(file("corpus.jsonl"), [document("d", "jibu"), document("e", "lingine")]).unwrap();
        crate::write_qrels(file("qrels.tsv"), owned(&[("q", "e")])).unwrap();
        let set = RetrievalSet::open(folder.path()).unwrap();
        assert_eq!(set.relevant, [Relevant { documents: vec![1], absent: 0 }]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let qrels = ("qrels.tsv", "q1\ta\t1\n");
        let remedy = "a retrieval set has queries.jsonl, corpus.jsonl and qrels.tsv or qrels/test.tsv";
        assert_eq!(message(&[CORPUS, qrels]), format!("dev: no queries.jsonl; {remedy}"));
        assert_eq!(message(&[QUERIES, qrels]), format!("dev: no corpus.jsonl; {remedy}"));
        assert_eq!(message(&[QUERIES, CORPUS]), format!("dev: no qrels.tsv; {remedy}"));
        assert_eq!(
            message(&[("queries.jsonl", ""), CORPUS, qrels]),
            "dev/queries.jsonl: no rows; at least one is needed"
        );
        let twice = "{\"_id\":\"a\",\"text\":\"x\"}\n\n{\"_id\":\"a\",\"text\":\"y\"}\n";
        assert_eq!(
            message(&[QUERIES, ("corpus.jsonl", twice), qrels]),
            "dev/corpus.jsonl, line 3: the id `a` is already that of line 1; ids must differ"
        );
        assert_eq!(
            message(&[QUERIES, ("corpus.jsonl", "{\"_id\":\"a\"}"), qrels]),
            "dev/corpus.jsonl, line 1, column 11: missing field `text`; each line must be one whole JSON object"
        );
        assert!(
            message(&[("queries.jsonl", "{\"_id\":[1],\"text\":\"x\"}"), CORPUS, qrels])
                .starts_with("dev/queries.jsonl, line 1, column 10: `_id` is neither a string nor a whole number")
        );
        assert_eq!(
            message(&[QUERIES, CORPUS, ("qrels.tsv", "q1\ta\t1\nq1 a 1\n")]),
            "dev/qrels.tsv, line 2: 1 fields; each line must be a query id, a document id and a score, separated by tabs"
        );
        assert!(
            message(&[QUERIES, CORPUS, ("qrels.tsv", "q1\ta\t1\nq1\tb\tNaN\n")])
                .starts_with("dev/qrels.tsv, line 2: the score \"NaN\" is not a finite number")
        );
        for nothing in ["", "q1\ta\t0\n", "other\ta\t1\n"] {
            assert_eq!(
                message(&[QUERIES, CORPUS, ("qrels.tsv", nothing)]),
                "dev/qrels.tsv: no query of queries.jsonl has a relevant document; check that the ids are those of \
                 queries.jsonl"
            );
        }
    }
}
