//! Rows of a batch: their texts and labels, and the pairs that they give to a cross-encoder.

use crate::TrainError;
use crate::loss::{NumberOrAll, Pairs};
use maana_data::Source;
use maana_files::mix;
use maana_kernels::Rows;
use std::collections::HashMap;

/// Texts and labels of the rows of a batch.
pub(crate) struct RowTexts {
    /// Texts of each row.
    pub(crate) texts: Vec<Vec<String>>,
    /// Labels, a number or several for each row, or one for each text of a list.
    pub(crate) labels: Option<Vec<f32>>,
}

impl RowTexts {
    /// Reads rows of a source.
    pub(crate) fn read(source: &dyn Source, rows: &[usize]) -> Result<Self, TrainError> {
        let mut texts = Vec::with_capacity(rows.len());
        let mut labels = source.has_labels().then(|| Vec::with_capacity(rows.len() * source.label_length()));
        for &row in rows {
            let example = source.get(row).map_err(|source| TrainError::Data { row, source })?;
            texts.push(example.texts);
            if let Some(labels) = &mut labels {
                labels.extend(example.label.ok_or(TrainError::NoLabel { row })?);
            }
        }
        Ok(Self { texts, labels })
    }

    /// Returns the texts of a column.
    pub(crate) fn column(&self, column: usize) -> Vec<&str> {
        self.texts.iter().map(|texts| texts[column].as_str()).collect()
    }
}

/// Returns labels of this number of numbers, `(labels, length)`.
pub(crate) fn label_rows(numbers: &[f32], length: usize) -> Rows<'_> {
    Rows::new(numbers, numbers.len() / length, length, length)
}

/// Pairs of a query and a document, as numbers of texts, so that each text is tokenised once.
#[derive(Debug, PartialEq)]
pub(crate) struct PairsOfRows<'t> {
    /// Distinct first and distinct second texts of the pairs.
    pub(crate) texts: [Vec<&'t str>; 2],
    /// Numbers of the first and the second text of each pair, row by row.
    pub(crate) pairs: Vec<[usize; 2]>,
    /// Start of each row's pairs, followed by their number.
    pub(crate) offsets: Vec<usize>,
}

impl<'t> PairsOfRows<'t> {
    /// Returns the pairs of rows of texts. Documents of other rows are drawn without replacement
    /// by the seed of the run and the number of the micro-batch.
    pub(crate) fn new(rows: &'t [Vec<String>], pairs: Pairs, (seed, pass): (u64, u64)) -> Self {
        let mut of_rows = Self { texts: [Vec::new(), Vec::new()], pairs: Vec::new(), offsets: vec![0] };
        let mut numbers = [HashMap::new(), HashMap::new()];
        for (row, texts) in rows.iter().enumerate() {
            let mut pair = |document: &'t str| {
                let pair = [(0, texts[0].as_str()), (1, document)].map(|(place, text)| {
                    *numbers[place].entry(text).or_insert_with(|| {
                        of_rows.texts[place].push(text);
                        of_rows.texts[place].len() - 1
                    })
                });
                of_rows.pairs.push(pair);
            };
            match pairs {
                Pairs::Each => texts[1..].iter().for_each(|text| pair(text)),
                Pairs::WithOthers(count) => {
                    pair(&texts[1]);
                    for (column, other) in others(rows.len(), texts.len() - 1, row, count, (seed, pass)) {
                        pair(&rows[other][column + 1]);
                    }
                    texts[2..].iter().for_each(|text| pair(text));
                }
            }
            of_rows.offsets.push(of_rows.pairs.len());
        }
        of_rows
    }

    /// Returns the texts of each pair.
    pub(crate) fn both_texts(&self) -> Vec<(&'t str, &'t str)> {
        let [first, second] = &self.texts;
        self.pairs.iter().map(|[a, b]| (first[*a], second[*b])).collect()
    }
}

/// Returns the column and the row of the documents of other rows that row `row` is compared with,
/// of `rows` rows with `columns` documents each: all, column by column, or as many as are drawn.
fn others(
    rows: usize,
    columns: usize,
    row: usize,
    count: NumberOrAll,
    (seed, pass): (u64, u64),
) -> Vec<(usize, usize)> {
    let all = (0..columns).flat_map(|column| (0..rows).map(move |other| (column, other)));
    let mut left: Vec<(usize, usize)> = all.filter(|(_, other)| *other != row).collect();
    match count {
        NumberOrAll::Number(count) if count < left.len() => {
            let mut state = mix(seed ^ mix(pass ^ mix(row as u64)));
            let draw = |_| {
                state = mix(state);
                left.swap_remove((state % left.len() as u64) as usize)
            };
            (0..count).map(draw).collect()
        }
        _ => left,
    }
}

/// Returns the pairs of rows of texts as a loss sees them in the first micro-batch of a run.
pub fn pairs_of_rows(rows: &[Vec<String>], pairs: Pairs, seed: u64) -> Vec<(&str, &str)> {
    PairsOfRows::new(rows, pairs, (seed, 0)).both_texts()
}

/// Returns the most pairs of a batch of `rows` rows of a source.
pub(crate) fn most_pairs(source: &dyn Source, pairs: Pairs, rows: usize) -> usize {
    let documents = if source.has_lists() {
        (0..source.len()).map(|row| source.row_keys(row).len()).max().unwrap_or(1) - 1
    } else {
        source.columns().len() - 1
    };
    let others = documents * rows.saturating_sub(1);
    rows * match pairs {
        Pairs::Each => documents,
        Pairs::WithOthers(NumberOrAll::All) => documents + others,
        Pairs::WithOthers(NumberOrAll::Number(count)) => documents + others.min(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn rows(count: usize, columns: usize) -> Vec<Vec<String>> {
        let text = |row: usize, column: usize| match column {
            0 => format!("q{row}"),
            _ => ((column - 1) * count + row).to_string(),
        };
        (0..count).map(|row| (0..=columns).map(|column| text(row, column)).collect()).collect()
    }

    fn documents<'t>(pairs: &PairsOfRows<'t>, row: usize) -> Vec<&'t str> {
        let range = pairs.offsets[row]..pairs.offsets[row + 1];
        pairs.pairs[range].iter().map(|[_, document]| pairs.texts[1][*document]).collect()
    }

    #[test]
    fn all_pairs_are_those_of_the_reference_in_its_order() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/cross_losses.json");
        let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for (columns, count) in
            [(1, NumberOrAll::All), (2, NumberOrAll::All), (3, NumberOrAll::All), (2, NumberOrAll::Number(99))]
        {
            let case = match count {
                NumberOrAll::All => format!("all_{columns}"),
                NumberOrAll::Number(_) => "more_than_there_are".into(),
            };
            let theirs = &golden[format!("multiple_negatives_ranking_{case}")]["pairs"];
            let rows = rows(6, columns);
            let ours = PairsOfRows::new(&rows, Pairs::WithOthers(count), (1, 2));
            for row in 0..6 {
                let documents: Vec<u64> = documents(&ours, row).iter().map(|text| text.parse().unwrap()).collect();
                assert_eq!(serde_json::json!(documents), theirs[row], "{case}, row {row}");
            }
        }
    }

    #[test]
    fn drawn_documents_are_distinct_and_of_other_rows_and_depend_on_seed_and_pass() {
        let rows = rows(8, 2);
        let drawn = |seed, pass| {
            let pairs = PairsOfRows::new(&rows, Pairs::WithOthers(NumberOrAll::Number(3)), (seed, pass));
            (0..8).map(|row| documents(&pairs, row).join(" ")).collect::<Vec<_>>()
        };
        for pass in 0..50 {
            for (row, drawn) in drawn(42, pass).iter().enumerate() {
                let documents: Vec<usize> = drawn.split(' ').map(|text| text.parse().unwrap()).collect();
                assert_eq!((documents[0], documents[4]), (row, 8 + row), "its own document first, its negative last");
                let mut others = documents[1..4].to_vec();
                assert!(others.iter().all(|document| document % 8 != row), "{others:?}");
                others.sort_unstable();
                others.dedup();
                assert_eq!(others.len(), 3, "distinct");
            }
        }
        assert_eq!(drawn(42, 7), drawn(42, 7));
        assert_ne!(drawn(42, 7), drawn(42, 8));
        assert_ne!(drawn(42, 7), drawn(43, 7));
    }

    #[test]
    fn texts_are_listed_once() {
        let rows = [["q", "a", "b"], ["q", "b", "a"], ["a", "a", "c"]].map(|row| row.map(String::from).to_vec());
        let pairs = PairsOfRows::new(&rows, Pairs::Each, (0, 0));
        assert_eq!(pairs.texts, [vec!["q", "a"], vec!["a", "b", "c"]]);
        assert_eq!(pairs.pairs, [[0, 0], [0, 1], [0, 1], [0, 0], [1, 0], [1, 2]]);
        assert_eq!(pairs.offsets, [0, 2, 4, 6]);
    }

    #[test]
    fn lists_give_as_many_pairs_as_they_have_texts() {
        let rows = [vec!["q", "a"], vec!["r", "b", "c", "d"]].map(|row| row.into_iter().map(String::from).collect());
        let pairs = PairsOfRows::new(&rows, Pairs::Each, (0, 0));
        assert_eq!(pairs.offsets, [0, 1, 4]);
    }
}
