//! The trait of all genres.

use crate::random::Choices;

/// The facts of one genre.
pub(crate) trait Facts: Clone {
    /// How many facts can be changed one by one.
    const FACETS: usize;

    /// Facts drawn by `choices`.
    fn draw(choices: Choices) -> Self;

    /// Draws fact `facet` anew, which may leave it as it was, and nothing else.
    fn redraw(&mut self, facet: usize, choices: Choices);

    /// What the scene is essentially about; scenes that share it belong to the same split.
    fn essence(&self) -> String;
}
