//! The properties of a request that do not depend on its route.

use crate::budget::Share;
use crate::class::Class;
use std::time::Instant;

/// Urgency, arrival and memory of a request.
pub(crate) struct Origin {
    pub(crate) class: Class,
    pub(crate) arrival: Instant,
    /// Memory of the body, whose texts the fields hold.
    _memory: Share,
}

impl Origin {
    /// Creates the properties of a request whose body takes `memory`.
    pub(crate) fn new(class: Class, arrival: Instant, memory: Share) -> Self {
        Self { class, arrival, _memory: memory }
    }
}
