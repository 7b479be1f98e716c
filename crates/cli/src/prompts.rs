//! `--query-prompt` and `--document-prompt`: texts prepended to queries and documents.

use anyhow::Result;
use maana::model::{Role, RolePrompts, TextEncoder};

/// Argument of commands that embed queries.
#[derive(clap::Args)]
pub(crate) struct QueryPromptArgument {
    /// Prompt of every query: the name of a prompt of the model, a text, or none [default: the
    /// model's query prompt]
    #[arg(long, value_name = "NAME|TEXT|none")]
    pub(crate) query_prompt: Option<String>,
}

/// Argument of commands that embed documents.
#[derive(clap::Args)]
pub(crate) struct DocumentPromptArgument {
    /// Prompt of every document: the name of a prompt of the model, a text, or none [default: the
    /// model's document prompt]
    #[arg(long, value_name = "NAME|TEXT|none")]
    pub(crate) document_prompt: Option<String>,
}

/// Returns the encoder with the given prompts in place of the model's own.
pub(crate) fn with_prompts(encoder: TextEncoder, query: Option<&str>, document: Option<&str>) -> Result<TextEncoder> {
    let prompt = |argument: Option<&str>| argument.map(|text| encoder.prompt_or_text(text)).transpose();
    let prompts = RolePrompts { query: prompt(query)?, document: prompt(document)? };
    Ok(encoder.with_prompts(prompts))
}

/// Prints the prompts of these roles, if there are any.
pub(crate) fn print_prompts(encoder: &TextEncoder, roles: &[Role]) {
    let prompts: Vec<String> = roles.iter().filter_map(|role| encoder.describe_prompt(*role)).collect();
    if !prompts.is_empty() {
        errln!("{}", prompts.join(", "));
    }
}
