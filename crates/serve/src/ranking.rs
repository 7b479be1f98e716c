//! Documents in the order of their relevance to a query: by a reranker, or by similarity of
//! embeddings where the server has none.

use crate::app::App;
use crate::inputs::Input;
use crate::network::Network;
use crate::origin::Origin;
use crate::reply::Usage;
use crate::request::{Common, Plan};
use crate::request_error::RequestError;
use crate::reranker::ScoreInputs;
use crate::scoring::Pairs;
use crate::slot::Kind;
use maana::model::{Role, Similarity};
use maana::similarity::compare;

/// A query and the documents to rank.
pub(crate) struct Documents {
    pub(crate) query: String,
    pub(crate) texts: Vec<String>,
    /// Tokens of a document that are read, at most.
    pub(crate) document_tokens: Option<usize>,
    /// Returns logits or cosines instead of scores from 0 to 1.
    pub(crate) raw: bool,
}

/// Ranked documents.
pub(crate) struct Ranking {
    /// Index and score of each document, the best first; those of equal scores in their own order.
    pub(crate) order: Vec<(usize, f32)>,
    pub(crate) texts: Vec<String>,
    pub(crate) model: String,
    pub(crate) usage: Usage,
    /// Memory of the documents.
    _origin: Origin,
}

/// Ranks documents.
///
/// # Errors
/// If the model is unknown or cannot rank, or as [`crate::pipeline::Pipeline::compute`].
pub(crate) async fn rank(
    app: &App,
    documents: Documents,
    common: Common,
    origin: Origin,
) -> Result<Ranking, RequestError> {
    let reranks = !app.models.names(Kind::Reranker).is_empty();
    let mut ranking = match reranks {
        true => by_reranker(app, documents, common, origin).await?,
        false => by_similarity(app, documents, common, origin).await?,
    };
    ranking.order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    Ok(ranking)
}

async fn by_reranker(app: &App, documents: Documents, common: Common, origin: Origin) -> Result<Ranking, RequestError> {
    let Documents { query, texts, document_tokens, raw } = documents;
    let reranker = app.models.get_reranker(common.model.as_deref()).await?;
    reranker.expect_one_label()?;
    let overlong = reranker.overlong(common.truncate, common.truncation_direction);
    let inputs = ScoreInputs::Documents { query, documents: texts, document_tokens };
    let pairs = Pairs { reranker, inputs, overlong, raw };
    let scored = app.pipeline.score(&app.single, pairs, &origin).await?;
    let ScoreInputs::Documents { documents: texts, .. } = scored.inputs else { return Err(RequestError::backend()) };
    let order = scored.scores.data().iter().copied().enumerate().collect();
    Ok(Ranking { order, texts, model: scored.usage.model.clone(), usage: scored.usage, _origin: origin })
}

async fn by_similarity(
    app: &App,
    documents: Documents,
    common: Common,
    origin: Origin,
) -> Result<Ranking, RequestError> {
    let Documents { query, texts, document_tokens, raw } = documents;
    let plan = Plan::new(app, common, origin).await?;
    let model = &plan.model;
    if document_tokens.is_some_and(|most| most < model.spec().settings().max_seq_length) {
        let message = "`max_tokens_per_doc`: the server has no reranker, and embeddings read whole documents";
        return Err(RequestError::field("max_tokens_per_doc", message));
    }
    // Queries and documents may have different prompts.
    let query = vec![Input::Text(query)];
    let query = plan.embed_role(app, Role::Query, query).await?;
    let inputs = texts.iter().cloned().map(Input::Text).collect();
    let embedded = plan.embed_role(app, Role::Document, inputs).await?;
    let [left, right] =
        [&query, &embedded].map(|it| it.model.finish(&app.single, it.rows.view(), plan.dimension, None));
    let cosines = compare(&app.single, Similarity::Cosine, left.view(), right.view());
    // Scores that are not raw are between 0 and 1, as probabilities are.
    let score = |cosine: f32| if raw { cosine } else { f32::midpoint(1.0, cosine).clamp(0.0, 1.0) };
    let order = cosines.data().iter().copied().map(score).enumerate().collect();
    let (model, usage) = (model.name().to_owned(), query.usage.with(&embedded.usage));
    Ok(Ranking { order, texts, model, usage, _origin: plan.into_origin() })
}
