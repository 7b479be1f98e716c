//! The Matryoshka funnel: scan a short prefix in few bits, keep a shortlist, score the shortlist
//! with the full vectors. What it finds it scores as the exact search does; what it may miss,
//! `choose` measures.

use super::exact::check;
use super::sample::{MeasuredOn, Recall, RecallTarget, Sample};
use super::{Best, Corpus, Filter, Hit, Metric, Plane, PlanePrecision, norm};
use crate::error::VectorsError;
use maana_kernels::{Context, Rows};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Width of the funnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunnelSettings {
    /// Columns that are scanned.
    pub prefix: usize,
    /// Bits of their values.
    pub precision: PlanePrecision,
    /// Rows that are scored with the full vectors.
    pub shortlist: usize,
}

/// A corpus with its plane.
pub struct Funnel<'a> {
    corpus: Corpus<'a>,
    metric: Metric,
    settings: FunnelSettings,
    plane: Arc<Plane>,
}

impl<'a> Funnel<'a> {
    /// Makes the plane.
    ///
    /// # Errors
    /// As `Plane::build`.
    pub fn build(
        context: &Context,
        corpus: Corpus<'a>,
        metric: Metric,
        settings: FunnelSettings,
    ) -> Result<Self, VectorsError> {
        let plane = Plane::build(context, &corpus, metric, settings.prefix, settings.precision)?;
        Ok(Self::over(corpus, metric, settings, Arc::new(plane)))
    }

    /// A corpus with a plane that was made of it.
    pub fn over(corpus: Corpus<'a>, metric: Metric, settings: FunnelSettings, plane: Arc<Plane>) -> Self {
        Self { corpus, metric, settings, plane }
    }

    /// The plane.
    pub fn plane(&self) -> &Arc<Plane> {
        &self.plane
    }

    /// Returns the corpus.
    pub fn corpus(&self) -> &Corpus<'a> {
        &self.corpus
    }

    /// The settings that it was built with.
    pub fn settings(&self) -> FunnelSettings {
        self.settings
    }

    /// Returns the bytes of the funnel, without the corpus.
    pub fn bytes(&self) -> usize {
        self.plane.bytes()
    }

    /// The k nearest rows of each query, nearest first, among the shortlist, which has at least k
    /// rows.
    ///
    /// # Errors
    /// Queries of other dims than the corpus or with values that are not finite.
    pub fn search(
        &self,
        context: &Context,
        queries: Rows<'_>,
        k: usize,
        filter: Option<Filter<'_>>,
    ) -> Result<Vec<Vec<Hit>>, VectorsError> {
        let shortlist = self.settings.shortlist.max(k);
        let mut found = Vec::with_capacity(queries.rows());
        check(&self.corpus, queries, None)?;
        // Shortlists of a few queries at a time, so that memory stays bounded.
        for start in (0..queries.rows()).step_by(64) {
            let queries = queries.range(start..queries.rows().min(start + 64));
            let mut lists = self.plane.scan(context, &self.corpus, queries, shortlist, filter)?;
            context.for_each_chunk(&mut lists, 1, |query, list| {
                list[0] = rescore(&self.corpus, self.metric, queries.row(query), &list[0], k);
            });
            found.extend(lists);
        }
        Ok(found)
    }
}

/// The k best of the shortlist by the full vectors.
fn rescore(corpus: &Corpus<'_>, metric: Metric, query: &[f32], shortlist: &[Hit], k: usize) -> Vec<Hit> {
    let mut rows: Vec<usize> = shortlist.iter().map(|hit| hit.row).collect();
    // In the order of memory.
    rows.sort_unstable();
    let mut best = Best::new(k.min(rows.len()));
    let length = norm(query);
    for row in rows {
        corpus.for_blocks(row..row + 1, 1, |_, rows| {
            let x = rows.row(0);
            best.offer(metric.score_with(query, x, length, norm(x)), row as u32);
        });
    }
    best.into_sorted().into_iter().map(|(score, row)| Hit { row: row as usize, score }).collect()
}

/// One funnel that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The funnel, with the shortest shortlist that reached the recall, or the longest tried.
    pub settings: FunnelSettings,
    /// The share of the true k nearest that it found.
    pub recall: Recall,
    /// Bytes that one search reads, those of the shortlist counted eight times as they lie apart.
    pub cost: u64,
}

/// The chosen funnel and the measurements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The cheapest funnel that reached the recall; `None` where the exact search is cheaper or
    /// nothing reached it.
    pub funnel: Option<Measured>,
    /// All that were tried.
    pub tried: Vec<Measured>,
    /// Bytes that one exact search reads.
    pub exact_cost: u64,
    /// Queries that all were measured on.
    pub on: MeasuredOn,
}

/// Chooses prefix, precision and shortlist by measuring. The recall must be reached by what is sure
/// of it (`Recall::at_least`), and not by the mean of the sample.
///
/// # Errors
/// As `Plane::build`, or a recall outside of 0 to 1.
pub fn choose(
    context: &Context,
    corpus: &Corpus<'_>,
    metric: Metric,
    target: &RecallTarget<'_>,
) -> Result<Choice, VectorsError> {
    if !(0.0..=1.0).contains(&target.recall) {
        return Err(VectorsError::setting("recall", format!("{} is no share; take one from 0 to 1", target.recall)));
    }
    let rows = corpus.rows();
    let dims = corpus.columns();
    let exact_cost = (rows * dims * 4) as u64;
    let sample = Sample::draw(context, corpus, metric, target)?;
    let none = Choice {
        funnel: None,
        tried: Vec::new(),
        exact_cost,
        on: sample.as_ref().map_or(MeasuredOn::default(), |sample| sample.on),
    };
    let Some(sample) = sample else { return Ok(none) };
    let longest = (64 * target.k).max(1024).min(corpus.live());
    let mut tried = Vec::new();
    let prefixes = [32, 64, 128, 256, 512, 1024].into_iter().filter(|prefix| *prefix < dims).chain([dims]);
    for prefix in prefixes {
        for precision in [PlanePrecision::Binary, PlanePrecision::Int8] {
            let plane = Plane::build(context, corpus, metric, prefix, precision)?;
            let lists = plane.scan(context, corpus, sample.queries.view(), longest + 1, None)?;
            let places = sample.places(&lists);
            let reaches = |shortlist: usize| places.recall(shortlist).at_least >= target.recall;
            // Recall grows with the shortlist: the shortest that does is found by halving.
            let mut range = target.k..longest;
            while range.start < range.end {
                let middle = (range.start + range.end) / 2;
                if reaches(middle) { range.end = middle } else { range.start = middle + 1 }
            }
            let shortlist = range.start.next_multiple_of(target.k).min(longest);
            let cost = (rows * precision.row_bytes(prefix) + 8 * shortlist * dims * 4) as u64;
            let settings = FunnelSettings { prefix, precision, shortlist };
            let measured = Measured { settings, recall: places.recall(shortlist), cost };
            tried.push((measured, reaches(shortlist)));
        }
    }
    let good = tried.iter().filter(|(measured, reached)| *reached && measured.cost < exact_cost);
    let funnel = good.map(|(measured, _)| *measured).min_by_key(|measured| measured.cost);
    Ok(Choice { funnel, tried: tried.into_iter().map(|(measured, _)| measured).collect(), ..none })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Search, search};
    use crate::testing::{bytes_of, embeddings};

    #[test]
    fn a_funnel_as_wide_as_the_corpus_is_exact() {
        let matrix = embeddings(300, 48, 4, 1);
        let (rows, context) = (matrix.view(), Context::new(2));
        let queries = embeddings(70, 48, 3, 7);
        for metric in [Metric::Cosine, Metric::Dot] {
            let settings = Search { k: 7, metric, ..Search::default() };
            let expected = search(&context, &rows.into(), queries.view(), &settings).unwrap();
            for precision in [PlanePrecision::Int8, PlanePrecision::Binary] {
                let settings = FunnelSettings { prefix: 16, precision, shortlist: 300 };
                let funnel = Funnel::build(&context, rows.into(), metric, settings).unwrap();
                let found = funnel.search(&context, queries.view(), 7, None).unwrap();
                assert_eq!(bytes_of(&found), bytes_of(&expected));
            }
        }
    }

    #[test]
    fn what_is_chosen_reaches_the_recall_on_other_queries_of_the_kind() {
        let matrix = embeddings(4000, 96, 40, 3);
        let (rows, context) = (matrix.view(), Context::new(2));
        let (stored, held_out) = (rows.range(0..3800), rows.range(3800..4000));
        let target = RecallTarget { recall: 0.95, ..RecallTarget::default() };
        let choice = choose(&context, &stored.into(), Metric::Cosine, &target).unwrap();
        let chosen = choice.funnel.expect("a funnel is cheaper here");
        assert!(chosen.recall.at_least >= 0.95 && chosen.cost < choice.exact_cost, "{choice:?}");
        assert_eq!(choice.tried.len(), 6);
        let funnel = Funnel::build(&context, stored.into(), Metric::Cosine, chosen.settings).unwrap();
        let found = funnel.search(&context, held_out, 10, None).unwrap();
        let truth = search(&context, &stored.into(), held_out, &Search::default()).unwrap();
        let hits = |(found, truth): (&Vec<Hit>, &Vec<Hit>)| truth.iter().filter(|hit| found.contains(hit)).count();
        let recall = found.iter().zip(&truth).map(hits).sum::<usize>() as f64 / 2000.0;
        assert!(recall >= 0.95, "{recall} with {chosen:?}");
        assert_eq!(choose(&context, &stored.into(), Metric::Cosine, &target).unwrap(), choice);
    }

    #[test]
    fn small_corpora_need_no_funnel() {
        let matrix = embeddings(5, 8, 2, 1);
        let choice = choose(&Context::new(1), &matrix.view().into(), Metric::Cosine, &RecallTarget::default()).unwrap();
        assert_eq!(choice.funnel, None);
        let target = RecallTarget { recall: 1.5, ..RecallTarget::default() };
        assert!(choose(&Context::new(1), &matrix.view().into(), Metric::Cosine, &target).is_err());
    }
}
