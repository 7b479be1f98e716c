//! Rotary positions of queries and keys (Su et al. 2021, arXiv:2104.09864). Layers of one base
//! share the tables, which grow to the longest text.

use maana_kernels::RotaryTables;
use std::sync::{Arc, Mutex};

/// Rotary positions with one base.
pub(crate) struct RotaryPositions {
    tables: Mutex<Arc<RotaryTables>>,
    /// The most tokens of a text.
    longest: usize,
}

impl RotaryPositions {
    /// Returns the positions of texts of at most `longest` tokens. Takes no memory before the first
    /// text.
    pub(crate) fn new(theta: f64, head_dim: usize, longest: usize) -> Self {
        Self { tables: Mutex::new(Arc::new(RotaryTables::new(theta, head_dim))), longest }
    }

    /// Returns tables that hold at least the positions of a text of `length` tokens.
    ///
    /// # Panics
    /// If the encoder has fewer positions.
    pub(crate) fn tables(&self, length: usize) -> Arc<RotaryTables> {
        assert!(length <= self.longest, "{length} tokens, but only {} positions", self.longest);
        // Tables are replaced whole: a panic leaves none that is incomplete.
        let mut tables = self.tables.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if tables.positions() < length {
            let mut longer = RotaryTables::clone(&tables);
            longer.extend(length.next_power_of_two().min(self.longest));
            *tables = Arc::new(longer);
        }
        Arc::clone(&tables)
    }
}
