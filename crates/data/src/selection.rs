//! Selection of the text columns and the label of data files, and conversion of rows to examples.

mod label;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::options::ReadOptions;
use crate::read::{Column, Format, Kind, Value};
use crate::{DataError, DrawnColumn, Example, Place};

/// Names of columns with labels of training data, never texts. The first in this order that a file
/// has is the label.
pub const LABEL_COLUMNS: [&str; 4] = ["label", "labels", "score", "scores"];

/// The selected columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    columns: Vec<Chosen>,
    pub(crate) label: Option<String>,
    /// The column from whose lists each epoch draws.
    pub(crate) drawn: Option<DrawnColumn>,
    /// True if the last column holds lists of any length.
    lists: bool,
    /// Names of the classes of labels.
    classes: Vec<String>,
}

/// A column of texts, or of lists of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chosen {
    name: String,
    /// Number of texts that the loss sees of each list.
    list: Option<usize>,
    /// True if lists have any length, and each epoch draws from them.
    drawn: bool,
}

impl Chosen {
    fn new(column: &Column) -> Self {
        let list = match column.kind {
            Kind::List(length) => Some(length),
            _ => None,
        };
        Self { name: column.name.clone(), list, drawn: false }
    }

    /// Returns the names of its texts.
    fn texts(&self) -> Vec<String> {
        let stem = if self.name == "negatives" { "negative" } else { &self.name };
        match self.list {
            None => vec![self.name.clone()],
            Some(length) => (1..=length).map(|number| format!("{stem}_{number}")).collect(),
        }
    }
}

impl Selection {
    fn new(columns: Vec<Chosen>, label: Option<String>) -> Self {
        Self { columns, label, drawn: None, lists: false, classes: Vec::new() }
    }

    /// Returns the columns of the files, the label last.
    pub(crate) fn names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).chain(self.label.clone()).collect()
    }

    /// Returns true if the last column holds lists of any length.
    pub(crate) fn has_lists(&self) -> bool {
        self.lists
    }

    /// Returns the names of the texts of a row; those of a list of any length have one.
    pub(crate) fn texts(&self) -> Vec<String> {
        if self.lists {
            return self.columns.iter().map(|column| column.name.clone()).collect();
        }
        self.columns.iter().flat_map(Chosen::texts).collect()
    }

    /// Takes lists of any length if the second of two columns holds lists.
    fn take_lists(&mut self) {
        self.lists = matches!(&self.columns[..], [first, last] if first.list.is_none() && last.list.is_some());
    }

    /// Makes the column of `drawn` one from which epochs draw.
    fn draw_from(&mut self, drawn: DrawnColumn) -> Result<(), DataError> {
        let present = || self.columns.iter().map(|column| column.name.clone()).collect();
        let Some(place) = self.columns.iter().position(|column| column.name == drawn.column) else {
            return Err(DataError::ColumnMissing { place: Place::Setting, column: drawn.column, present: present() });
        };
        if self.columns[place].list.is_none() {
            return Err(DataError::NoList { column: drawn.column });
        }
        self.columns[place] = Chosen { list: Some(drawn.count), drawn: true, ..self.columns[place].clone() };
        self.drawn = Some(drawn);
        Ok(())
    }

    /// Returns the range of the list from which epochs draw, in a row of `texts` texts.
    fn drawn_range(&self, texts: usize) -> Option<std::ops::Range<usize>> {
        let place = self.columns.iter().position(|column| column.drawn)?;
        let count = |columns: &[Chosen]| columns.iter().map(|column| column.list.unwrap_or(1)).sum::<usize>();
        Some(count(&self.columns[..place])..texts - count(&self.columns[place + 1..]))
    }

    /// Replaces the whole list of a row by the texts that an epoch draws from it; `row` has a value
    /// for each text.
    pub(crate) fn draw<T: Clone>(&self, mut row: Vec<T>, epoch: u64, number: usize) -> Vec<T> {
        if let (Some(drawn), Some(list)) = (&self.drawn, self.drawn_range(row.len())) {
            let texts: Vec<T> =
                drawn.drawn(epoch, number, list.len()).iter().map(|&text| row[list.start + text].clone()).collect();
            row.splice(list, texts);
        }
        row
    }

    /// Returns the column of text number `text` of a row with `texts` texts, whole lists included.
    pub(crate) fn column_of(&self, text: usize, texts: usize) -> String {
        if self.lists {
            return self.columns[text.min(1)].name.clone();
        }
        match (self.drawn_range(texts), &self.drawn) {
            (Some(list), Some(drawn)) if list.contains(&text) => drawn.column.clone(),
            (Some(list), Some(drawn)) if text >= list.end => self.texts()[text - list.len() + drawn.count].clone(),
            _ => self.texts()[text].clone(),
        }
    }

    /// Converts values in the order of [`Selection::names`] to an example, with all texts of the
    /// list from which epochs draw.
    pub(crate) fn example(
        &self,
        mut values: Vec<Value>,
        format: Format,
        place: &dyn Fn() -> Place,
    ) -> Result<Example, DataError> {
        let any_length = |chosen: &Chosen| chosen.drawn || (self.lists && chosen.list.is_some());
        let is_empty = |value: &Value| matches!(value, Value::List(list) if list.is_empty());
        // Before the label, whose list is empty as well.
        let mut columns = values.iter().zip(&self.columns);
        if let Some((_, chosen)) = columns.find(|(value, chosen)| any_length(chosen) && is_empty(value)) {
            return Err(DataError::EmptyList { place: place(), column: chosen.name.clone() });
        }
        let label = match &self.label {
            None => None,
            Some(column) => {
                let value = values.pop().expect("one value for each name");
                Some(label::numbers(&value, format, column, &self.classes, place)?)
            }
        };
        let mut texts = Vec::with_capacity(values.len());
        for (value, chosen) in values.into_iter().zip(&self.columns) {
            let Chosen { name, list, .. } = chosen;
            match (value, list) {
                (Value::List(list), Some(_)) if any_length(chosen) => texts.extend(list),
                (Value::Text(text), None) => texts.push(text),
                (Value::List(list), Some(length)) if list.len() == *length => texts.extend(list),
                (Value::List(list), Some(length)) => {
                    let (column, found, expected) = (name.clone(), list.len(), *length);
                    return Err(DataError::ListLength { place: place(), column, found, expected });
                }
                (value @ (Value::Missing | Value::Null), _) => return Err(value.lack(place(), name)),
                (value, _) => {
                    let found = value.describe();
                    return Err(DataError::NotText { place: place(), column: name.clone(), found });
                }
            }
        }
        Ok(Example { texts, label })
    }
}

/// Selects the columns and checks that every file has them. Reads at most `rows` rows of each file.
pub(crate) fn select(files: &[(PathBuf, Format)], rows: usize, options: &ReadOptions) -> Result<Selection, DataError> {
    let mut chosen: Option<Selection> = None;
    for (path, format) in files {
        let mut found = match &options.columns {
            Some(wanted) => named(wanted, *format, path, rows)?,
            None => all(&format.columns(path, rows)?, *format, path)?,
        };
        found.classes.clone_from(&options.classes);
        if let Some(drawn) = &options.drawn {
            found.draw_from(drawn.clone())?;
        } else if options.lists {
            found.take_lists();
        }
        match &chosen {
            None => chosen = Some(found),
            Some(first) if same_columns(first, &found) => {}
            Some(first) => {
                return Err(DataError::ColumnsDiffer {
                    path: path.display().to_string(),
                    columns: found.texts().into_iter().chain(found.label).collect(),
                    first_path: files[0].0.display().to_string(),
                    first_columns: first.texts().into_iter().chain(first.label.clone()).collect(),
                });
            }
        }
    }
    let chosen = chosen.expect("there is a file");
    let texts = chosen.texts();
    match texts.iter().enumerate().find(|(i, name)| texts[..*i].contains(name)) {
        Some((_, column)) => Err(DataError::DuplicateColumn { place: Place::Setting, column: column.clone() }),
        None => Ok(chosen),
    }
}

fn same_columns(a: &Selection, b: &Selection) -> bool {
    let names = |selection: &Selection| selection.texts().into_iter().collect::<HashSet<_>>();
    names(a) == names(b) && a.label == b.label
}

/// Selects the columns that the caller named, if the file has them.
fn named(wanted: &[String], format: Format, path: &Path, rows: usize) -> Result<Selection, DataError> {
    // The first row nearly always suffices.
    let mut offered = format.columns(path, 1)?;
    let find = |name: &String, offered: &[Column]| offered.iter().find(|column| column.name == *name).cloned();
    let is_known = |name: &String| find(name, &offered).is_some_and(|column| column.kind != Kind::Nothing);
    if format == Format::Json && !wanted.iter().all(is_known) {
        offered = format.columns(path, rows)?;
    }
    let present = || offered.iter().map(|column| column.name.clone()).collect();
    let (labels, columns): (Vec<String>, Vec<String>) =
        wanted.iter().cloned().partition(|name| LABEL_COLUMNS.contains(&name.as_str()));
    if let Some((_, column)) = wanted.iter().enumerate().find(|(i, name)| wanted[..*i].contains(name)) {
        return Err(DataError::DuplicateColumn { place: Place::Setting, column: column.clone() });
    }
    if labels.len() > 1 {
        return Err(DataError::SeveralLabels { columns: labels });
    }
    if columns.is_empty() {
        return Err(DataError::NoTextColumn { place: Place::Setting, present: present() });
    }
    if let Some(column) = wanted.iter().find(|name| find(name, &offered).is_none()) {
        let place = Place::File(path.display().to_string());
        return Err(DataError::ColumnMissing { place, column: column.clone(), present: present() });
    }
    let columns = columns.iter().filter_map(|name| find(name, &offered)).map(|column| Chosen::new(&column)).collect();
    Ok(Selection::new(columns, labels.into_iter().next()))
}

/// Selects all columns, which must hold texts, and the label.
fn all(offered: &[Column], format: Format, path: &Path) -> Result<Selection, DataError> {
    let has = |name: &&str| offered.iter().any(|column| column.name == **name);
    let label = LABEL_COLUMNS.into_iter().find(has).map(String::from);
    let is_label = |column: &&Column| LABEL_COLUMNS.contains(&column.name.as_str());
    // An empty field of CSV is a blank text.
    let is_text = |column: &&Column| match column.kind {
        Kind::Text | Kind::List(_) => true,
        Kind::Nothing => matches!(format, Format::Csv { .. }),
        _ => false,
    };
    let (texts, others): (Vec<&Column>, Vec<&Column>) =
        offered.iter().filter(|column| !is_label(column)).partition(|column| is_text(column));
    let path = || path.display().to_string();
    if texts.is_empty() {
        let present = offered.iter().map(|column| column.name.clone()).collect();
        return Err(DataError::NoTextColumn { place: Place::File(path()), present });
    }
    if let Some(column) = others.first() {
        return Err(DataError::NotTexts {
            path: path(),
            column: column.name.clone(),
            holds: column.kind.describe(),
            texts: texts.iter().map(|column| column.name.clone()).chain(label).collect(),
        });
    }
    Ok(Selection::new(texts.into_iter().map(Chosen::new).collect(), label))
}
