//! Data files of every kind, good and bad, through the public door.

mod support;

use std::path::{Path, PathBuf};

use maana_data::{DataError, Dataset, Example, ReadOptions, Source, Subset};
use parquet::basic::{Compression, GzipLevel};
use support::{Cells, texts as strings, write_parquet};
use tempfile::TempDir;

/// A temporary folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}

fn columns(names: &[&str]) -> ReadOptions {
    ReadOptions { columns: Some(names.iter().map(|name| name.to_string()).collect()), ..ReadOptions::default() }
}

fn rows(source: &dyn Source) -> Vec<(Vec<String>, Option<Vec<f32>>)> {
    (0..source.len()).map(|row| source.get(row).unwrap()).map(|row| (row.texts, row.label)).collect()
}

fn texts(source: &dyn Source) -> Vec<Vec<String>> {
    rows(source).into_iter().map(|(texts, _)| texts).collect()
}

/// The error of opening one file with this content, its folder left out.
fn message_of(name: &str, content: &[u8], options: ReadOptions) -> String {
    let folder = folder(&[(name, content)]);
    match Dataset::open(&[folder.path().join(name)], options) {
        Ok(opened) => panic!("{name} opened, with {} rows", opened.len()),
        Err(error) => error.to_string().replace(&format!("{}/", folder.path().display()), ""),
    }
}

fn message(name: &str, content: impl AsRef<[u8]>) -> String {
    message_of(name, content.as_ref(), ReadOptions::default())
}

/// Three rows, the same in every format.
fn same_rows_in_every_format(folder: &Path) -> Vec<PathBuf> {
    let path = |name: &str| folder.join(name);
    std::fs::write(
        path("a.jsonl"),
        "{\"anchor\":\"Habari, \\\"rafiki\\\"\",\"id\":1,\"positive\":\"sal\\u00e1ma\\nkabisa\",\"score\":0.5}\n\
         {\"score\":1,\"positive\":\"njema\",\"anchor\":\"Habari, \\\"rafiki\\\"\",\"id\":{\"x\":[1]}}\n\n\
         {\"anchor\":\"njema\",\"id\":null,\"positive\":\"😀\",\"score\":-2e0}",
    )
    .unwrap();
    let csv = "anchor,id,positive,score\n\"Habari, \"\"rafiki\"\"\",1,\"saláma\nkabisa\",0.5\n\n\
               \"Habari, \"\"rafiki\"\"\",2,njema, 1 \nnjema,3,😀,-2\n";
    std::fs::write(path("b.csv"), csv).unwrap();
    let tsv = "anchor\tpositive\tscore\n\"Habari, \"\"rafiki\"\"\"\t\"saláma\nkabisa\"\t0.5\n\
               \"Habari, \"\"rafiki\"\"\"\tnjema\t1\nnjema\t😀\t-2";
    std::fs::write(path("c.tsv"), tsv).unwrap();
    let (a, b) = (["Habari, \"rafiki\"", "Habari, \"rafiki\"", "njema"], ["saláma\nkabisa", "njema", "😀"]);
    for (name, compression) in [
        ("d.parquet", Compression::SNAPPY),
        ("e.parquet", Compression::UNCOMPRESSED),
        ("f.parquet", Compression::GZIP(GzipLevel::default())),
        ("g.parquet", Compression::LZ4_RAW),
    ] {
        let columns = [
            ("id", Cells::Whole(vec![1, 2, 3])),
            ("anchor", strings(&a)),
            ("positive", strings(&b)),
            ("score", Cells::Floats(vec![0.5, 1.0, -2.0])),
        ];
        write_parquet(&path(name), &columns, compression, 2);
    }
    let names = ["a.jsonl", "b.csv", "c.tsv", "d.parquet", "e.parquet", "f.parquet", "g.parquet"];
    names.map(path).to_vec()
}

#[test]
fn every_format_gives_the_same_rows_keys_and_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    let files = same_rows_in_every_format(folder.path());
    let wanted = |a: &str, b: &str, label| (vec![a.to_string(), b.to_string()], Some(vec![label]));
    let mut fingerprints = Vec::new();
    for file in &files {
        let source = Dataset::open(&[file], columns(&["positive", "score", "anchor"])).unwrap();
        assert_eq!(source.columns(), ["positive", "anchor"], "{file:?}");
        assert!(source.has_labels());
        let found = rows(&source);
        assert_eq!(found[0], wanted("saláma\nkabisa", "Habari, \"rafiki\"", 0.5), "{file:?}");
        assert_eq!(found[1], wanted("njema", "Habari, \"rafiki\"", 1.0), "{file:?}");
        assert_eq!(found[2], wanted("😀", "njema", -2.0), "{file:?}");
        assert_eq!(source.text_keys(), [0, 1, 2, 1, 3, 2], "{file:?}");
        fingerprints.push(source.fingerprint());
    }
    assert!(fingerprints.iter().all(|print| *print == fingerprints[0]));

    let swapped = Dataset::open(&files[..1], columns(&["anchor", "positive", "score"])).unwrap();
    let unlabelled = Dataset::open(&files[..1], columns(&["positive", "anchor"])).unwrap();
    assert!(!unlabelled.has_labels() && unlabelled.get(0).unwrap().label.is_none());
    assert_ne!(swapped.fingerprint(), fingerprints[0]);
    assert_ne!(unlabelled.fingerprint(), fingerprints[0]);

    let all = Dataset::open(&files, columns(&["anchor", "positive"])).unwrap();
    assert_eq!(all.len(), 21);
    assert_eq!(texts(&all)[18..], texts(&all)[..3]);
    assert_eq!(all.text_keys()[..6], all.text_keys()[36..]);
}

#[test]
fn without_names_all_columns_are_read_in_the_order_of_the_file_and_must_hold_texts() {
    let folder = tempfile::tempdir().unwrap();
    let files = same_rows_in_every_format(folder.path());
    let names = |file: &PathBuf| Dataset::open(&[file], ReadOptions::default()).unwrap().columns().join(" ");
    for (file, holds) in [(0, "numbers"), (1, "numbers"), (3, "numbers")] {
        let error = Dataset::open(&files[file..=file], ReadOptions::default()).err().unwrap().to_string();
        let remedy = "name the columns to be read, for example columns = [\"anchor\", \"positive\", \"score\"] in a \
                      recipe, or --columns anchor,positive,score";
        assert!(error.ends_with(&format!("the column `id` holds {holds}, not texts; {remedy}")), "{error}");
    }
    assert_eq!(names(&files[2]), "anchor positive");
    assert!(Dataset::open(&files[2..3], ReadOptions::default()).unwrap().has_labels());
}

#[test]
fn the_first_of_several_labels_counts_and_none_is_a_text() {
    let folder = folder(&[("a.csv", b"score,text,labels\n0.5,x,3\n")]);
    let source = Dataset::open(&[folder.path().join("a.csv")], ReadOptions::default()).unwrap();
    assert_eq!(source.get(0).unwrap(), Example { texts: vec!["x".into()], label: Some(vec![3.0]) });
    assert_eq!(source.columns(), ["text"]);
}

#[test]
fn columns_are_the_union_over_the_file() {
    let rows = [
        "{\"anchor\":\"a1\",\"negative\":null}\n{\"anchor\":\"a2\",\"positive\":\"p2\",\"negative\":\"n2\"}\n",
        "{\"anchor\":\"a1\"}\n{\"anchor\":\"a2\",\"positive\":\"p2\"}\n",
    ];
    for (content, column, lack) in [(rows[0], "negative", "null"), (rows[1], "positive", "missing")] {
        let found = format!("a.jsonl, line 1: the field `{column}` is {lack}; give it a value, or leave the row out");
        assert_eq!(message("a.jsonl", content), found);
        assert_eq!(message_of("a.jsonl", content.as_bytes(), columns(&["anchor", column])), found);
    }
    let folder = folder(&[("a.jsonl", rows[0].as_bytes())]);
    let some = Dataset::open(&[folder.path().join("a.jsonl")], columns(&["anchor"])).unwrap();
    assert_eq!(texts(&some), [["a1"], ["a2"]]);
}

#[test]
fn lists_of_as_many_texts_are_columns_of_their_own() {
    let folder = folder(&[
        (
            "a.jsonl",
            b"{\"anchor\":\"a\",\"negatives\":[\"x\",\"y\"]}\n{\"negatives\":[\"z\",\"x\"],\"anchor\":\"b\"}\n",
        ),
        ("b.json", b"[{\"anchor\":\"a\",\"negative\":[\"x\",\"y\"]},\n{\"anchor\":\"b\",\"negative\":[\"z\",\"x\"]}]"),
    ]);
    let path = folder.path().join("c.parquet");
    let lists = Cells::Lists([["x", "y"], ["z", "x"]].map(|list| list.map(String::from).to_vec()).to_vec());
    write_parquet(&path, &[("anchor", strings(&["a", "b"])), ("negatives", lists)], Compression::SNAPPY, 1);
    for (name, list) in [("a.jsonl", "negatives"), ("b.json", "negative"), ("c.parquet", "negatives")] {
        for options in [ReadOptions::default(), columns(&["anchor", list])] {
            let source = Dataset::open(&[folder.path().join(name)], options).unwrap();
            assert_eq!(source.columns(), ["anchor", "negative_1", "negative_2"], "{name}");
            assert_eq!(texts(&source), [["a", "x", "y"], ["b", "z", "x"]], "{name}");
        }
    }
    assert_eq!(
        message("a.jsonl", "{\"a\":\"x\",\"b\":[\"y\"]}\n{\"a\":\"x\",\"b\":[]}\n"),
        "a.jsonl, line 2: the list `b` has 0 texts, those before have 1; give all rows the same number, write a row for each \
         text, or let each epoch draw some of them (`negatives`)"
    );
    let mixed = message("a.jsonl", "{\"a\":[\"x\",null]}\n");
    assert!(mixed.starts_with("a.jsonl: no column of texts; the columns are a;"), "{mixed}");
    let twice = "{\"a\":\"x\",\"negatives\":[\"y\"],\"negative_1\":\"z\"}\n";
    assert_eq!(message("a.jsonl", twice), "columns: the column `negative_1` is named twice; each name may occur once");
}

#[test]
fn csv_is_read_as_excel_means_it() {
    let cases: [(&str, &[u8]); 6] = [
        ("a.csv", b"sep=,\r\na,b\r\nx,\"y;z\"\r\n"),
        ("b.csv", b"\xef\xbb\xbfsep=;\r\na;b\r\nx;\"y;z\"\r\n"),
        ("c.csv", b"a;b\nx;\"y;z\"\n"),
        ("d.csv", b"a\tb\nx\ty;z\n"),
        ("e.tsv", b"\"sep=;\"\na;b\nx;\"y;z\"\n"),
        ("f.csv", b"sep=|\na|b\nx|y;z\n"),
    ];
    let folder = folder(&cases);
    for (name, _) in cases {
        let source = Dataset::open(&[folder.path().join(name)], ReadOptions::default()).unwrap();
        assert_eq!(source.columns(), ["a", "b"], "{name}");
        assert_eq!(texts(&source), [["x", "y;z"]], "{name}");
    }
}

#[test]
fn packed_files_and_lists_are_read_again_from_any_row() {
    use std::io::Write;
    let rows: String = (0..50).map(|row| format!("{{\"a\":\"neno {row}\"}}\n")).collect();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(rows.as_bytes()).unwrap();
    let list = format!("[\n{}]", rows.trim_end().replace("}\n", "},\n"));
    let folder = folder(&[
        ("a.jsonl", rows.as_bytes()),
        ("b/b.jsonl.gz", &packed.finish().unwrap()),
        ("c.json", list.as_bytes()),
        ("b/empty.txt", b""),
    ]);
    let open = |name: &str| Dataset::open(&[folder.path().join(name)], columns(&["a"])).unwrap();
    let expected = open("a.jsonl").fingerprint();
    for name in ["b/b.jsonl.gz", "c.json"] {
        let source = open(name);
        assert!(source.fingerprint() == expected, "{name}");
        for row in [49, 0, 17] {
            assert_eq!(source.get(row).unwrap().texts, [format!("neno {row}")], "{name}");
        }
    }
    // Of a file that lies there packed and unpacked, one is read.
    std::fs::remove_file(folder.path().join("b/empty.txt")).unwrap();
    std::fs::copy(folder.path().join("a.jsonl"), folder.path().join("b/b.jsonl")).unwrap();
    assert_eq!(open("b").len(), 50);
}

#[test]
fn booleans_may_be_labels() {
    let folder = folder(&[("a.jsonl", b"{\"text\":\"x\",\"label\":true}\n{\"text\":\"y\",\"label\":false}\n")]);
    let parquet = folder.path().join("b.parquet");
    let columns = [("text", strings(&["x", "y"])), ("label", Cells::Truths(vec![true, false]))];
    write_parquet(&parquet, &columns, Compression::SNAPPY, 10);
    for path in [folder.path().join("a.jsonl"), parquet] {
        let source = Dataset::open(&[path], ReadOptions::default()).unwrap();
        assert_eq!((source.get(0).unwrap().label, source.get(1).unwrap().label), (Some(vec![1.0]), Some(vec![0.0])));
    }
}

#[test]
fn labels_may_be_lists_of_numbers() {
    let json = b"{\"text\":\"x\",\"label\":[0.5, 1, -2e0]}\n{\"text\":\"y\",\"label\":[0,true,3]}\n";
    let csv = b"text,label\nx,\"[0.5, 1, -2]\"\ny,\"[0,1,3]\"\n";
    let folder = folder(&[("a.jsonl", json), ("b.csv", csv)]);
    let mut fingerprints = Vec::new();
    for name in ["a.jsonl", "b.csv"] {
        let source = Dataset::open(&[folder.path().join(name)], ReadOptions::default()).unwrap();
        assert_eq!((source.label_length(), source.scores()), (3, &[][..]));
        assert_eq!(source.get(0).unwrap().label, Some(vec![0.5, 1.0, -2.0]));
        assert_eq!(source.get(1).unwrap().label, Some(vec![0.0, 1.0, 3.0]));
        assert!(source.place(1).to_string().ends_with(&format!("{name}, row 2")));
        fingerprints.push(source.fingerprint());
    }
    assert_eq!(fingerprints[0], fingerprints[1]);
}

#[test]
fn single_labels_stay_in_memory() {
    let folder = folder(&[("a.csv", b"text,label\nx,1\ny,0\nz,1\n")]);
    let source = Dataset::open(&[folder.path().join("a.csv")], ReadOptions::default()).unwrap();
    assert_eq!((source.label_length(), source.scores()), (1, &[1.0, 0.0, 1.0][..]));
}

#[test]
fn folders_and_patterns_give_data_files_in_the_order_of_their_names() {
    let line = |text: &str| format!("{{\"text\":\"{text}\"}}\n");
    let folder = folder(&[
        ("b.jsonl", line("second").as_bytes()),
        ("a.txt", b"first\n"),
        ("c.CSV", b"text\nthird\n"),
        (".hidden.jsonl", b"no json"),
        ("README.md", b"# no data"),
        ("inner/d.jsonl", b"no json"),
    ]);
    let open = |input: &str| Dataset::open(&[folder.path().join(input)], ReadOptions::default());
    assert_eq!(texts(&open("").unwrap()), [["first"], ["second"], ["third"]]);
    assert_eq!(texts(&open("*").unwrap()), [["first"], ["second"], ["third"]]);
    assert_eq!(texts(&open("[bc].*").unwrap()), [["second"], ["third"]]);
    let both = [folder.path().join("b.jsonl"), folder.path().join("a.txt")];
    assert_eq!(texts(&Dataset::open(&both, ReadOptions::default()).unwrap()), [["second"], ["first"]]);

    let failure = |input: &str| match open(input) {
        Ok(_) => panic!("{input} opened"),
        Err(error) => error.to_string().replace(&format!("{}/", folder.path().display()), ""),
    };
    let endings = "data files end in .jsonl, .ndjson, .json, .csv, .tsv or .txt, which .gz may follow, or in .parquet";
    assert_eq!(failure("*.tsv"), format!("*.tsv: no data file matches this pattern; {endings}"));
    assert_eq!(failure("README.md"), format!("README.md: its name does not say what is in it; {endings}"));
    assert!(failure("x***y").starts_with("x***y: not a valid pattern: "), "{}", failure("x***y"));
    assert!(failure("missing.jsonl").starts_with("missing.jsonl: No such file"), "{}", failure("missing.jsonl"));
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    assert_eq!(failure("empty"), format!("empty: this folder holds no data file; {endings}"));
    let none = Dataset::open::<PathBuf>(&[], ReadOptions::default()).err().unwrap();
    assert!(matches!(none, DataError::NoInput));
}

#[test]
fn byte_order_marks_carriage_returns_and_empty_lines_are_no_part_of_the_texts() {
    let folder = folder(&[
        ("a.jsonl", b"\xef\xbb\xbf{\"text\":\"x\"}\r\n\r\n{\"text\":\"y\"}\r\n"),
        ("b.csv", b"\xef\xbb\xbftext,other\r\n\r\nx,1\r\n\"y\",2"),
        ("c.txt", b"\xef\xbb\xbfx\r\n\r\n  \r\ny"),
    ]);
    for name in ["a.jsonl", "b.csv", "c.txt"] {
        let source = Dataset::open(&[folder.path().join(name)], columns(&["text"])).unwrap();
        assert_eq!(texts(&source), [["x"], ["y"]], "{name}");
    }
}

#[test]
fn quoted_fields_keep_their_line_breaks_and_quotes() {
    let content = b"a,b\n\"one\r\n\n\"\"two\"\"\",x\"y\n \"z\",\"w\"v\n";
    let folder = folder(&[("a.csv", content)]);
    let source = Dataset::open(&[folder.path().join("a.csv")], ReadOptions::default()).unwrap();
    assert_eq!(texts(&source), [["one\r\n\n\"two\"", "x\"y"], [" \"z\"", "wv"]]);
}

#[test]
fn a_limit_reads_no_further() {
    let folder = folder(&[("a.jsonl", b"{\"text\":\"x\"}\n{\"text\":\"y\"}\nbroken\n"), ("b.txt", b"z\n")]);
    let limited = |limit| {
        let options = ReadOptions { limit: Some(limit), ..ReadOptions::default() };
        Dataset::open(&[folder.path().join("a.jsonl"), folder.path().join("b.txt")], options)
    };
    assert_eq!(texts(&limited(1).unwrap()), [["x"]]);
    assert_eq!(texts(&limited(2).unwrap()), [["x"], ["y"]]);
    assert_ne!(limited(1).unwrap().fingerprint(), limited(2).unwrap().fingerprint());
    assert!(limited(0).err().unwrap().to_string().ends_with("no rows; at least one is needed"));
    assert!(limited(3).err().unwrap().to_string().contains("line 3"));
}

#[test]
fn columns_that_do_not_fit_are_named() {
    let jsonl: &[u8] = b"{\"anchor\":\"x\",\"positve\":\"y\"}\n";
    assert_eq!(
        message_of("a.jsonl", jsonl, columns(&["anchor", "positive"])),
        "a.jsonl: no column `positive` (did you mean `positve`?); the columns are anchor, positve"
    );
    assert_eq!(
        message_of("a.csv", b"query,answer\nx,y\n", columns(&["anchor"])),
        "a.csv: no column `anchor`; the columns are query, answer"
    );
    assert_eq!(message_of("a.txt", b"x\n", columns(&["anchor"])), "a.txt: no column `anchor`; the columns are text");
    assert_eq!(
        message("a.jsonl", "{\"a\":\"x\",\"b\":\"y\"}\n\n{\"a\":\"x\"}\n"),
        "a.jsonl, line 3: the field `b` is missing; give it a value, or leave the row out"
    );
    assert_eq!(
        message("a.jsonl", "{\"a\":1,\"label\":2}\n"),
        "a.jsonl: no column of texts; the columns are a, label; name those to be read"
    );
    assert_eq!(
        message_of("a.jsonl", jsonl, columns(&["anchor", "anchor"])),
        "columns: the column `anchor` is named twice; each name may occur once"
    );
    assert_eq!(message("a.csv", "x,y,x\n1,2,3\n"), "a.csv: the column `x` is named twice; each name may occur once");
    assert_eq!(
        message_of("a.jsonl", jsonl, columns(&["label", "score", "anchor"])),
        "the columns label, score all name labels; a row has one label: name one of them"
    );
    assert!(message_of("a.jsonl", jsonl, columns(&["score"])).contains("no column of texts"));

    let folder = folder(&[("a.csv", b"a,b\nx1,x2\n"), ("b.csv", b"b,a\nx3,x4\n"), ("c.csv", b"a,score\nx5,6\n")]);
    let paths = ["a.csv", "b.csv", "c.csv"].map(|name| folder.path().join(name));
    let ordered = Dataset::open(&paths[..2], ReadOptions::default()).unwrap();
    assert_eq!(texts(&ordered), [["x1", "x2"], ["x4", "x3"]], "columns are found by name");
    let error = Dataset::open(&paths, ReadOptions::default()).err().unwrap().to_string();
    assert_eq!(
        error.replace(&format!("{}/", folder.path().display()), ""),
        "c.csv: its columns are a, score, those of a.csv are a, b; give the files the same columns, or name the columns \
         to be read"
    );
}

#[test]
fn values_of_the_wrong_kind_are_named() {
    let json = |value: &str| message("a.jsonl", format!("{{\"a\":\"x\"}}\n{{\"a\":{value}}}\n"));
    let wrong = |found: &str| {
        format!(
            "a.jsonl, line 2: the column `a` holds {found}, not a text; leave the column out or write it as a string"
        )
    };
    assert_eq!(json("1.5"), wrong("the number 1.5"));
    let null = "a.jsonl, line 2: the field `a` is null; give it a value, or leave the row out";
    assert_eq!(json("null"), null);
    assert_eq!(json("[\"x\",[]]"), wrong("a list"));
    assert_eq!(json("{\"x\":1}"), wrong("an object"));
    assert_eq!(json("true"), wrong("true"));

    let label =
        |value: &str| message("a.jsonl", format!("{{\"a\":\"x\",\"label\":1}}\n{{\"a\":\"y\",\"label\":{value}}}\n"));
    let remedy = "not a finite number; correct it, or name the columns to be read without it";
    let names = ". A cross-encoder takes names of labels that `[model] labels = [\"…\", …]` lists";
    assert_eq!(label("\"good\""), format!("a.jsonl, line 2: the label `label` is a text, {remedy}{names}"));
    assert_eq!(label("1e300"), format!("a.jsonl, line 2: the label `label` is {}, {remedy}", 1e300));
    assert_eq!(label("null"), format!("a.jsonl, line 2: the label `label` is null, {remedy}"));
    assert!(label("NaN").starts_with("a.jsonl, line 2, column "), "NaN is no JSON");
    let csv = |value: &str| message("a.csv", format!("a,label\nx,{value}\n"));
    assert_eq!(csv("NaN"), format!("a.csv, line 2: the label `label` is NaN, {remedy}"));
    assert_eq!(csv("inf"), format!("a.csv, line 2: the label `label` is inf, {remedy}"));
    assert_eq!(csv(""), format!("a.csv, line 2: the label `label` is \"\", {remedy}"));
    assert_eq!(csv("good"), format!("a.csv, line 2: the label `label` is \"good\", {remedy}{names}"));
    let element = |found: &str| {
        format!("a.jsonl, line 2: the label `label` holds {found}; every element of its list must be a finite number")
    };
    assert_eq!(label("[]"), format!("a.jsonl, line 2: the label `label` is a list, {remedy}"));
    assert_eq!(label("[1,\"x\"]"), element("\"x\""));
    assert_eq!(label("[1,null]"), element("null"));
    assert_eq!(label("[1e300,1]"), element("1e+300"));
    assert_eq!(label("[[1,2],[3]]"), element("lists of different lengths"));
    let other = "the label `label` has 2 numbers, those before have 1; give all rows as many";
    assert_eq!(label("[1,2]"), format!("a.jsonl, line 2: {other}"));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let parquet = |columns: &[(&str, Cells)], options: ReadOptions| {
        write_parquet(&path, columns, Compression::SNAPPY, 10);
        let error = Dataset::open(&[&path], options).err().unwrap().to_string();
        error.replace(&format!("{}/", folder.path().display()), "")
    };
    let holes = Cells::Nullable(vec![Some("x".into()), None]);
    assert_eq!(
        parquet(&[("a", holes)], ReadOptions::default()),
        "a.parquet, row 2: the field `a` is null; give it a value, or leave the row out"
    );
    let numbers = Cells::Whole(vec![1, 2]);
    assert_eq!(
        parquet(&[("a", numbers)], columns(&["a"])),
        "a.parquet, row 1: the column `a` holds the number 1, not a text; leave the column out or write it as a string"
    );
    let labels = Cells::Floats(vec![1.0, f64::NAN]);
    assert_eq!(
        parquet(&[("a", strings(&["x", "y"])), ("score", labels)], ReadOptions::default()),
        format!("a.parquet, row 2: the label `score` is NaN, {remedy}")
    );
    assert_eq!(
        parquet(&[("a", strings(&["x"])), ("score", strings(&["1"]))], ReadOptions::default()),
        format!("a.parquet, row 1: the label `score` is a text, {remedy}")
    );
    assert_eq!(
        parquet(&[("a", strings(&["x"]))], columns(&["b"])),
        "a.parquet: no column `b` (did you mean `a`?); the columns are a"
    );
}

#[test]
fn broken_lines_are_named() {
    let remedy = "each line must be one whole JSON object";
    let starts = |content: &str, start: &str| {
        let found = message("a.jsonl", content);
        assert!(found.starts_with(start) && found.ends_with(remedy), "{found}");
    };
    starts("{\"a\":\"x\"}\n{\"a\":\"y\"\n", "a.jsonl, line 2, column 8: EOF while parsing an object; ");
    starts("{\"a\":\"x\"}\n{\"a\":\"x\"}{\"a\":\"x\"}\n", "a.jsonl, line 2, column 10: trailing characters; ");
    starts(
        "{\"a\":\"\\ud800\"}\n",
        "a.jsonl, line 1, column 13: a \\u escape is half of a character beyond U+FFFF, or not",
    );
    starts("7\n", "a.jsonl, line 1, column 1: invalid type: integer `7`, expected an object; ");

    let utf8 = |name: &str, content: &[u8]| message(name, content);
    let remedy = "is not valid UTF-8; save the file as UTF-8";
    assert_eq!(utf8("a.txt", b"x\nab\xff\n"), format!("a.txt, line 2: byte 4 of the file {remedy}"));
    assert_eq!(
        utf8("a.jsonl", b"\xef\xbb\xbf{\"a\":\"\xc3\"}"),
        format!("a.jsonl, line 1: byte 9 of the file {remedy}")
    );
    assert_eq!(utf8("a.csv", b"a\n\"x\n\xe9\"\n"), format!("a.csv, line 3: byte 5 of the file {remedy}"));
    assert_eq!(utf8("a.csv", b"\xff\xfea\0"), "a.csv: is UTF-16, not UTF-8; save the file as UTF-8");

    assert_eq!(
        message("a.csv", "a,b\nx,y\nz,\"w\nmore,\nand more"),
        "a.csv, line 3: a quote opened here is never closed; close it, or double every quote that belongs to the text"
    );
    assert_eq!(
        message("a.csv", "a,b\n\"x\n\",\"y\n"),
        "a.csv, line 3: a quote opened here is never closed; close it, or double every quote that belongs to the text"
    );
    assert_eq!(
        message("a.csv", "a,b\nx,y\n\"z\nz\"\n"),
        "a.csv, line 3: 1 fields where the header names 2; a field that holds the separator or a line break must be \
         quoted"
    );
    assert!(message("a.tsv", "a\tb\nx\ty\tz\n").starts_with("a.tsv, line 2: 3 fields where the header names 2;"));
}

#[test]
fn blank_texts_are_refused_unless_allowed() {
    assert_eq!(
        message("a.jsonl", "{\"a\":\"x\",\"b\":\"y\"}\n{\"a\":\"x\",\"b\":\" \\t\\n\\u00a0\"}\n"),
        "a.jsonl, line 2: the text of `b` is blank; remove the row, or allow blank texts"
    );
    assert!(message("a.csv", "a,b\nx,\n").starts_with("a.csv, line 2: the text of `b` is blank;"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write_parquet(&path, &[("a", strings(&["x", ""]))], Compression::SNAPPY, 1);
    let error = Dataset::open(&[&path], ReadOptions::default()).err().unwrap().to_string();
    assert!(error.ends_with("a.parquet, row 2: the text of `a` is blank; remove the row, or allow blank texts"));
    let allowed = ReadOptions { allow_blank: true, ..ReadOptions::default() };
    assert_eq!(texts(&Dataset::open(&[&path], allowed).unwrap()), [["x"], [""]]);
}

#[test]
fn files_without_rows_are_refused() {
    for (name, content) in [("a.jsonl", ""), ("a.jsonl", "\n\n"), ("a.csv", ""), ("a.csv", "a,b\n"), ("a.txt", " \n")] {
        assert_eq!(message(name, content), format!("{name}: no rows; at least one is needed"));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write_parquet(&path, &[("a", strings(&[]))], Compression::SNAPPY, 1);
    let error = Dataset::open(&[&path], ReadOptions::default()).err().unwrap();
    assert!(matches!(error, DataError::NoRows { .. }), "{error}");
}

#[test]
fn a_megabyte_in_a_line_is_read_and_an_absurd_line_refused() {
    let long = "neno ".repeat(1 << 18);
    let content = format!("{{\"a\":\"{long}\"}}\n{{\"a\":\"short\"}}\n");
    let folder = folder(&[("a.jsonl", content.as_bytes())]);
    let source = Dataset::open(&[folder.path().join("a.jsonl")], ReadOptions::default()).unwrap();
    assert_eq!(source.get(0).unwrap().texts, [long]);
    assert_eq!(source.get(1).unwrap().texts, ["short"]);

    let mut absurd = b"{\"a\":\"fine\"}\n".to_vec();
    absurd.resize(absurd.len() + (64 << 20) + 1, b'x');
    let remedy = "longer than 67108864 bytes; break the text up";
    assert_eq!(message("a.jsonl", &absurd), format!("a.jsonl, line 2: {remedy}"));
    assert_eq!(message("a.txt", &absurd), format!("a.txt, line 2: {remedy}"));
    let mut unclosed = b"a\n\"".to_vec();
    unclosed.extend(b"xxxxxxxx\n".repeat(8 << 20));
    assert!(message("a.csv", &unclosed).starts_with("a.csv, line 2: a quote opened here is never closed;"));
}

#[test]
fn a_file_that_changed_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let rewrites: [(&str, &[u8], &[u8]); 5] = [
        ("a.jsonl", b"{\"a\":\"x\"}\n{\"a\":\"y\"}\n", b"{\"a\":\"x\"}\n{\"a\":\"z\"}\n"),
        ("b.jsonl", b"{\"a\":\"x\"}\n{\"a\":\"y\"}\n", b"{\"a\":\"x\"}\n"),
        ("c.csv", b"a\nx\ny\n", b"a\nx\n\"\n"),
        ("d.txt", b"x\nyy\n", b"x\n\xff\xff\n"),
        ("e.csv", b"a,label\nx,1\nx,1\n", b"a,label\nx,1\nx,2\n"),
    ];
    for (name, before, after) in rewrites {
        let path = folder.path().join(name);
        std::fs::write(&path, before).unwrap();
        let source = Dataset::open(&[&path], ReadOptions::default()).unwrap();
        assert_eq!(source.get(1).unwrap().texts.len(), 1);
        std::fs::write(&path, after).unwrap();
        source.get(0).unwrap();
        let error = source.get(1).unwrap_err();
        assert!(matches!(error, DataError::Changed { row: 2, .. }), "{name}: {error}");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(source.get(1).unwrap_err(), DataError::Io { .. }), "{name}");
    }
    let path = folder.path().join("f.parquet");
    write_parquet(&path, &[("a", strings(&["x", "y"]))], Compression::UNCOMPRESSED, 1);
    let source = Dataset::open(&[&path], ReadOptions::default()).unwrap();
    for texts in [["x", "zz"], ["x", "z"]] {
        write_parquet(&path, &[("a", strings(&texts))], Compression::UNCOMPRESSED, 1);
        let error = source.get(1).unwrap_err();
        assert!(matches!(error, DataError::Changed { row: 2, .. }), "{error}");
    }
}

#[test]
fn parquet_compressed_with_lzo_is_refused_by_name() {
    use parquet::file::metadata::{ParquetMetaDataReader, ParquetMetaDataWriter};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let columns = [("a", strings(&["x"])), ("b", strings(&["y"]))];
    write_parquet(&path, &columns, Compression::UNCOMPRESSED, 10);
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&std::fs::File::open(&path).unwrap()).unwrap();
    let mut builder = metadata.into_builder();
    let mut group = builder.take_row_groups().remove(0).into_builder();
    let mut chunks = group.take_columns();
    let chunk = chunks.remove(1).into_builder().set_compression(Compression::LZO);
    chunks.push(chunk.build().unwrap());
    let metadata = builder.add_row_group(group.set_column_metadata(chunks).build().unwrap()).build();
    let mut bytes = std::fs::read(&path).unwrap();
    ParquetMetaDataWriter::new(&mut bytes, &metadata).finish().unwrap();
    std::fs::write(&path, bytes).unwrap();

    let error = Dataset::open(&[&path], ReadOptions::default()).err().unwrap().to_string();
    assert_eq!(
        error.replace(&format!("{}/", folder.path().display()), ""),
        "a.parquet: the column `b` is compressed with lzo, which cannot be read; write it with zstd, snappy, gzip, lz4, \
         brotli or no compression, for example pandas' to_parquet(…, compression=\"zstd\")"
    );
    let only = ReadOptions { columns: Some(vec!["a".into()]), ..ReadOptions::default() };
    assert_eq!(texts(&Dataset::open(&[&path], only).unwrap()), [["x"]], "other columns can be read");
}

/// `types.parquet` is written by `golden/make_parquet_types.py`.
#[test]
fn every_type_of_parquet_is_written_out_or_named() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parquet/types.parquet");
    let records = |name: &str| maana_data::Table::open(&path, None).unwrap().read(&[name.to_owned()]).unwrap();
    let column = |name: &str| -> [Option<String>; 3] {
        let cells: Vec<_> = records(name).map(|record| record.unwrap().field(0).unwrap()).collect();
        cells.try_into().unwrap()
    };
    for (name, cells) in [
        ("nullable", [Some("a"), None, None]),
        ("int8", [Some("-128"), None, Some("127")]),
        ("uint32", [Some("4294967295"), Some("0"), None]),
        ("uint64", [Some("18446744073709551615"), Some("0"), None]),
        ("half", [Some("0.5"), None, Some("-2.0")]),
        ("single", [Some("0.1"), Some("1e-7"), None]),
        ("double", [Some("0.1"), Some("1e+300"), None]),
        ("decimal9", [Some("-0.05"), Some("12345.60"), None]),
        ("decimal18", [Some("-7"), Some("100000000000000000"), None]),
        ("decimal38", [Some("-1.5000000000"), Some("12345678901234567890.0123456789"), None]),
        ("decimal76", [Some("-10000000000000000000000000000000000000000.000"), Some("0.001"), None]),
        ("truth", [Some("true"), None, Some("false")]),
        ("date", [Some("2024-02-29"), None, Some("1969-12-31")]),
        ("seconds", [Some("2024-02-29T01:02:03.5"), None, Some("1969-12-31T00:00:00")]),
        ("utc", [Some("2024-02-29T01:02:03Z"), None, Some("1970-01-01T00:00:00Z")]),
        ("nanos", [Some("2024-02-29T01:02:03.000000001"), None, Some("1970-01-01T00:00:00")]),
        ("nothing", [None; 3]),
        ("category", [Some("x"), None, Some("x")]),
        ("texts", [Some("[\"a\",\"b\"]"), Some("[]"), Some("[\"c\"]")]),
        ("holes", [Some("[\"a\",null]"), None, Some("[\"c\"]")]),
        ("numbers", [Some("[0.5,1.0]"), Some("[2.0,3.0]"), Some("[4.0,5.5]")]),
        ("nested", [Some("[[1],[],[2,3]]"), Some("[null,[4,null]]"), Some("[]")]),
    ] {
        assert_eq!(column(name), cells.map(|cell| cell.map(String::from)), "{name}");
    }
    for (name, kind) in [
        ("time", "times of day"),
        ("bytes", "bytes that are not marked as texts"),
        ("record", "records of several fields"),
        ("records", "a list"),
        ("map", "maps"),
    ] {
        let error = records(name).next().unwrap().unwrap().field(0).unwrap_err().to_string();
        assert!(error.contains(&format!("row 1: the column `{name}` holds {kind}, not a text")), "{error}");
        let nulls = records(name).filter(|record| matches!(record.as_ref().unwrap().field(0), Ok(None)));
        assert_eq!(nulls.count(), 1, "{name}");
    }
}

#[test]
fn damaged_parquet_never_brings_the_program_down() {
    let folder = tempfile::tempdir().unwrap();
    let (path, damaged) = (folder.path().join("a.parquet"), folder.path().join("b.parquet"));
    let (mut tried, mut opened, mut was_panic) = (0, 0, false);
    let mut open = |bytes: &[u8], text: &str| {
        std::fs::write(&damaged, bytes).unwrap();
        tried += 1;
        match Dataset::open(&[&damaged], columns(&[text, "score"])) {
            Ok(source) => {
                opened += 1;
                (0..source.len()).for_each(|row| drop(source.get(row)));
            }
            Err(error) => was_panic |= error.to_string().contains("the file is damaged"),
        }
    };
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY] {
        let labels = Cells::Floats(vec![0.5, 1.0, 0.5]);
        let columns = [("a", strings(&["moja", "mbili", "moja"])), ("score", labels)];
        write_parquet(&path, &columns, compression, 2);
        let whole = std::fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 0xff;
            open(&bytes, "a");
            if place % 16 == 0 {
                open(&whole[..place], "a");
            }
        }
    }
    for name in ["polars.parquet", "duckdb_brotli.parquet", "pyarrow_2_zstd.parquet"] {
        let whole = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables").join(name)).unwrap();
        for place in (0..whole.len()).step_by(5) {
            let mut bytes = whole.clone();
            bytes[place] ^= 0xff;
            open(&bytes, "text");
        }
    }
    println!("{opened} of {tried} damaged files could still be read");
    assert!(was_panic, "panics of the reader are among what was tried");
    assert!(message("a.parquet", "PAR1").starts_with("a.parquet: not a readable Parquet file: "));
}

#[test]
fn threads_read_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<String> = (0..3000).map(|row| format!("maneno {row}")).collect();
    let borrowed: Vec<&str> = values.iter().map(String::as_str).collect();
    let parquet = folder.path().join("a.parquet");
    write_parquet(&parquet, &[("text", strings(&borrowed))], Compression::SNAPPY, 700);
    let text = folder.path().join("b.txt");
    std::fs::write(&text, values.join("\n")).unwrap();
    let source = Dataset::open(&[&parquet, &text], ReadOptions::default()).unwrap();
    assert_eq!(source.len(), 6000);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (source, values) = (&source, &values);
            scope.spawn(move || {
                for step in 0..1500 {
                    let row = (thread * 911 + step * 787) % 6000;
                    assert_eq!(source.get(row).unwrap().texts[0], values[row % 3000]);
                }
            });
        }
    });
}

/// As many rows as the large data set has: time and memory of the index are printed.
#[test]
fn large_files_are_indexed_in_seconds() {
    use std::io::Write;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.jsonl");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    let words = "mwanamke mwenye makunyanzi sana akishikilia miwani yake na kutembea kwenye barabara ya jiji";
    for row in 0..282_883 {
        writeln!(out, "{{\"anchor\": \"{words} {row} {words}\", \"positive\": \"Mwanamke {row}\"}}").unwrap();
    }
    drop(out);
    let begun = std::time::Instant::now();
    let source = Dataset::open(&[&path], columns(&["positive", "anchor"])).unwrap();
    println!("{} bytes indexed in {:?}", std::fs::metadata(&path).unwrap().len(), begun.elapsed());
    assert_eq!(source.len(), 282_883);
    assert_eq!(source.get(282_882).unwrap().texts[0], "Mwanamke 282882");
    let begun = std::time::Instant::now();
    for row in (0..282_883).step_by(100) {
        source.get(row).unwrap();
    }
    println!("a row read in {:?}", begun.elapsed() / 2829);
    assert!(begun.elapsed().as_secs() < 30);
}

/// Opens rows of JSON with options.
fn opened(lines: &str, options: ReadOptions) -> Result<Dataset, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    std::fs::write(&path, lines).unwrap();
    // The index stays, though the file is gone.
    Dataset::open(&[path], options)
}

#[test]
fn lists_of_any_length_have_a_label_for_each_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let lines = "{\"query\": \"q\", \"docs\": [\"a\", \"b\"], \"labels\": [1, 0]}\n\
                 {\"query\": \"r\", \"docs\": [\"a\"], \"labels\": [2]}\n\
                 {\"query\": \"q\", \"docs\": [\"a\", \"b\"], \"labels\": [0, 1]}\n";
    std::fs::write(&path, lines).unwrap();
    let lists = ReadOptions { lists: true, ..ReadOptions::default() };
    let source = Dataset::open(&[&path], lists.clone()).unwrap();
    assert!(source.has_lists() && source.label_length() == 1 && source.scores().is_empty());
    assert_eq!(source.columns(), ["query", "docs"]);
    let row = source.get(0).unwrap();
    assert_eq!((row.texts, row.label), (vec!["q".into(), "a".into(), "b".into()], Some(vec![1.0, 0.0])));
    assert_eq!(source.get(1).unwrap().texts, ["r", "a"]);
    let keys = source.text_keys();
    assert_eq!(keys.len(), 6);
    assert_eq!((keys[0], keys[1]), (keys[4], keys[5]), "equal lists have one key");
    assert!(keys[1] != keys[3] && keys[1] != keys[0]);
    assert_eq!((source.row_keys(0).len(), source.row_keys(1).len()), (3, 2));
    let subset = Subset::new(std::sync::Arc::new(source), vec![1, 0]);
    assert!(subset.has_lists());
    assert_eq!(subset.get(1).unwrap().texts, ["q", "a", "b"]);

    for (line, expected) in [
        ("{\"query\": \"q\", \"docs\": [\"a\", \"b\"], \"labels\": [1]}", "has 1 number for a list of 2 texts"),
        ("{\"query\": \"q\", \"docs\": [\"a\", \" \"], \"labels\": [1, 0]}", "the text of `docs` is blank"),
        ("{\"query\": \"q\", \"docs\": [], \"labels\": []}", "the list `docs` is empty"),
        (
            "{\"query\": \"q\", \"docs\": [\"a\"], \"labels\": [\"x\"]}",
            "the label `labels` is a list, not a finite number",
        ),
    ] {
        let error = opened(&format!("{lines}{line}\n"), lists.clone()).err().unwrap().to_string();
        assert!(error.contains(expected) && error.contains("4"), "{line}: {error}");
    }
    let error = opened(lines, ReadOptions::default()).err().unwrap().to_string();
    assert!(error.contains("docs"), "{error}");
    let columns = "{\"query\": \"q\", \"docs\": [\"a\", \"b\"], \"more\": \"c\"}\n";
    let source = opened(columns, lists).unwrap();
    assert!(!source.has_lists() && source.columns() == ["query", "docs_1", "docs_2", "more"]);
}

#[test]
fn labels_may_be_names_of_classes() {
    let classes = ["no", "yes"].map(String::from).to_vec();
    let options = ReadOptions { classes, ..ReadOptions::default() };
    let lines = "{\"a\": \"x\", \"b\": \"y\", \"label\": \"yes\"}\n{\"a\": \"x\", \"b\": \"z\", \"label\": \"no\"}\n";
    let source = opened(lines, options.clone()).unwrap();
    assert_eq!(source.scores(), [1.0, 0.0]);
    let unknown = format!("{lines}{{\"a\": \"x\", \"b\": \"z\", \"label\": \"perhaps\"}}\n");
    let error = opened(&unknown, options).err().unwrap().to_string();
    assert!(error.contains("\"perhaps\"") && error.contains("no, yes"), "{error}");
    assert!(error.contains("`[model] labels = ["), "{error}");
}
