//! Prompts: texts in front of other texts. The only place that puts them there, for encoding and
//! for training.

use crate::ModelError;
use crate::similarity::Role;
use crate::spec::ModelSpec;
use maana_text::TokenBatch;
use std::borrow::Cow;

/// A text in front of every text of a column or a role; empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    text: String,
    /// Leading tokens of a prompted text that belong to the prompt.
    tokens: usize,
}

impl Prompt {
    /// The text in front.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns true if nothing is put in front.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns a text behind the prompt.
    pub fn prepend<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.is_empty() { text.into() } else { format!("{}{text}", self.text).into() }
    }

    /// Tokenises texts behind the prompt, and marks its tokens in the batch.
    ///
    /// # Errors
    /// That of `tokenize`.
    pub fn tokenize<E>(
        &self,
        texts: &[&str],
        tokenize: impl FnOnce(&[&str]) -> Result<TokenBatch, E>,
    ) -> Result<TokenBatch, E> {
        if self.is_empty() {
            return tokenize(texts);
        }
        let prompted: Vec<Cow<'_, str>> = texts.iter().map(|text| self.prepend(text)).collect();
        let mut batch = tokenize(&prompted.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
        batch.set_prompt_length(self.tokens);
        Ok(batch)
    }
}

impl ModelSpec {
    /// Creates a prompt of a text.
    ///
    /// # Errors
    /// Returns an error if the text cannot be tokenised.
    pub fn prompt(&self, text: &str) -> Result<Prompt, ModelError> {
        let tokens = if text.is_empty() { 0 } else { self.tokenizer.prompt_length(text)? };
        Ok(Prompt { text: text.into(), tokens })
    }

    /// Returns whether the folder has a prompt with a text.
    pub fn has_prompts(&self) -> bool {
        self.settings.prompts.iter().any(|(_, text)| !text.is_empty())
    }

    /// Returns the text of the folder's prompt `name`.
    ///
    /// # Errors
    /// Returns an error with the names of all prompts if there is no such prompt.
    pub fn prompt_named(&self, name: &str) -> Result<&str, ModelError> {
        let prompts = &self.settings.prompts;
        prompts.iter().find(|(key, _)| key == name).map(|(_, prompt)| prompt.as_str()).ok_or_else(|| {
            let known: Vec<&str> = prompts.iter().map(|(key, _)| key.as_str()).collect();
            let known =
                if known.is_empty() { "the model has none".into() } else { format!("there are: {}", known.join(", ")) };
            ModelError::Request(format!("no prompt is called `{name}`; {known}"))
        })
    }

    /// Returns the folder's prompt for texts without a role: its default, else none.
    pub fn default_prompt(&self) -> &str {
        let name = self.settings.default_prompt_name.as_deref();
        name.and_then(|name| self.prompt_named(name).ok()).unwrap_or("")
    }

    /// Returns the folder's prompt for texts of a role, else its default.
    pub fn role_prompt(&self, role: Role) -> &str {
        // Sentence Transformers writes an empty `document` next to `passage`: the one with a text
        // counts.
        let names = role_prompt_names(role).iter();
        let own: Vec<&str> = names.filter_map(|name| self.prompt_named(name).ok()).collect();
        match own.iter().find(|prompt| !prompt.is_empty()) {
            Some(prompt) => prompt,
            None if own.is_empty() => self.default_prompt(),
            None => "",
        }
    }

    /// Returns the prompt that a person names: one of the folder's by its name, a text, or `none`.
    ///
    /// # Errors
    /// Returns an error if a single word is not the name of a prompt, as it is more likely misspelt
    /// than a text.
    pub fn prompt_or_text(&self, request: &str) -> Result<String, ModelError> {
        let word = request.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-'));
        match self.prompt_named(request) {
            Ok(prompt) => Ok(prompt.to_owned()),
            Err(_) if request.is_empty() || request == "none" => Ok(String::new()),
            Err(error) if word => Err(ModelError::Request(format!(
                "{error}; give a name, `none`, or a text to be put in front, such as \"{request}: \""
            ))),
            Err(_) => Ok(request.to_owned()),
        }
    }
}

impl Role {
    /// Returns the role of texts behind the prompt `name`, if it is that of a role.
    pub fn of_prompt(name: &str) -> Option<Self> {
        [Self::Query, Self::Document].into_iter().find(|role| role_prompt_names(*role).contains(&name))
    }
}

/// Names of the prompt for a role, the first one first.
fn role_prompt_names(role: Role) -> &'static [&'static str] {
    match role {
        Role::Query => &["query"],
        Role::Document => &["document", "passage", "corpus"],
    }
}
