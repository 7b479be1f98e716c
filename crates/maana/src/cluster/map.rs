//! The map: texts as dots along the two directions in which they differ most, one view for each dim. A page of its own that
//! asks nobody for anything.

use maana_kernels::{Context, Rows};
use maana_vectors::VectorsError;
use maana_vectors::cluster::pca;
use minijinja::{Environment, context};
use serde::Serialize;

/// One text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dot {
    /// What is shown when it is pointed at.
    pub text: String,
    /// Its group, `None` if it stays alone.
    pub group: Option<usize>,
    /// Its label, where one is known.
    pub label: Option<String>,
}

/// Where the texts lie when so many columns are compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// The columns.
    pub dim: usize,
    /// Of each text x and y, from 0 to 1000.
    pub places: Vec<(u16, u16)>,
}

/// A map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Map {
    /// Its title.
    pub title: String,
    /// Of each group what its legend says.
    pub legend: Vec<String>,
    /// The texts.
    pub dots: Vec<Dot>,
    /// From the most columns to the fewest.
    pub views: Vec<View>,
}

/// Where texts lie at each of `dims`.
///
/// # Errors
/// Fewer than two texts, or a dim beyond the columns.
pub fn views(context: &Context, rows: Rows<'_>, dims: &[usize]) -> Result<Vec<View>, VectorsError> {
    let view = |dim: &usize| {
        let places = pca(context, rows.prefix(*dim), 2)?.project(rows.prefix(*dim));
        let range = |column: usize| {
            let values = (0..places.rows()).map(|row| places.row(row)[column]);
            values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
        };
        let ranges = [range(0), range(1)];
        let place = |row: usize, column: usize| {
            let (low, high) = ranges[column];
            let width = if high > low { high - low } else { 1.0 };
            ((places.row(row)[column] - low) / width * 1000.0).round() as u16
        };
        Ok(View { dim: *dim, places: (0..places.rows()).map(|row| (place(row, 0), place(row, 1))).collect() })
    };
    dims.iter().map(view).collect()
}

impl Map {
    /// The page.
    ///
    /// # Panics
    /// If the template, which is part of the program, has a fault.
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
