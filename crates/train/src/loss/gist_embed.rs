//! In-batch negatives chosen by a guide: texts that the guide finds more similar to the query than
//! its positive are probably no negatives, and are left out. <https://arxiv.org/abs/2402.16829>

use super::cosine::dot;
use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary};
use super::ranking::{Layout, RankingLoss, stacked};
use libm::{exp, log};
use maana_kernels::{Context, Matrix, Rows};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Limit of the guide's similarity to a query, above which a text is left out. `p` is that of the
/// positive, `m` the margin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarginStrategy {
    /// `p − m`.
    Absolute,
    /// `p − |p| m`.
    Relative,
    /// The smaller of `p` and the quantile `1 − m` of the guide's similarities of the query to all
    /// documents of other queries. The reference does not have it.
    Percentile,
}

/// Ranking of the positive (second column) above the texts that a guide does not find too similar
/// to the query. The labels are the embeddings of the guide. The reference's `GISTEmbedLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GistEmbed {
    /// Divides the cosines; 0.01 in the reference.
    pub temperature: f64,
    /// Limit of the guide's similarities; absolute in the reference.
    pub strategy: MarginStrategy,
    /// Margin of the limit; 0 in the reference.
    pub margin: f64,
    /// Compares queries with each other; true in the reference.
    pub contrast_anchors: bool,
    /// Compares positives with each other; true in the reference.
    pub contrast_positives: bool,
}

impl Loss for GistEmbed {
    fn loss(&self, context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        self.guided(context, embedded).whole(context, embedded, weight, d_columns)
    }

    fn nested(
        &self,
        context: &Context,
        embedded: &Embedded<'_>,
        dims: &[(usize, f32)],
        weight: f32,
        d_columns: &mut [Matrix],
    ) -> f32 {
        self.guided(context, embedded).ranked(context, embedded, dims, weight, d_columns)
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=usize::MAX, labels: Labels::GuideEmbeddings, columns_alone: 3 }
    }

    fn describe(&self) -> LossSummary {
        LossSummary {
            name: "gist_embed".into(),
            class: "GISTEmbedLoss".into(),
            parameters: vec![
                ("temperature".into(), json!(self.temperature)),
                ("margin_strategy".into(), json!(self.strategy)),
                ("margin".into(), json!(self.margin)),
                ("contrast_anchors".into(), json!(self.contrast_anchors)),
                ("contrast_positives".into(), json!(self.contrast_positives)),
            ],
            inner: None,
        }
    }
}

impl GistEmbed {
    /// Compares the guide's embeddings of the batch, and chooses the texts that take part.
    fn guided(&self, context: &Context, embedded: &Embedded<'_>) -> Guided {
        let labels = embedded.labels.expect("needs() asks for labels");
        let columns = embedded.columns.len();
        let (rows, dimension) = (labels.rows(), labels.columns() / columns);
        let of_column =
            |column: usize| Rows::new(&labels.data()[column * dimension..], rows, dimension, labels.stride());
        let all = stacked(&(0..columns).map(of_column).collect::<Vec<_>>());
        let similarities = cosine_matrix(context, all.view().range(0..2 * rows), all.view());
        let candidates = columns * rows;
        let similarity = |row: usize, column: usize| similarities[row * candidates + column];
        let mut parts = Vec::with_capacity(rows);
        for query in 0..rows {
            let positive = rows + query;
            let limit = self.limit(similarity(query, positive), || {
                let others = (rows..candidates).filter(|column| column % rows != query);
                others.map(|column| similarity(query, column)).collect()
            });
            let below = |row: usize, column: &usize| similarity(row, *column) <= limit;
            let mut part: Vec<(usize, usize)> = Vec::new();
            let mut add = |row: usize, columns: std::ops::Range<usize>| {
                let taken = columns.filter(|column| (row, *column) == (query, positive) || below(row, column));
                part.extend(taken.map(|column| (row, column)));
            };
            add(query, rows..2 * rows);
            if self.contrast_anchors {
                add(query, 0..rows);
            }
            if self.contrast_positives {
                add(positive, rows..2 * rows);
            }
            add(query, 2 * rows..candidates);
            parts.push(part);
        }
        Guided { scale: 1.0 / self.temperature, parts }
    }

    /// Returns the limit for a query whose positive has the similarity `positive` to it.
    fn limit(&self, positive: f64, others: impl Fn() -> Vec<f64>) -> f64 {
        match self.strategy {
            MarginStrategy::Absolute => positive - self.margin,
            MarginStrategy::Relative => positive - positive.abs() * self.margin,
            MarginStrategy::Percentile => {
                let mut others = others();
                others.sort_unstable_by(f64::total_cmp);
                let place = (1.0 - self.margin) * others.len().saturating_sub(1) as f64;
                others.get(place.floor() as usize).map_or(positive, |quantile| quantile.min(positive))
            }
        }
    }
}

/// The loss of the texts that the guide lets take part.
struct Guided {
    scale: f64,
    /// For each query the (row, candidate) of every score that takes part.
    parts: Vec<Vec<(usize, usize)>>,
}

impl RankingLoss for Guided {
    fn scale(&self) -> f64 {
        self.scale
    }

    fn layout(&self) -> Layout {
        Layout::Everything
    }

    fn of_scores(&self, scores: &Matrix, weight: f64, d_scores: &mut Matrix) -> f64 {
        let queries = self.parts.len();
        let weight = weight / queries as f64;
        let mut sum = 0.0;
        for (query, part) in self.parts.iter().enumerate() {
            let score = |(row, column): (usize, usize)| f64::from(scores.row(row)[column]);
            let positive = (query, queries + query);
            let greatest = part.iter().map(|&place| score(place)).fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = part.iter().map(|&place| exp(score(place) - greatest)).sum();
            sum += greatest + log(total) - score(positive);
            for &(row, column) in part {
                let target = if (row, column) == positive { 1.0 } else { 0.0 };
                let share = exp(score((row, column)) - greatest) / total;
                d_scores.row_mut(row)[column] += (weight * (share - target)) as f32;
            }
        }
        weight * sum
    }
}

/// Returns the cosines of all rows and candidates, row by row.
fn cosine_matrix(context: &Context, rows: Rows<'_>, candidates: Rows<'_>) -> Vec<f64> {
    let mut products = vec![0.0; rows.rows() * candidates.rows()];
    maana_kernels::matmul_transposed(context, rows, candidates, &mut products, false);
    let lengths = |of: Rows<'_>| (0..of.rows()).map(|row| dot(of.row(row), of.row(row)).sqrt()).collect();
    let (of_rows, of_candidates): (Vec<f64>, Vec<f64>) = (lengths(rows), lengths(candidates));
    let cosine = |(place, product): (usize, &f32)| {
        let (row, candidate) = (place / of_candidates.len(), place % of_candidates.len());
        f64::from(*product) / (of_rows[row] * of_candidates[candidate]).max(1e-16)
    };
    products.iter().enumerate().map(cosine).collect()
}
