//! Gradients that a backward pass adds to: of all parameters, or of a few while the others are
//! frozen.

use std::ops::Range;

/// The memory of the gradients.
pub(crate) struct Gradients<'a> {
    values: &'a mut [f32],
    /// Where the gradients of the parameters lie that have any; none if all have, in the layout of
    /// the parameters.
    places: Option<&'a [GradientPlace]>,
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
    /// Returns gradients of all parameters, in their layout.
    pub(crate) fn of_all(values: &'a mut [f32]) -> Self {
        Self { values, places: None }
    }

    /// Returns gradients of the parameters that have a place.
    pub(crate) fn of_some(values: &'a mut [f32], places: &'a [GradientPlace]) -> Self {
        Self { values, places: Some(places) }
    }

    /// Returns the gradient of a parameter; none if it is frozen.
    pub(crate) fn of(&mut self, parameter: &Range<usize>) -> Option<&mut [f32]> {
        let range = self.place(parameter)?;
        Some(&mut self.values[range])
    }

    /// Returns the gradients of two parameters; none if one is frozen.
    pub(crate) fn of_both(&mut self, parameters: [&Range<usize>; 2]) -> Option<[&mut [f32]; 2]> {
        let [first, second] = parameters.map(|parameter| self.place(parameter));
        Some(self.values.get_disjoint_mut([first?, second?]).expect("parameters do not overlap"))
    }

    fn place(&self, parameter: &Range<usize>) -> Option<Range<usize>> {
        let Some(places) = self.places else { return Some(parameter.clone()) };
        places.iter().find(|place| place.parameter == *parameter).map(|place| place.gradient.clone())
    }
}
