//! The special and added tokens of a folder, in the order in which Python adds them to a
//! vocabulary.

use super::added_token::{AddedToken, Given};
use super::class::{Class, FIELDS};
use super::model::Model;
use crate::companions::{Companions, invalid};
use crate::error::TextError;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The tokens that the files of a folder name.
pub(super) struct SpecialTokens {
    /// Tokens with the fields that name them: those of the class, then others.
    named: Vec<(String, Given)>,
    /// Tokens that are listed with their ids, in the order of these.
    listed: Vec<(u64, AddedToken)>,
    /// The file that lists them.
    list: &'static str,
    /// Further special tokens, which replace those of a vocabulary file.
    extra: Option<Vec<Given>>,
    /// Further special tokens if neither these nor the vocabulary file has any.
    additional: Option<Vec<Given>>,
}

impl SpecialTokens {
    /// Reads the tokens of a folder whose tokenizer has a class.
    pub(super) fn read(files: &Companions, class: Class) -> Result<Self, TextError> {
        let fields = Fields::of(files);
        let mut named = Vec::new();
        for field in FIELDS {
            let default = class.default_token(field).map(|text| Given::Text(text.into()));
            if let Some(token) = fields.token(field)?.or(default) {
                named.push((field.to_owned(), class.with_flags(field, token)));
            }
        }
        let extra = fields.get("extra_special_tokens");
        let others = fields.json.iter().filter(|(name, _)| name.ends_with("_token") && !FIELDS.contains(&&***name));
        let others = others.chain(extra.and_then(Value::as_object).into_iter().flatten());
        named.extend(others.filter_map(|(name, value)| Some((name.clone(), Given::read(value)?))));
        Ok(Self {
            listed: fields.listed()?,
            list: if fields.lists_tokens { "tokenizer_config.json" } else { "added_tokens.json" },
            extra: fields.list("extra_special_tokens")?,
            additional: fields.list("additional_special_tokens")?,
            named,
        })
    }

    /// Returns the text of the token that a field names.
    pub(super) fn text(&self, field: &str) -> &str {
        self.named.iter().find(|(name, _)| name == field).map_or("", |(_, token)| token.text())
    }

    /// Returns the tokens that are found in a text before it is divided, by their ids. Those that
    /// the model lacks get the next free ids.
    pub(super) fn added_to(&self, model: &Model) -> Result<BTreeMap<u32, AddedToken>, TextError> {
        let known: HashSet<&str> = self.listed.iter().map(|(_, token)| token.content.as_str()).collect();
        let mut tokens: Vec<Given> = self.listed.iter().map(|(_, token)| Given::Token(token.clone())).collect();
        let named = self.named.iter().map(|(_, token)| token.clone());
        let of_file = || Some(model.special_pieces.as_ref()?.iter().cloned().map(Given::Token).collect());
        let extra = self.extra.clone().or_else(of_file).or_else(|| self.additional.clone()).unwrap_or_default();
        for token in named.chain(extra) {
            if !known.contains(token.text()) && !tokens.contains(&token) {
                tokens.push(token);
            }
        }
        let names: HashSet<&str> = self.named.iter().map(|(_, token)| token.text()).collect();
        let (mut next_id, mut own) = (model.next_id, HashMap::<String, u32>::new());
        let mut added = BTreeMap::new();
        for token in tokens {
            let token = match token {
                Given::Text(text) => AddedToken::special(text),
                Given::Token(token) => {
                    AddedToken { special: token.special || names.contains(&*token.content), ..token }
                }
            };
            if token.content.is_empty() {
                continue;
            }
            let found = own.get(&token.content).or_else(|| model.ids.get(&token.content)).copied();
            let id = found.unwrap_or(next_id);
            next_id += u32::from(found.is_none());
            own.insert(token.content.clone(), id);
            added.insert(id, token);
        }
        for (id, token) in &self.listed {
            if let Some(own) = own.get(&token.content).filter(|own| u64::from(**own) != *id) {
                let reason = format!(
                    "token `{}` has the id {own} here, but {id} in `{}`; the files do not belong together, fetch the \
                     model again (`maana fetch NAME --again`)",
                    token.content, self.list
                );
                return Err(TextError::Invalid { path: model.path.clone(), reason });
            }
        }
        Ok(added)
    }
}

/// The fields of `tokenizer_config.json`, with those of its older companions where it lists no
/// tokens.
struct Fields<'a> {
    files: &'a Companions,
    json: Map<String, Value>,
    lists_tokens: bool,
}

impl<'a> Fields<'a> {
    fn of(files: &'a Companions) -> Self {
        let mut json = files.config.clone();
        json.retain(|_, value| !value.is_null());
        let is_empty = |value: &Value| match value {
            Value::Array(tokens) => tokens.is_empty(),
            Value::Object(tokens) => tokens.is_empty(),
            _ => false,
        };
        if json.get("extra_special_tokens").is_none_or(is_empty)
            && let Some(tokens) = json.shift_remove("additional_special_tokens")
        {
            json.insert("extra_special_tokens".into(), tokens);
        }
        let lists_tokens = json.contains_key("added_tokens_decoder");
        if !lists_tokens {
            for (field, value) in &files.special {
                match (value, json.get_mut(field)) {
                    (Value::Array(tokens), Some(Value::Array(before))) if field == "extra_special_tokens" => {
                        before.extend(tokens.iter().cloned());
                    }
                    // These tokens are special whether the file says so or not.
                    (Value::Object(token), _) if field != "extra_special_tokens" => {
                        let mut token = token.clone();
                        token.insert("special".into(), true.into());
                        json.insert(field.clone(), token.into());
                    }
                    _ => drop(json.insert(field.clone(), value.clone())),
                }
            }
        }
        Self { files, json, lists_tokens }
    }

    fn get(&self, field: &str) -> Option<&Value> {
        self.json.get(field).filter(|value| !value.is_null())
    }

    fn invalid(&self, field: &str, value: &Value, expected: &str) -> TextError {
        let in_config = self.files.config.get(field).is_some_and(|own| own == value);
        let name = if in_config { "tokenizer_config.json" } else { "special_tokens_map.json" };
        invalid(&self.files.config_path.with_file_name(name), field, value, expected)
    }

    fn token(&self, field: &str) -> Result<Option<Given>, TextError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let token = Given::read(value).filter(|token| !token.text().is_empty());
        token.map(Some).ok_or_else(|| self.invalid(field, value, "a token"))
    }

    fn list(&self, field: &str) -> Result<Option<Vec<Given>>, TextError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let read = |token: &Value| Given::read(token).ok_or_else(|| self.invalid(field, token, "a token"));
        match value {
            Value::Array(tokens) => tokens.iter().map(read).collect::<Result<_, _>>().map(Some),
            // Its tokens have names.
            Value::Object(_) if field == "extra_special_tokens" => Ok(Some(Vec::new())),
            _ => Err(self.invalid(field, value, "a list of tokens")),
        }
    }

    /// Returns the tokens that are listed with their ids.
    fn listed(&self) -> Result<Vec<(u64, AddedToken)>, TextError> {
        let mut listed = Vec::new();
        if self.lists_tokens {
            let field = "added_tokens_decoder";
            let invalid = || self.files.invalid_field(field, "tokens, with their `content`, by their ids");
            for (id, token) in self.json[field].as_object().ok_or_else(invalid)? {
                let id = id.parse().map_err(|_| invalid())?;
                listed.push((id, token.as_object().and_then(AddedToken::read).ok_or_else(invalid)?));
            }
        } else {
            let texts = |field: &&str| self.get(field).and_then(Given::read).map(|token| token.text().to_owned());
            let mut special: HashSet<String> = FIELDS.iter().filter_map(texts).collect();
            special.extend(self.list("extra_special_tokens")?.iter().flatten().map(|token| token.text().to_owned()));
            for (content, id) in &self.files.added {
                let number = id.as_u64().ok_or_else(|| invalid(&self.files.added_path, content, id, "an id"))?;
                let special = special.contains(content);
                let token = AddedToken { normalized: Some(!special), special, ..AddedToken::plain(content.clone()) };
                listed.push((number, token));
            }
        }
        listed.sort_by_key(|(id, _)| *id);
        Ok(listed)
    }
}
