//! `/tokenize` and `/decode`, as in text-embeddings-inference.

use crate::app::App;
use crate::budget::Share;
use crate::inputs::{IdLists, Texts};
use crate::json::write_json;
use crate::model::Model;
use crate::network::Network;
use crate::reply::Reply;
use crate::reply_body::Pieces;
use crate::request::{Common, Fields, Prompt, Request};
use crate::request_error::{ErrorKind, RequestError};
use maana::text::{TextError, Token};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;

/// Most bytes of text of a request; all tokens of one text are in memory.
const MOST_BYTES: usize = 1 << 18;

/// Most ids of a request.
const MOST_IDS: usize = 1 << 18;

/// Bytes and ids up to these take so little time that they are processed where they are read.
const SHORT_BYTES: usize = 4096;
const SHORT_IDS: usize = 1024;

/// Estimated memory of a token.
const TOKEN_BYTES: usize = 128;

#[derive(Deserialize)]
pub(crate) struct TokenizeRequest {
    inputs: Texts,
    model: Option<String>,
    #[serde(default = "yes")]
    add_special_tokens: bool,
    prompt_name: Option<String>,
}

fn yes() -> bool {
    true
}

impl Fields for TokenizeRequest {
    fn common(&mut self) -> Common {
        let prompt = self.prompt_name.take().map_or(Prompt::None, Prompt::Named);
        Common { model: self.model.take(), prompt, texts: self.inputs.0.len(), ..Common::default() }
    }
}

pub(super) async fn tokenize(app: &App, request: Request) -> Result<Reply, RequestError> {
    let (fields, plan) = request.extract::<TokenizeRequest>(app).await?;
    app.pipeline.check_count(fields.inputs.0.len())?;
    let lengths = || fields.inputs.0.iter().map(|text| plan.prompt().len() + text.len());
    let (bytes, longest) = (lengths().sum::<usize>(), lengths().max().unwrap_or_default());
    check_size(bytes, MOST_BYTES, "bytes of text are tokenised")?;
    let tokens = Tokens {
        _tokenizing: app.pipeline.admit_tokenizing(bytes)?,
        _memory: app.pipeline.answer_memory(longest * TOKEN_BYTES)?,
        model: Arc::clone(&plan.tower),
        prompt: plan.prompt().to_owned(),
        add_special_tokens: fields.add_special_tokens,
        texts: fields.inputs.0.into(),
        begun: false,
        current: None,
        is_first: true,
    };
    Reply::streamed(&app.system, &app.log, tokens, bytes <= SHORT_BYTES).await
}

/// For each text its tokens. A text is tokenised when its turn comes.
struct Tokens {
    model: Arc<Model>,
    prompt: String,
    add_special_tokens: bool,
    texts: VecDeque<String>,
    begun: bool,
    /// The remaining tokens of the current text.
    current: Option<std::vec::IntoIter<Token>>,
    /// True before the first token of the current text.
    is_first: bool,
    _tokenizing: Share,
    _memory: Share,
}

impl Pieces for Tokens {
    fn write(&mut self, out: &mut Vec<u8>) -> Result<bool, RequestError> {
        if let Some(tokens) = &mut self.current {
            if let Some(token) = tokens.next() {
                if !std::mem::take(&mut self.is_first) {
                    out.push(b',');
                }
                write_json(out, &description(token));
                return Ok(true);
            }
            self.current = None;
            out.push(b']');
        }
        let Some(text) = self.texts.pop_front() else {
            out.push(b']');
            return Ok(false);
        };
        let text = format!("{}{text}", self.prompt);
        let tokens = self.model.tokenizer().explain(&text, self.add_special_tokens).map_err(|error| failed(&error))?;
        out.extend_from_slice(if self.begun { b",[" } else { b"[[" });
        (self.begun, self.is_first) = (true, true);
        self.current = Some(tokens.into_iter());
        Ok(true)
    }
}

fn description(token: Token) -> Value {
    let (start, stop) = token.span.unzip();
    json!({"id": token.id, "text": token.text, "special": token.special, "start": start, "stop": stop})
}

#[derive(Deserialize)]
pub(crate) struct DecodeRequest {
    ids: IdLists,
    model: Option<String>,
    #[serde(default = "yes")]
    skip_special_tokens: bool,
}

impl Fields for DecodeRequest {
    fn common(&mut self) -> Common {
        let prompt = Prompt::None;
        Common { model: self.model.take(), prompt, texts: self.ids.0.len(), ..Common::default() }
    }
}

pub(super) async fn decode(app: &App, request: Request) -> Result<Reply, RequestError> {
    let (fields, plan) = request.extract::<DecodeRequest>(app).await?;
    app.pipeline.check_count(fields.ids.0.len())?;
    let ids: usize = fields.ids.0.iter().map(Vec::len).sum();
    check_size(ids, MOST_IDS, "ids are decoded")?;
    let (model, vocabulary) = (Arc::clone(&plan.model), plan.model.tokenizer().vocabulary_size());
    // Unknown ids are reported before the status is sent.
    if let Some(&id) = fields.ids.0.iter().flatten().find(|id| **id as usize >= vocabulary) {
        return Err(failed(&TextError::NoToken { index: 0, id, vocabulary }));
    }
    let (lists, skip) = (fields.ids.0.into(), fields.skip_special_tokens);
    let texts = DecodedTexts { model, lists, skip_special_tokens: skip, begun: false };
    Reply::streamed(&app.system, &app.log, texts, ids <= SHORT_IDS).await
}

/// The text of each list of ids. A list is decoded when its turn comes.
struct DecodedTexts {
    model: Arc<Model>,
    lists: VecDeque<Vec<u32>>,
    skip_special_tokens: bool,
    begun: bool,
}

impl Pieces for DecodedTexts {
    fn write(&mut self, out: &mut Vec<u8>) -> Result<bool, RequestError> {
        if let Some(ids) = self.lists.pop_front() {
            let text = self.model.tokenizer().decode(&ids, self.skip_special_tokens).map_err(|error| failed(&error))?;
            out.push(if self.begun { b',' } else { b'[' });
            self.begun = true;
            write_json(out, &text);
        }
        let more = !self.lists.is_empty();
        if !more {
            out.push(b']');
        }
        Ok(more)
    }
}

fn failed(error: &TextError) -> RequestError {
    RequestError::new(ErrorKind::Tokenizer, error.to_string())
}

fn check_size(size: usize, most: usize, what: &str) -> Result<(), RequestError> {
    if size <= most {
        return Ok(());
    }
    let message = format!("the request has {size}, and at most {most} {what} at once; send it in parts");
    Err(RequestError::new(ErrorKind::TooLarge, message))
}
