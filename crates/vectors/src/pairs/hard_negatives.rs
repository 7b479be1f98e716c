//! Hard negatives: documents that are near to a query and not its answer, chosen as
//! `mine_hard_negatives` of Sentence Transformers 6.2 chooses them. Row numbers in, row numbers
//! out; who has the texts writes the triplets.

use crate::error::VectorsError;
use crate::random::Random;
use crate::search::{Corpus, Hit, Metric, Search, search};
use maana_kernels::{Context, Rows};

/// Which of the candidates are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sampling {
    /// The nearest.
    #[default]
    Top,
    /// Any of the range, drawn with this seed; the same for any threads.
    Random {
        /// The seed.
        seed: u64,
    },
}

/// Settings of the choice of negatives.
#[derive(Clone, Copy, Debug)]
pub struct HardNegatives {
    /// Negatives of a query.
    pub negatives: usize,
    /// Number of nearest candidates that are skipped.
    pub range_min: usize,
    /// Candidates end here. `None`: as many as are needed, and ten for each negative where some may
    /// fall away.
    pub range_max: Option<usize>,
    /// A negative's score is at most that of the query's worst positive less this.
    pub absolute_margin: Option<f32>,
    /// A negative's score is at most that of the query's worst positive less this share of its
    /// size.
    pub relative_margin: Option<f32>,
    /// A negative's score is at most this.
    pub max_score: Option<f32>,
    /// A negative's score is at least this.
    pub min_score: Option<f32>,
    /// Lets positives be candidates, for a ranking of all documents.
    pub include_positives: bool,
    /// Which of the candidates are taken.
    pub sampling: Sampling,
    /// Metric of the scores.
    pub metric: Metric,
    /// Compare the first `dim` columns only.
    pub dim: Option<usize>,
}

impl Default for HardNegatives {
    fn default() -> Self {
        Self {
            negatives: 3,
            range_min: 0,
            range_max: None,
            absolute_margin: None,
            relative_margin: None,
            max_score: None,
            min_score: None,
            include_positives: false,
            sampling: Sampling::Top,
            metric: Metric::Cosine,
            dim: None,
        }
    }
}

/// Negatives of one query.
#[derive(Clone, Debug, PartialEq)]
pub struct Mined {
    /// Its positives with their scores, in the order given.
    pub positives: Vec<Hit>,
    /// Its negatives, nearest first; fewer than asked for where there were fewer.
    pub negatives: Vec<Hit>,
}

impl Mined {
    /// (positive, negative) for each triplet of the query, as the reference orders them.
    pub fn pairs(&self) -> impl Iterator<Item = (Hit, Hit)> {
        self.positives.iter().flat_map(|positive| self.negatives.iter().map(move |negative| (*positive, *negative)))
    }
}

/// The negatives of each query; `positives[q]` are the corpus rows that answer query `q`, each
/// once.
///
/// Queries and corpus rows are taken to be different texts: who has duplicates merges them before,
/// as the reference does.
///
/// # Errors
/// Values that are not finite, other dims, a range without room for the negatives, or a positive
/// that does not exist.
pub fn hard_negatives(
    context: &Context,
    queries: Rows<'_>,
    corpus: Rows<'_>,
    positives: &[Vec<usize>],
    settings: &HardNegatives,
) -> Result<Vec<Mined>, VectorsError> {
    let unchanged = None::<fn(usize, &[usize]) -> Result<Vec<f32>, VectorsError>>;
    mine(context, queries, corpus, positives, settings, unchanged)
}

/// As [`hard_negatives`], where the nearest candidates and the positives of each query get other
/// scores, by which they are ordered and compared: `rescore` receives the number of a query and
/// corpus rows, and returns a score for each row.
///
/// # Errors
/// As [`hard_negatives`], or an error of `rescore`.
pub fn rescored_hard_negatives<E: From<VectorsError>>(
    context: &Context,
    queries: Rows<'_>,
    corpus: Rows<'_>,
    positives: &[Vec<usize>],
    settings: &HardNegatives,
    rescore: impl FnMut(usize, &[usize]) -> Result<Vec<f32>, E>,
) -> Result<Vec<Mined>, E> {
    mine(context, queries, corpus, positives, settings, Some(rescore))
}

fn mine<E: From<VectorsError>>(
    context: &Context,
    queries: Rows<'_>,
    corpus: Rows<'_>,
    positives: &[Vec<usize>],
    settings: &HardNegatives,
    mut rescore: Option<impl FnMut(usize, &[usize]) -> Result<Vec<f32>, E>>,
) -> Result<Vec<Mined>, E> {
    assert_eq!(queries.rows(), positives.len(), "positives for each query");
    if let Some(row) = positives.iter().flatten().find(|row| **row >= corpus.rows()) {
        let message = format!("row {row} of a corpus of {}", corpus.rows());
        return Err(VectorsError::setting("positives", message).into());
    }
    let most_positives = positives.iter().map(Vec::len).max().unwrap_or(0);
    let range_max = range_max(settings, most_positives, rescore.is_some())?;
    let k = range_max + most_positives;
    let asked = Search { k, metric: settings.metric, dim: settings.dim, ..Search::default() };
    let mut mined = Vec::with_capacity(queries.rows());
    // A chunk of queries at a time, so that candidates take bounded room.
    for start in (0..queries.rows()).step_by(1024) {
        let range = start..queries.rows().min(start + 1024);
        let found = search(context, &Corpus::from(corpus), queries.range(range.clone()), &asked)?;
        for (query, mut candidates) in range.zip(found) {
            let dim = settings.dim.unwrap_or(corpus.columns());
            let score = |row: &usize| settings.metric.score(&queries.row(query)[..dim], &corpus.row(*row)[..dim]);
            let scored = positives[query].iter().map(|row| Hit { row: *row, score: score(row) });
            let mut positives: Vec<Hit> = scored.collect();
            candidates.retain(|hit| settings.include_positives || positives.iter().all(|other| other.row != hit.row));
            if let Some(rescore) = &mut rescore {
                let rows: Vec<usize> = positives.iter().chain(&candidates).map(|hit| hit.row).collect();
                let scores = rescore(query, &rows)?;
                assert_eq!(scores.len(), rows.len(), "a score for each row");
                positives.iter_mut().chain(&mut candidates).zip(scores).for_each(|(hit, score)| hit.score = score);
                candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
            }
            let mut negatives = eligible(candidates, &positives, settings);
            negatives.truncate(range_max);
            negatives.drain(..settings.range_min.min(negatives.len()));
            match settings.sampling {
                Sampling::Top => negatives.truncate(settings.negatives),
                Sampling::Random { seed } => {
                    // Each query draws for itself, whatever came before it.
                    let mut random = Random::new(seed ^ (query as u64).wrapping_mul(0xD134_2543_DE82_EF95));
                    let places = random.sample(negatives.len(), settings.negatives);
                    negatives = places.into_iter().map(|place| negatives[place]).collect();
                }
            }
            mined.push(Mined { positives, negatives });
        }
    }
    Ok(mined)
}

/// Where candidates end, if there is room for the negatives.
fn range_max(settings: &HardNegatives, most_positives: usize, rescored: bool) -> Result<usize, VectorsError> {
    let HardNegatives { negatives, range_min, .. } = *settings;
    if negatives == 0 {
        return Err(VectorsError::setting("negatives", "at least one is needed"));
    }
    let falls_away = settings.absolute_margin.is_some()
        || settings.relative_margin.is_some()
        || settings.max_score.is_some()
        || (rescored && settings.min_score.is_some());
    let needed = if falls_away { negatives * 10 } else { negatives };
    let range_max = settings.range_max.unwrap_or(range_min + needed + most_positives);
    if range_max < range_min + negatives {
        let message = format!(
            "from {range_min} to {range_max} there is no room for {negatives} negatives; widen the range or ask for fewer"
        );
        return Err(VectorsError::setting("range", message));
    }
    Ok(range_max)
}

/// Candidates that keep the bounds, nearest first.
fn eligible(mut candidates: Vec<Hit>, positives: &[Hit], settings: &HardNegatives) -> Vec<Hit> {
    let worst = positives.iter().map(|hit| hit.score).fold(f32::INFINITY, f32::min);
    candidates.retain(|hit| {
        let score = hit.score;
        settings.absolute_margin.is_none_or(|margin| score + margin <= worst)
            && settings.relative_margin.is_none_or(|margin| score <= worst - worst.abs() * margin)
            && settings.max_score.is_none_or(|max| score <= max)
            && settings.min_score.is_none_or(|min| score >= min)
    });
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Golden, embeddings};
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Case {
        settings: Settings,
        /// For each query, rows and scores.
        negatives: Vec<Vec<(usize, f64)>>,
    }

    #[derive(Deserialize)]
    struct Settings {
        num_negatives: usize,
        #[serde(default)]
        range_min: usize,
        range_max: Option<usize>,
        absolute_margin: Option<f32>,
        relative_margin: Option<f32>,
        max_score: Option<f32>,
        min_score: Option<f32>,
    }

    #[test]
    fn agrees_with_the_reference() {
        let golden = Golden::read();
        let (queries, corpus) = (golden.matrix("/hard_negatives/queries"), golden.matrix("/hard_negatives/corpus"));
        let positives: Vec<Vec<usize>> = golden.get("/hard_negatives/positives");
        let cases: Vec<Case> = golden.get("/hard_negatives/cases");
        assert!(cases.len() >= 6);
        for (number, case) in cases.iter().enumerate() {
            let Settings { num_negatives, range_min, range_max, .. } = case.settings;
            let settings = HardNegatives {
                negatives: num_negatives,
                range_min,
                range_max,
                absolute_margin: case.settings.absolute_margin,
                relative_margin: case.settings.relative_margin,
                max_score: case.settings.max_score,
                min_score: case.settings.min_score,
                ..HardNegatives::default()
            };
            let mined = hard_negatives(&Context::new(2), queries.view(), corpus.view(), &positives, &settings).unwrap();
            for (query, (ours, expected)) in mined.iter().zip(&case.negatives).enumerate() {
                let rows: Vec<usize> = ours.negatives.iter().map(|hit| hit.row).collect();
                let expected_rows: Vec<usize> = expected.iter().map(|(row, _)| *row).collect();
                assert_eq!(rows, expected_rows, "case {number}, query {query}");
                let close = |(hit, (_, score)): (&Hit, &(usize, f64))| (f64::from(hit.score) - score).abs() < 1e-6;
                assert!(ours.negatives.iter().zip(expected).all(close));
            }
        }
    }

    #[test]
    fn other_scores_order_the_candidates_and_bound_the_negatives() {
        let (queries, corpus) = (embeddings(6, 8, 3, 1), embeddings(60, 8, 3, 4));
        let positives: Vec<Vec<usize>> = (0..6).map(|query| vec![query, 20 + query]).collect();
        let range_max = Some(100);
        let settings =
            HardNegatives { negatives: 4, range_max, absolute_margin: Some(0.5), ..HardNegatives::default() };
        let score = |query: usize, row: usize| ((query * 31 + row * 17) % 23) as f32 / 4.0;
        let rescore =
            |query: usize, rows: &[usize]| Ok::<_, VectorsError>(rows.iter().map(|row| score(query, *row)).collect());
        let context = Context::new(2);
        let mined =
            rescored_hard_negatives(&context, queries.view(), corpus.view(), &positives, &settings, rescore).unwrap();
        // All candidates.
        let wide = HardNegatives { negatives: 58, range_max, ..HardNegatives::default() };
        let near = hard_negatives(&context, queries.view(), corpus.view(), &positives, &wide).unwrap();
        for (query, (mined, near)) in mined.iter().zip(&near).enumerate() {
            let worst = positives[query].iter().map(|row| score(query, *row)).fold(f32::INFINITY, f32::min);
            assert!(mined.positives.iter().all(|hit| hit.score == score(query, hit.row)));
            let mut expected: Vec<Hit> =
                near.negatives.iter().map(|hit| Hit { score: score(query, hit.row), ..*hit }).collect();
            expected.sort_by(|a, b| b.score.total_cmp(&a.score));
            expected.retain(|hit| hit.score + 0.5 <= worst);
            expected.truncate(4);
            assert_eq!(mined.negatives, expected, "query {query}");
        }
        let failing = |_: usize, _: &[usize]| Err(VectorsError::setting("negatives", "no scores"));
        assert!(
            rescored_hard_negatives(&context, queries.view(), corpus.view(), &positives, &settings, failing).is_err()
        );
    }

    #[test]
    fn draws_are_from_the_range_and_the_same_for_a_seed() {
        let (queries, corpus) = (embeddings(20, 8, 3, 1), embeddings(200, 8, 3, 4));
        let positives: Vec<Vec<usize>> = (0..20).map(|query| vec![query, 100 + query]).collect();
        let mine = |threads, sampling| {
            let settings =
                HardNegatives { negatives: 5, range_min: 2, range_max: Some(30), sampling, ..HardNegatives::default() };
            hard_negatives(&Context::new(threads), queries.view(), corpus.view(), &positives, &settings).unwrap()
        };
        let drawn = mine(1, Sampling::Random { seed: 1 });
        assert_eq!(drawn, mine(3, Sampling::Random { seed: 1 }));
        assert_ne!(drawn, mine(1, Sampling::Random { seed: 2 }));
        for (query, mined) in drawn.iter().enumerate() {
            assert_eq!(mined.negatives.len(), 5);
            assert!(mined.negatives.windows(2).all(|pair| pair[0].score >= pair[1].score));
            assert!(mined.negatives.iter().all(|hit| !positives[query].contains(&hit.row)));
            assert_eq!(mined.pairs().count(), 10);
        }
    }

    #[test]
    fn ranges_without_room_are_refused() {
        let rows = embeddings(5, 4, 2, 1);
        let mine = |settings| hard_negatives(&Context::new(1), rows.view(), rows.view(), &vec![vec![0]; 5], &settings);
        for (negatives, range_min, range_max) in [(0, 0, None), (3, 5, Some(5)), (3, 0, Some(2))] {
            assert!(mine(HardNegatives { negatives, range_min, range_max, ..HardNegatives::default() }).is_err());
        }
        // Positives come where they are wanted: each row is its own nearest.
        let with_positives = HardNegatives { include_positives: true, ..HardNegatives::default() };
        let mined = hard_negatives(
            &Context::new(1),
            rows.view(),
            rows.view(),
            &(0..5).map(|row| vec![row]).collect::<Vec<_>>(),
            &with_positives,
        );
        assert!(mined.unwrap().iter().enumerate().all(|(row, mined)| mined.negatives[0].row == row));
        // A small corpus gives what it has.
        let mined = mine(HardNegatives { negatives: 10, ..HardNegatives::default() }).unwrap();
        assert!(mined.iter().all(|mined| mined.negatives.len() == 4));
    }
}
