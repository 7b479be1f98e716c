//! Measures of a model on a set at each dimension, from one encoding.

use super::content::{Content, Labelled};
use super::error::EvaluationError;
use super::lists::Lists;
use super::set::EvaluationSet;
use crate::texts::embed;
use maana_data::{RetrievalSet, Source};
use maana_eval::{
    Kind, Primary, RetrievalOptions, Scores, metric, pair_classification, paraphrase_mining, reranking,
    semantic_similarity, translation, triplets,
};
use maana_kernels::{Context, Matrix, Rows, normalized};
use maana_model::{Prompt, Role, Similarity, TextEncoder};
use maana_train::{Loss, dev_loss};
use maana_vectors::classify::{Confusion, Logistic, LogisticSettings};
use maana_vectors::cluster::{KMeans, kmeans, v_measure};
use maana_vectors::pairs::{Mining, paraphrase_mining as mine};
use std::collections::{HashMap, HashSet};

/// A model and the form of its scores.
#[derive(Clone, Copy)]
pub struct Measuring<'a> {
    /// The model.
    pub encoder: &'a TextEncoder,
    /// Threads of the measures.
    pub context: &'a Context,
    /// Dimensions to measure; the dev loss is always that of the whole embeddings.
    pub dims: &'a [usize],
    /// Primary measure of retrieval.
    pub primary: Primary,
    /// The loss of the run, for sets of the kind loss.
    pub loss: Option<DevLoss<'a>>,
}

/// The loss of a run.
#[derive(Clone, Copy)]
pub struct DevLoss<'a> {
    /// The loss.
    pub loss: &'a dyn Loss,
    /// Rows of a batch.
    pub batch_size: usize,
    /// Prompt of each column in training; empty if no column has one.
    pub prompts: &'a [Prompt],
    /// Role of each column in training, if the model has towers by role.
    pub routes: &'a [Option<Role>],
}

impl<'a> Measuring<'a> {
    /// Returns a measuring at these dimensions without a loss.
    pub fn new(encoder: &'a TextEncoder, context: &'a Context, dims: &'a [usize]) -> Self {
        Self { encoder, context, dims, primary: Primary::default(), loss: None }
    }

    /// Embeds texts behind a prompt, equal ones once.
    fn embed(&self, encoder: &TextEncoder, texts: &[String], prompt: &str) -> Result<Matrix, EvaluationError> {
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut distinct: Vec<&str> = Vec::new();
        let rows: Vec<usize> = texts
            .iter()
            .map(|text| {
                *numbers.entry(text).or_insert_with(|| {
                    distinct.push(text);
                    distinct.len() - 1
                })
            })
            .collect();
        let embedded = embed(encoder, &distinct, prompt, &mut |_| {})?;
        if distinct.len() == texts.len() {
            return Ok(embedded);
        }
        let values = rows.iter().flat_map(|&row| embedded.row(row).iter().copied()).collect();
        Ok(Matrix::from_vec(texts.len(), embedded.columns(), values))
    }

    fn embed_role(&self, texts: &[String], role: Role) -> Result<Matrix, EvaluationError> {
        self.embed(&self.encoder.for_role(role), texts, self.encoder.role_prompt(role))
    }

    fn embed_plain(&self, texts: &[String]) -> Result<Matrix, EvaluationError> {
        self.embed(self.encoder, texts, self.encoder.default_prompt())
    }
}

impl EvaluationSet {
    /// Measures a model: one [`Scores`] for each dimension, the loss only once.
    ///
    /// # Errors
    /// If a dimension exceeds the embeddings, a text cannot be embedded, or a set of the kind loss
    /// is measured without a loss, or with one that does not accept its rows.
    pub fn measure(&self, measuring: &Measuring<'_>) -> Result<Vec<Scores>, EvaluationError> {
        let available = measuring.encoder.dimension();
        if let Some(&dim) = measuring.dims.iter().find(|&&dim| dim == 0 || dim > available) {
            return Err(EvaluationError::Dimension { dim, available });
        }
        let Measuring { context, dims, .. } = *measuring;
        let similarity = [measuring.encoder.similarity()];
        let function = metric(similarity[0]).name();
        let mut items: Vec<Vec<f64>> = vec![Vec::new(); dims.len()];
        // The primary measure is the one that the reference chooses.
        let (primary, values) = match &self.content {
            Content::Retrieval(set) => return self.retrieval(set, measuring),
            Content::Similarity { pairs: [a, b], scores } => {
                let (a, b) = (measuring.embed_plain(a)?, measuring.embed_plain(b)?);
                let at = |dim| semantic_similarity(&similarity, a.view().prefix(dim), b.view().prefix(dim), scores);
                (format!("spearman_{function}"), at_each(dims, at))
            }
            Content::Binary { pairs: [a, b], alike } => {
                let (a, b) = (measuring.embed_plain(a)?, measuring.embed_plain(b)?);
                let at = |dim| pair_classification(&similarity, a.view().prefix(dim), b.view().prefix(dim), alike);
                (format!("{function}_ap"), at_each(dims, at))
            }
            Content::Triplet([anchors, positives, negatives]) => {
                let anchors = measuring.embed_role(anchors, Role::Query)?;
                let positives = measuring.embed_role(positives, Role::Document)?;
                let negatives = measuring.embed_role(negatives, Role::Document)?;
                let prefixes = |dim| [&anchors, &positives, &negatives].map(|rows| rows.view().prefix(dim));
                let at = |dim| {
                    let [anchors, positives, negatives] = prefixes(dim);
                    triplets(&similarity, anchors, positives, negatives)
                };
                (format!("{function}_accuracy"), at_each(dims, at))
            }
            Content::Classification { .. } => {
                let reason = "classes of pairs are measured on cross-encoders with several labels; a classifier of \
                              embeddings is measured by the kind labels";
                return Err(EvaluationError::OtherModel { set: self.title().into(), reason: reason.into() });
            }
            Content::Reranking { lists: Lists { queries, documents, candidates, .. }, at_k } => {
                let queries = measuring.embed_role(queries, Role::Query)?;
                let documents = measuring.embed_role(documents, Role::Document)?;
                let at = |dim| {
                    let (queries, documents) = (queries.view().prefix(dim), documents.view().prefix(dim));
                    reranking(similarity[0], queries, documents, candidates, *at_k)
                };
                (format!("ndcg@{at_k}"), at_each(dims, at))
            }
            Content::Translation { pairs: [sources, targets], has_roles } => {
                let (a, b) = match has_roles {
                    true => {
                        (measuring.embed_role(sources, Role::Query)?, measuring.embed_role(targets, Role::Document)?)
                    }
                    false => (measuring.embed_plain(sources)?, measuring.embed_plain(targets)?),
                };
                let at = |dim| translation(context, a.view().prefix(dim), b.view().prefix(dim), sources, targets);
                ("mean_accuracy".to_owned(), at_each(dims, at))
            }
            Content::Mining { texts, known } => {
                let rows = embed(measuring.encoder, texts, measuring.encoder.default_prompt(), &mut |_| {})?;
                let mut values = Vec::new();
                for &dim in dims {
                    let mined = mine(context, rows.view(), &Mining { dim: Some(dim), ..Mining::default() })?;
                    let mined: Vec<_> = mined.into_iter().map(|pair| (pair.score, pair.first, pair.second)).collect();
                    values.push(paraphrase_mining(&mined, known));
                }
                ("average_precision".to_owned(), values)
            }
            Content::Labels { train, test } => {
                let (values, of_each) = labels(train, test, measuring)?.into_iter().unzip();
                items = of_each;
                ("accuracy".to_owned(), values)
            }
            Content::Loss(rows) => return self.loss(rows.as_ref(), measuring).map(|scores| vec![scores]),
        };
        let precision = Some(measuring.encoder.precision().name().to_owned());
        let scores = |((&dimension, values), items)| Scores {
            kind: self.kind(),
            name: self.scores_name(dimension, dims.len()),
            dimension,
            values,
            primary: primary.clone(),
            precision: precision.clone(),
            items,
        };
        Ok(dims.iter().zip(values).zip(items).map(scores).collect())
    }

    /// Returns the names of all measures of a model with this similarity, as in the log of a run.
    pub fn measure_names(&self, similarity: Similarity, dims: &[usize]) -> Vec<String> {
        let dims = if self.kind() == Kind::Loss { &dims[..dims.len().min(1)] } else { dims };
        let keys = self.keys(similarity);
        let at = |&dim: &usize| {
            let name = self.scores_name(dim, dims.len());
            keys.iter().map(move |key| Scores { name: name.clone(), ..Scores::default() }.prefixed_key(key))
        };
        dims.iter().flat_map(at).collect()
    }

    /// Returns the name of the scores at a dimension, one of `dims`.
    fn scores_name(&self, dim: usize, dims: usize) -> String {
        match (self.kind(), &self.name) {
            (Kind::Loss, name) => name.clone().unwrap_or_default(),
            (_, None) => format!("dim_{dim}"),
            (Kind::Retrieval, Some(name)) => format!("{name}_dim_{dim}"),
            (_, Some(name)) if dims > 1 => format!("{name}_dim_{dim}"),
            (_, Some(name)) => name.clone(),
        }
    }

    /// Returns the names of the measures of embeddings, in order.
    fn keys(&self, similarity: Similarity) -> Vec<String> {
        let function = metric(similarity).name();
        let fixed = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        match &self.content {
            Content::Retrieval(_) => RetrievalOptions::default().cutoffs.keys(function),
            Content::Similarity { .. } => vec![format!("pearson_{function}"), format!("spearman_{function}")],
            Content::Binary { .. } => {
                ["accuracy", "accuracy_threshold", "f1", "f1_threshold", "precision", "recall", "ap", "mcc"]
                    .map(|key| format!("{function}_{key}"))
                    .to_vec()
            }
            Content::Classification { .. } => Vec::new(),
            Content::Triplet(_) => vec![format!("{function}_accuracy")],
            Content::Reranking { at_k, .. } => vec!["map".into(), format!("mrr@{at_k}"), format!("ndcg@{at_k}")],
            Content::Translation { .. } => {
                fixed(&["src2trg_accuracy", "trg2src_accuracy", "mean_accuracy", "src2trg_f1", "trg2src_f1"])
            }
            Content::Mining { .. } => fixed(&["average_precision", "f1", "precision", "recall", "threshold"]),
            Content::Labels { .. } => fixed(&["accuracy", "macro_f1", "v_measure"]),
            Content::Loss(_) => fixed(&["loss"]),
        }
    }

    fn retrieval(&self, set: &RetrievalSet, measuring: &Measuring<'_>) -> Result<Vec<Scores>, EvaluationError> {
        let options =
            RetrievalOptions { primary: measuring.primary, name: self.name.clone(), ..RetrievalOptions::default() };
        let Measuring { encoder, context, dims, .. } = *measuring;
        Ok(maana_eval::evaluate_retrieval(context, encoder, set, dims, &options)?)
    }

    fn loss(&self, rows: &dyn Source, measuring: &Measuring<'_>) -> Result<Scores, EvaluationError> {
        let DevLoss { loss, batch_size, prompts, routes } =
            measuring.loss.ok_or_else(|| EvaluationError::NoLoss(self.title().to_owned()))?;
        loss.needs().check_data(loss.describe().recipe_name(), rows)?;
        let encoder = measuring.encoder;
        let embed = |column: usize, texts: &[&str]| {
            let route = routes.get(column).copied().flatten();
            let tower = route.map_or_else(|| encoder.clone(), |role| encoder.for_role(role));
            tower.embed(texts, prompts.get(column).map_or("", Prompt::text))
        };
        let value = dev_loss(measuring.context, loss, rows, batch_size, embed).map_err(EvaluationError::of_loss)?;
        Ok(Scores {
            kind: Kind::Loss,
            name: self.scores_name(encoder.dimension(), 1),
            dimension: encoder.dimension(),
            values: vec![("loss".into(), value)],
            primary: "loss".into(),
            precision: Some(encoder.precision().name().to_owned()),
            items: Vec::new(),
        })
    }
}

/// Names and values of the measures at one dimension.
type Values = Vec<(String, f64)>;

fn at_each(dims: &[usize], measure: impl Fn(usize) -> Values) -> Vec<Values> {
    dims.iter().map(|&dim| measure(dim)).collect()
}

/// Fits a classifier to the embeddings of the training texts and measures it on those of the test
/// texts, which are also clustered. Returns the measures at each dimension, and whether each text
/// is classified correctly (1) or not (0).
fn labels(
    train: &Labelled,
    test: &Labelled,
    measuring: &Measuring<'_>,
) -> Result<Vec<(Values, Vec<f64>)>, EvaluationError> {
    let context = measuring.context;
    let mut names: Vec<&String> = train.labels.iter().chain(&test.labels).collect();
    names.sort_unstable();
    names.dedup();
    let number = |label: &String| names.binary_search(&label).expect("the list has all labels");
    let numbers = |labels: &[String]| labels.iter().map(number).collect::<Vec<_>>();
    let (learnt, truth) = (numbers(&train.labels), numbers(&test.labels));
    let (examples, rows) = (measuring.embed_plain(&train.texts)?, measuring.embed_plain(&test.texts)?);
    let at = |dim: usize| -> Result<(Values, Vec<f64>), EvaluationError> {
        let prefix = |rows: Rows<'_>| normalized(context, rows.prefix(dim));
        let (examples, rows) = (prefix(examples.view()), prefix(rows.view()));
        let settings = LogisticSettings { tolerance: 1e-6, ..LogisticSettings::default() };
        let (model, _) = Logistic::fit(context, examples.view(), &learnt, names.len(), &settings)?;
        let found = model.probabilities(context, rows.view())?.labels();
        let confusion = Confusion::new(&truth, &found, names.len());
        let k = truth.iter().collect::<HashSet<_>>().len();
        let clusters = kmeans(context, rows.view(), &KMeans { k, starts: 10, ..KMeans::default() })?;
        let v_measure = v_measure(&truth, &clusters.labels).v_measure;
        let values = [("accuracy", confusion.accuracy()), ("macro_f1", confusion.macro_f1()), ("v_measure", v_measure)];
        let correct = truth.iter().zip(&found).map(|(truth, found)| f64::from(truth == found)).collect();
        Ok((values.map(|(name, value)| (name.to_owned(), value)).to_vec(), correct))
    };
    measuring.dims.iter().map(|&dim| at(dim)).collect()
}
