//! Streams of texts of every kind of file.

use std::io::Cursor;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use maana_data::{DataError, TextStream};

fn stream(name: &str, content: &[u8], column: Option<&str>) -> Result<Vec<String>, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    TextStream::open(&path, column)?.collect()
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
    assert_eq!(texts("a.csv", "id,title\n1,x\n", None), ["1"]);
    assert_eq!(texts("a.tsv", "id\ttitle\n1\tx\n", Some("title")), ["x"]);
    assert_eq!(texts("a.txt", "x\n\ny\r\n", None), ["x", "", "y"]);
    assert_eq!(texts("a.txt", "x", Some("text")), ["x"]);
    assert_eq!(texts("a.txt", "", None), Vec::<String>::new());
}

#[test]
fn lines_of_jsonl_may_be_bare_strings() {
    assert_eq!(texts("a.jsonl", "\"x\\n\"\n{\"text\":\"y\"}\n \"z\"\n", None), ["x\n", "y", "z"]);
    assert!(message("a.jsonl", "\"x\"\n", Some("text")).starts_with("a.jsonl, line 1, column 3: invalid type"));
    assert!(message("a.jsonl", "\"x\n", None).starts_with("a.jsonl, line 1, column 2: EOF while parsing a string"));
}

#[test]
fn parquet_streams_in_batches() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let values: Vec<String> = (0..5000).map(|row| format!("neno {row}")).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..5000))),
        ("title", Arc::new(StringArray::from(vec!["t"; 5000]))),
        ("body", Arc::new(StringArray::from(values.clone()))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let read = |column| TextStream::open(&path, column).unwrap().collect::<Result<Vec<_>, _>>();
    assert_eq!(read(Some("body")).unwrap(), values);
    assert_eq!(read(None).unwrap(), ["t"; 5000]);
    assert!(read(Some("id")).unwrap_err().to_string().contains("row 1: the column `id` holds values of type Int64"));
    let error = TextStream::open(&path, Some("bodi")).err().unwrap().to_string();
    assert!(error.ends_with("no column `bodi` (did you mean `body`?); the columns are id, title, body"), "{error}");
}

#[test]
fn standard_input_is_jsonl_or_plain_text() {
    let read = |content: &'static str, column: Option<&str>| -> Result<Vec<String>, DataError> {
        TextStream::from_reader("standard input", Box::new(Cursor::new(content)), column)?.collect()
    };
    assert_eq!(read("\u{feff}\n {\"text\":\"x\"}\n", None).unwrap(), ["x"]);
    assert_eq!(read("\"x\"\ny\n", None).unwrap(), ["\"x\"", "y"]);
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
    std::fs::write(&path, "{\"text\":\"x\"}\n{\"text\":1}\n{\"text\":\"z\"}\n").unwrap();
    let mut stream = TextStream::open(&path, None).unwrap();
    assert_eq!(stream.next().unwrap().unwrap(), "x");
    assert!(stream.next().unwrap().unwrap_err().to_string().contains("line 2: the column `text` holds the number 1"));
    assert!(stream.next().is_none());
}

#[test]
fn what_cannot_be_read_is_named() {
    assert!(message("a.doc", "x", None).starts_with("a.doc: its name does not say what is in it;"));
    assert!(message("a.csv", "", None).starts_with("a.csv: no rows;"));
    assert!(message("a.jsonl", "{\"id\":1}\n", None).starts_with("a.jsonl, line 1: no column of texts;"));
    assert!(message("a.csv", "a,b\nx\n", None).starts_with("a.csv, line 2: 1 fields where the header names 2"));
    let missing = TextStream::open("/nowhere/a.txt", None).err().unwrap();
    assert!(matches!(missing, DataError::Io { .. }), "{missing}");
}
