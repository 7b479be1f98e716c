//! Routes of a model with several towers (Sentence Transformers: `Router`, before version 5
//! `Asym`): the role of a text chooses the modules that embed it.

use crate::similarity::Role;

/// The towers of the roles, by number. Texts without a role go to tower 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Router {
    /// Names of the routes, one for each tower.
    pub(crate) routes: Vec<String>,
    pub(crate) query: usize,
    pub(crate) document: usize,
    /// True if texts without a role have a tower.
    pub(crate) has_default: bool,
}

impl Router {
    /// Returns the tower of texts of a role.
    pub(crate) fn tower(&self, role: Role) -> usize {
        match role {
            Role::Query => self.query,
            Role::Document => self.document,
        }
    }
}
