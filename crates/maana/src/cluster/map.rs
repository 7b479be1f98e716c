//! An HTML map: texts as dots along their first two principal components, with one view per
//! dimension. The page is self-contained and sends no requests.

use maana_kernels::{Context, Rows};
use maana_vectors::VectorsError;
use maana_vectors::cluster::pca;
use minijinja::{Environment, context};
use serde::Serialize;

/// A text on the map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dot {
    /// Text shown when the pointer is over the dot.
    pub text: String,
    /// Group; `None` if the text is in no group.
    pub group: Option<usize>,
    /// Known label, if any.
    pub label: Option<String>,
}

/// Positions of all texts, computed from the first columns of their embeddings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// Number of columns.
    pub dim: usize,
    /// Coordinates x and y of each text, from 0 to 1000.
    pub positions: Vec<(u16, u16)>,
}

/// A map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Map {
    /// Title of the page.
    pub title: String,
    /// Description of each group in the legend.
    pub legend: Vec<String>,
    /// The texts.
    pub dots: Vec<Dot>,
    /// Views, from the most columns to the fewest.
    pub views: Vec<View>,
}

/// Computes the positions of texts at each of `dims`.
///
/// # Errors
/// Fewer than two texts, or a dim beyond the columns.
pub fn views(context: &Context, rows: Rows<'_>, dims: &[usize]) -> Result<Vec<View>, VectorsError> {
    let view = |dim: &usize| {
        let projected = pca(context, rows.prefix(*dim), 2)?.project(rows.prefix(*dim));
        let range = |column: usize| {
            let values = (0..projected.rows()).map(|row| projected.row(row)[column]);
            values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
        };
        let ranges = [range(0), range(1)];
        let coordinate = |row: usize, column: usize| {
            let (low, high) = ranges[column];
            let width = if high > low { high - low } else { 1.0 };
            ((projected.row(row)[column] - low) / width * 1000.0).round() as u16
        };
        Ok(View {
            dim: *dim,
            positions: (0..projected.rows()).map(|row| (coordinate(row, 0), coordinate(row, 1))).collect(),
        })
    };
    dims.iter().map(view).collect()
}

impl Map {
    /// Renders the page.
    ///
    /// # Panics
    /// If the built-in template is invalid.
    pub fn page(&self) -> String {
        let mut environment = Environment::new();
        environment
            .add_template("map.html", include_str!("map.html.jinja"))
            .expect("the template is part of the program");
        let template = environment.get_template("map.html").expect("it was just added");
        // Inside a script, `<` could end it.
        let data = serde_json::to_string(self).expect("plain data").replace('<', "\\u003c");
        template
            .render(context! { title => self.title.as_str(), data => minijinja::Value::from_safe_string(data) })
            .expect("the template is part of the program")
    }
}
