//! The extractor of all routes that take a body: reads the body, finds the model, and checks what
//! several routes have in common, before anything is computed.

use crate::app::App;
use crate::body::{Received, RequestBody};
use crate::class::Class;
use crate::embedding::{Embedded, Texts};
use crate::inputs::{Direction, Input};
use crate::json;
use crate::model::Model;
use crate::network::{Network, Output};
use crate::origin::Origin;
use crate::request_error::RequestError;
use maana::model::Role;
use maana::text::Overlong;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Instant;

/// A body up to this size is parsed where it is read.
const SHORT_BODY: usize = 64 << 10;

/// A request whose body has not been read.
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) arrival: Instant,
    /// Class that the request names.
    pub(crate) class: Option<Class>,
    pub(crate) body: RequestBody,
}

/// Fields of a request that several routes have.
#[derive(Default)]
pub(crate) struct Common {
    pub(crate) model: Option<String>,
    pub(crate) dimensions: Option<u64>,
    pub(crate) prompt: Prompt,
    pub(crate) truncate: Option<bool>,
    pub(crate) truncation_direction: Option<Direction>,
    /// Number of texts; the class follows from it where the request does not name one.
    pub(crate) texts: usize,
}

/// Prompt before the texts of a request.
#[derive(Default)]
pub(crate) enum Prompt {
    /// The model's default.
    #[default]
    Default,
    /// The one with this name.
    Named(String),
    /// The one for queries.
    Query,
    None,
}

impl From<Option<String>> for Prompt {
    fn from(name: Option<String>) -> Self {
        name.map_or(Self::Default, Self::Named)
    }
}

/// Fields of a request's body.
pub(crate) trait Fields: Send + 'static {
    /// Takes the common fields.
    fn common(&mut self) -> Common;
}

/// Model and treatment of a request's texts.
pub(crate) struct Plan {
    pub(crate) model: Arc<Model>,
    pub(crate) dimension: usize,
    prompt: String,
    /// The tower of the request's texts.
    pub(crate) tower: Arc<Model>,
    overlong: Overlong,
    origin: Origin,
}

impl Request {
    /// Reads a request, and checks the common fields.
    ///
    /// # Errors
    /// If the body cannot be read, or a common field is invalid.
    pub(crate) async fn extract<T: Fields + DeserializeOwned>(self, app: &App) -> Result<(T, Plan), RequestError> {
        self.extract_by(app, None, json::parse).await
    }

    /// As [`Request::extract`], with the model that the path names, and a parser of the body.
    pub(crate) async fn extract_by<T: Fields>(
        self,
        app: &App,
        model: Option<String>,
        parse: impl FnOnce(&[u8]) -> Result<T, RequestError> + Send + 'static,
    ) -> Result<(T, Plan), RequestError> {
        let (fields, mut common, origin) = self.read(app, parse).await?;
        common.model = model.or(common.model);
        Ok((fields, Plan::new(app, common, origin).await?))
    }

    /// Reads a request without looking for a model.
    ///
    /// # Errors
    /// If the body cannot be read.
    pub(crate) async fn read<T: Fields>(
        self,
        app: &App,
        parse: impl FnOnce(&[u8]) -> Result<T, RequestError> + Send + 'static,
    ) -> Result<(T, Common, Origin), RequestError> {
        let Received { bytes, memory } = app.bodies.read(self.body).await?;
        let is_long = bytes.len() > SHORT_BODY;
        let mut fields: T = app.offload.run(is_long, move || parse(&bytes)).await??;
        let common = fields.common();
        let class = self.class.unwrap_or_else(|| Class::of_texts(common.texts));
        Ok((fields, common, Origin::new(class, self.arrival, memory)))
    }
}

impl Plan {
    /// Finds the model of embeddings that a request names, and checks the common fields.
    ///
    /// # Errors
    /// If there is no such model, or a field is invalid.
    pub(crate) async fn new(app: &App, common: Common, origin: Origin) -> Result<Self, RequestError> {
        let model = app.models.get(common.model.as_deref()).await?;
        let dimension = model.dimension(common.dimensions)?;
        let prompt = match &common.prompt {
            Prompt::Default => model.prompt(None)?,
            Prompt::Named(name) => model.prompt(Some(name))?,
            Prompt::Query => model.role_prompt(Role::Query),
            Prompt::None => String::new(),
        };
        let role = match &common.prompt {
            Prompt::Query => Some(Role::Query),
            Prompt::Named(name) => Role::of_prompt(name),
            Prompt::Default | Prompt::None => None,
        };
        let tower = model.for_role(role);
        let overlong = tower.overlong(common.truncate, common.truncation_direction);
        Ok(Self { model, dimension, prompt, tower, overlong, origin })
    }

    /// Returns what belongs to the request rather than to its model.
    pub(crate) fn into_origin(self) -> Origin {
        self.origin
    }

    /// The text before every input.
    pub(crate) fn prompt(&self) -> &str {
        &self.prompt
    }

    /// Embeds inputs after the request's prompt.
    pub(crate) async fn embed(&self, app: &App, inputs: Vec<Input>, output: Output) -> Result<Embedded, RequestError> {
        self.tower.expect_tower()?;
        let (model, prompt) = (Arc::clone(&self.tower), self.prompt.clone());
        let texts = Texts { model, inputs, prompt, overlong: self.overlong };
        app.pipeline.embed(texts, output, &self.origin).await
    }

    /// Embeds inputs of a role after its prompt.
    pub(crate) async fn embed_role(&self, app: &App, role: Role, inputs: Vec<Input>) -> Result<Embedded, RequestError> {
        let (model, prompt) = (self.model.for_role(Some(role)), self.model.role_prompt(role));
        let texts = Texts { model, inputs, prompt, overlong: self.overlong };
        app.pipeline.embed(texts, Output::Embedding, &self.origin).await
    }
}
