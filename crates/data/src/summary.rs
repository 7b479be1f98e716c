//! Description of a data set for a model card, from its first rows. The caller counts tokens.

use crate::{ColumnSummary, DataError, DataSummary, Example, LabelSummary, Source};

/// Returns token statistics of the first `sampled` rows of `source` (fewer if it has fewer), and
/// its first `samples` rows, with a list as JSON. The statistics of a column of lists are those of
/// their texts. `count_tokens` returns the number of tokens of each text, including
/// special tokens. The summary has no name.
///
/// # Errors
/// If a row cannot be read.
pub fn summarise(
    source: &dyn Source,
    sampled: usize,
    samples: usize,
    count_tokens: &dyn Fn(&[&str]) -> Vec<usize>,
) -> Result<DataSummary, DataError> {
    let read = |rows: usize| -> Result<Vec<Example>, DataError> {
        (0..rows.min(source.len())).map(|row| source.get(row)).collect()
    };
    let rows = read(sampled)?;
    let column = |(place, name): (usize, &String)| {
        let is_list = source.has_lists() && place > 0;
        let of_row = |texts: &'_ [String]| place..if is_list { texts.len() } else { place + 1 };
        let texts = rows.iter().flat_map(|row| &row.texts[of_row(&row.texts)]);
        let texts: Vec<&str> = texts.map(String::as_str).collect();
        let counts = count_tokens(&texts);
        assert_eq!(counts.len(), texts.len(), "{} counts of tokens for {} texts", counts.len(), texts.len());
        let max_tokens = counts.iter().copied().max().unwrap_or(0);
        let mut histogram = vec![0; max_tokens + 1];
        counts.iter().for_each(|&tokens| histogram[tokens] += 1);
        ColumnSummary {
            name: name.clone(),
            min_tokens: counts.iter().copied().min().unwrap_or(0),
            mean_tokens: counts.iter().sum::<usize>() as f64 / counts.len().max(1) as f64,
            max_tokens,
            histogram,
        }
    };
    let written = |Example { texts, label }: Example| {
        let mut cells = match source.has_lists() {
            true => vec![texts[0].clone(), serde_json::json!(texts[1..]).to_string()],
            false => texts,
        };
        cells.extend(label.filter(|_| source.label_column().is_some()).map(|label| match label[..] {
            [number] if !source.has_lists() => number.to_string(),
            _ => serde_json::json!(label).to_string(),
        }));
        cells
    };
    let label = source.label_column().map(|name| {
        let values = || rows.iter().filter_map(|row| row.label.as_ref()).flatten().copied();
        LabelSummary {
            name: name.to_owned(),
            min: values().min_by(f32::total_cmp).unwrap_or(0.0),
            mean: values().map(f64::from).sum::<f64>() / values().count().max(1) as f64,
            max: values().max_by(f32::total_cmp).unwrap_or(0.0),
            is_list: source.has_lists() || source.label_length() > 1,
        }
    });
    Ok(DataSummary {
        name: None,
        rows: source.len(),
        columns: source.columns().iter().enumerate().map(column).collect(),
        label,
        sampled: rows.len(),
        samples: read(samples)?.into_iter().map(written).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dataset, ReadOptions};

    #[test]
    fn statistics_are_of_the_first_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "a,b\nx x,y\nx,y y\nx x x x,y\n").unwrap();
        let source = Dataset::open(&[path], ReadOptions::default()).unwrap();
        let words = |texts: &[&str]| texts.iter().map(|text| text.split(' ').count()).collect();
        let summary = summarise(&source, 2, 1, &words).unwrap();
        assert_eq!((summary.name, summary.rows, summary.sampled), (None, 3, 2));
        assert_eq!(summary.samples, [["x x", "y"]]);
        let column = |name: &str| ColumnSummary {
            name: name.into(),
            min_tokens: 1,
            mean_tokens: 1.5,
            max_tokens: 2,
            histogram: vec![0, 1, 1],
        };
        assert_eq!(summary.columns, [column("a"), column("b")]);

        let all = summarise(&source, 1000, 1000, &words).unwrap();
        assert_eq!((all.sampled, all.samples.len(), all.columns[0].max_tokens), (3, 3, 4));
        let none = summarise(&source, 0, 0, &words).unwrap();
        assert_eq!((none.columns[0].mean_tokens, &none.columns[0].histogram), (0.0, &vec![0]));
        assert_eq!(none.label, None);
    }

    #[test]
    fn labels_have_statistics_and_are_the_last_cells_of_samples() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let words = |texts: &[&str]| texts.iter().map(|text| text.split(' ').count()).collect();
        let read = |rows: &str| {
            std::fs::write(&path, rows).unwrap();
            let source = Dataset::open(std::slice::from_ref(&path), ReadOptions::default()).unwrap();
            summarise(&source, 9, 9, &words).unwrap()
        };
        let label = |min, mean, max, is_list| Some(LabelSummary { name: "score".into(), min, mean, max, is_list });
        let single = read("{\"a\":\"x\",\"b\":\"y\",\"score\":0.5}\n{\"a\":\"z\",\"b\":\"y\",\"score\":1}\n");
        assert_eq!(single.label, label(0.5, 0.75, 1.0, false));
        assert_eq!(single.samples, [["x", "y", "0.5"], ["z", "y", "1"]]);
        let several = read("{\"a\":\"x\",\"b\":\"y\",\"score\":[-1,2.5]}\n");
        assert_eq!(several.label, label(-1.0, 0.75, 2.5, true));
        assert_eq!(several.samples, [["x", "y", "[-1.0,2.5]"]]);
    }
}
