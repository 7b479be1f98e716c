//! Sets that must not fall: sets of `[evaluation]` by name, or other sets by path.

use super::super::error::FinetuneError;
use super::super::measures::{Evaluation, Measures};
use super::Point;
use crate::card::GuardFacts;
use crate::evaluation::{EvaluationSet, SetSpec, find};
use crate::recipe::{LocatedRecipe, Tolerance};
use maana_eval::{Kind, Scores};

/// The guards of a recipe.
pub(in crate::finetune) struct Guards {
    all: Vec<Guard>,
    by_chance: bool,
    /// The sets that are not among those of `[evaluation]`, at the largest dimension.
    pub(in crate::finetune) own: Measures,
}

/// A set that must not fall.
pub(in crate::finetune) struct Guard {
    title: String,
    kind: Kind,
    /// The name in front of its measures.
    name: Option<String>,
    /// True if it is one of the sets of `[evaluation]`.
    is_evaluated: bool,
}

impl Guards {
    /// Finds the guards of `[blend]` and opens those that are paths.
    pub(in crate::finetune) fn open(
        located: &LocatedRecipe,
        evaluations: &[Evaluation],
        dims: &[usize],
    ) -> Result<Self, FinetuneError> {
        let (mut all, mut own) = (Vec::new(), Vec::new());
        for guard in located.recipe.blend.iter().flat_map(|table| &table.guard) {
            if let Some(evaluated) = evaluations.iter().find(|evaluation| evaluation.set.title() == guard) {
                all.push(Guard::of(&evaluated.set, true));
                continue;
            }
            let path = located.path(guard);
            let specs = match (path.is_dir(), path.exists()) {
                (true, _) => find(&path)?,
                (false, true) => vec![SetSpec::of(&path)],
                (false, false) => return Err(unknown(guard, evaluations, &path)),
            };
            for spec in specs {
                let set = EvaluationSet::open(&spec)?;
                all.push(Guard::of(&set, false));
                own.push(Evaluation::of_files(set));
            }
        }
        for (index, guard) in all.iter().enumerate() {
            let is_twin = |other: &Guard| (other.kind, &other.name) == (guard.kind, &guard.name);
            if all[..index].iter().any(|other| is_twin(other) && other.is_evaluated == guard.is_evaluated) {
                let reason = "is the name of two sets; name each set once, or rename the folder of one";
                return Err(FinetuneError::Fit(format!("[blend] guard: `{}` {reason}", guard.title)));
            }
        }
        let by_chance = located.recipe.blend.as_ref().is_some_and(|table| table.tolerance == Tolerance::Chance);
        let is_mean = |guard: &&Guard| matches!(guard.kind, Kind::Retrieval | Kind::Labels);
        if let Some(guard) = all.iter().filter(|_| by_chance).find(|guard| !is_mean(guard)) {
            return Err(FinetuneError::Fit(format!(
                "[blend] tolerance = \"chance\" needs guards of the kinds retrieval or labels, whose metric is a mean \
                 over queries or texts; `{}` is of the kind {}; set tolerance to a number",
                guard.title,
                guard.kind.name()
            )));
        }
        let largest = dims.iter().copied().max().into_iter().collect();
        Ok(Self { all, by_chance, own: Measures::new(own, largest, located) })
    }

    /// Returns true if falls are judged by chance, for which points have the values of items.
    pub(super) fn by_chance(&self) -> bool {
        self.by_chance
    }

    /// Creates a point of a model's scores.
    pub(super) fn point(&self, alpha: f64, dev: Vec<Scores>, guards: Vec<Scores>) -> Point {
        let mut point = Point { alpha, dev, guards, items: Vec::new() };
        if self.by_chance {
            let items = |guard: &Guard| guard.scores(&point).map_or_else(Vec::new, |scores| scores.items.clone());
            point.items = self.all.iter().map(items).collect();
        }
        point
    }

    pub(super) fn all(&self) -> &[Guard] {
        &self.all
    }

    /// Returns the names for display.
    pub(in crate::finetune) fn titles(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|guard| guard.title.as_str())
    }
}

fn unknown(guard: &str, evaluations: &[Evaluation], path: &std::path::Path) -> FinetuneError {
    let names: Vec<&str> = evaluations.iter().map(|evaluation| evaluation.set.title()).collect();
    let names = if names.is_empty() { "which has none".into() } else { names.join(", ") };
    FinetuneError::Fit(format!(
        "[blend] guard: `{guard}` is neither a set of [evaluation] ({names}) nor a file or folder ({})",
        path.display()
    ))
}

impl Guard {
    fn of(set: &EvaluationSet, is_evaluated: bool) -> Self {
        let (title, kind, name) = (set.title().to_owned(), set.kind(), set.name().map(String::from));
        Self { title, kind, name, is_evaluated }
    }

    /// Returns the scores of the guard at the largest dimension.
    fn scores<'a>(&self, point: &'a Point) -> Option<&'a Scores> {
        let scores = if self.is_evaluated { &point.dev } else { &point.guards };
        let ours = scores.iter().filter(|scores| (scores.kind, scores.set()) == (self.kind, self.name.as_deref()));
        ours.max_by_key(|scores| scores.dimension)
    }

    /// Returns the primary metric of a point.
    pub(super) fn value(&self, point: &Point) -> f64 {
        self.scores(point).and_then(|scores| scores.get(&scores.primary)).unwrap_or(f64::NAN)
    }

    pub(super) fn smaller_is_better(&self) -> bool {
        self.kind.smaller_is_better()
    }

    pub(super) fn facts(&self, point: &Point) -> GuardFacts {
        let metric = self.scores(point).map_or_else(String::new, |scores| match (&self.name, self.kind) {
            (Some(_), _) | (None, Kind::Loss) => scores.prefixed_key(&scores.primary),
            (None, _) => format!("{}_{}", self.title, scores.prefixed_key(&scores.primary)),
        });
        GuardFacts { name: self.title.clone(), metric }
    }
}
