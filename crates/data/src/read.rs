//! Data files of every format: the files that an input names, and the reader of each format.
//!
//! Every reader returns rows of the same values, with the same meaning for all callers: `Dataset`
//! converts rows to training examples, `Table` to records of named fields.

mod csv;
mod elements;
mod format;
mod inputs;
mod json;
mod lines;
mod parquet;
mod rows;
mod source;
mod table;
mod text;
mod value;

pub(crate) use format::Format;
pub(crate) use inputs::files;
pub(crate) use lines::{Lines, MAX_LINE};
pub use rows::Column;
pub(crate) use rows::{Parse, Row, RowFile, Rows, SpannedRows, Visit};
pub(crate) use source::{Source, regular_file};
pub use table::{Blanks, Record, RecordStream, Table, TextStream};
pub(crate) use value::Kind;
pub use value::Value;
