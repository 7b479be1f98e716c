//! A limit on something that requests take and give back, such as bytes of memory.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Units are counted in these, because a semaphore has fewer permits than there are bytes.
const UNIT: usize = 1024;

/// A limit on what is held at the same time.
#[derive(Clone)]
pub(crate) struct Budget {
    semaphore: Arc<Semaphore>,
    total: u32,
}

/// A part of a budget, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    permit: OwnedSemaphorePermit,
}

impl Budget {
    /// Creates a budget of `total` bytes.
    pub(crate) fn new(total: usize) -> Self {
        let total = u32::try_from(total / UNIT).unwrap_or(u32::MAX).clamp(1, Semaphore::MAX_PERMITS as u32);
        Self { semaphore: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Takes `bytes` if they are free. More than the whole budget takes all of it, so that such a
    /// request is served when nothing else is.
    pub(crate) fn take(&self, bytes: usize) -> Option<Share> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.total);
        let permit = Arc::clone(&self.semaphore).try_acquire_many_owned(units).ok()?;
        Some(Share { permit })
    }
}

impl Share {
    /// Adds a share of the same budget.
    pub(crate) fn merge(&mut self, other: Self) {
        self.permit.merge(other.permit);
    }

    /// Gives back all but `bytes`.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let units = bytes.div_ceil(UNIT).max(1);
        let excess = self.permit.num_permits().saturating_sub(units);
        drop(self.permit.split(excess));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_given_back_and_a_large_one_takes_everything() {
        let budget = Budget::new(10 * UNIT);
        let mut first = budget.take(6 * UNIT).unwrap();
        assert!(budget.take(5 * UNIT).is_none());
        first.shrink(UNIT);
        first.merge(budget.take(1).unwrap());
        let second = budget.take(8 * UNIT).unwrap();
        assert!(budget.take(1).is_none());
        drop((first, second));
        let large = budget.take(usize::MAX).unwrap();
        assert!(budget.take(0).is_none());
        drop(large);
        assert!(budget.take(10 * UNIT).is_some());
    }
}
