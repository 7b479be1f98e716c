//! What the commands share of the terminal: errors, notices, progress, and opening a model with both.

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use maana::kernels::Pool;
use maana::open::Opened;
use std::io::IsTerminal;

/// Prints an error with what led to it, each on its line.
pub(crate) fn print_error(error: &anyhow::Error) {
    eprintln!("error: {error}");
    let mut said = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // An error that already contains its cause is not said twice.
        if !said.contains(&cause) {
            eprintln!("  because: {cause}");
            said = cause;
        }
    }
}

/// Opens a model by folder or name; what is done and assumed for it goes to standard error.
pub(crate) fn open_model(name: &str, pool: &Pool) -> Result<Opened> {
    maana::open::open(name, pool, &mut |notice| eprintln!("note: {notice}")).with_context(|| format!("model `{name}`"))
}

/// A counter of things done, on a terminal; elsewhere it shows nothing.
pub(crate) fn count(what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = format!("{{spinner}} {{pos}} {what}, {{per_sec}} {{elapsed}}");
    let style = ProgressStyle::with_template(&template).expect("the template is written here");
    ProgressBar::no_length().with_style(style)
}
