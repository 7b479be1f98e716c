//! `/tokenize` and `/decode`, as text-embeddings-inference has them.

use crate::app::App;
use crate::body::Held;
use crate::fault::{Fault, Kind};
use crate::inputs::{IdLists, Texts, parse};
use crate::reply::Reply;
use maana::text::Token;
use serde::Deserialize;
use serde_json::{Value, json};

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

pub(super) async fn tokenize(app: &App, body: &Held) -> Result<Reply, Fault> {
    let request: TokenizeRequest = parse(&body.bytes)?;
    let model = app.models.get(request.model.as_deref()).await?;
    let prompt = match &request.prompt_name {
        Some(name) => model.prompt(Some(name))?,
        None => String::new(),
    };
    check_count(app, request.inputs.0.len())?;
    let bytes = request.inputs.0.iter().map(|text| prompt.len() + text.len()).sum::<usize>();
    check_size(bytes, MOST_BYTES, "bytes of text are tokenised")?;
    let explain = move || {
        let mut texts = Vec::with_capacity(request.inputs.0.len());
        for text in &request.inputs.0 {
            let tokens =
                model.sentence.spec().tokenizer().explain(&format!("{prompt}{text}"), request.add_special_tokens);
            let tokens = tokens.map_err(|error| Fault::new(Kind::Tokenizer, error.to_string()))?;
            texts.push(tokens.into_iter().map(described).collect::<Vec<_>>());
        }
        Ok(Reply::json(&texts))
    };
    app.elsewhere(body.bytes.len() > 4096, explain).await?
}

fn described(token: Token) -> Value {
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

pub(super) async fn decode(app: &App, body: &Held) -> Result<Reply, Fault> {
    let request: DecodeRequest = parse(&body.bytes)?;
    let model = app.models.get(request.model.as_deref()).await?;
    check_count(app, request.ids.0.len())?;
    check_size(request.ids.0.iter().map(Vec::len).sum(), MOST_IDS, "ids are decoded")?;
    let decode = move || {
        let tokenizer = model.sentence.spec().tokenizer();
        let text = |ids: &Vec<u32>| tokenizer.decode(ids, request.skip_special_tokens);
        let texts: Result<Vec<String>, _> = request.ids.0.iter().map(text).collect();
        Ok(Reply::json(&texts.map_err(|error| Fault::new(Kind::Tokenizer, error.to_string()))?))
    };
    app.elsewhere(body.bytes.len() > 4096, decode).await?
}

/// Text of a request: all of its tokens are held, and told in many times its bytes.
const MOST_BYTES: usize = 1 << 18;

/// Ids of a request.
const MOST_IDS: usize = 1 << 18;

fn check_size(size: usize, most: usize, what: &str) -> Result<(), Fault> {
    if size <= most {
        return Ok(());
    }
    let message = format!("the request has {size}, and at most {most} {what} at once; send it in parts");
    Err(Fault::new(Kind::TooLarge, message))
}

fn check_count(app: &App, count: usize) -> Result<(), Fault> {
    let most = app.settings.limits.inputs;
    match count {
        0 => Err(Fault::new(Kind::Empty, "there is nothing; the list is empty")),
        count if count > most => {
            let message = format!("the request has {count} texts, and {most} are allowed; send it in parts");
            Err(Fault::field("inputs", message))
        }
        _ => Ok(()),
    }
}
