//! Roles of text columns: decided by place, never by name. Of a pair of columns the first is the query and the second its
//! document (the positive); columns behind them are negatives. Training, hard negatives and what they print share this rule.

use maana_data::LABEL_COLUMNS;
use maana_train::LossName;

/// A file whose columns do not say which two of them are pairs.
#[derive(Debug, thiserror::Error)]
#[error("{path}: the columns of the pairs are not told by their names; name both, of {}", present.join(", "))]
pub struct NoPair {
    /// The file.
    pub path: String,
    /// Its columns.
    pub present: Vec<String>,
}

/// Names of columns that say where they are expected, as Sentence Transformers has them; names of one family stand together.
const EXPECTED: [&[&str]; 4] = [
    &["anchor", "positive", "negative"],
    &["question", "answer"],
    &["query", "response"],
    &["hypothesis", "entailment", "contradiction"],
];

/// The role of each of so many text columns to a loss.
pub fn of_loss(loss: LossName, columns: usize) -> Vec<String> {
    let of_pair = |place: usize| match (place, columns) {
        (0, _) => "query".to_string(),
        (1, _) => "document".to_string(),
        (_, 3) => "negative".to_string(),
        _ => format!("negative {}", place - 1),
    };
    let alike = |place: usize| format!("text {}", place + 1);
    let symmetric = matches!(loss, LossName::Cosent | LossName::CosineSimilarity);
    (0..columns).map(|place| if symmetric { alike(place) } else { of_pair(place) }).collect()
}

/// Roles and columns as a sentence: "query = `positive`, document = `anchor`".
pub fn told(roles: &[String], columns: &[String]) -> String {
    let pairs = roles.iter().zip(columns).map(|(role, column)| format!("{role} = `{column}`"));
    pairs.collect::<Vec<_>>().join(", ")
}

/// Describes the columns that look like ids, which are read as texts all the same; none if there are none.
pub fn ids_among(columns: &[String]) -> Option<String> {
    let ids: Vec<String> = columns.iter().filter(|name| looks_like_ids(name)).map(|name| quoted(name)).collect();
    match &ids[..] {
        [] => None,
        [one] => Some(format!("the column {one} looks like ids, and is read as texts")),
        several => Some(format!("the columns {} look like ids, and are read as texts", several.join(", "))),
    }
}

/// Describes the first column whose name is expected at another place; none if all stand as expected.
pub fn out_of_place(columns: &[String]) -> Option<String> {
    let families = EXPECTED.iter().flat_map(|family| family.iter().enumerate());
    let mut found = families.filter_map(|(expected, name)| {
        let place = columns.iter().position(|column| column == name)?;
        (place != expected).then(|| {
            format!(
                "the column `{name}` is number {}, where a column of this name is expected as number {}",
                place + 1,
                expected + 1
            )
        })
    });
    found.next()
}

/// The columns without those that look like ids, those of a family in the order that their names say.
pub fn better_order(columns: &[String]) -> Vec<String> {
    let mut order: Vec<String> = columns.iter().filter(|name| !looks_like_ids(name)).cloned().collect();
    let expected = |name: &String| EXPECTED.iter().find_map(|family| family.iter().position(|known| known == name));
    order.sort_by_key(|name| expected(name).unwrap_or(EXPECTED[0].len()));
    order
}

/// The columns of a file that hold queries and their documents: those that are named; else `anchor` and `positive`, if the file
/// has both; else the only two that are neither labels nor look like ids. Of two that are not named the first is the query.
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
    // What pandas calls a column that is its index, and one without a name.
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
    fn roles_go_by_place() {
        let told = |loss, columns: &[&str]| super::told(&of_loss(loss, columns.len()), &names(columns));
        let ranking = LossName::MultipleNegativesRanking;
        assert_eq!(told(ranking, &["positive", "anchor"]), "query = `positive`, document = `anchor`");
        assert_eq!(told(LossName::Triplet, &["a", "b", "c"]), "query = `a`, document = `b`, negative = `c`");
        assert!(told(ranking, &["a", "b", "c", "d"]).ends_with("negative 1 = `c`, negative 2 = `d`"));
        assert_eq!(told(LossName::Cosent, &["s1", "s2"]), "text 1 = `s1`, text 2 = `s2`");
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
    fn columns_out_of_place_are_named() {
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
            let fault = of(present, None, None).unwrap_err().to_string();
            assert!(fault.contains("a.jsonl") && fault.contains(present[0]), "{fault}");
        }
    }
}
