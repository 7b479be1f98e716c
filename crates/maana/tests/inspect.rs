//! `maana inspect` on small files: repetitions, near-duplicates, leaks, scripts and warnings.

use maana::inspect::{InspectError, Inspection, Options, inspect, text};
use maana::kernels::{Context, Precision};
use maana::model::WeightStorage;
use maana::train::LossName;
use std::path::{Path, PathBuf};

fn options() -> Options {
    Options { columns: None, limit: None, loss: None, batch_size: 4, against: Vec::new() }
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

/// Twelve distinct rows, a repeated one, one with a near-duplicate, and one in another script.
fn data(folder: &Path) -> PathBuf {
    let subjects = [
        "mahindi sokoni",
        "maziwa mjini",
        "samaki ziwani",
        "mchele dukani",
        "sukari kijijini",
        "mafuta bandarini",
        "ndizi shambani",
        "kahawa milimani",
        "chai bondeni",
        "pamba kiwandani",
        "asali msituni",
        "chumvi pwani",
    ];
    let row = |anchor: &str, positive: &str| format!("{{\"anchor\": \"{anchor}\", \"positive\": \"{positive}\"}}\n");
    let mut rows: String = subjects
        .iter()
        .map(|subject| row(&format!("swali kuhusu {subject}"), &format!("{subject} ni jibu refu kidogo hapa")))
        .collect();
    rows += &row("swali kuhusu mahindi sokoni", "mahindi sokoni ni jibu refu kidogo hapa");
    rows += &row("Serikali imetangaza bei mpya za mafuta ya taa kuanzia mwezi ujao", "tangazo");
    rows += &row("serikali imetangaza bei mpya za mafuta ya taa, kuanzia mwezi ujao!", "tangazo jipya");
    rows += &row("ሰላም ለዓለም ሁሉ", "amani kwa dunia yote");
    rows += &row("sawa sawa", "sawa sawa");
    write(folder, "train.jsonl", &rows)
}

fn run(path: &Path, options: &Options) -> Inspection {
    inspect(&[path.to_path_buf()], options, None, &Context::new(2)).unwrap()
}

#[test]
fn repetitions_scripts_and_roles_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let found = run(&data(folder.path()), &options());
    assert_eq!((found.rows, found.repeats.rows, found.repeats.same_in_row), (17, 1, 1));
    let columns: Vec<_> = found.columns.iter().map(|c| (c.name.as_str(), c.role.as_str(), c.distinct)).collect();
    assert_eq!(columns, [("anchor", "query", 16), ("positive", "document", 16)]);
    assert_eq!(found.columns[0].scripts[1].script, "Ethiopic");
    assert_eq!((found.near.groups, found.near.texts), (1, 2), "{:?}", found.near);
    assert_eq!(found.near.examples[0].similarity, 1.0);
    // Two of 17 rows share their texts with one other row of 16, of which a batch has 3 more.
    let other = 15.0_f64 / 16.0;
    let expected = 2.0 / 17.0 * (1.0 - other * other * other);
    assert!((found.repeats.share_of_rows - expected).abs() < 1e-12);
    let shown = text(&found);
    for part in [
        "rows            17",
        "query         `anchor`, 16 distinct texts; the most frequent one occurs twice",
        "warning: rows that equal an earlier row: 1 (5.9 %)\n  remedy: keep one of each",
        "batch_sampler = \"no_duplicates\"",
        "1 texts of `anchor` are mainly in Ethiopic, most others in Latin",
        "lengths of `positive` in words: 1 to 7",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
}

#[test]
fn texts_of_evaluation_sets_are_found_equal_or_nearly() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    write(folder.path(), "ir/queries.jsonl", "{\"_id\": \"1\", \"text\": \"swali kuhusu chai bondeni\"}\n");
    let documents = "{\"_id\": \"1\", \"text\": \"SERIKALI imetangaza bei mpya za mafuta ya taa kuanzia mwezi ujao.\"}\n\
                     {\"_id\": \"2\", \"text\": \"maandishi tofauti kabisa yasiyofanana na mengine\"}\n";
    write(folder.path(), "ir/corpus.jsonl", documents);
    write(folder.path(), "ir/qrels.tsv", "1\t1\t1\n");
    let dev = write(folder.path(), "dev.csv", "a,b\nasali msituni ni jibu refu kidogo hapa,jipya\n");
    let options = Options { against: vec![folder.path().join("ir"), dev], ..options() };
    let found = run(&data, &options);
    let leaks: Vec<_> = found.leaks.iter().map(|leaks| (leaks.part, leaks.texts, leaks.equal, leaks.near)).collect();
    assert_eq!(leaks, [("queries", 1, 1, 0), ("documents", 2, 0, 1), ("texts", 2, 1, 0)]);
    assert_eq!(found.leaks[1].examples[0].row, 14);
    assert_eq!(found.warnings.iter().filter(|warning| warning.problem.contains("are in the data")).count(), 3);
}

#[test]
fn a_model_counts_tokens_and_finds_false_negatives() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let context = Context::new(1);
    let name = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/tiny-bert").display().to_string();
    let model = maana::open::open(WeightStorage::Packed, &name, &context, Precision::F32, &mut |_| {}).unwrap().model;
    let found = inspect(std::slice::from_ref(&data), &options(), Some(&model), &context).unwrap();
    let negatives = found.negatives.as_ref().unwrap();
    assert_eq!((negatives.rows, negatives.batch_size), (16, 4));
    assert!((0.0..=1.0).contains(&negatives.share_of_pairs) && negatives.share_of_rows >= negatives.share_of_pairs);
    assert!(found.columns.iter().all(|column| column.cut == Some(0)), "{found:?}");
    assert!(found.unknown_tokens.unwrap() > 0.0, "the vocabulary has no Ethiopic letters");
    assert!(found.columns[0].lengths.min >= 3, "special tokens are counted");
    let again = inspect(&[data], &options(), Some(&model), &Context::new(3)).unwrap();
    assert_eq!(found, again, "threads change nothing");
}

#[test]
fn columns_out_of_place_and_blank_texts_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "a.csv", "id,positive,anchor\na1,x y,\na2,z w,swali\na3,u v,jambo\n");
    let found = run(&path, &options());
    let problems: Vec<&str> = found.warnings.iter().map(|warning| warning.problem.as_str()).collect();
    assert!(problems.iter().any(|problem| problem.contains("`id` looks like ids")), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.contains("rows with a blank text: 1")), "{problems:?}");
    assert!(found.warnings[0].remedy.contains("columns = [\"anchor\", \"positive\"]"), "{:?}", found.warnings);
    let named = Options { columns: Some(vec!["anchor".into(), "positive".into()]), ..options() };
    assert!(run(&path, &named).warnings.iter().all(|warning| !warning.problem.contains("ids")));
}

#[test]
fn data_that_the_loss_refuses_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let labels = |labels: [&str; 3]| labels.map(|label| format!("a{label} b,c{label} d,{label}\n")).concat();
    let write = |name: &str, head: &str, rows: &str| write(folder.path(), name, &format!("{head}\n{rows}"));
    let scored = write("scored.csv", "anchor,positive,label", &labels(["0", "0.5", "3"]));
    let plain = write("plain.csv", "anchor,positive", "a b,c d\ne f,g h\n");
    let single = write("single.csv", "text", "a b\nc d\n");
    for (path, loss, expected) in [
        (&plain, Some(LossName::Contrastive), "exactly 2 text columns and a label of 0 or 1"),
        (&scored, Some(LossName::Contrastive), "the label is 0.5, but the loss `contrastive` needs 0 or 1"),
        (&plain, Some(LossName::BatchHardTriplet), "exactly 1 text column and a label that is a whole number"),
        (&plain, Some(LossName::Triplet), "`triplet` needs exactly 3 text columns"),
        (&plain, Some(LossName::MarginMse), "`margin_mse` needs at least 3 text columns, but the data have 2"),
        (&scored, Some(LossName::CosineSimilarity), "the label is 3, but the loss `cosine_similarity` needs a cosine"),
        (&scored, Some(LossName::Softmax), "the label is 0.5"),
        (&plain, Some(LossName::Simcse), "`simcse` needs exactly 1 text column"),
        (&single, None, "`multiple_negatives_ranking` needs at least 2 text columns"),
    ] {
        let found = run(path, &Options { loss, ..options() });
        assert!(found.warnings[0].problem.contains(expected), "{expected}: {:?}", found.warnings);
        assert!(found.warnings[0].remedy.starts_with("training refuses these data: name a loss"), "{expected}");
    }
    for (path, loss) in [
        (&plain, LossName::GistEmbed),
        (&plain, LossName::Mse),
        (&scored, LossName::Cosent),
        (&scored, LossName::Angle),
        (&single, LossName::Simcse),
        (&single, LossName::Mse),
    ] {
        let found = run(path, &Options { loss: Some(loss), ..options() });
        assert!(!text(&found).contains("refuses"), "{loss:?}: {:?}", found.warnings);
    }
}

#[test]
fn a_batch_of_one_row_and_a_missing_file_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let of =
        |options: &Options, path: &Path| inspect(&[path.to_path_buf()], options, None, &Context::new(1)).unwrap_err();
    let error = of(&Options { batch_size: 1, ..options() }, &data);
    assert!(matches!(error, InspectError::BatchSize(1)), "{error}");
    assert!(of(&options(), Path::new("gone.jsonl")).to_string().contains("gone.jsonl"));
    let against = Options { against: vec![folder.path().join("gone.csv")], ..options() };
    assert!(of(&against, &data).to_string().contains("gone.csv"));
}
