//! Search, mining, clustering and classification.

use crate::support::{Bench, CORPUS, command, fail, golden, succeed, text};
use serde_json::Value;

/// Indexes [`CORPUS`] and returns the path of the store.
fn indexed(bench: &Bench) -> String {
    bench.write("corpus.jsonl", CORPUS);
    let store = bench.path("store").display().to_string();
    let mut index = command(&["index"]);
    index.arg(golden("tiny-bert")).arg(bench.path("corpus.jsonl")).args(["--out", &store, "--keep", "lang"]);
    succeed(&mut index);
    store
}

fn ids(store: &str, words: &[&str]) -> Vec<String> {
    let hits = succeed(command(&["search", store, "--json"]).args(words));
    let hits: Value = serde_json::from_str(hits.lines().next().unwrap()).unwrap();
    hits["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn documents_are_found_filtered_replaced_and_deleted() {
    let bench = Bench::new();
    let store = indexed(&bench);
    // The nearest document to its own title and text is itself.
    assert_eq!(ids(&store, &["Soko bei ya mahindi imepanda", "-k", "2"]), ["a", "d"]);
    assert_eq!(ids(&store, &["Soko bei ya mahindi imepanda", "-k", "9", "--filter", "lang=en"]).len(), 2);
    assert_eq!(ids(&store, &["mpira watoto", "-k", "1", "--hybrid"]), ["e"]);
    assert_eq!(ids(&store, &["Soko bei ya mahindi imepanda", "-k", "1", "--dim", "16"]), ["a"]);
    let table = succeed(&mut command(&["search", &store, "mtoto anacheza mpira", "-k", "1"]));
    assert!(table.contains("1.0000") && table.contains("lang=sw"), "{table}");

    bench.write("more.jsonl", "{\"_id\": \"a\", \"text\": \"habari mpya\"}\n{\"_id\": \"g\", \"text\": \"habari\"}\n");
    let added = succeed(command(&["add", &store]).arg(bench.path("more.jsonl")));
    assert!(added.contains("1 new, 1 replaced, 7 in all"), "{added}");
    assert_eq!(ids(&store, &["Soko bei ya mahindi imepanda", "-k", "1"]), ["d"]);
    let deleted = command(&["delete", &store, "d", "nobody"]).output().unwrap();
    assert_eq!((deleted.status.code(), text(&deleted.stdout).as_str()), (Some(1), "1 of 2 deleted, 6 left\n"));
    assert!(text(&deleted.stderr).contains("no document has the id `nobody`; --ignore-missing ignores such ids"));
    bench.write("gone", "nobody\n\nd\n");
    let mut again = command(&["delete", &store, "--ignore-missing", "--ids"]);
    assert!(succeed(again.arg(bench.path("gone"))).contains("0 of 2 deleted, 6 left"));
    assert!(!ids(&store, &["Soko bei ya mahindi imepanda", "-k", "9"]).contains(&"d".to_owned()));
    succeed(&mut command(&["compact", &store]));
    let info: Value = serde_json::from_str(&succeed(&mut command(&["index-info", &store, "--json"]))).unwrap();
    assert_eq!((&info["documents"], &info["dead"], &info["header"]["dims"]), (&6.into(), &0.into(), &64.into()));
    assert!(succeed(&mut command(&["index-verify", &store])).contains("intact"));
}

#[test]
fn errors_of_indexing_and_search_name_their_cause() {
    let bench = Bench::new();
    let store = indexed(&bench);
    let error =
        fail(command(&["index"]).arg(golden("tiny-bert")).arg(bench.path("corpus.jsonl")).args(["--out", &store]), 1);
    assert!(error.contains("is a store already"), "{error}");
    bench.write("twice.jsonl", "{\"_id\": \"x\", \"text\": \"a\"}\n{\"_id\": \"x\", \"text\": \"b\"}\n");
    let error = fail(command(&["add", &store]).arg(bench.path("twice.jsonl")), 1);
    assert!(error.contains("line 2") && error.contains("`x`"), "{error}");
    bench.write("empty.jsonl", "");
    let other = bench.path("other").display().to_string();
    let error =
        fail(command(&["index"]).arg(golden("tiny-bert")).arg(bench.path("empty.jsonl")).args(["--out", &other]), 1);
    assert!(error.contains("empty.jsonl") && !bench.path("other").exists(), "{error}");
    let error = fail(&mut command(&["search", &store, "a", "--filter", "langue=sw"]), 1);
    assert!(error.contains("`langue`") && error.contains("lang"), "{error}");
    let error = fail(command(&["search", &store, "a", "--model"]).arg(golden("st301/model")), 1);
    assert!(error.contains("tiny-bert") && error.contains("st301/model"), "{error}");
    let error = fail(&mut command(&["search", &bench.path("nothing").display().to_string(), "a"]), 1);
    assert!(error.contains("nothing"), "{error}");
    // An empty query, and more hits requested than there are documents.
    assert_eq!(ids(&store, &["", "-k", "100"]).len(), 6);
    let segment = std::fs::read_dir(bench.path("store")).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.into_iter().find(|path| path.display().to_string().contains("segment")).unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let error = fail(&mut command(&["index-verify", &store]), 1);
    assert!(error.contains("1 of 2 files are damaged"), "{error}");
    let error = fail(&mut command(&["search", &store, "a", "-k", "0"]), 2);
    assert!(error.contains("expected 1 or more"), "{error}");
}

#[test]
fn the_undamaged_part_of_a_store_is_salvaged() {
    let bench = Bench::new();
    let store = indexed(&bench);
    bench.write("more.jsonl", "{\"_id\": \"g\", \"text\": \"habari\"}\n");
    succeed(command(&["add", &store]).arg(bench.path("more.jsonl")));
    let segment = bench.path("store/segment-00000001");
    let mut bytes = std::fs::read(&segment).unwrap();
    // A byte of the vectors, which come first.
    bytes[600] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let error = fail(&mut command(&["compact", &store]), 1);
    assert!(error.contains("`vectors` is wrong") && error.contains("index-salvage"), "{error}");
    let saved = bench.path("saved").display().to_string();
    let lost = succeed(&mut command(&["index-salvage", &store, "--out", &saved]));
    assert_eq!(lost, "a\nb\nc\nd\ne\nf\n");
    assert_eq!(ids(&saved, &["habari", "-k", "9"]), ["g"]);
    assert!(succeed(&mut command(&["index-verify", &saved])).contains("intact"));
}

#[test]
fn a_stopped_index_is_continued() {
    let bench = Bench::new();
    let lines: Vec<String> =
        (0..4500).map(|n| format!("{{\"_id\": \"d{n}\", \"text\": \"habari namba {n}\"}}")).collect();
    let mut broken = lines.clone();
    broken[3000] = "{\"_id\": \"d3000\"}".to_owned();
    let index = |corpus: &str, out: &str| {
        let mut index = command(&["index"]);
        index.arg(golden("tiny-bert")).arg(bench.path(corpus)).arg("--out").arg(bench.path(out));
        index
    };
    let store = bench.path("store").display().to_string();
    bench.write("corpus.jsonl", &broken.join("\n"));
    let error = fail(&mut index("corpus.jsonl", "store"), 1);
    assert!(error.contains("line 3001") && error.contains("the store has 2048 documents"), "{error}");
    for words in
        [&["search", &store, "habari"][..], &["index-info", &store], &["delete", &store, "d1"], &["compact", &store]]
    {
        let error = fail(&mut command(words), 1);
        assert!(error.contains("not all documents have come into this store yet"), "{error}");
    }
    assert!(fail(&mut command(&["index-verify", &store]), 1).contains("damaged"));
    bench.write("corpus.jsonl", &lines.join("\n"));
    let output = index("corpus.jsonl", "store").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stderr).contains("continuing an unfinished store with 2048 documents"), "{output:?}");
    succeed(&mut index("corpus.jsonl", "whole"));
    bench.write("queries.txt", "habari namba 4400\nnamba 7\nhabari\n");
    let queries = bench.path("queries.txt").display().to_string();
    let whole = bench.path("whole").display().to_string();
    let found = |store: &str| succeed(&mut command(&["search", store, "--queries", &queries, "--json", "-k", "20"]));
    assert_eq!(found(&store), found(&whole));
    assert!(succeed(&mut command(&["index-verify", &store])).contains("intact"));
    assert!(fail(&mut index("corpus.jsonl", "store"), 1).contains("is a store already"));
    // The rows that an earlier attempt indexed from another file are discarded.
    bench.write("broken.jsonl", &broken.join("\n"));
    fail(&mut index("broken.jsonl", "other"), 1);
    bench.write("few.jsonl", &lines[2000..2003].join("\n"));
    succeed(&mut index("few.jsonl", "other"));
    let other = bench.path("other").display().to_string();
    let mut found = ids(&other, &["habari", "-k", "9"]);
    found.sort();
    assert_eq!(found, ["d2000", "d2001", "d2002"]);
}

#[test]
fn a_killed_index_is_continued() {
    let bench = Bench::new();
    let lines: String = (0..9000).map(|n| format!("habari namba {n}\n")).collect();
    bench.write("corpus.txt", &lines);
    let mut index = command(&["index"]);
    index.arg(golden("tiny-bert")).arg(bench.path("corpus.txt")).arg("--out").arg(bench.path("store"));
    let mut child = index.spawn().unwrap();
    let start = std::time::Instant::now();
    while !bench.path("store/segment-00000001").exists() && start.elapsed().as_secs() < 60 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    succeed(&mut index);
    let store = bench.path("store").display().to_string();
    let info: Value = serde_json::from_str(&succeed(&mut command(&["index-info", &store, "--json"]))).unwrap();
    assert_eq!((&info["documents"], &info["dead"]), (&9000.into(), &0.into()));
    assert!(succeed(&mut command(&["index-verify", &store])).contains("intact"));
}

#[test]
fn other_files_in_the_folder_are_kept() {
    let bench = Bench::new();
    bench.write("corpus.jsonl", CORPUS);
    bench.write("empty.jsonl", "");
    let index = |corpus: &str| {
        let mut index = command(&["index"]);
        index.arg(golden("tiny-bert")).arg(bench.path(corpus)).arg("--out").arg(bench.path("mine"));
        index
    };
    std::fs::create_dir(bench.path("mine")).unwrap();
    bench.write("mine/notes.txt", "mine");
    fail(&mut index("empty.jsonl"), 1);
    assert_eq!(std::fs::read_dir(bench.path("mine")).unwrap().count(), 1);
    bench.write("mine/segment-00000001", "mine");
    let error = fail(&mut index("corpus.jsonl"), 1);
    assert!(error.contains("`segment-00000001` is in the way"), "{error}");
    assert_eq!(std::fs::read_to_string(bench.path("mine/segment-00000001")).unwrap(), "mine");
}

#[test]
fn documents_without_ids_are_numbered_consecutively() {
    let bench = Bench::new();
    bench.write("a.txt", "habari\nasante\n");
    bench.write("b.txt", "karibu\nkwaheri\n");
    let store = bench.path("store").display().to_string();
    let mut index = command(&["index"]);
    succeed(index.arg(golden("tiny-bert")).arg(bench.path("a.txt")).args(["--out", &store]));
    let added = succeed(command(&["add", &store]).arg(bench.path("b.txt")));
    assert!(added.contains("2 new, 0 replaced, 4 in all"), "{added}");
    assert_eq!(ids(&store, &["kwaheri", "-k", "1"]), ["4"]);
    assert_eq!(ids(&store, &["asante", "-k", "1"]), ["2"]);
}

#[test]
fn pairs_translations_and_duplicates_are_mined() {
    let bench = Bench::new();
    bench.write("corpus.jsonl", CORPUS);
    let model = golden("tiny-bert").display().to_string();
    let corpus = bench.path("corpus.jsonl").display().to_string();
    let pairs = succeed(&mut command(&["mine", &corpus, "--model", &model, "--max-pairs", "3"]));
    let pairs: Vec<Vec<&str>> = pairs.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(pairs.len(), 3);
    assert_eq!(pairs[0].len(), 5);
    bench.write("left.txt", "bei ya mahindi imepanda\nmtoto anacheza mpira\n");
    bench.write("right.txt", "mtoto anacheza mpira\nthe king\nbei ya mahindi imepanda\n");
    let (left, right) = (bench.path("left.txt").display().to_string(), bench.path("right.txt").display().to_string());
    let out = bench.path("bitext.jsonl").display().to_string();
    succeed(&mut command(&["mine", &left, &right, "--model", &model, "--top-k", "2", "--output", &out]));
    let found = std::fs::read_to_string(&out).unwrap();
    let found: Vec<Value> = found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(found.iter().all(|pair| pair["text1"] == pair["text2"]) && found.len() == 2, "{found:?}");

    bench.write("doubled.txt", "habari\nasante\nhabari\n");
    let doubled = bench.path("doubled.txt").display().to_string();
    let kept = succeed(&mut command(&["dedupe", &doubled, "--model", &model, "--threshold", "0.9999"]));
    assert_eq!(kept, "habari\nasante\n");
    let kept = succeed(&mut command(&["dedupe", &doubled, "--model", &model, "--threshold", "-1"]));
    assert_eq!(kept, "habari\n");
    let error = fail(&mut command(&["dedupe", &doubled, "--model", &model, "--threshold", "nan"]), 2);
    assert!(error.contains("expected a finite number"), "{error}");
}

#[test]
fn hard_negatives_are_training_rows() {
    let bench = Bench::new();
    let model = golden("tiny-bert").display().to_string();
    let (pairs, out) =
        (bench.path("pairs.jsonl").display().to_string(), bench.path("triplets.jsonl").display().to_string());
    let mined = command(&["hard-negatives", &pairs, "--model", &model, "--negatives", "2", "--output", &out]).output();
    let mined = mined.unwrap();
    assert!(mined.status.success(), "{}", text(&mined.stderr));
    // The pairs are in the order of `maana synthesize`: the query is first, whatever its name.
    assert!(text(&mined.stderr).contains("query = `positive`, document = `anchor`"), "{}", text(&mined.stderr));
    let given = std::fs::read_to_string(&pairs).unwrap();
    let given: Vec<Value> = given.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rows = std::fs::read_to_string(&out).unwrap();
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() > 10);
    assert!(rows.iter().all(|row| row["negative"] != row["positive"]));
    let is_pair =
        |row: &Value| given.iter().any(|pair| pair["positive"] == row["anchor"] && pair["anchor"] == row["positive"]);
    assert!(rows.iter().all(is_pair), "{rows:?}");
    assert!(rows.iter().all(|row| given.iter().any(|pair| pair["anchor"] == row["negative"])), "{rows:?}");
    // A command that reads one of several columns of texts prints which, unless it was named.
    let note = "reading the column `positive`, not `anchor`; --column names another";
    let deduped = command(&["dedupe", &pairs, "--model", &model]).output().unwrap();
    assert!(text(&deduped.stderr).contains(note), "{}", text(&deduped.stderr));
    let deduped = command(&["dedupe", &pairs, "--model", &model, "--column", "anchor"]).output().unwrap();
    assert!(!text(&deduped.stderr).contains("reading the column"), "{}", text(&deduped.stderr));
    let store = bench.path("by-column").display().to_string();
    let indexed = command(&["index", &model, &pairs, "--out", &store]).output().unwrap();
    let note = "reading the column `positive`, not `anchor`; --text names another";
    assert!(text(&indexed.stderr).contains(note), "{}", text(&indexed.stderr));
    // Columns that were named are used as named.
    let named = ["--anchor", "anchor", "--positive", "positive", "--output", &out];
    succeed(command(&["hard-negatives", &pairs, "--model", &model]).args(named));
    let rows = std::fs::read_to_string(&out).unwrap();
    let row: Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
    assert!(given.iter().any(|pair| pair["anchor"] == row["anchor"] && pair["positive"] == row["positive"]));
    bench.write("three.jsonl", "{\"a\": \"x\", \"b\": \"y\", \"c\": \"z\"}\n");
    let three = bench.path("three.jsonl").display().to_string();
    let error = fail(&mut command(&["hard-negatives", &three, "--model", &model, "--output", &out]), 1);
    assert!(error.contains("three.jsonl") && error.contains("a, b, c") && error.contains("--anchor"), "{error}");
    let error =
        fail(&mut command(&["hard-negatives", &pairs, "--model", &model, "--max-score", "-2", "--output", &out]), 1);
    assert!(error.contains("no pair has a negative"), "{error}");
    // Queries whose nearest candidates fall away are counted: a wider range finds negatives.
    bench.write(
        "near.jsonl",
        "{\"anchor\": \"bei ya mahindi\", \"positive\": \"bei ya mahindi leo\"}\n\
         {\"anchor\": \"bei ya mahindi\", \"positive\": \"bei ya mahindi\"}\n\
         {\"anchor\": \"mtoto anacheza\", \"positive\": \"mtoto anacheza\"}\n",
    );
    let near = bench.path("near.jsonl").display().to_string();
    let few = ["--negatives", "2", "--relative-margin", "0", "--tuples", "--output", &out];
    let mined = command(&["hard-negatives", &near, "--model", &model]).args(few).output().unwrap();
    assert!(mined.status.success(), "{}", text(&mined.stderr));
    let note = "note: 1 of 2 queries have fewer negatives within these bounds and no row; a larger --range-max";
    assert!(text(&mined.stderr).contains(note), "{}", text(&mined.stderr));
}

#[test]
fn groups_are_printed_evaluated_and_drawn() {
    let bench = Bench::new();
    let model = golden("tiny-bert").display().to_string();
    let rows = "bei ya mahindi\tsoko\nbei ya mahindi leo\tsoko\nmtoto anacheza\tmchezo\nmtoto anacheza leo\tmchezo\n";
    bench.write("texts.tsv", rows);
    let texts = bench.path("texts.tsv").display().to_string();
    let shared = ["cluster", &texts, "--header", "text,label", "--label", "label", "--model", &model];
    let map = bench.path("map.html").display().to_string();
    let output = succeed(command(&shared).args(["-k", "2", "--html", &map]));
    assert!(output.contains("4 texts in 2 groups") && output.contains("V-measure"), "{output}");
    let page = std::fs::read_to_string(map).unwrap();
    assert!(page.contains("mtoto anacheza leo"));
    assert!(
        ["src=", "href=", "url(", "fetch("].iter().all(|request| !page.contains(request)),
        "the page sends a request"
    );
    for method in ["communities", "agglomerative", "hdbscan"] {
        let output = succeed(command(&shared).args(["--method", method, "--min-size", "2"]));
        assert!(output.contains("texts in"), "{output}");
    }
    let error = fail(&mut command(&shared), 1);
    assert!(error.contains("needs -k"), "{error}");
}

#[test]
fn a_suite_evaluates_each_set_with_its_own_metrics() {
    let bench = Bench::new();
    let suite = bench.path("suite");
    for folder in ["suite", "suite/mining", "suite/labels"] {
        std::fs::create_dir(bench.path(folder)).unwrap();
    }
    std::fs::rename(bench.path("dev"), suite.join("ir")).unwrap();
    bench.write("suite/mining/sentences.tsv", "s1\thabari\ns2\thabari\ns3\tthe old king\n");
    bench.write("suite/mining/duplicates.tsv", "s2\ts1\n");
    let rows = "bei ya mahindi\tsoko\nbei ya nyanya\tsoko\nthe old king\thadithi\nthe young king\thadithi\n";
    bench.write("suite/labels/topic.train.tsv", rows);
    bench.write("suite/labels/topic.test.tsv", rows);
    bench.write(
        "suite/labels/dev.jsonl",
        "{\"anchor\": \"a\", \"positive\": \"a\"}\n{\"anchor\": \"the\", \"positive\": \"the\"}\n",
    );
    let mut evaluate = command(&["evaluate", "--dims", "64,16", "--precisions", "f32,int8"]);
    evaluate.arg(golden("tiny-bert")).arg("--suite").arg(&suite).arg("--chart").arg(bench.path("suite.svg"));
    let table = succeed(&mut evaluate);
    for measure in
        ["cosine_ndcg@10", "average_precision   1.0000   1.0000", "macro_f1", "v_measure", "mean_accuracy       1.0000"]
    {
        let found = table.lines().any(|line| {
            line.split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .contains(&measure.split_whitespace().collect::<Vec<_>>().join(" "))
        });
        assert!(found, "{measure}\n{table}");
    }
    let titles = |text: &str, of: &str| text.matches(of).count();
    assert_eq!([titles(&table, "f32\n"), titles(&table, "int8\n"), titles(&table, "macro_f1")], [1, 1, 2], "{table}");
    let chart = std::fs::read_to_string(bench.path("suite.svg")).unwrap();
    assert!(chart.starts_with("<svg") && chart.contains("tiny-bert in f32<") && chart.contains("tiny-bert in int8<"));
    // A header line is not an example.
    bench.write("suite/mining/sentences.tsv", "id\tsentence\ns1\thabari\ns2\thabari\ns3\tthe old king\n");
    bench.write("suite/mining/duplicates.tsv", "ID1\tID2\ns2\ts1\n");
    bench.write("suite/labels/topic.train.tsv", &format!("text\tcategory\n{rows}"));
    bench.write("suite/labels/topic.test.tsv", &format!("Text\tLabel\n{rows}"));
    assert_eq!(succeed(&mut evaluate), table);
    bench.write("suite/labels/topic.test.tsv", &format!("text\tmada\n{rows}"));
    let error = fail(&mut evaluate, 1);
    assert!(error.contains("topic.test.tsv: the first line looks like a header"), "{error}");
    bench.write("suite/labels/topic.test.tsv", rows);
    bench.write("suite/mining/duplicates.tsv", "s2\tnobody\n");
    let error = fail(command(&["evaluate"]).arg(golden("tiny-bert")).arg("--suite").arg(&suite), 1);
    assert!(error.contains("nobody"), "{error}");
}

#[test]
fn equal_texts_stay_in_one_group() {
    let bench = Bench::new();
    let model = golden("tiny-bert").display().to_string();
    let path = |name: &str| bench.path(name).display().to_string();
    bench.write("same.txt", "habari\nhabari\nhabari\nbei ya mahindi\n");
    bench.write("two.txt", "habari\nasante\n");
    for method in ["kmeans", "agglomerative"] {
        let grouped = |k: &str| {
            command(&["cluster", &path("same.txt"), "--model", &model, "--method", method, "-k", k]).output().unwrap()
        };
        let output = grouped("2");
        assert!(text(&output.stdout).contains("group 0: 3 texts") && output.stderr.is_empty(), "{output:?}");
        let output = grouped("3");
        assert!(text(&output.stdout).contains("4 texts in 2 groups"), "{output:?}");
        let note = text(&output.stderr);
        assert_eq!(note, "note: found 2 groups instead of 3: the 4 texts have only 2 distinct embeddings\n");
        let mut more = command(&["cluster", &path("two.txt"), "--model", &model, "--method", method, "-k", "5"]);
        let error = fail(&mut more, 1);
        assert!(error.contains("k: 5 groups of 2 vectors; take 2 or fewer"), "{error}");
    }
}

#[test]
fn labels_are_learnt_and_predicted() {
    let bench = Bench::new();
    let model = golden("tiny-bert").display().to_string();
    let row = |number: usize| match number % 2 {
        0 => format!("bei ya mahindi {number}\tsoko\n"),
        _ => format!("the king lived in house {number}\thadithi\n"),
    };
    bench.write("train.tsv", &(0..20).map(row).collect::<String>());
    bench.write("test.tsv", &(20..30).map(row).collect::<String>());
    let path = |name: &str| bench.path(name).display().to_string();
    let header = ["--header", "text,label"];
    for nearest in [None, Some("3")] {
        let out = path(if nearest.is_some() { "nearest" } else { "logistic" });
        let mut fit = command(&["classify", "fit", &path("train.tsv"), "--model", &model, "--out", &out]);
        fit.args(header).args(nearest.iter().flat_map(|k| ["--nearest", k]));
        succeed(&mut fit);
        let picture = path("confusion.svg");
        let measured = succeed(
            command(&["classify", "evaluate", &path("test.tsv"), "--classifier", &out, "--picture", &picture])
                .args(header),
        );
        assert!(measured.contains("accuracy       1.0000"), "{measured}");
        assert!(std::fs::read_to_string(picture).unwrap().starts_with("<svg"));
        bench.write("texts.txt", "bei ya mahindi\n");
        let labelled = succeed(&mut command(&["classify", "predict", &path("texts.txt"), "--classifier", &out]));
        assert!(labelled.starts_with("soko\t"), "{labelled}");
        let error = fail(
            command(&["classify", "predict", &path("texts.txt"), "--classifier", &out, "--model"])
                .arg(golden("st301/model")),
            1,
        );
        assert!(error.contains("another model"), "{error}");
    }
    // Forty rows without an error show only that errors are rare.
    bench.write("easy.tsv", &(0..40).map(row).collect::<String>());
    let mut fit = command(&["classify", "fit", &path("easy.tsv"), "--model", &model, "--out", &path("easy")]);
    let output = fit.args(header).output().unwrap();
    assert!(output.status.success() && text(&output.stderr).contains("0.9762 on average"), "{output:?}");
    let sure = succeed(&mut command(&["classify", "predict", &path("texts.txt"), "--classifier", &path("easy")]));
    let share: f64 = sure.split('\t').nth(1).unwrap().parse().unwrap();
    assert!((0.8..0.9999).contains(&share), "{sure}");
    bench.write("rare.tsv", "bei\tsoko\nmahindi\tsoko\nking\thadithi\n");
    let mut fit = command(&["classify", "fit", &path("rare.tsv"), "--model", &model, "--out", &path("rare")]);
    let output = fit.args(header).output().unwrap();
    assert!(
        text(&output.stderr).contains("not calibrated") && text(&output.stderr).contains("`hadithi`"),
        "{output:?}"
    );
    bench.write("one.tsv", "a\tx\nb\tx\n");
    let mut fit = command(&["classify", "fit", &path("one.tsv"), "--model", &model, "--out", &path("one")]);
    let error = fail(fit.args(header), 1);
    assert!(error.contains("two or more"), "{error}");
}

#[test]
fn a_graph_is_built_searched_and_outdated_by_later_documents() {
    let bench = Bench::new();
    let store = indexed(&bench);
    let search = |words: &[&str]| {
        let mut search = command(&["search", &store, "bei ya mahindi imepanda", "-k", "3"]);
        let output = search.args(words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        (text(&output.stdout), text(&output.stderr))
    };
    let (exact, output) = search(&[]);
    assert_eq!(output, "");
    succeed(&mut command(&["compact", &store, "--graph", "always"]));
    let info = succeed(&mut command(&["index-info", &store]));
    assert!(info.contains("graph        over 6 rows"), "{info}");
    // Recall cannot be measured on six documents, so every vector is still compared.
    assert_eq!(search(&[]), (exact.clone(), String::new()));
    let many: String = (0..300).map(|n| format!("{{\"_id\": \"n{n}\", \"text\": \"habari namba {n}\"}}\n")).collect();
    bench.write("many.jsonl", &many);
    succeed(command(&["add", &store]).arg(bench.path("many.jsonl")));
    succeed(&mut command(&["compact", &store, "--graph", "always"]));
    let (found, output) = search(&[]);
    assert!(output.starts_with("along the graph"), "{output}");
    assert_eq!(found, exact);
    assert_eq!(search(&["--exact"]), (exact.clone(), String::new()));
    bench.write("more.jsonl", "{\"_id\": \"z\", \"text\": \"bei ya mahindi imepanda\"}\n");
    succeed(command(&["add", &store]).arg(bench.path("more.jsonl")));
    let (found, output) = search(&[]);
    assert!(output.contains("1 added since are compared one by one"), "{output}");
    assert!(found.starts_with("  1.0000  z"), "{found}");
    assert!(succeed(&mut command(&["index-verify", &store])).contains("intact"));
    std::fs::write(bench.path("store/graph"), "no graph").unwrap();
    assert!(fail(&mut command(&["index-verify", &store]), 1).contains("`maana compact --graph always` rebuilds it"));
    let error = fail(&mut command(&["search", &store, "habari"]), 1);
    assert!(error.contains("no document is in it: `maana compact --graph always` makes it anew"), "{error}");
    succeed(&mut command(&["compact", &store, "--graph", "always"]));
    assert!(succeed(&mut command(&["index-verify", &store])).contains("intact"));
}

#[test]
fn embeddings_are_written_in_fewer_bits() {
    let bench = Bench::new();
    bench.write("texts.txt", "habari\nbei ya mahindi\nmtoto anacheza\n");
    let encode = |output: &str| {
        let mut encode = command(&["encode"]);
        encode.arg(golden("tiny-bert")).arg("--input").arg(bench.path("texts.txt"));
        encode.arg("--output").arg(bench.path(output));
        encode
    };
    succeed(encode("corpus.npy").args(["--dtype", "int8"]));
    assert_eq!(std::fs::read(bench.path("corpus.npy")).unwrap().len(), 128 + 3 * 64);
    assert_eq!(std::fs::read(bench.path("corpus.ranges.npy")).unwrap().len(), 128 + 2 * 64 * 4);
    succeed(encode("again.npy").args(["--dtype", "int8", "--ranges"]).arg(bench.path("corpus.ranges.npy")));
    assert!(!bench.path("again.ranges.npy").exists());
    let bytes = |name: &str| std::fs::read(bench.path(name)).unwrap();
    assert_eq!(bytes("corpus.npy"), bytes("again.npy"));
    succeed(encode("bits.safetensors").args(["--dtype", "ubinary", "--dim", "32"]));
    assert_eq!(bytes("bits.safetensors").len(), 256 + 3 * 4);
    let error = fail(encode("x.npy").args(["--dtype", "f16", "--ranges"]).arg(bench.path("corpus.ranges.npy")), 1);
    assert!(error.contains("--dtype int8"), "{error}");
    let error = fail(encode("x.npy").args(["--dtype", "uint8", "--ranges"]).arg(bench.path("texts.txt")), 1);
    assert!(error.contains("texts.txt") && error.contains("NumPy"), "{error}");
    let error = fail(encode("x.txt").args(["--dtype", "int8"]), 1);
    assert!(error.contains(".safetensors"), "{error}");
    assert!(!bench.path("x.npy").exists());
}

#[test]
fn pairs_of_a_file_are_compared_in_order() {
    let bench = Bench::new();
    bench.write("pairs.tsv", "left\tright\tlabel\nhabari\thabari\t1\nbei ya mahindi\tmtoto anacheza\t0\n");
    let compare = || {
        let mut compare = command(&["similarity"]);
        compare.arg(golden("tiny-bert")).arg("--pairs").arg(bench.path("pairs.tsv"));
        compare
    };
    let lines = succeed(&mut compare());
    assert!(lines.starts_with("1.0000\thabari\thabari\n") && lines.lines().count() == 2, "{lines}");
    succeed(compare().args(["--columns", "right,left", "--output"]).arg(bench.path("scores.jsonl")));
    let written = std::fs::read_to_string(bench.path("scores.jsonl")).unwrap();
    let second: Value = serde_json::from_str(written.lines().nth(1).unwrap()).unwrap();
    assert_eq!((&second["text1"], &second["text2"]), (&"mtoto anacheza".into(), &"bei ya mahindi".into()));
    assert!(second["score"].as_f64().unwrap() < 0.999);
    let error = fail(compare().args(["--columns", "left,middle"]), 1);
    assert!(error.contains("`middle`") && error.contains("right"), "{error}");
    bench.write("pairs.tsv", "left\tright\n");
    assert!(fail(&mut compare(), 1).contains("pairs.tsv"));
    bench.write("pairs.tsv", "left\tright\nhabari\t\n");
    let error = fail(compare().args(["--columns", "left,right"]), 1);
    assert!(error.contains("pairs.tsv, line 2: the text of `right` is blank"), "{error}");
    assert_eq!(succeed(compare().args(["--columns", "left,right", "--allow-blank"])).lines().count(), 1);
}

/// Returns the path of a table written by `golden/make_tables.py`.
fn table(name: &str) -> String {
    golden("../crates/data/tests/tables").join(name).display().to_string()
}

/// One table in every format: first those that contain only texts, then those with types.
const TABLES: [&str; 9] = [
    "pandas.jsonl",
    "pandas.json",
    "pandas.csv",
    "pandas_semicolon.csv",
    "polars.tsv",
    "gzip.csv.gz",
    "pandas_category.parquet",
    "polars.parquet",
    "duckdb_brotli.parquet",
];

#[test]
fn the_same_table_gives_the_same_store_and_the_same_classifier_in_every_format() {
    let bench = Bench::new();
    let model = golden("tiny-bert").display().to_string();
    let mut made: Vec<[Vec<u8>; 3]> = Vec::new();
    for (number, name) in TABLES.into_iter().enumerate() {
        let path = |kind: &str| bench.path(&format!("{kind}-{number}")).display().to_string();
        let (store, fitted, nearest) = (path("store"), path("fitted"), path("nearest"));
        let index = ["index", &model, &table(name), "--out", &store, "--id", "id", "--keep", "score,lang,label"];
        succeed(&mut command(&index));
        let found = succeed(&mut command(&["search", &store, "bei ya mahindi", "-k", "12", "--json"]));
        let hits: Value = serde_json::from_str(&found).unwrap();
        let hit = hits["hits"].as_array().unwrap().iter().find(|hit| hit["id"] == "9007199254740996").unwrap();
        let fields = serde_json::json!({"label": "1", "lang": "en", "score": "1.25"});
        assert_eq!((&hit["fields"], hits["hits"].as_array().unwrap().len()), (&fields, 12), "{name}: {hit}");
        succeed(&mut command(&["classify", "fit", &table(name), "--model", &model, "--out", &fitted]));
        let fit = ["classify", "fit", &table(name), "--model", &model, "--out", &nearest, "--nearest", "3"];
        succeed(&mut command(&fit));
        let measured = succeed(&mut command(&["classify", "evaluate", &table(name), "--classifier", &nearest]));
        assert!(measured.contains("accuracy       0."), "{name}: {measured}");
        let grouped = ["cluster", &table(name), "--model", &model, "-k", "2", "--label", "label"];
        assert!(succeed(&mut command(&grouped)).contains("V-measure"), "{name}");
        let classifier = |folder: &str| std::fs::read(std::path::Path::new(folder).join("classifier.json")).unwrap();
        made.push([found.into_bytes(), classifier(&fitted), classifier(&nearest)]);
        assert!(made[number] == made[0], "{name} is not as {}", TABLES[0]);
    }
    // With other columns than usual: the language as the label, the text as the id.
    let store = bench.path("by-text").display().to_string();
    let index = ["index", &model, &table("pandas.parquet"), "--out", &store, "--id", "text", "--text", "lang"];
    succeed(&mut command(&index));
    assert!(ids(&store, &["en", "-k", "12"]).contains(&"a young prince met the old king".to_owned()));
}

#[test]
fn integers_keep_all_digits_and_titles_can_be_ids() {
    let bench = Bench::new();
    let model = golden("tiny-bert").display().to_string();
    let (first, second) = ("98765432109876543210", "98765432109876543211");
    bench.write(
        "large.jsonl",
        &format!("{{\"id\": {first}, \"text\": \"habari\"}}\n{{\"id\": {second}, \"text\": \"asante\"}}\n"),
    );
    let store = bench.path("large").display().to_string();
    succeed(&mut command(&["index", &model, &bench.path("large.jsonl").display().to_string(), "--out", &store]));
    assert_eq!(ids(&store, &["asante", "-k", "2"]), [second, first]);
    assert!(succeed(&mut command(&["delete", &store, first])).contains("1 of 1 deleted, 1 left"));
    bench.write("titled.jsonl", "{\"title\": \"Salamu\", \"text\": \"habari\"}\n");
    let (titled, store) =
        (bench.path("titled.jsonl").display().to_string(), bench.path("titled").display().to_string());
    succeed(&mut command(&["index", &model, &titled, "--out", &store, "--id", "title"]));
    assert_eq!(ids(&store, &["Salamu habari"]), ["Salamu"]);
}

#[test]
fn a_missing_text_or_label_is_an_error_in_every_command() {
    let bench = Bench::new();
    let model = golden("tiny-bert").display().to_string();
    let path = |name: &str| bench.path(name).display().to_string();
    bench.write("missing.jsonl", "{\"text\": \"habari\", \"label\": 1}\n{\"txt\": \"asante\", \"label\": 0}\n");
    bench.write("null.jsonl", "{\"text\": \"habari\", \"label\": 1}\n{\"text\": null, \"label\": 0}\n");
    bench.write("label.jsonl", "{\"text\": \"habari\", \"label\": \"a\"}\n{\"text\": \"asante\"}\n");
    bench.write("label.csv", "text,label\nhabari,a\nasante,\n");
    let commands: [&[&str]; 9] = [
        &["encode", &model, "--input", "FILE", "--output", &path("out.npy")],
        &["index", &model, "FILE", "--out", &path("other")],
        &["mine", "FILE", "--model", &model],
        &["dedupe", "FILE", "--model", &model],
        &["cluster", "FILE", "--model", &model, "-k", "1"],
        &["classify", "fit", "FILE", "--model", &model, "--out", &path("classifier")],
        &["similarity", &model, "--pairs", "FILE", "--columns", "text,label"],
        &[
            "hard-negatives",
            "FILE",
            "--model",
            &model,
            "--anchor",
            "text",
            "--positive",
            "label",
            "--output",
            &path("o.jsonl"),
        ],
        &["search", &indexed(&bench), "--queries", "FILE"],
    ];
    for (name, state) in [("missing.jsonl", "missing"), ("null.jsonl", "null")] {
        for words in commands {
            let words: Vec<String> = words.iter().map(|word| word.replace("FILE", &path(name))).collect();
            let error = fail(command(&[]).args(&words), 1);
            let expected =
                format!("{name}, line 2: the field `text` is {state}; give it a value, or leave the row out");
            assert!(error.contains(&expected), "{words:?}: {error}");
        }
        assert!(!bench.path("other").exists(), "a failed index leaves no store");
    }
    for (name, line, state) in [("label.jsonl", "line 2", "missing"), ("label.csv", "line 3", "empty")] {
        for words in [
            &["classify", "fit", &path(name), "--model", &model, "--out", &path("classifier")][..],
            &["cluster", &path(name), "--model", &model, "-k", "1", "--label", "label"],
        ] {
            let error = fail(&mut command(words), 1);
            assert!(error.contains(&format!("{name}, {line}: the field `label` is {state}")), "{error}");
        }
    }
}

#[test]
fn blank_texts_are_skipped_with_a_note_or_refused_if_rows_are_aligned() {
    let bench = Bench::new();
    let model = golden("tiny-bert").display().to_string();
    let path = |name: &str| bench.path(name).display().to_string();
    bench.write("blanks.txt", "habari\n\nhabari\n  \nbei ya mahindi\n\n");
    let output = |words: &[&str]| {
        let output = command(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        assert!(text(&output.stderr).contains("note: 3 blank texts were skipped"), "{words:?}: {output:?}");
        text(&output.stdout)
    };
    let pairs = output(&["mine", &path("blanks.txt"), "--model", &model, "--max-pairs", "1"]);
    assert_eq!(pairs, "1.0000\t1\t3\thabari\thabari\n");
    assert_eq!(
        output(&["dedupe", &path("blanks.txt"), "--model", &model, "--threshold", "0.9999"]),
        "habari\nbei ya mahindi\n"
    );
    assert!(output(&["cluster", &path("blanks.txt"), "--model", &model, "-k", "1"]).contains("3 texts in 1 groups"));
    output(&["index", &model, &path("blanks.txt"), "--out", &path("store")]);
    assert_eq!(ids(&path("store"), &["habari", "-k", "9"]), ["1", "3", "5"]);
    assert_eq!(output(&["search", &path("store"), "--queries", &path("blanks.txt"), "--json"]).lines().count(), 3);

    let encode = ["encode", &model, "--input", &path("blanks.txt"), "--output", &path("out.jsonl")];
    let error = fail(&mut command(&encode), 1);
    assert!(error.contains("blanks.txt, line 2: the text of `text` is blank"), "{error}");
    succeed(command(&encode).arg("--allow-blank"));
    assert_eq!(std::fs::read_to_string(path("out.jsonl")).unwrap().lines().count(), 6);
    let fit =
        ["classify", "fit", &table("pandas.csv"), "--model", &model, "--out", &path("classifier"), "--nearest", "1"];
    succeed(&mut command(&fit));
    let predict = ["classify", "predict", &path("blanks.txt"), "--classifier", &path("classifier")];
    assert!(fail(&mut command(&predict), 1).contains("blanks.txt, line 2: the text of `text` is blank"));
}

#[test]
fn texts_are_read_from_standard_input_and_embeddings_written_to_standard_output() {
    use std::io::Write;
    use std::process::Stdio;
    let bench = Bench::new();
    let model = golden("tiny-bert").display().to_string();
    let path = |name: &str| bench.path(name).display().to_string();
    let piped = |words: &[&str], input: &str| {
        let mut child =
            command(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        text(&output.stdout)
    };
    bench.write("texts.txt", "habari\nbei ya mahindi\n");
    succeed(&mut command(&["encode", &model, "--input", &path("texts.txt"), "--output", &path("out.jsonl")]));
    let encode = ["encode", &model, "--input", "-", "--output", "-"];
    let written = std::fs::read_to_string(path("out.jsonl")).unwrap();
    for input in [
        "habari\nbei ya mahindi\n",
        "{\"text\": \"habari\"}\n{\"text\": \"bei ya mahindi\"}\n",
        "[{\"text\": \"habari\"}, {\"text\": \"bei ya mahindi\"}]",
    ] {
        assert_eq!(piped(&encode, input), written, "{input}");
    }
    let error = fail(command(&encode).args(["--dtype", "int8"]).stdin(Stdio::null()), 1);
    assert!(error.contains("--ranges"), "{error}");

    succeed(&mut command(&["classify", "fit", &table("pandas.csv"), "--model", &model, "--out", &path("classifier")]));
    let predict = ["classify", "predict", "-", "--classifier", &path("classifier")];
    assert!(piped(&predict, "bei ya mahindi sokoni\n").starts_with("0\t"));
    piped(
        &["index", &model, "-", "--out", &path("store"), "--keep", "lang"],
        "{\"text\": \"habari\"}\n{\"text\": \"bei\", \"lang\": \"sw\"}\n",
    );
    assert_eq!(ids(&path("store"), &["bei", "-k", "9", "--filter", "lang=sw"]), ["2"]);
}

#[test]
fn data_are_inspected_as_text_and_as_json() {
    let bench = Bench::new();
    let mut inspect = command(&["inspect"]);
    inspect.arg(bench.path("pairs.jsonl")).args(["--columns", "positive,anchor", "--against"]).arg(bench.path("dev"));
    let shown = succeed(&mut inspect);
    assert!(shown.contains("query         `positive`") && shown.contains("queries of"), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&succeed(inspect.arg("--json"))).unwrap();
    assert_eq!((json["rows"].as_u64(), json["unit"].as_str()), (Some(150), Some("words")));
    let error = fail(command(&["inspect", "--loss", "cosentt"]).arg(bench.path("pairs.jsonl")), 2);
    assert!(error.contains("cosent"), "{error}");
}

#[test]
fn each_kind_of_set_is_evaluated_by_its_columns_or_by_name() {
    let bench = Bench::new();
    bench.write("sts.csv", "a,b,score\nbei ya mahindi,bei ya nyanya,0.8\nmtoto,mfalme,0.1\nsoko,bei,0.5\n");
    bench.write(
        "dev.jsonl",
        "{\"anchor\": \"bei\", \"positive\": \"bei\"}\n{\"anchor\": \"the king\", \"positive\": \"the king\"}\n",
    );
    let mut evaluate = command(&["evaluate"]);
    evaluate.arg(golden("tiny-bert")).arg(bench.path("sts.csv")).arg(bench.path("dev.jsonl"));
    evaluate.arg("--json").arg(bench.path("scores.json")).arg("--csv").arg(bench.path("csv"));
    succeed(&mut evaluate);
    let scores: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(bench.path("scores.json")).unwrap()).unwrap();
    let names: Vec<&String> = scores.as_object().unwrap().keys().collect();
    assert!(names.iter().any(|name| *name == "sts_spearman_cosine"), "{names:?}");
    assert!(names.iter().any(|name| name.ends_with("/dev_mean_accuracy")), "{names:?}");
    assert!(bench.path("csv/similarity_evaluation_sts_results.csv").exists());

    let mut loss = command(&["evaluate", "--kind", "loss"]);
    loss.arg(golden("tiny-bert")).arg(bench.path("pairs.jsonl")).args(["--columns", "positive,anchor"]);
    let error = fail(&mut loss, 1);
    assert!(error.contains("give it with --recipe FILE"), "{error}");
    let table = succeed(loss.arg("--recipe").arg(bench.path("recipe.toml")));
    assert!(table.lines().any(|line| line.starts_with("loss")), "{table}");

    let mut pairs = command(&["evaluate", "--kind", "retrieval", "--dims", "64,16"]);
    let table = succeed(pairs.arg(golden("tiny-bert")).arg(bench.path("dev.jsonl")));
    assert!(table.contains("cosine_ndcg@10"), "{table}");
    let error =
        fail(command(&["evaluate", "--kind", "triplet"]).arg(golden("tiny-bert")).arg(bench.path("dev.jsonl")), 1);
    assert!(error.contains("three columns of texts"), "{error}");
}
