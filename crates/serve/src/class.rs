//! Classes of requests.

/// Urgency of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// A person, or a program that asks for one.
    Interactive,
    /// A program with many texts.
    Bulk,
}

impl Class {
    /// Returns the class of a request that does not name one, by its number of texts.
    pub(crate) fn of_texts(texts: usize) -> Self {
        const FEW_TEXTS: usize = 8;
        if texts <= FEW_TEXTS { Self::Interactive } else { Self::Bulk }
    }
}
