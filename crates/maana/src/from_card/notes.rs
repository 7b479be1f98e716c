//! Notes on what a recipe does not reproduce.

/// Notes, each once.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<String>);

impl Notes {
    /// Adds a note.
    pub(super) fn add(&mut self, note: String) {
        if !self.0.contains(&note) {
            self.0.push(note);
        }
    }

    /// Returns all notes in order.
    pub(super) fn into_list(self) -> Vec<String> {
        self.0
    }
}
