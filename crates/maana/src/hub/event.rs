//! Events while a model is located, fetched or pushed.

/// An event while a model is located, fetched or pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HubEvent<'a> {
    /// A sentence for the user: the source of a download, or an assumption.
    Notice(&'a str),
    /// Progress of a transfer, a few times per second.
    Progress {
        /// Bytes that have been transferred.
        done: u64,
        /// Bytes of all files.
        total: u64,
    },
}

/// Receives events.
pub type EventHandler<'a> = dyn FnMut(HubEvent<'_>) + 'a;
