//! Syntax of the templates.

/// Returns the syntax of templates, in which a line with only a block leaves no blank line.
pub(crate) fn template_syntax() -> minijinja::syntax::SyntaxConfig {
    let mut syntax = minijinja::syntax::SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    syntax.build().expect("the delimiters are Jinja's defaults")
}
