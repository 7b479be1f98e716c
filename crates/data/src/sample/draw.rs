//! The interface of samplers that may share a generator.

use super::Mt19937;

/// The batches of one epoch of one set.
pub(crate) trait Draw {
    /// Draws the next batch. Samplers of several sets share the generator, as in the reference, so
    /// that their order decides what each draws. A sampler that has ended draws nothing more.
    fn draw(&mut self, generator: &mut Mt19937) -> Option<Vec<u32>>;
}

/// Draws all batches of an epoch whose sampler shares its generator with no other.
#[cfg(test)]
pub(super) fn drawn(mut sampler: impl Draw, order: super::Order) -> Vec<Vec<u32>> {
    let mut generator = order.generator();
    std::iter::from_fn(|| sampler.draw(&mut generator)).collect()
}
