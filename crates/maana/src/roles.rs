//! Roles of text columns, decided by position, never by name: the first column of a pair is the
//! query, the second its document (the positive), and further columns are negatives. Training and
//! hard negatives share this rule.

use maana_data::LABEL_COLUMNS;
use maana_train::LossName;

/// A file in which the columns of the pairs are ambiguous.
#[derive(Debug, thiserror::Error)]
#[error("{path}: the columns of the pairs are ambiguous; name two of {}", present.join(", "))]
pub struct NoPair {
    /// The file.
    pub path: String,
    /// Its columns.
    pub present: Vec<String>,
}

/// Families of column names in their expected order, as in Sentence Transformers.
const EXPECTED: [&[&str]; 4] = [
    &["anchor", "positive", "negative"],
    &["question", "answer"],
    &["query", "response"],
    &["hypothesis", "entailment", "contradiction"],
];

/// Returns the role of each text column for a loss.
pub fn of_loss(loss: LossName, columns: usize) -> Vec<String> {
    let of_pair = |column: usize| match (column, columns) {
        (0, _) => "query".to_string(),
        (1, _) => "document".to_string(),
        (_, 3) => "negative".to_string(),
        _ => format!("negative {}", column - 1),
    };
    let equal = |column: usize| format!("text {}", column + 1);
    let equals = match loss {
        LossName::Cosent | LossName::CosineSimilarity | LossName::Contrastive | LossName::OnlineContrastive => true,
        LossName::Angle => columns == 2,
        LossName::Mse | LossName::Simcse | LossName::Softmax => true,
        _ => loss.compares_classes(),
    };
    match columns {
        1 => vec!["text".into()],
        _ => (0..columns).map(|column| if equals { equal(column) } else { of_pair(column) }).collect(),
    }
}

/// Returns the role of each text column for a loss of cross-encoders.
pub fn of_pairs(loss: LossName, columns: usize) -> Vec<String> {
    match (loss.takes_lists(), columns) {
        (true, 2) => vec!["query".into(), "documents".into()],
        (true, _) => {
            (0..columns).map(|column| if column == 0 { "query".into() } else { format!("document {column}") }).collect()
        }
        (false, _) if loss == LossName::Mse => of_loss(LossName::BinaryCrossEntropy, columns),
        (false, _) => of_loss(loss, columns),
    }
}

/// Describes roles and columns: "query = `positive`, document = `anchor`".
pub fn assignments(roles: &[String], columns: &[String]) -> String {
    let pairs = roles.iter().zip(columns).map(|(role, column)| format!("{role} = `{column}`"));
    pairs.collect::<Vec<_>>().join(", ")
}

/// Describes the columns that look like ids but are read as texts, if any.
pub fn ids_among(columns: &[String]) -> Option<String> {
    let ids: Vec<String> = columns.iter().filter(|name| looks_like_ids(name)).map(|name| quoted(name)).collect();
    match &ids[..] {
        [] => None,
        [one] => Some(format!("the column {one} looks like ids, but is read as texts")),
        several => Some(format!("the columns {} look like ids, but are read as texts", several.join(", "))),
    }
}

/// Describes the first column whose name is expected at another position, if any.
pub fn out_of_place(columns: &[String]) -> Option<String> {
    let families = EXPECTED.iter().flat_map(|family| family.iter().enumerate());
    let mut found = families.filter_map(|(expected, name)| {
        let position = columns.iter().position(|column| column == name)?;
        (position != expected).then(|| {
            format!(
                "the column `{name}` is number {}, but its name is expected as number {}",
                position + 1,
                expected + 1
            )
        })
    });
    found.next()
}

/// Returns the columns without ids, those of a family in the order of their names.
pub fn better_order(columns: &[String]) -> Vec<String> {
    let mut order: Vec<String> = columns.iter().filter(|name| !looks_like_ids(name)).cloned().collect();
    let expected = |name: &String| EXPECTED.iter().find_map(|family| family.iter().position(|known| known == name));
    order.sort_by_key(|name| expected(name).unwrap_or(EXPECTED[0].len()));
    order
}

/// Returns the columns of queries and their documents: the named ones; else `anchor` and
/// `positive`, if the file has both; else the only two that are neither labels nor ids. Of two
/// unnamed columns the first is the query.
///
/// # Errors
/// If the file has not exactly two such columns.
pub fn pair(
    path: &str,
    present: &[String],
    query: Option<&str>,
    document: Option<&str>,
) -> Result<(String, String), NoPair> {
    let candidates = |names: &dyn Fn(&str) -> bool| -> Vec<String> {
        let given = |name: &String| Some(name.as_str()) == query || Some(name.as_str()) == document;
        present.iter().filter(|name| !given(name) && names(name)).cloned().collect()
    };
    let needed = 2 - usize::from(query.is_some()) - usize::from(document.is_some());
    let known = candidates(&|name| EXPECTED[0][..2].contains(&name));
    let others = candidates(&|name| !LABEL_COLUMNS.contains(&name) && !looks_like_ids(name));
    let free = if known.len() == needed { known } else { others };
    if free.len() != needed && needed > 0 {
        return Err(NoPair { path: path.into(), present: present.to_vec() });
    }
    let mut free = free.into_iter();
    let mut take = |named: Option<&str>| named.map(String::from).or_else(|| free.next()).unwrap_or_default();
    Ok((take(query), take(document)))
}

fn looks_like_ids(name: &str) -> bool {
    // Names in pandas of an index column, and of a column without a name.
    let index = name.trim().is_empty() || name.starts_with("Unnamed: ") || name.starts_with("__index_level_");
    index || name == "id" || ["_id", "_ids", "_idx"].iter().any(|ending| name.ends_with(ending))
}

fn quoted(name: &str) -> String {
    if name.trim().is_empty() { "without a name".into() } else { format!("`{name}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_string()).collect()
    }

    #[test]
    fn roles_follow_positions() {
        let assigned = |loss, columns: &[&str]| super::assignments(&of_loss(loss, columns.len()), &names(columns));
        let ranking = LossName::MultipleNegativesRanking;
        assert_eq!(assigned(ranking, &["positive", "anchor"]), "query = `positive`, document = `anchor`");
        assert_eq!(assigned(LossName::Triplet, &["a", "b", "c"]), "query = `a`, document = `b`, negative = `c`");
        assert!(assigned(ranking, &["a", "b", "c", "d"]).ends_with("negative 1 = `c`, negative 2 = `d`"));
        assert_eq!(assigned(LossName::Cosent, &["s1", "s2"]), "text 1 = `s1`, text 2 = `s2`");
        assert_eq!(assigned(LossName::Angle, &["a", "b", "c"]), "query = `a`, document = `b`, negative = `c`");
        assert_eq!(
            assigned(LossName::Softmax, &["premise", "hypothesis"]),
            "text 1 = `premise`, text 2 = `hypothesis`"
        );
        assert_eq!(assigned(LossName::BatchHardTriplet, &["s"]), "text = `s`");
    }

    #[test]
    fn columns_that_look_like_ids_are_named() {
        for id in ["id", "_id", "query_id", "negative_ids", "row_idx", "Unnamed: 0", "__index_level_0__", "", " "] {
            assert!(ids_among(&names(&[id, "anchor"])).is_some(), "{id}");
            assert_eq!(better_order(&names(&[id, "anchor"])), ["anchor"]);
        }
        for text in ["anchor", "ids", "idea", "video", "query"] {
            assert_eq!(ids_among(&names(&[text])), None, "{text}");
        }
    }

    #[test]
    fn columns_at_unexpected_positions_are_named() {
        for (columns, wrong, better) in [
            (&["positive", "anchor"][..], "`anchor` is number 2", &["anchor", "positive"][..]),
            (&["anchor", "negative", "positive"], "`positive` is number 3", &["anchor", "positive", "negative"]),
            (&["document", "query"], "`query` is number 2", &["query", "document"]),
            (&["answer", "question"], "`question` is number 2", &["question", "answer"]),
            (&["id", "anchor", "positive"], "`anchor` is number 2", &["anchor", "positive"]),
        ] {
            let found = out_of_place(&names(columns)).unwrap_or_default();
            assert!(found.contains(wrong), "{columns:?}: {found}");
            assert_eq!(better_order(&names(columns)), better);
        }
        for columns in
            [&["anchor", "positive", "negative"][..], &["query", "positive"], &["a", "b"], &["anchor", "x", "negative"]]
        {
            assert_eq!(out_of_place(&names(columns)), None, "{columns:?}");
        }
    }

    #[test]
    fn the_columns_of_a_pair_are_found_in_the_order_of_the_file() {
        let of = |present: &[&str], query: Option<&str>, document: Option<&str>| {
            pair("a.jsonl", &names(present), query, document)
        };
        let both = |query: &str, document: &str| (query.to_string(), document.to_string());
        assert_eq!(of(&["positive", "anchor"], None, None).unwrap(), both("positive", "anchor"));
        assert_eq!(of(&["id", "anchor", "positive", "note"], None, None).unwrap(), both("anchor", "positive"));
        assert_eq!(of(&["id", "title", "body", "score"], None, None).unwrap(), both("title", "body"));
        assert_eq!(of(&["title", "body", "note"], Some("note"), Some("title")).unwrap(), both("note", "title"));
        assert_eq!(of(&["positive", "anchor"], Some("anchor"), None).unwrap(), both("anchor", "positive"));
        assert_eq!(of(&["question", "positive"], None, Some("positive")).unwrap(), both("question", "positive"));
        for present in [&["text"][..], &["a", "b", "c"], &["id", "text"]] {
            let error = of(present, None, None).unwrap_err().to_string();
            assert!(error.contains("a.jsonl") && error.contains(present[0]), "{error}");
        }
    }
}
