//! Gradients that a backward pass adds to: of all parameters, or of some while the others are
//! frozen.

use std::ops::Range;

/// The memory of the gradients. Those of frozen parameters stay zero.
pub struct Gradients<'a> {
    values: &'a mut [f32],
    /// Where the gradients of the parameters lie that have any; none if they lie in the layout of
    /// the parameters.
    places: Option<&'a [GradientPlace]>,
    /// Ascending ranges of frozen parameters, in that layout.
    frozen: &'a [Range<usize>],
    /// Frozen parts of the ranges that were handed out; they are cleared at the end.
    spilled: Vec<Range<usize>>,
}

/// The place of a parameter's gradient, if only some parameters have one.
#[derive(Clone, Debug)]
pub(crate) struct GradientPlace {
    /// The parameter's range in its arena.
    pub(crate) parameter: Range<usize>,
    /// The range of its gradient.
    pub(crate) gradient: Range<usize>,
}

impl<'a> Gradients<'a> {
    /// Returns gradients in the layout of the parameters, of which some ranges are frozen.
    pub(crate) fn except(values: &'a mut [f32], frozen: &'a [Range<usize>]) -> Self {
        Self { values, places: None, frozen, spilled: Vec::new() }
    }

    /// Returns gradients of the parameters that have a place.
    pub(crate) fn of_some(values: &'a mut [f32], places: &'a [GradientPlace]) -> Self {
        Self { values, places: Some(places), frozen: &[], spilled: Vec::new() }
    }

    /// Returns true unless all parameters of a range are frozen.
    pub fn trains(&self, range: &Range<usize>) -> bool {
        match self.places {
            Some(places) => places.iter().any(|place| overlap(&place.parameter, range)),
            None => !self.overlapping(range).any(|part| part == *range),
        }
    }

    /// Returns the gradient of a parameter, to be added to; none if it is frozen.
    pub fn of(&mut self, parameter: &Range<usize>) -> Option<&mut [f32]> {
        let range = self.place(parameter)?;
        Some(&mut self.values[range])
    }

    /// Returns the gradients of γ and, if there is one, β of a LayerNorm; none if all are frozen.
    pub(crate) fn of_norm(
        &mut self,
        gamma: &Range<usize>,
        beta: Option<&Range<usize>>,
    ) -> Option<(&mut [f32], Option<&mut [f32]>)> {
        match beta {
            Some(beta) => self.of_both([gamma, beta]).map(|[gamma, beta]| (gamma, Some(beta))),
            None => self.of(gamma).map(|gamma| (gamma, None)),
        }
    }

    /// Returns the gradients of two parameters; none if both are frozen.
    fn of_both(&mut self, parameters: [&Range<usize>; 2]) -> Option<[&mut [f32]; 2]> {
        let ranges = match self.places {
            Some(_) => {
                let [first, second] = parameters.map(|parameter| self.place(parameter));
                [first?, second?]
            }
            None if parameters.iter().any(|parameter| self.trains(parameter)) => {
                parameters.iter().for_each(|parameter| self.spill(parameter));
                parameters.map(Clone::clone)
            }
            None => return None,
        };
        Some(self.values.get_disjoint_mut(ranges).expect("parameters do not overlap"))
    }

    fn place(&mut self, parameter: &Range<usize>) -> Option<Range<usize>> {
        if let Some(places) = self.places {
            return places.iter().find(|place| place.parameter == *parameter).map(|place| place.gradient.clone());
        }
        self.trains(parameter).then(|| {
            self.spill(parameter);
            parameter.clone()
        })
    }

    /// Notes the frozen part of a range that is handed out.
    fn spill(&mut self, range: &Range<usize>) {
        let parts = self.overlapping(range);
        self.spilled.extend(parts);
    }

    /// The frozen parts of a range.
    fn overlapping(&self, range: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<'a> {
        let range = range.clone();
        let first = self.frozen.partition_point(|frozen| frozen.end <= range.start);
        let from = self.frozen[first..].iter().take_while({
            let end = range.end;
            move |frozen| frozen.start < end
        });
        from.map(move |frozen| frozen.start.max(range.start)..frozen.end.min(range.end))
    }
}

/// Returns true if two ranges share an element.
pub(crate) fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

impl Drop for Gradients<'_> {
    fn drop(&mut self) {
        for range in &self.spilled {
            self.values[range.clone()].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_of_frozen_parameters_stay_zero() {
        let mut values = vec![0.0; 10];
        let frozen = [2..4, 6..9];
        let mut gradients = Gradients::except(&mut values, &frozen);
        assert!(gradients.of(&(2..4)).is_none() && gradients.of(&(7..8)).is_none());
        assert!(gradients.trains(&(0..2)) && gradients.trains(&(8..10)) && !gradients.trains(&(6..9)));
        gradients.of(&(0..7)).unwrap().fill(1.0);
        assert!(gradients.of_both([&(2..3), &(6..8)]).is_none());
        let [first, second] = gradients.of_both([&(6..8), &(9..10)]).unwrap();
        first.fill(2.0);
        second.fill(3.0);
        drop(gradients);
        assert_eq!(values, [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 3.0]);
    }

    #[test]
    fn parameters_without_a_place_are_frozen() {
        let mut values = vec![0.0; 3];
        let places = [GradientPlace { parameter: 4..7, gradient: 0..3 }];
        let mut gradients = Gradients::of_some(&mut values, &places);
        assert!(gradients.trains(&(0..5)) && !gradients.trains(&(0..4)) && !gradients.trains(&(7..9)));
        assert!(gradients.of(&(0..4)).is_none() && gradients.of_both([&(4..7), &(7..9)]).is_none());
        gradients.of(&(4..7)).unwrap().fill(1.0);
        drop(gradients);
        assert_eq!(values, [1.0; 3]);
    }
}
