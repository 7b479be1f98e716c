//! Results in the CSV files of Sentence Transformers: one file per evaluation, one line per run.

use crate::{EvalError, Kind, Scores};
use maana_files::FileError;
use std::fs;
use std::path::{Path, PathBuf};

/// Metrics of retrieval in the order of the columns: the name in a key and in a header. Metrics of
/// one group alternate by cutoff.
const RETRIEVAL: [&[(&str, &str)]; 5] = [
    &[("accuracy", "Accuracy")],
    &[("precision", "Precision"), ("recall", "Recall")],
    &[("mrr", "MRR")],
    &[("ndcg", "NDCG")],
    &[("map", "MAP")],
];

/// Returns the name of an evaluation's file:
/// `Information-Retrieval_evaluation_dim_128_results.csv`.
pub fn csv_name(scores: &Scores) -> String {
    let name = scores.name.replace(['/', '\\'], "_");
    let name = if name.is_empty() { name } else { format!("_{name}") };
    if let (true, (_, Some(class))) = (scores.is_of_cross_encoder(), scores.evaluator()) {
        let cutoff = scores.primary.split_once('@').map_or(String::new(), |(_, cutoff)| format!("_@{cutoff}"));
        return format!("{class}{name}_results{cutoff}.csv");
    }
    match scores.kind {
        Kind::Retrieval => format!("Information-Retrieval_evaluation{name}_results.csv"),
        Kind::Similarity => format!("similarity_evaluation{name}_results.csv"),
        Kind::Binary => format!("binary_classification_evaluation{name}_results.csv"),
        Kind::Triplet => format!("triplet_evaluation{name}_results.csv"),
        Kind::Classification => format!("classification_evaluation{name}_results.csv"),
        Kind::Reranking => format!("RerankingEvaluator{name}_results_@10.csv"),
        Kind::Translation => format!("translation_evaluation{name}_results.csv"),
        Kind::Mining => format!("paraphrase_mining_evaluation{name}_results.csv"),
        Kind::Labels => format!("accuracy_evaluation{name}_results.csv"),
        Kind::Loss => format!("loss_evaluation{name}_results.csv"),
        Kind::Own => format!("own_evaluation{name}_results.csv"),
    }
}

/// Adds a line to the file of each evaluation in `folder`, which is created if necessary, and
/// returns the files. `epoch` and `steps` are those of a training run, or -1 in the file. The last
/// column, in addition to the reference's, is the precision of the embeddings; it is added to files
/// without it, empty in earlier lines.
///
/// # Errors
/// If a file cannot be read or written, or has other columns.
pub fn write_csv(
    folder: &Path,
    scores: &[Scores],
    epoch: Option<f64>,
    steps: Option<u64>,
) -> Result<Vec<PathBuf>, EvalError> {
    fs::create_dir_all(folder).map_err(FileError::at(folder))?;
    let mut paths = Vec::new();
    for scores in scores {
        let path = folder.join(csv_name(scores));
        let columns = columns(scores);
        let mut header = vec!["epoch".to_string(), "steps".to_string()];
        header.extend(columns.iter().map(|(title, _)| title.clone()));
        let without_precision = header.join(",");
        let header = format!("{without_precision},precision\n");
        let mut content = match maana_files::read_to_string(&path) {
            Ok(content) if content.is_empty() => header.clone(),
            Ok(content) => content.replace("\r\n", "\n"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => header.clone(),
            Err(error) => return Err(FileError::at(path)(error).into()),
        };
        if content.lines().next() == Some(&without_precision) {
            let lines = content.lines().skip(1).map(|line| format!("{line},\n"));
            content = std::iter::once(header.clone()).chain(lines).collect();
        }
        if !content.starts_with(&header) {
            return Err(EvalError::OtherColumns { path });
        }
        if !content.ends_with('\n') {
            content.push('\n');
        }
        let mut line =
            vec![epoch.map_or("-1".into(), |epoch| format!("{epoch:?}")), steps.map_or("-1".into(), |s| s.to_string())];
        line.extend(columns.iter().map(|(_, value)| format!("{value:?}")));
        line.push(scores.precision.clone().unwrap_or_default());
        content += &(line.join(",") + "\n");
        maana_files::write(&path, content).map_err(FileError::at(&path))?;
        paths.push(path);
    }
    Ok(paths)
}

/// Returns titles and values in the order of the columns.
fn columns(scores: &Scores) -> Vec<(String, f64)> {
    // The reference puts the function first in some headers and last in others.
    let turned = |key: &str| key.split_once('_').map_or(key.to_owned(), |(front, back)| format!("{back}_{front}"));
    let listed = |columns: &[(&str, &str)]| -> Vec<(String, f64)> {
        let column = |(key, title): &(&str, &str)| Some(((*title).to_owned(), scores.get(key)?));
        columns.iter().filter_map(column).collect()
    };
    if scores.is_of_cross_encoder() {
        return cross_encoder_columns(scores);
    }
    match scores.kind {
        Kind::Retrieval => retrieval_columns(scores),
        Kind::Similarity | Kind::Triplet => scores.values.iter().map(|(key, value)| (turned(key), *value)).collect(),
        Kind::Binary => {
            let order = ["accuracy", "accuracy_threshold", "f1", "precision", "recall", "f1_threshold", "ap", "mcc"];
            let place =
                |key: &str| order.iter().position(|measure| key.split_once('_').is_some_and(|k| k.1 == *measure));
            let mut columns = scores.values.clone();
            columns.sort_by_key(|(key, _)| place(key));
            columns
        }
        Kind::Reranking => listed(&[("map", "MAP"), ("mrr@10", "MRR@10"), ("ndcg@10", "NDCG@10")]),
        Kind::Translation => listed(&[("src2trg_accuracy", "src2trg"), ("trg2src_accuracy", "trg2src")]),
        Kind::Mining => {
            listed(&["precision", "recall", "f1", "threshold", "average_precision"].map(|measure| (measure, measure)))
        }
        Kind::Labels => listed(&[("accuracy", "accuracy")]),
        Kind::Classification | Kind::Loss | Kind::Own => scores.values.clone(),
    }
}

/// Returns titles and values as the reference's evaluators of cross-encoders write them.
fn cross_encoder_columns(scores: &Scores) -> Vec<(String, f64)> {
    let capitals = |key: &str| {
        let word = |word: &str| word[..1].to_uppercase() + &word[1..];
        key.split('_').map(word).collect::<Vec<_>>().join("_")
    };
    let title = |key: &str| match (scores.kind, key) {
        (Kind::Reranking, key) => key.to_uppercase(),
        (Kind::Similarity, key) => format!("{}_Correlation", capitals(key)),
        (Kind::Classification, key) => capitals(&key.split('_').rev().collect::<Vec<_>>().join("_")),
        (_, key) => capitals(key),
    };
    // Measures of the order before the reranking are not in the reference's file.
    scores.own_values().map(|(key, value)| (title(key), *value)).collect()
}

fn retrieval_columns(scores: &Scores) -> Vec<(String, f64)> {
    let mut columns = Vec::new();
    let split = |key: &str| {
        let (front, cutoff) = key.rsplit_once('@')?;
        let (function, measure) = front.rsplit_once('_')?;
        Some((function.to_string(), measure.to_string(), cutoff.to_string()))
    };
    let keys: Vec<_> = scores.values.iter().filter_map(|(key, _)| split(key)).collect();
    for group in RETRIEVAL {
        for (function, _, cutoff) in keys.iter().filter(|(_, measure, _)| measure == group[0].0) {
            for (measure, title) in group {
                if let Some(value) = scores.get(&format!("{function}_{measure}@{cutoff}")) {
                    columns.push((format!("{function}-{title}@{cutoff}"), value));
                }
            }
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores() -> Scores {
        let keys = [
            "accuracy@1",
            "accuracy@3",
            "precision@1",
            "precision@3",
            "recall@1",
            "recall@3",
            "ndcg@10",
            "mrr@10",
            "map@100",
        ];
        let values =
            keys.iter().enumerate().map(|(index, key)| (format!("cosine_{key}"), index as f64 / 8.0)).collect();
        Scores {
            kind: Kind::Retrieval,
            name: "dim_64".into(),
            dimension: 64,
            values,
            primary: "cosine_ndcg@10".into(),
            precision: Some("f32".into()),
            items: Vec::new(),
        }
    }

    #[test]
    fn names_and_columns_are_those_of_the_reference() {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("eval");
        let paths = write_csv(&into, &[scores()], None, None).unwrap();
        write_csv(&into, &[scores()], Some(1.9998), Some(1105)).unwrap();
        assert_eq!(paths, [into.join("Information-Retrieval_evaluation_dim_64_results.csv")]);
        let text = fs::read_to_string(&paths[0]).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "epoch,steps,cosine-Accuracy@1,cosine-Accuracy@3,cosine-Precision@1,cosine-Recall@1,cosine-Precision@3,\
                 cosine-Recall@3,cosine-MRR@10,cosine-NDCG@10,cosine-MAP@100,precision",
                "-1,-1,0.0,0.125,0.25,0.5,0.375,0.625,0.875,0.75,1.0,f32",
                "1.9998,1105,0.0,0.125,0.25,0.5,0.375,0.625,0.875,0.75,1.0,f32",
            ]
        );
        assert_eq!(fs::read_dir(&into).unwrap().count(), 1, "no other files remain");
    }

    /// Files of the reference and of earlier versions have no column `precision`.
    #[test]
    fn a_file_without_the_precision_gets_the_column() {
        let folder = tempfile::tempdir().unwrap();
        let paths = write_csv(folder.path(), &[scores()], Some(1.0), Some(5)).unwrap();
        let text = fs::read_to_string(&paths[0]).unwrap().replace(",precision", "").replace(",f32", "");
        fs::write(&paths[0], &text).unwrap();
        write_csv(folder.path(), &[scores()], Some(2.0), Some(10)).unwrap();
        let text = fs::read_to_string(&paths[0]).unwrap();
        let last: Vec<&str> = text.lines().map(|line| line.rsplit(',').next().unwrap()).collect();
        assert_eq!(last, ["precision", "", "f32"]);
        let columns: Vec<usize> = text.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(columns, [12; 3]);
    }

    #[test]
    fn a_file_with_other_columns_is_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(csv_name(&scores()));
        fs::write(&path, "epoch,steps,cosine-Accuracy@7\n-1,-1,0.5\n").unwrap();
        let error = write_csv(folder.path(), &[scores()], None, None).unwrap_err().to_string();
        assert!(error.contains("dim_64") && error.contains("header"), "{error}");
        assert!(fs::read_to_string(&path).unwrap().ends_with("0.5\n"));
    }

    #[test]
    fn other_kinds_have_the_headers_of_their_evaluators() {
        let header = |kind, keys: &[&str]| {
            let values = keys.iter().map(|key| ((*key).to_owned(), 0.5)).collect();
            let scores = Scores { kind, name: "dev".into(), values, ..scores() };
            let folder = tempfile::tempdir().unwrap();
            let paths = write_csv(folder.path(), &[scores], None, None).unwrap();
            let name = paths[0].file_name().unwrap().to_string_lossy().into_owned();
            format!("{name}: {}", fs::read_to_string(&paths[0]).unwrap().lines().next().unwrap())
        };
        assert_eq!(
            header(Kind::Similarity, &["pearson_cosine", "spearman_cosine"]),
            "similarity_evaluation_dev_results.csv: epoch,steps,cosine_pearson,cosine_spearman,precision"
        );
        assert_eq!(
            header(Kind::Binary, &["cosine_f1", "cosine_f1_threshold", "cosine_precision", "cosine_accuracy"]),
            "binary_classification_evaluation_dev_results.csv: \
             epoch,steps,cosine_accuracy,cosine_f1,cosine_precision,cosine_f1_threshold,precision"
        );
        assert_eq!(
            header(Kind::Reranking, &["map", "mrr@10", "ndcg@10"]),
            "RerankingEvaluator_dev_results_@10.csv: epoch,steps,MAP,MRR@10,NDCG@10,precision"
        );
        assert_eq!(
            header(Kind::Triplet, &["cosine_accuracy"]),
            "triplet_evaluation_dev_results.csv: epoch,steps,accuracy_cosine,precision"
        );
    }

    #[test]
    fn cross_encoders_have_the_files_of_their_evaluators() {
        let header = |kind, primary: &str, keys: &[&str]| {
            let values = keys.iter().map(|key| ((*key).to_owned(), 0.5)).collect();
            let scores = Scores { kind, name: "dev".into(), values, dimension: 0, primary: primary.into(), ..scores() };
            let columns: Vec<String> = columns(&scores).into_iter().map(|(title, _)| title).collect();
            format!("{}: {}", csv_name(&scores), columns.join(","))
        };
        assert_eq!(
            header(Kind::Reranking, "ndcg@5", &["map", "mrr@5", "ndcg@5", "base_map"]),
            "CrossEncoderRerankingEvaluator_dev_results_@5.csv: MAP,MRR@5,NDCG@5"
        );
        assert_eq!(
            header(Kind::Binary, "average_precision", &["accuracy", "f1_threshold", "average_precision"]),
            "CrossEncoderClassificationEvaluator_dev_results.csv: Accuracy,F1_Threshold,Average_Precision"
        );
        assert_eq!(
            header(Kind::Classification, "f1_macro", &["f1_macro"]),
            "CrossEncoderClassificationEvaluator_dev_results.csv: Macro_F1"
        );
        assert_eq!(
            header(Kind::Similarity, "spearman", &["pearson", "spearman"]),
            "CrossEncoderCorrelationEvaluator_dev_results.csv: Pearson_Correlation,Spearman_Correlation"
        );
    }

    #[test]
    fn names_become_file_names() {
        let named = |name: &str| csv_name(&Scores { name: name.into(), ..scores() });
        assert_eq!(named(""), "Information-Retrieval_evaluation_results.csv");
        assert_eq!(named("a/b_dim_8"), "Information-Retrieval_evaluation_a_b_dim_8_results.csv");
    }
}
