//! Parameters, gradients and optimizer state of a model that trains, each in one arena.

mod touched_rows;
mod update;

use super::Tensor;
use super::gradients::Gradients;
use super::update_plan::{Algorithm, UpdatePlan, merged};
use maana_kernels::Context;
use std::ops::Range;
use std::sync::Arc;
use touched_rows::TouchedRows;

/// One of the arenas that a training run keeps in its checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatePart {
    /// The parameters.
    Parameters,
    /// Running means of the gradients.
    FirstMoments,
    /// Running means of the squared gradients.
    SecondMoments,
    /// Running average of the parameters.
    Average,
    /// Gradients summed since the last update.
    Gradients,
}

/// Parameters with their gradients and optimizer state. Gradients and moments take memory when
/// training begins, the average when it begins. Those of frozen tensors, and the moments of rows
/// without gradient in a lazy update, are never touched, so that the system gives them no memory.
#[derive(Clone, Debug)]
pub struct ParameterArena {
    tensors: Vec<Tensor>,
    plan: UpdatePlan,
    /// Ranges of frozen tensors.
    frozen: Vec<Range<usize>>,
    /// Rows of the tables of word embeddings with a gradient.
    touched: Vec<TouchedRows>,
    /// Shared with encoders that read the parameters as they are now; an update while one is in use
    /// copies them.
    parameters: Arc<Vec<f32>>,
    gradients: Vec<f32>,
    first_moments: Vec<f32>,
    /// In the layout of [`ParameterArena::state_tensors`].
    second_moments: Vec<f32>,
    average: Vec<f32>,
}

impl ParameterArena {
    /// Returns an arena of `parameters`, of which `tensors` names every part, in order and without
    /// gaps. The optimizer is AdamW with the defaults of PyTorch.
    pub fn new(tensors: Vec<Tensor>, parameters: Vec<f32>) -> Self {
        let [gradients, first_moments, second_moments, average] = [(); 4].map(|()| Vec::new());
        Self {
            plan: UpdatePlan::adamw(tensors.len()),
            tensors,
            frozen: Vec::new(),
            touched: Vec::new(),
            parameters: Arc::new(parameters),
            gradients,
            first_moments,
            second_moments,
            average,
        }
    }

    /// Declares that a tensor is a table of word embeddings, or another one. The caller then names
    /// the rows that a backward pass adds to with [`ParameterArena::touch_rows`].
    ///
    /// # Panics
    /// If the tensor is not a matrix.
    pub fn with_word_table(mut self, tensor: usize) -> Self {
        self.add_word_table(tensor);
        self
    }

    /// As [`ParameterArena::with_word_table`].
    pub(crate) fn add_word_table(&mut self, tensor: usize) {
        let table = &self.tensors[tensor];
        let [_, columns] = table.matrix().expect("a table is a matrix");
        self.touched.push(TouchedRows::new(table.range.clone(), columns));
    }

    /// Sets the optimizer of all further updates. A change discards gradients and moments.
    pub fn set_update_plan(&mut self, plan: UpdatePlan) {
        assert_eq!(plan.tensors.len(), self.tensors.len(), "settings for each tensor");
        if plan == self.plan {
            return;
        }
        self.frozen = plan.frozen(&self.tensors);
        self.plan = plan;
        [self.gradients, self.first_moments, self.second_moments] = [(); 3].map(|()| Vec::new());
        self.forget_rows();
    }

    /// The optimizer with its settings for each tensor.
    pub fn update_plan(&self) -> &UpdatePlan {
        &self.plan
    }

    /// Names, shapes and places of the parameters.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// All parameters.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// The parameters, shared. An update while the result is in use copies them first.
    pub fn share(&self) -> Arc<Vec<f32>> {
        Arc::clone(&self.parameters)
    }

    /// All parameters, to be changed.
    pub fn parameters_mut(&mut self) -> &mut [f32] {
        Arc::make_mut(&mut self.parameters).as_mut_slice()
    }

    /// Gradients summed since the last update.
    pub fn gradients(&self) -> &[f32] {
        &self.gradients
    }

    /// The parameters, and the gradients to be added to.
    pub fn for_backward(&mut self) -> (&[f32], Gradients<'_>) {
        let gradients = part(&mut self.gradients, self.parameters.len());
        (&self.parameters, Gradients::except(gradients, &self.frozen))
    }

    /// Marks rows of a table of word embeddings, to whose gradients a backward pass adds. Tables
    /// are numbered in the order of their declaration.
    pub fn touch_rows(&mut self, table: usize, rows: &[u32]) {
        self.touched[table].touch(rows.iter().copied());
    }

    /// Sets the summed gradients to zero.
    pub fn clear_gradients(&mut self) {
        if !self.gradients.is_empty() {
            self.live().into_iter().for_each(|range| self.gradients[range].fill(0.0));
        }
        self.forget_rows();
    }

    /// Euclidean norm of the summed gradients.
    pub fn gradient_norm(&self, context: &Context) -> f64 {
        maana_kernels::sum_of_squares(context, &self.gradients, &self.live()).sqrt()
    }

    /// Ascending ranges outside of which all gradients are zero: without frozen tensors and rows of
    /// word tables that no backward pass touched.
    fn live(&self) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        for (tensor, _) in self.plan.trained(&self.tensors) {
            match self.touched.iter().find(|touched| touched.range == tensor.range) {
                Some(touched) => ranges.extend(touched.places(&touched.sorted())),
                None => ranges.push(tensor.range.clone()),
            }
        }
        merged(ranges.into_iter())
    }

    fn forget_rows(&mut self) {
        self.touched.iter_mut().for_each(TouchedRows::clear);
    }

    /// Moves the average towards the parameters: a ← a + (1 − decay) (p − a). Update 1 starts it
    /// with the parameters, as PyTorch's `AveragedModel` does.
    pub fn update_average(&mut self, context: &Context, decay: f64, step: u64) {
        let average = part(&mut self.average, self.parameters.len());
        match step {
            1 => average.copy_from_slice(&self.parameters),
            _ => maana_kernels::interpolate(context, average, &self.parameters, (1.0 - decay) as f32),
        }
    }

    /// Exchanges the parameters with their average, which must have begun.
    pub fn swap_average(&mut self) {
        assert_eq!(self.average.len(), self.parameters.len(), "the average has begun");
        std::mem::swap(Arc::make_mut(&mut self.parameters), &mut self.average);
    }

    /// Names, shapes and places of the numbers in a part of the training state; none if the
    /// optimizer does not have it. Frozen tensors have neither gradients nor moments.
    pub fn state_tensors(&self, of: StatePart) -> Vec<Tensor> {
        match (of, self.plan.algorithm) {
            (StatePart::Parameters | StatePart::Average, _) => self.tensors.clone(),
            (StatePart::FirstMoments, Algorithm::Adafactor { .. }) => Vec::new(),
            (StatePart::SecondMoments, Algorithm::Adafactor { .. }) => self.plan.factored(&self.tensors),
            _ => self.plan.trained(&self.tensors).map(|(tensor, _)| tensor.clone()).collect(),
        }
    }

    /// Number of elements of the arena of second moments.
    fn second_moments_len(&self) -> usize {
        match self.plan.algorithm {
            Algorithm::AdamW { .. } => self.parameters.len(),
            Algorithm::Adafactor { .. } => self.plan.factored_elements(&self.tensors),
        }
    }

    /// Copies elements of one arena, from `first` on, to `into`.
    pub fn read(&self, of: StatePart, first: usize, into: &mut [f32]) {
        let arena = match of {
            StatePart::Parameters => &self.parameters[..],
            StatePart::FirstMoments => &self.first_moments,
            StatePart::SecondMoments => &self.second_moments,
            StatePart::Average => &self.average,
            StatePart::Gradients => &self.gradients,
        };
        match arena.is_empty() {
            true => into.fill(0.0),
            false => into.copy_from_slice(&arena[first..first + into.len()]),
        }
    }

    /// Sets elements of one arena, from `first` on.
    pub fn write(&mut self, of: StatePart, first: usize, values: &[f32]) {
        let elements = self.parameters.len();
        let second_moments = self.second_moments_len();
        if of == StatePart::Gradients {
            self.touched.iter_mut().for_each(|touched| touched.touch_nonzero(first, values));
        }
        let arena = match of {
            StatePart::Parameters => &mut Arc::make_mut(&mut self.parameters)[..],
            StatePart::FirstMoments => part(&mut self.first_moments, elements),
            StatePart::SecondMoments => part(&mut self.second_moments, second_moments),
            StatePart::Average => part(&mut self.average, elements),
            StatePart::Gradients => part(&mut self.gradients, elements),
        };
        let arena = &mut arena[first..first + values.len()];
        // Zeros that are not written take no memory.
        if arena.iter().zip(values).any(|(old, new)| old.to_bits() != new.to_bits()) {
            arena.copy_from_slice(values);
        }
    }
}

/// Returns an arena of this many elements, zero at first.
fn part(arena: &mut Vec<f32>, elements: usize) -> &mut [f32] {
    if arena.is_empty() {
        *arena = vec![0.0; elements];
    }
    arena
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of `golden/make_golden_blend.py`.
    #[test]
    fn the_average_is_that_of_the_reference() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../../../golden/blend.json")).unwrap();
        let golden = &golden["average"];
        let numbers = |name: &str| -> Vec<f64> { serde_json::from_value(golden[name].clone()).unwrap() };
        let tensor = Tensor { name: "weight".into(), shape: vec![1, 1], range: 0..1 };
        let (context, mut arena) = (Context::new(1), ParameterArena::new(vec![tensor], vec![9.0]));
        for (index, (parameter, average)) in numbers("parameters").into_iter().zip(numbers("averages")).enumerate() {
            arena.write(StatePart::Parameters, 0, &[parameter as f32]);
            arena.update_average(&context, golden["decay"].as_f64().unwrap(), index as u64 + 1);
            let mut ours = [0.0];
            arena.read(StatePart::Average, 0, &mut ours);
            assert!((f64::from(ours[0]) - average).abs() < 1e-6, "update {}: {} for {average}", index + 1, ours[0]);
        }
        arena.swap_average();
        arena.swap_average();
        assert_eq!(arena.parameters(), [*numbers("parameters").last().unwrap() as f32]);
    }
}
