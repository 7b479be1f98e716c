//! Syntax of the templates, and the filters of those of Markdown.

use super::escape::{code, inline, line, url, yaml};
use super::quantity;
use minijinja::Environment;

/// Returns the syntax of templates, in which a line with only a block leaves no blank line.
pub(crate) fn template_syntax() -> minijinja::syntax::SyntaxConfig {
    let mut syntax = minijinja::syntax::SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    syntax.build().expect("the delimiters are Jinja's defaults")
}

/// Returns the environment of templates of Markdown.
pub(crate) fn markdown() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_syntax(template_syntax());
    environment.add_filter("line", |text: &str| line(text));
    environment.add_filter("inline", |text: &str| inline(text));
    environment.add_filter("code", |text: &str| code(text));
    environment.add_filter("url", |text: &str| url(text));
    environment.add_filter("yaml", |text: &str| yaml(text));
    environment.add_filter("count", |number: u64| quantity::count(number));
    environment
}
