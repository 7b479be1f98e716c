//! The trait of all genres.

use crate::random::Choices;

/// The facts of one genre.
pub(crate) trait Facts: Clone {
    /// Number of facts that can be changed one by one.
    const FACETS: usize;

    /// Facts drawn by `choices`.
    fn draw(choices: Choices) -> Self;

    /// Draws fact `facet` anew, which may leave it as it was, and nothing else.
    fn redraw(&mut self, facet: usize, choices: Choices);

    /// Returns the subject of the scene; scenes with the same subject belong to the same split.
    fn essence(&self) -> String;
}
