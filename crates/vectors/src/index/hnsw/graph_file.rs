//! Sections of a graph's file as the walk reads them.

use super::copies::CopiesView;
use super::links::LinksView;
use crate::quantize::Ranges;
use crate::search::{CodesView, Metric};
use crate::store::{Kind, SectionFile, StoreError};

/// Metrics by their numbers in a file.
pub(super) const METRICS: [Metric; 4] = [Metric::Cosine, Metric::Dot, Metric::Euclidean, Metric::Manhattan];

/// A mapped file of which all lengths are as they should be.
pub(super) struct GraphFile {
    pub(super) file: SectionFile,
    pub(super) metric: Metric,
    pub(super) ranges: Ranges,
    pub(super) steps: Vec<f32>,
}

impl GraphFile {
    pub(super) fn links(&self) -> LinksView<'_> {
        let [_, links, _, _, entry, _] = *self.file.meta();
        LinksView {
            links: links as usize,
            levels: self.numbers(0),
            ground: self.numbers(1),
            places: self.numbers(2),
            higher: self.numbers(3),
            entry: entry as u32,
        }
    }

    pub(super) fn codes(&self) -> CodesView<'_> {
        let (data, halves) = (self.numbers(5), self.numbers(6));
        CodesView { metric: self.metric, ranges: &self.ranges, steps: &self.steps, data, halves }
    }

    pub(super) fn copies(&self) -> CopiesView<'_> {
        match self.file.kind() {
            Kind::Graph => CopiesView { places: self.numbers(8), lists: self.numbers(9) },
            _ => CopiesView::default(),
        }
    }

    pub(super) fn check_unchanged(&self) -> Result<(), StoreError> {
        self.file.check_unchanged()
    }

    fn numbers<T: bytemuck::AnyBitPattern>(&self, section: usize) -> &[T] {
        self.file.section(section).expect("`open` has read it")
    }
}
