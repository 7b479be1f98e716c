//! Retrieval sets in the layout of BEIR: queries, a corpus, and judgements of relevance. Knows no
//! embedding and no metric.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::DataError;
use crate::read::{Format, Lines, Record, Source, Table, files};

/// Extensions of the files of a set; the first that exists is used.
const ENDINGS: [&str; 10] =
    [".jsonl", ".jsonl.gz", ".ndjson", ".json", ".json.gz", ".parquet", ".csv", ".csv.gz", ".tsv", ".tsv.gz"];

/// Names of judgements, and their extensions; the first that exists is used.
const JUDGEMENTS: [&str; 3] = ["qrels", "qrels/test", "qrels/dev"];
const JUDGEMENT_ENDINGS: [&str; 11] =
    [".tsv", ".tsv.gz", ".txt", ".txt.gz", ".trec", ".trec.gz", ".csv", ".jsonl", ".jsonl.gz", ".parquet", ""];

/// Names of the fields of judgements with named fields.
const QUERY_FIELDS: [&str; 3] = ["query-id", "query_id", "qid"];
const DOCUMENT_FIELDS: [&str; 4] = ["corpus-id", "corpus_id", "doc_id", "docid"];
const SCORE_FIELDS: [&str; 4] = ["score", "relevance", "rel", "label"];

/// Queries, documents and judgements, in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrievalSet {
    /// Name of the folder.
    pub name: String,
    /// Ids and texts, in the order of their file.
    pub queries: Vec<(String, String)>,
    /// Ids and texts, in the order of their file. A document with a title that is not empty has the
    /// text `title + " " + text`, as in BEIR.
    pub corpus: Vec<(String, String)>,
    /// Relevant documents of each query; empty for a query without a judgement above 0.
    pub relevant: Vec<Relevant>,
    /// Number of judgements of unknown queries. They are ignored, as in the reference; worth a
    /// warning.
    pub unknown_queries: usize,
}

/// The relevant documents of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relevant {
    /// Indices in [`RetrievalSet::corpus`], ascending.
    pub documents: Vec<usize>,
    /// Number of relevant documents that are not in the corpus. The reference's recall counts them.
    pub absent: usize,
}

impl Relevant {
    /// Number of relevant documents, in the corpus or not.
    pub fn count(&self) -> usize {
        self.documents.len() + self.absent
    }
}

impl RetrievalSet {
    /// Opens a folder with queries, a corpus and judgements.
    ///
    /// `queries.jsonl` and `corpus.jsonl` have the fields `_id` (or `id`), `text`, and in the
    /// corpus optionally `title`. They may also be `.json`, `.csv`, `.tsv` or `.parquet`,
    /// compressed with gzip, or folders of such files named `queries` and `corpus`.
    ///
    /// `qrels.tsv`, `qrels/test.tsv` or `qrels/dev.tsv` have a query id, a document id and a score,
    /// separated by tabs (with an optional header), or the four columns of TREC; `.csv`, `.jsonl`
    /// and `.parquet` have the fields `query-id`, `corpus-id` and `score`. A score above 0 means
    /// relevant; the last judgement of a pair counts.
    ///
    /// # Errors
    /// If a file is missing or malformed, an id occurs twice, or no query has a relevant document.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, DataError> {
        let folder = folder.as_ref();
        let name = folder.display().to_string();
        std::fs::metadata(folder).map_err(|source| DataError::Io { path: name.clone(), source })?;
        let missing = |file| DataError::RetrievalFileMissing { folder: name.clone(), file };
        let queries = documents(&part(folder, "queries")?.ok_or_else(|| missing("queries.jsonl"))?)?;
        let corpus = documents(&part(folder, "corpus")?.ok_or_else(|| missing("corpus.jsonl"))?)?;
        let judgements = judgements(folder).ok_or_else(|| missing("qrels.tsv"))?;
        let (relevant, unknown_queries) = judge(&judgements, &queries, &corpus)?;
        if relevant.iter().all(|relevant| relevant.count() == 0) {
            return Err(DataError::NothingRelevant { path: judgements.display().to_string() });
        }
        let name = std::path::absolute(folder).ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into()));
        Ok(Self { name: name.unwrap_or_default(), queries, corpus, relevant, unknown_queries })
    }

    /// Returns true if the folder has queries and a corpus.
    pub fn is_at(folder: impl AsRef<Path>) -> bool {
        let has = |stem| matches!(part(folder.as_ref(), stem), Ok(Some(_)));
        has("queries") && has("corpus")
    }

    /// Returns warnings about judgements of unknown queries and documents.
    pub fn notes(&self) -> Vec<String> {
        let absent: usize = self.relevant.iter().map(|relevant| relevant.absent).sum();
        let mut notes = Vec::new();
        if self.unknown_queries > 0 {
            notes.push(format!("{}: {} judgements name queries that are not there", self.name, self.unknown_queries));
        }
        if absent > 0 {
            notes.push(format!(
                "{}: {absent} relevant documents are not in the corpus; they count as not found",
                self.name
            ));
        }
        notes
    }

    /// Returns the SHA-256 of queries, corpus and judgements.
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

/// Returns the files of queries or corpus.
fn part(folder: &Path, stem: &str) -> Result<Option<Vec<(PathBuf, Format)>>, DataError> {
    let file = ENDINGS.iter().map(|ending| folder.join(format!("{stem}{ending}"))).find(|path| path.is_file());
    let inner = folder.join(stem);
    match file {
        Some(path) => files(&[path]).map(Some),
        None if inner.is_dir() => files(&[inner]).map(Some),
        None => Ok(None),
    }
}

/// Returns the file of judgements.
fn judgements(folder: &Path) -> Option<PathBuf> {
    let mut named = JUDGEMENT_ENDINGS
        .iter()
        .flat_map(|ending| JUDGEMENTS.iter().map(move |name| folder.join(format!("{name}{ending}"))));
    // Shards of data sets on the hub: test-00000-of-00001.parquet.
    let shard = || {
        let found = files(&[folder.join("qrels")]).ok()?;
        let begins = |split: &str| {
            let of = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(split));
            let mut paths = found.iter().map(|(path, _)| path).filter(|path| of(path));
            paths.next().filter(|_| paths.next().is_none()).cloned()
        };
        ["test-", "dev-", "validation-"].into_iter().find_map(begins)
    };
    named.find(|path| path.is_file()).or_else(shard)
}

fn documents(files: &[(PathBuf, Format)]) -> Result<Vec<(String, String)>, DataError> {
    let mut documents = Vec::new();
    let mut seen: HashMap<String, u64> = HashMap::new();
    for (path, _) in files {
        let table = Table::open(path, None)?;
        let id = if table.has("_id") || !table.has("id") { "_id" } else { "id" };
        let title = table.has("title").then_some("title");
        let wanted: Vec<String> = [id, "text"].into_iter().chain(title).map(String::from).collect();
        for record in table.read(&wanted)? {
            let record = record?;
            let (id, text, line) = (record.required(0)?, record.text(1)?, record.number());
            if let Some(first_line) = seen.insert(id.clone(), line) {
                return Err(DataError::DuplicateId { path: path.display().to_string(), line, id, first_line });
            }
            let title = title.map(|_| record.field(2)).transpose()?.flatten();
            documents.push((id, title.map_or(text.clone(), |title| format!("{title} {text}"))));
        }
    }
    match documents.is_empty() {
        true => Err(DataError::NoRows { path: files[0].0.display().to_string() }),
        false => Ok(documents),
    }
}

/// A judgement of a pair.
struct Judgement {
    query: String,
    document: String,
    is_relevant: bool,
}

/// Returns the relevant documents of each query, and the number of judgements of unknown queries.
fn judge(
    path: &Path,
    queries: &[(String, String)],
    corpus: &[(String, String)],
) -> Result<(Vec<Relevant>, usize), DataError> {
    let places = |documents: &[(String, String)]| -> HashMap<String, usize> {
        documents.iter().enumerate().map(|(place, (id, _))| (id.clone(), place)).collect()
    };
    let (query_places, document_places) = (places(queries), places(corpus));
    let known: HashSet<&str> = query_places.keys().map(String::as_str).collect();
    let mut scores: Vec<HashMap<String, bool>> = vec![HashMap::new(); queries.len()];
    let mut unknown = 0;
    let mut add = |judgement: Judgement| match query_places.get(&judgement.query) {
        Some(&place) => {
            scores[place].insert(judgement.document, judgement.is_relevant);
        }
        None => unknown += 1,
    };
    match Format::of(path) {
        Some(Format::Json | Format::Parquet | Format::Csv { separator: ',' }) => named_judgements(path, &mut add)?,
        _ => lines_of_judgements(path, &known, &mut add)?,
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

/// Reads judgements with named fields.
fn named_judgements(path: &Path, add: &mut dyn FnMut(Judgement)) -> Result<(), DataError> {
    let table = Table::open(path, None)?;
    let find = |names: &[&str]| names.iter().find(|name| table.has(name)).unwrap_or(&names[0]).to_string();
    let wanted = [find(&QUERY_FIELDS), find(&DOCUMENT_FIELDS), find(&SCORE_FIELDS)];
    for record in table.read(&wanted)? {
        let record: Record = record?;
        let (query, document, score) = (record.required(0)?, record.required(1)?, record.required(2)?);
        let bad =
            |message| DataError::BadJudgement { path: path.display().to_string(), line: record.number(), message };
        add(Judgement { query, document, is_relevant: score_of(&score).map_err(bad)? > 0.0 });
    }
    Ok(())
}

/// Reads judgements in lines: a query, a document and a score, separated by tabs; or in the format
/// of TREC a query, anything, a document and a score, separated by white space.
fn lines_of_judgements(path: &Path, queries: &HashSet<&str>, add: &mut dyn FnMut(Judgement)) -> Result<(), DataError> {
    let mut lines = Lines::new(Source::open(path)?);
    let name = lines.path().to_owned();
    let mut is_first = true;
    while let Some(line) = lines.next_filled()? {
        let bad = |message| DataError::BadJudgement { path: name.clone(), line: line.number, message };
        let fields: Vec<&str> = line.text.split('\t').collect();
        let words: Vec<&str> = line.text.split_whitespace().collect();
        let (query, document, score) = match (&fields[..], &words[..]) {
            ([query, document, score], _) => (*query, *document, *score),
            (_, [query, _, document, score]) => (*query, *document, *score),
            _ => return Err(bad(format!("{} fields", fields.len()))),
        };
        // A header has a word in place of the score, and no known query.
        let may_be_header = std::mem::take(&mut is_first) && !queries.contains(query);
        if may_be_header && score.trim().starts_with(char::is_alphabetic) {
            continue;
        }
        let is_relevant = score_of(score).map_err(bad)? > 0.0;
        add(Judgement { query: query.into(), document: document.into(), is_relevant });
    }
    Ok(())
}

fn score_of(score: &str) -> Result<f64, String> {
    let score_is = |score: &str| format!("the score {score:?} is not a finite number");
    score.trim().parse().ok().filter(|score: &f64| score.is_finite()).ok_or_else(|| score_is(score))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Creates a folder with these files.
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
    fn ids_keep_all_their_digits() {
        let queries = "{\"_id\":98765432109876543210,\"text\":\"a\"}\n{\"_id\":98765432109876543211,\"text\":\"b\"}\n";
        let corpus = "{\"_id\":12345678901234567890,\"text\":\"c\"}\n";
        let qrels = "98765432109876543211\t12345678901234567890\t1\n";
        let folder = folder(&[("queries.jsonl", queries), ("corpus.jsonl", corpus), ("qrels.tsv", qrels)]);
        let set = RetrievalSet::open(folder.path()).unwrap();
        assert_eq!(set.queries[1].0, "98765432109876543211");
        assert_eq!(set.relevant[1].documents, [0]);
    }

    #[test]
    fn sets_may_have_other_names_and_formats() {
        let qrels = ("qrels.tsv", "q1\ta\t1\n");
        let expected = RetrievalSet::open(folder(&[QUERIES, CORPUS, qrels]).path()).unwrap().fingerprint();
        let same = |files: &[(&str, &str)]| {
            let fingerprint = RetrievalSet::open(folder(files).path()).unwrap().fingerprint();
            assert!(fingerprint == expected, "{:?}", files.iter().map(|(name, _)| name).collect::<Vec<_>>());
        };
        let queries = ("queries.csv", "id,text\nq1,nini?\n2,nani?\n");
        let corpus = (
            "corpus.json",
            "[{\"id\": \"b\", \"text\": \"bure\"},\n{\"id\": \"a\", \"title\": \"Jina\", \"text\": \"anga\"},\n\
             {\"id\": \"c\", \"text\": \"\"}]",
        );
        same(&[queries, corpus, qrels]);
        same(&[QUERIES, CORPUS, ("qrels/test.txt", "q1 0 a 1\nq1 0 b 0\n")]);
        same(&[QUERIES, CORPUS, ("qrels.trec", "q1\tQ0\ta\t2\n")]);
        same(&[QUERIES, CORPUS, ("qrels.jsonl", "{\"query-id\":\"q1\",\"corpus-id\":\"a\",\"score\":1}\n")]);
        same(&[QUERIES, CORPUS, ("qrels/test.csv", "query_id,doc_id,relevance\nq1,a,1\nq1,b,0\n")]);
        same(&[QUERIES, CORPUS, ("qrels/test-00000-of-00001.jsonl", "{\"qid\":\"q1\",\"docid\":\"a\",\"rel\":1}\n")]);
        assert!(!RetrievalSet::is_at(folder(&[QUERIES]).path()));
        assert!(RetrievalSet::is_at(folder(&[queries, corpus]).path()));
    }

    #[test]
    fn a_first_line_of_data_is_no_header() {
        assert!(
            message(&[QUERIES, CORPUS, ("qrels.tsv", "q1\ta\t1,0\nq1\tb\t1\n")])
                .starts_with("dev/qrels.tsv, line 1: the score \"1,0\" is not a finite number")
        );
        assert!(
            message(&[QUERIES, CORPUS, ("qrels.tsv", "q1\ta\tyes\nq1\tb\t1\n")])
                .starts_with("dev/qrels.tsv, line 1: the score \"yes\" is not a finite number")
        );
    }

    #[test]
    fn judgements_of_what_is_not_there_are_noted() {
        let judgements = "q1\ta\t1\nq1\tgone\t1\nq1\tlost\t0\nq9\ta\t1\n";
        let folder = folder(&[QUERIES, CORPUS, ("qrels.tsv", judgements)]);
        let set = RetrievalSet::open(folder.path()).unwrap();
        let notes = set.notes();
        assert!(notes[0].ends_with(": 1 judgements name queries that are not there"), "{notes:?}");
        assert!(
            notes[1].ends_with(": 1 relevant documents are not in the corpus; they count as not found"),
            "{notes:?}"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let absent = RetrievalSet::open("no/such/folder").map(drop).unwrap_err();
        assert!(matches!(&absent, DataError::Io { path, .. } if path == "no/such/folder"), "{absent}");
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
            "dev/corpus.jsonl: no column `text`; the columns are _id"
        );
        assert!(
            message(&[("queries.jsonl", "{\"_id\":[1],\"text\":\"x\"}"), CORPUS, qrels])
                .starts_with("dev/queries.jsonl, line 1: the column `_id` holds a list, not a text")
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
