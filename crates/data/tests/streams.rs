//! Streams of texts of every kind of file.

mod support;

use std::io::Cursor;

use maana_data::{Blanks, DataError, Table, TextStream};
use parquet::basic::Compression;
use support::{Cells, texts as strings, write_parquet};

fn stream(name: &str, content: &[u8], column: Option<&str>) -> Result<Vec<String>, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    TextStream::open(&path, column, Blanks::Keep)?.collect()
}

fn texts(name: &str, content: &str, column: Option<&str>) -> Vec<String> {
    stream(name, content.as_bytes(), column).unwrap()
}

fn message(name: &str, content: &str, column: Option<&str>) -> String {
    let error = stream(name, content.as_bytes(), column).unwrap_err().to_string();
    error[error.find(name).unwrap()..].to_string()
}

#[test]
fn the_column_is_the_one_named_or_text_or_the_first_of_texts() {
    let jsonl = "{\"id\":1,\"title\":\"t1\",\"text\":\"x1\"}\n\n{\"id\":2,\"title\":\"t2\",\"text\":\"\"}\n";
    assert_eq!(texts("a.jsonl", jsonl, None), ["x1", ""]);
    assert_eq!(texts("a.jsonl", jsonl, Some("title")), ["t1", "t2"]);
    assert_eq!(texts("a.jsonl", "{\"id\":1,\"b\":\"x\",\"a\":\"y\"}\n", None), ["x"]);
    assert_eq!(texts("a.csv", "id,text\n1,\"x\ny\"\n2,\n", None), ["x\ny", ""]);
    assert_eq!(texts("a.csv", "id,title\n1,x\n", None), ["x"]);
    assert_eq!(texts("a.tsv", "id\ttitle\n1\tx\n", Some("title")), ["x"]);
    assert_eq!(texts("a.txt", "x\n\ny\r\n", None), ["x", "", "y"]);
    assert_eq!(texts("a.txt", "x", Some("text")), ["x"]);
    assert_eq!(texts("a.txt", "", None), Vec::<String>::new());
}

#[test]
fn lines_of_jsonl_may_be_bare_strings() {
    assert_eq!(texts("a.jsonl", "\"x\\n\"\n{\"text\":\"y\"}\n \"z\"\n", None), ["x\n", "y", "z"]);
    assert_eq!(texts("a.jsonl", "\"x\"\n", Some("text")), ["x"]);
    assert!(
        message("a.jsonl", "\"x\"\n", Some("title")).starts_with("a.jsonl: no column `title`; the columns are text")
    );
    assert!(message("a.jsonl", "\"x\n", None).starts_with("a.jsonl, line 1, column 2: EOF while parsing a string"));
}

#[test]
fn parquet_streams_in_batches() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let values: Vec<String> = (0..5000).map(|row| format!("neno {row}")).collect();
    let columns = [
        ("id", Cells::Whole((0..5000).collect())),
        ("title", strings(&["t"; 5000])),
        ("body", Cells::Texts(values.clone())),
    ];
    write_parquet(&path, &columns, Compression::UNCOMPRESSED, 5000);
    let read = |column| TextStream::open(&path, column, Blanks::Keep).unwrap().collect::<Result<Vec<_>, _>>();
    assert_eq!(read(Some("body")).unwrap(), values);
    assert_eq!(read(None).unwrap(), ["t"; 5000]);
    assert_eq!(read(Some("id")).unwrap()[4999], "4999");
    let error = TextStream::open(&path, Some("bodi"), Blanks::Keep).err().unwrap().to_string();
    assert!(error.ends_with("no column `bodi` (did you mean `body`?); the columns are id, title, body"), "{error}");
}

#[test]
fn standard_input_is_jsonl_or_plain_text() {
    let read = |content: &'static str, column: Option<&str>| -> Result<Vec<String>, DataError> {
        let table = Table::from_reader("standard input", Box::new(Cursor::new(content)))?;
        TextStream::of(table, column, Blanks::Keep)?.collect()
    };
    assert_eq!(read("\u{feff}\n {\"text\":\"x\"}\n", None).unwrap(), ["x"]);
    assert_eq!(read("\"x\"\ny\n", None).unwrap(), ["\"x\"", "y"]);
    assert_eq!(read("[\n {\"id\": 1, \"text\": \"x\"}, {\"text\": \"y\"}]", None).unwrap(), ["x", "y"]);
    assert_eq!(read("[\"x\", \"y\"]", None).unwrap(), ["x", "y"]);
    assert_eq!(read("[Ubeti wa 1]\nhabari\n", None).unwrap(), ["[Ubeti wa 1]", "habari"]);
    assert_eq!(read("{\"text\":\"x\"}\n{\"text\":\"y\"}\n", Some("text")).unwrap(), ["x", "y"]);
    let error = read("{\"text\":\"x\"}\n", Some("title")).unwrap_err().to_string();
    assert_eq!(error, "standard input, line 1: the field `title` is missing; give it a value, or leave the row out");
    assert_eq!(read("", None).unwrap(), Vec::<String>::new());
    let error = read("{\"text\":\"x\"}\n{\n", None).unwrap_err().to_string();
    assert!(error.starts_with("standard input, line 2, column "), "{error}");
    let error = read("x\n", Some("title")).unwrap_err().to_string();
    assert_eq!(error, "standard input: no column `title`; the columns are text");
}

#[test]
fn a_stream_ends_after_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    std::fs::write(&path, "{\"text\":\"x\"}\n{\"text\":[]}\n{\"text\":\"z\"}\n").unwrap();
    let mut stream = TextStream::open(&path, None, Blanks::Keep).unwrap();
    assert_eq!(stream.next().unwrap().unwrap(), "x");
    assert!(stream.next().unwrap().unwrap_err().to_string().contains("line 2: the column `text` holds a list"));
    assert!(stream.next().is_none());
}

#[test]
fn what_cannot_be_read_is_named() {
    assert!(message("a.doc", "x", None).starts_with("a.doc: its name does not say what is in it;"));
    let absent = Table::open("no-such-folder", None).map(drop).unwrap_err();
    assert!(matches!(&absent, DataError::Io { path, .. } if path == "no-such-folder"), "{absent}");
    assert!(message("a.csv", "", None).starts_with("a.csv: no rows;"));
    assert!(message("a.jsonl", "{\"id\":1}\n", None).starts_with("a.jsonl: no column of texts;"));
    assert!(message("a.csv", "a,b\nx\n", None).starts_with("a.csv, line 2: 1 fields where the header names 2"));
    let missing = TextStream::open("/nowhere/a.txt", None, Blanks::Keep).err().unwrap();
    assert!(matches!(missing, DataError::Io { .. }), "{missing}");
}

#[test]
fn blank_texts_are_kept_counted_or_refused_and_missing_ones_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
    write("a.txt", "x\n \n\ny\n");
    write("a.jsonl", "{\"text\":\"x\"}\n{\"text\":\" \"}\n{\"text\":\"\"}\n{\"text\":\"y\"}\n");
    write("a.csv", "text,id\nx,1\n\" \",2\n,3\ny,4\n");
    for name in ["a.txt", "a.jsonl", "a.csv"] {
        let path = folder.path().join(name);
        let open = |blanks| TextStream::open(&path, None, blanks).unwrap();
        let mut skipping = open(Blanks::Skip);
        assert_eq!(skipping.by_ref().collect::<Result<Vec<_>, _>>().unwrap(), ["x", "y"], "{name}");
        assert_eq!(skipping.skipped(), 2, "{name}");
        assert_eq!(open(Blanks::Keep).count(), 4);
        let refused = open(Blanks::Refuse).collect::<Result<Vec<_>, _>>().unwrap_err().to_string();
        let line = if name == "a.csv" { 3 } else { 2 };
        assert!(refused.contains(&format!("{name}, line {line}: the text of `text` is blank")), "{refused}");
    }
    write("b.jsonl", "{\"text\":\"x\"}\n{\"txt\":\"y\"}\n");
    write("c.jsonl", "{\"text\":\"x\"}\n{\"text\":null}\n");
    for (name, lack) in [("b.jsonl", "missing"), ("c.jsonl", "null")] {
        let stream = TextStream::open(folder.path().join(name), None, Blanks::Skip).unwrap();
        let error = stream.collect::<Result<Vec<_>, _>>().unwrap_err().to_string();
        assert!(error.contains(&format!("{name}, line 2: the field `text` is {lack}")), "{error}");
    }
}

#[test]
fn what_is_packed_with_gzip_is_unpacked_and_what_else_is_packed_is_named() {
    use std::io::Write;
    let gzip = |content: &str| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(content.as_bytes()).unwrap();
        packed.finish().unwrap()
    };
    // Two packed files one behind the other are one, as gzip has it.
    let both = [gzip("{\"text\":\"x\"}\n"), gzip("{\"text\":\"y\"}\n")].concat();
    assert_eq!(stream("a.jsonl.gz", &both, None).unwrap(), ["x", "y"]);
    assert_eq!(stream("a.csv.gz", &gzip("id,text\n1,x\n"), None).unwrap(), ["x"]);
    assert_eq!(stream("a.TXT.GZ", &gzip("x\ny"), None).unwrap(), ["x", "y"]);
    assert_eq!(stream("a.json.gz", &gzip("[{\"text\":\"x\"}]"), None).unwrap(), ["x"]);
    let table = Table::from_reader("standard input", Box::new(Cursor::new(both.clone()))).unwrap();
    assert_eq!(TextStream::of(table, None, Blanks::Keep).unwrap().count(), 2);
    let message = |name: &str, content: &[u8]| stream(name, content, None).unwrap_err().to_string();
    assert!(message("a.jsonl.gz", &both[..both.len() - 9]).contains("a.jsonl.gz: "));
    assert!(message("a.parquet.gz", &both).contains("its name does not say what is in it"));
    assert!(message("a.jsonl", b"\x28\xb5\x2f\xfd....").contains("is packed with zstd, which is not read; unpack it"));
    assert!(message("a.csv", b"PK\x03\x04....").contains("is packed with zip"));
}

#[test]
fn what_is_no_text_of_lines_is_named() {
    let utf16: Vec<u8> = "text\nhabari\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let message = |name: &str, content: &[u8]| stream(name, content, None).unwrap_err().to_string();
    for name in ["a.txt", "a.csv", "a.tsv", "a.jsonl"] {
        assert!(message(name, &utf16).contains("is UTF-16, not UTF-8; save the file as UTF-8"), "{name}");
        assert!(
            message(name, b"text\rhabari\rasante\r").contains("its lines end in carriage returns without line feeds"),
            "{name}"
        );
    }
    assert_eq!(stream("a.txt", b"habari\r", None).unwrap(), ["habari\r"]);
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_in_the_place_of_files_are_named_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.txt", "a.jsonl", "a.json", "a.csv", "a.parquet"] {
        let path = folder.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let error = TextStream::open(&path, None, Blanks::Keep).err().unwrap().to_string();
        assert!(error.contains("is a pipe, a device or a socket, not a file"), "{error}");
        let error = maana_data::Dataset::open(&[&path], Default::default()).err().unwrap().to_string();
        assert!(error.contains("is a pipe, a device or a socket, not a file"), "{error}");
    }
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero.jsonl")).unwrap();
    let error = TextStream::open(folder.path().join("zero.jsonl"), None, Blanks::Keep).err().unwrap().to_string();
    assert!(error.contains("is a pipe, a device or a socket, not a file"), "{error}");
}
