//! A store of documents whose reads fail now and then.

use super::Simulation;
use maana::kernels::{Context, Matrix};
use maana::search::{Answers, Content, Description, Found, ReadStore, SearchError, SearchOptions, SearchStrategy};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The store.
pub(super) struct FailingStore {
    pub(super) system: Arc<Simulation>,
}

fn failure() -> SearchError {
    SearchError::Foreign { id: "a document whose read fails".into() }
}

impl FailingStore {
    fn read<T>(&self, value: T) -> Result<T, SearchError> {
        if self.system.once_in(4) { Err(failure()) } else { Ok(value) }
    }
}

impl ReadStore for FailingStore {
    fn dims(&self) -> usize {
        64
    }

    fn made_by(&self) -> &str {
        "tiny"
    }

    fn precision(&self) -> Option<&str> {
        None
    }

    fn document_prompt(&self) -> Option<&str> {
        None
    }

    fn expect_fingerprint(&self, _: &[u8], _: &str) -> Result<(), SearchError> {
        Ok(())
    }

    fn documents(&self) -> Result<usize, SearchError> {
        self.read(3)
    }

    fn fields(&self) -> Result<Vec<String>, SearchError> {
        self.read(Vec::new())
    }

    fn reopened(&self) -> Result<Option<Box<dyn ReadStore>>, SearchError> {
        let changed = self.system.once_in(3);
        self.read(changed.then(|| Box::new(Self { system: Arc::clone(&self.system) }) as Box<dyn ReadStore>))
    }

    fn expect_fields(&self, _: &[(String, String)]) -> Result<(), SearchError> {
        self.read(())
    }

    fn nearest(
        &self,
        _: &Context,
        queries: &[&str],
        _: &Matrix,
        options: &SearchOptions,
    ) -> Result<Answers, SearchError> {
        assert!(!self.system.once_in(20), "a panic of the store");
        let content = Content { text: "a text ".repeat(200), fields: BTreeMap::new() };
        let found = |number: usize| Found {
            id: number.to_string(),
            score: 0.5,
            content: content.clone(),
            scores: BTreeMap::new(),
        };
        let hits = queries.iter().map(|_| (0..options.k).map(found).collect()).collect();
        self.read(Answers { hits, strategy: SearchStrategy::Exact })
    }

    fn describe(&self) -> Result<Description, SearchError> {
        Err(failure())
    }
}
