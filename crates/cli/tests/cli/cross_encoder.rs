//! Reranking and scoring with a cross-encoder.

use crate::support::{Bench, CORPUS, command, fail, golden, succeed, text};
use serde_json::{Value, json};
use std::process::Stdio;

fn cross() -> String {
    golden("cross/bert").display().to_string()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The pairs of the golden file as rows, with the reference's logits and scores.
fn golden_pairs(model: &str) -> (String, Vec<f64>, Vec<f64>) {
    let golden: Value = serde_json::from_slice(&std::fs::read(golden("cross.json")).unwrap()).unwrap();
    let rows = golden["pairs"].as_array().unwrap().iter().enumerate();
    let rows = rows.map(|(id, pair)| format!("{}\n", json!({"id": id, "query": pair[0], "document": pair[1]})));
    let model = golden["models"].as_array().unwrap().iter().find(|other| other["name"] == model).unwrap();
    let numbers = |field: &str| serde_json::from_value(model[field].clone()).unwrap();
    (rows.collect(), numbers("logits"), numbers("scores"))
}

fn close(ours: &Value, expected: f64) -> bool {
    (ours.as_f64().unwrap() - expected).abs() < 1e-5
}

#[test]
fn pairs_are_scored_as_by_the_reference_and_keep_their_fields() {
    let bench = Bench::new();
    let (rows, logits, scores) = golden_pairs("bert");
    bench.write("golden.jsonl", &rows);
    let (file, out) = (bench.path("golden.jsonl").display().to_string(), bench.path("scores.jsonl"));
    let out = out.display().to_string();
    let run = command(&["score", &cross(), &file, "--output", &out]).output().unwrap();
    let said = text(&run.stderr);
    assert!(
        run.status.success() && said.contains("pairs of `query` and `document`") && said.contains("9 rows"),
        "{said}"
    );
    assert!(said.contains("2 pairs have more than 40 tokens and were cut"), "{said}");
    let written = lines(&std::fs::read_to_string(&out).unwrap());
    for ((row, given), score) in written.iter().zip(lines(&rows)).zip(scores) {
        assert!(close(&row["score"], score), "{row}");
        assert_eq!((&row["id"], &row["query"], &row["document"]), (&given["id"], &given["query"], &given["document"]));
    }
    let of_stream = {
        let mut child = command(&["score", &cross(), "-", "--logits", "--columns", "query,document"]);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), rows.as_bytes()).unwrap();
        text(&child.wait_with_output().unwrap().stdout)
    };
    assert!(lines(&of_stream).iter().zip(logits).all(|(row, logit)| close(&row["score"], logit)), "{of_stream}");
    // Cut further, pairs have other scores.
    let short = lines(&succeed(&mut command(&["score", &cross(), &file, "--max-length", "7"])));
    assert_ne!(short[5]["score"], written[5]["score"]);
    assert_eq!(short[4]["score"], written[4]["score"], "the special tokens fit");
}

/// Sets of a suite: retrieval, pairs with labels and with scores, lists, and two of other kinds.
fn write_suite(bench: &Bench) -> String {
    for folder in ["suite", "suite/binary", "suite/scores", "suite/lists", "suite/labels", "suite/pairs"] {
        std::fs::create_dir(bench.path(folder)).unwrap();
    }
    std::fs::rename(bench.path("dev"), bench.path("suite/ir")).unwrap();
    let pair = |label: &str| format!("{{\"a\": \"habari\", \"b\": \"mto {label}\", \"label\": {label}}}\n");
    bench.write("suite/binary/dev.jsonl", &["1", "0", "1"].map(pair).concat());
    bench.write("suite/scores/test.jsonl", &["0.5", "0.2", "0.9"].map(pair).concat());
    bench.write(
        "suite/lists/dev.jsonl",
        &format!("{}\n", json!({"query": "mto", "positive": ["mto ya"], "negative": ["leo", "sana"]})),
    );
    let rows = "bei\tsoko\nhabari\tsoko\nking\thadithi\nqueen\thadithi\n";
    bench.write("suite/labels/topic.train.tsv", rows);
    bench.write("suite/labels/topic.test.tsv", rows);
    bench.write("suite/pairs/dev.jsonl", "{\"anchor\": \"a\", \"positive\": \"a\"}\n");
    bench.path("suite").display().to_string()
}

#[test]
fn a_suite_measures_a_cross_encoder_on_its_sets_and_names_the_others() {
    let bench = Bench::new();
    let suite = write_suite(&bench);
    let json_path = bench.path("suite.json").display().to_string();
    let bi_encoder = golden("tiny-bert").display().to_string();
    let mut tables = Vec::new();
    for more in [&[][..], &["--candidates-from", &bi_encoder, "--candidates", "2"], &["--precisions", "f32,int8"]] {
        let run =
            command(&["evaluate", &cross(), "--suite", &suite, "--json", &json_path]).args(more).output().unwrap();
        let said = text(&run.stderr);
        assert!(run.status.success(), "{said}");
        let skipped: Vec<&str> = said.lines().filter(|line| line.starts_with("skipped: ")).collect();
        assert_eq!(skipped.len(), 2, "{said}");
        let reason = "a cross-encoder is not measured on sets of the kind";
        assert!(skipped.iter().all(|line| line.contains(reason)), "{skipped:?}");
        assert!(skipped[0].contains("labels") && skipped[1].contains("translation"), "{skipped:?}");
        let shown = text(&run.stdout);
        for measure in ["base_ndcg@10", "accuracy@1", "average_precision", "spearman", "map"] {
            assert!(shown.contains(measure), "{measure}: {shown}");
        }
        assert!(!shown.contains("dimension"), "{shown}");
        let written: Value = serde_json::from_slice(&std::fs::read(&json_path).unwrap()).unwrap();
        assert_eq!(written["dims"], json!([]));
        let measured = written["measured"].as_array().unwrap();
        assert_eq!(measured.len(), if more.first() == Some(&"--precisions") { 2 } else { 1 });
        tables.push(written["measured"][0].clone());
    }
    assert_eq!(tables[0], tables[2], "f32 in both");
    // A single set of the kind retrieval has all measures of both orders.
    let ir = bench.path("suite/ir").display().to_string();
    let shown = succeed(&mut command(&["evaluate", &cross(), &ir]));
    for measure in ["recall@10", "base_recall@10", "map@100", "base_map@100"] {
        assert!(shown.contains(measure), "{measure}: {shown}");
    }
    let recall = |shown: &str, key: &str| -> f64 {
        let line = shown.lines().find(|line| line.split_whitespace().next() == Some(key)).unwrap();
        line.split_whitespace().last().unwrap().parse().unwrap()
    };
    assert_eq!(recall(&shown, "recall@10"), recall(&shown, "base_recall@10"), "another order of the same documents");
    for (arguments, expected) in [
        (&["--dims", "8"][..], "--dims: a cross-encoder has no embeddings"),
        (&["--chart", "x.svg"], "--chart: it draws scores by dimension"),
        (&["--candidates-from", &cross()], "--candidates-from"),
    ] {
        let error = fail(command(&["evaluate", &cross(), "--suite", &suite]).args(arguments), 1);
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let error = fail(&mut command(&["evaluate", &bi_encoder, &ir, "--candidates", "5"]), 1);
    assert!(error.contains("--candidates belongs to cross-encoders"), "{error}");
    let classes = golden("cross/bert-classes").display().to_string();
    let error =
        fail(&mut command(&["evaluate", &classes, "--suite", &bench.path("suite/ir").display().to_string()]), 1);
    assert!(error.contains("no set on which this cross-encoder is measured"), "{error}");
}

#[test]
fn several_labels_or_documents_have_a_list_of_scores() {
    let bench = Bench::new();
    let (rows, _, scores) = golden_pairs("bert-classes");
    bench.write("golden.jsonl", &rows);
    let file = bench.path("golden.jsonl").display().to_string();
    let classes = golden("cross/bert-classes").display().to_string();
    let written = lines(&succeed(&mut command(&["score", &classes, &file])));
    let flat: Vec<&Value> = written.iter().flat_map(|row| row["score"].as_array().unwrap()).collect();
    assert!(flat.len() == 27 && flat.iter().zip(scores).all(|(ours, expected)| close(ours, expected)), "{flat:?}");

    bench.write("three.csv", "mto,score,habari,yako\nmto,0.5,habari,\n");
    let three = bench.path("three.csv").display().to_string();
    let named = ["--header", "q,score,d,e", "--columns", "q,d,e"];
    let run = command(&["score", &cross(), &three]).args(named).output().unwrap();
    assert!(text(&run.stderr).contains("the field `score` of the file is replaced"), "{}", text(&run.stderr));
    let rows = lines(&text(&run.stdout));
    assert_eq!((&rows[1]["e"], rows[1]["score"].as_array().unwrap().len()), (&json!(""), 2));
    let pair =
        lines(&succeed(&mut command(&["score", &cross(), &three, "--header", "q,score,d,e", "--columns", "q,e"])));
    assert_eq!(pair[1]["score"], rows[1]["score"][1], "an empty document is scored");
    let error = fail(command(&["score", &classes, &three]).args(named), 1);
    assert!(error.contains("3 labels (contradiction, entailment, neutral)"), "{error}");
}

#[test]
fn documents_of_a_file_are_reranked() {
    let bench = Bench::new();
    let texts = ["mto", "habari yako", "", "habari ya asubuhi", "mto", "rafiki yangu"];
    bench.write("documents.txt", &texts.map(|text| format!("{text}\n")).concat());
    let file = bench.path("documents.txt").display().to_string();
    let ranked = lines(&succeed(&mut command(&["rerank", &cross(), "habari", &file, "--json"])));
    assert_eq!(ranked.len(), 6);
    let scores: Vec<f64> = ranked.iter().map(|hit| hit["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    let numbers: Vec<u64> = ranked.iter().map(|hit| hit["number"].as_u64().unwrap()).collect();
    let first = numbers.iter().position(|number| *number == 1).unwrap();
    assert_eq!(numbers[first + 1], 5, "equal documents stay in their order: {numbers:?}");
    // The same bits as the pairs one by one.
    let rows: String = texts.map(|text| format!("{}\n", json!({"a": "habari", "b": text}))).concat();
    bench.write("rows.jsonl", &rows);
    let rows = bench.path("rows.jsonl").display().to_string();
    let scored = lines(&succeed(&mut command(&["score", &cross(), &rows, "--columns", "a,b"])));
    for hit in &ranked {
        let number = hit["number"].as_u64().unwrap() as usize;
        let scored = scored[number - 1]["score"].as_f64().unwrap() as f32;
        assert_eq!(hit["score"].as_f64().unwrap() as f32, scored);
    }
    let run = command(&["rerank", &cross(), "habari", &rows]).output().unwrap();
    let note = "rows.jsonl: reading the column `a`, not `b`; --column names another";
    assert!(run.status.success() && text(&run.stderr).contains(note), "{}", text(&run.stderr));
    let table = succeed(&mut command(&["rerank", &cross(), "habari", &file, "-k", "2"]));
    assert_eq!(table.lines().count(), 2, "{table}");
    bench.write("nothing.txt", "");
    let nothing = bench.path("nothing.txt").display().to_string();
    let run = command(&["rerank", &cross(), "habari", &nothing]).output().unwrap();
    assert!(run.status.success() && run.stdout.is_empty() && text(&run.stderr).contains("no documents"));
    bench.write("nothing.jsonl", "");
    let nothing = bench.path("nothing.jsonl").display().to_string();
    assert_eq!(succeed(&mut command(&["rerank", &cross(), "habari", &nothing])), "");
}

#[test]
fn ten_thousand_documents_are_reranked() {
    let bench = Bench::new();
    let words = ["habari", "mto", "rafiki", "yako", "asubuhi", "leo", "sana"];
    let text = |number: usize| format!("{} {} {}\n", words[number % 7], words[number / 7 % 7], words[number / 49 % 7]);
    bench.write("many.txt", &(0..10_000).map(text).collect::<String>());
    let file = bench.path("many.txt").display().to_string();
    let ranked = lines(&succeed(&mut command(&["rerank", &cross(), "habari yako", &file, "-k", "40", "--json"])));
    let (best, number) = (&ranked[0]["text"], ranked[0]["number"].as_u64().unwrap());
    assert!(number <= 343, "the first of equal documents: {number}");
    // Each text occurs 29 or 30 times, in the order of the file.
    let numbers: Vec<u64> =
        ranked.iter().filter(|hit| hit["text"] == *best).map(|hit| hit["number"].as_u64().unwrap()).collect();
    assert!(numbers.len() >= 29 && numbers.windows(2).all(|pair| pair[1] - pair[0] == 343), "{numbers:?}");
}

#[test]
fn hits_of_a_search_are_reranked() {
    let bench = Bench::new();
    bench.write("corpus.jsonl", CORPUS);
    let store = bench.path("store").display().to_string();
    let corpus = bench.path("corpus.jsonl").display().to_string();
    let bi_encoder = golden("tiny-bert").display().to_string();
    succeed(&mut command(&["index", &bi_encoder, &corpus, "--out", &store, "--keep", "lang"]));
    let search = |words: &[&str]| succeed(command(&["search", &store, "habari ya mto", "--json"]).args(words));
    let hits = |output: &str| lines(output)[0]["hits"].as_array().unwrap().clone();
    let ids = |hits: &[Value]| hits.iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let plain = hits(&search(&["-k", "6"]));
    let all = hits(&search(&["-k", "6", "--rerank", &cross()]));
    assert!(all.iter().map(|hit| hit["score"].as_f64().unwrap()).is_sorted_by(|a, b| a >= b), "{all:?}");
    for hit in &all {
        let rank = hit["search_rank"].as_u64().unwrap() as usize;
        let before = &plain[rank - 1];
        assert_eq!(
            (&hit["id"], &hit["search_score"], &hit["lang"]),
            (&before["id"], &before["score"], &before["lang"])
        );
    }
    // Only the candidates are reranked.
    let three = hits(&search(&["-k", "3", "--rerank", &cross(), "--candidates", "3"]));
    let mut expected: Vec<Value> =
        all.iter().filter(|hit| hit["search_rank"].as_u64().unwrap() <= 3).cloned().collect();
    assert_eq!(three, expected);
    let table = succeed(&mut command(&["search", &store, "habari ya mto", "-k", "2", "--rerank", &cross()]));
    assert!(table.lines().count() == 2 && table.contains('#') && table.contains("lang="), "{table}");
    // The command on the store gives the same.
    let words = ["rerank", &cross(), "habari ya mto", &store, "--candidates", "3", "--json"];
    let of_command = lines(&succeed(&mut command(&words)));
    assert_eq!(ids(&of_command), ids(&three));
    expected.truncate(1);
    assert_eq!(lines(&succeed(command(&words).args(["-k", "1"]))), expected);
    // No fewer candidates are taken than documents are wanted, as in a search.
    for words in [
        vec!["rerank", &cross(), "habari ya mto", &store],
        vec!["search", &store, "habari ya mto", "--rerank", &cross()],
    ] {
        let four = succeed(command(&words).args(["--candidates", "3", "-k", "4"]));
        assert_eq!(four.lines().count(), 4, "{four}");
    }
    let table = succeed(&mut command(&["rerank", &cross(), "habari ya mto", &store]));
    assert_eq!(table.lines().count(), 6, "{table}");
}

#[test]
fn negatives_are_rescored() {
    let bench = Bench::new();
    let pairs = bench.path("pairs.jsonl").display().to_string();
    let bi_encoder = golden("tiny-bert").display().to_string();
    let out = bench.path("rescored.jsonl").display().to_string();
    let mine = ["hard-negatives", &pairs, "--model", &bi_encoder, "--rescore", &cross(), "--output", &out];
    let bounds = ["--max-score", "0.45", "--min-score", "0.2"];
    let mined = command(&mine).args(bounds).output().unwrap();
    assert!(mined.status.success(), "{}", text(&mined.stderr));
    let scored = lines(&succeed(&mut command(&["score", &cross(), &out, "--columns", "anchor,negative"])));
    let scores: Vec<f64> = scored.iter().map(|row| row["score"].as_f64().unwrap()).collect();
    assert!(!scores.is_empty() && scores.iter().all(|score| (0.2..=0.45).contains(score)), "{scores:?}");
    let classes = golden("cross/bert-classes").display().to_string();
    let error = fail(
        &mut command(&["hard-negatives", &pairs, "--model", &bi_encoder, "--rescore", &classes, "--output", &out]),
        1,
    );
    assert!(error.contains("3 labels"), "{error}");
}

#[test]
fn a_model_of_the_other_task_is_named_with_the_remedy() {
    let bench = Bench::new();
    bench.write("texts.txt", "habari\n");
    let texts = bench.path("texts.txt").display().to_string();
    let bi_encoder = golden("tiny-bert").display().to_string();
    let (pairs, out) = (bench.path("pairs.jsonl").display().to_string(), bench.path("out.npy").display().to_string());
    for words in [
        &["rerank", &bi_encoder, "habari", &texts][..],
        &["score", &bi_encoder, &pairs],
        &["hard-negatives", &pairs, "--model", &bi_encoder, "--rescore", &bi_encoder, "--output", &out],
    ] {
        let error = fail(&mut command(words), 1);
        assert!(error.contains("bi-encoder") && error.contains("cross_encoder"), "{words:?}: {error}");
    }
    let store = bench.path("store").display().to_string();
    for words in [
        &["encode", &cross(), "--input", &texts, "--output", &out][..],
        &["index", &cross(), &texts, "--out", &store],
        &["similarity", &cross(), "a", "b"],
        &["mine", &texts, "--model", &cross()],
        &["serve", &cross(), "--port", "0"],
    ] {
        let error = fail(&mut command(words), 1);
        assert!(error.contains("cross-encoder") && error.contains("maana rerank"), "{words:?}: {error}");
        assert!(error.contains("maana serve --reranker NAME=PATH"), "{words:?}: {error}");
    }
    let error = fail(&mut command(&["serve"]), 2);
    assert!(error.contains("MODEL") && error.contains("--reranker <NAME=MODEL>"), "{error}");
}

#[test]
fn wrong_requests_are_refused() {
    let bench = Bench::new();
    bench.write("one.jsonl", "{\"a\": \"x\", \"n\": 1}\n");
    bench.write("null.jsonl", "{\"a\": \"x\", \"b\": \"y\"}\n{\"a\": \"x\", \"b\": null}\n");
    bench.write("lists.jsonl", "{\"query\": \"x\", \"documents\": [\"y\", \"z\"], \"label\": [1, 0]}\n");
    bench.write("two.txt", "habari\nmto\n");
    let path = |name: &str| bench.path(name).display().to_string();
    let classes = golden("cross/bert-classes").display().to_string();
    let (cross, two) = (cross(), path("two.txt"));
    let cases: &[(&[&str], &str)] = &[
        (&["score", &cross, &path("one.jsonl")], "there are the columns a, n; name them with --columns"),
        (&["score", &cross, &path("lists.jsonl")], "documents (lists of texts: write a row for each of them), label"),
        (&["score", &cross, &path("one.jsonl"), "--columns", "a"], "--columns a: expected"),
        (&["score", &cross, &path("one.jsonl"), "--columns", "a,a"], "--columns a,a: expected"),
        (&["score", &cross, &path("one.jsonl"), "--columns", "a,b"], "`b`"),
        (&["score", &cross, &path("null.jsonl")], "line 2"),
        (&["score", &cross, &path("null.jsonl"), "--output", &path("null.jsonl")], "would be overwritten"),
        (&["score", &cross, &path("missing.jsonl")], "missing.jsonl"),
        (&["score", &cross, &path("null.jsonl"), "--max-length", "3"], "3 special tokens"),
        (&["score", &cross, &path("null.jsonl"), "--max-length", "41"], "exceeds the model's 40 positions"),
        (&["score", &cross, &path("null.jsonl"), "--prompt", "query"], "no prompt is called `query`"),
        (&["rerank", &classes, "habari", &two], "3 labels (contradiction, entailment, neutral)"),
        (&["rerank", &cross, "habari", &two, "--candidates", "5"], "--candidates"),
        (&["rerank", &cross, "habari", &path("dev"), "-k", "5"], "dev"),
    ];
    for (words, expected) in cases {
        let error = fail(&mut command(words), 1);
        assert!(error.contains(expected), "{words:?}: {error}");
    }
    for words in
        [["rerank", &cross, "habari", &two, "-k", "0"], ["search", &two, "habari", "--candidates", "5", "--json"]]
    {
        fail(&mut command(&words), 2);
    }
}

#[test]
fn info_shows_labels_and_activation() {
    let shown = succeed(&mut command(&["info", &cross()]));
    assert!(shown.contains("labels of a pair         LABEL_0") && shown.contains("Sigmoid"), "{shown}");
    let shown: Value =
        serde_json::from_str(&succeed(command(&["info", "--json"]).arg(golden("cross/bert-classes")))).unwrap();
    assert_eq!(shown["labels"], json!(["contradiction", "entailment", "neutral"]));
    assert_eq!(shown["activation"], "torch.nn.modules.linear.Identity");
    assert_eq!(shown["modules"][0]["architecture"], "BertForSequenceClassification");
    let hashes = succeed(&mut command(&["info", &cross(), "--fingerprint"]));
    assert!(hashes.contains("logits in f32") && hashes.contains("logits in int8"), "{hashes}");
    let shown = succeed(command(&["info"]).arg(golden("tiny-bert")));
    assert!(shown.contains("dimension                64") && shown.contains("cosine"), "{shown}");
}
