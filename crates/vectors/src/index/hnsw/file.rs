//! The graph on disk, in the form of the store's files, and searched where it lies: a walk reads
//! the few pages that it comes by. A stamp identifies its rows, so that a graph of other rows is
//! not followed.

use super::copies::CopiesView;
use super::graph::{Graph, Kept, Reached};
use super::graph_file::{GraphFile, METRICS};
use super::links::{LinksView, NONE};
use crate::quantize::Ranges;
use crate::search::{MeasuredOn, Recall, is_distance};
use crate::store::{Disk, GRAPH, GRAPH_KINDS, Kind, SectionFile, SectionWriter, Store, StoreError, Writer, check_file};
use std::path::Path;
use std::sync::Mutex;

impl Graph {
    /// Writes the graph, taking the place of a file whole. `stamp` says of which rows it is.
    ///
    /// # Errors
    /// What the system refuses; a file that was there stays.
    pub fn save(&self, path: impl AsRef<Path>, stamp: u64) -> Result<(), StoreError> {
        let (path, disk) = (path.as_ref(), Disk::default());
        let net = self.net();
        let (links, codes) = (net.links, net.codes);
        let metric = METRICS.iter().position(|metric| *metric == self.metric).expect("all are listed");
        let meta = [
            self.rows() as u64,
            links.links as u64,
            self.prefix() as u64,
            metric as u64,
            u64::from(links.entry),
            stamp,
        ];
        let temporary = path.with_extension("new");
        let mut writer = SectionWriter::create(&disk, &temporary, Kind::Graph, meta)?;
        writer.section()?;
        writer.write(links.levels)?;
        for numbers in [links.ground, links.places, links.higher] {
            writer.section()?;
            numbers.chunks(4096).try_for_each(|numbers| writer.write(bytemuck::cast_slice(numbers)))?;
        }
        writer.section()?;
        writer.write(bytemuck::cast_slice(&codes.ranges.low))?;
        writer.write(bytemuck::cast_slice(&codes.ranges.high))?;
        writer.section()?;
        codes.data.chunks(1 << 14).try_for_each(|codes| writer.write(bytemuck::cast_slice(codes)))?;
        writer.section()?;
        codes.halves.chunks(4096).try_for_each(|halves| writer.write(bytemuck::cast_slice(halves)))?;
        writer.section()?;
        let on = self.measured_on.unwrap_or_default();
        for Reached { k, width, scored, recall } in &self.reached {
            let counts = [*k, *width, *scored, on.queries, on.perturbed].map(|count| count as f64);
            writer.write(bytemuck::cast_slice(&counts))?;
            writer.write(bytemuck::cast_slice(&[recall.mean, recall.at_least]))?;
        }
        let copies = self.copies();
        for numbers in [copies.places, copies.lists] {
            writer.section()?;
            numbers.chunks(4096).try_for_each(|numbers| writer.write(bytemuck::cast_slice(numbers)))?;
        }
        writer.finish()?;
        disk.rename(&temporary, path)?;
        disk.sync_folder(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))
    }

    /// Opens a graph, also of the form that an earlier version wrote. Its header, all lengths, and
    /// the small sections are checked, not its every byte: `check` does. What it says is never
    /// followed out of the corpus.
    ///
    /// # Errors
    /// No such file, or a damaged one (`Missing` and `Damaged` say so: build it again).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let file = SectionFile::open_any(path, &GRAPH_KINDS)?;
        let damaged = |what: &str| StoreError::damaged(path, what);
        let [rows, links, prefix, metric, entry, _] = *file.meta();
        let metric = *METRICS.get(metric as usize).ok_or_else(|| damaged("a metric that is unknown"))?;
        file.expect::<u8>(0, rows)?;
        file.expect::<u32>(1, rows.saturating_mul(2).saturating_mul(links))?;
        file.expect::<u32>(2, rows)?;
        file.expect::<f32>(4, prefix.saturating_mul(2))?;
        file.expect::<i8>(5, rows.saturating_mul(prefix))?;
        file.expect::<f32>(6, if is_distance(metric) { rows } else { 0 })?;
        if prefix == 0 || if rows == 0 { entry != u64::from(NONE) } else { entry >= rows } {
            return Err(damaged("its walks begin nowhere"));
        }
        for section in [1, 2, 3] {
            file.section::<u32>(section)?;
        }
        file.section::<i8>(5)?;
        file.section::<f32>(6)?;
        let (low, high) = file.section::<f32>(4)?.split_at(prefix as usize);
        let is_range = |(low, high): (&f32, &f32)| low <= high && (high - low).is_finite();
        if let Some(column) = low.iter().zip(high).position(|range| rows > 0 && !is_range(range)) {
            return Err(damaged(&format!("the range of column {column} is not finite")));
        }
        let ranges = Ranges { low: low.to_vec(), high: high.to_vec() };
        let is_old = file.kind() != Kind::Graph;
        if !is_old {
            let (places, lists) = (file.section::<u32>(8)?, file.section::<u32>(9)?);
            CopiesView { places, lists }.check(rows as usize).map_err(|what| damaged(&what))?;
        }
        let view = LinksView {
            links: links as usize,
            levels: file.section(0)?,
            ground: file.section(1)?,
            places: file.section(2)?,
            higher: file.section(3)?,
            entry: entry as u32,
        };
        view.check().map_err(damaged)?;
        let recalls = file.section::<f64>(7)?;
        if !recalls.iter().all(|number| number.is_finite() && *number >= 0.0) {
            return Err(damaged("a recall that is not finite or negative"));
        }
        let mut measured_on = None;
        let reached = match is_old {
            true => {
                let one = |of: &[f64]| {
                    let recall = Recall { mean: of[2], at_least: of[2] };
                    Reached { k: 10, width: of[0] as usize, scored: of[1] as usize, recall }
                };
                recalls.chunks_exact(3).map(one).collect()
            }
            false => {
                let one = |of: &[f64]| {
                    let [k, width, scored, queries, perturbed] = std::array::from_fn(|i| of[i] as usize);
                    measured_on = Some(MeasuredOn { queries, perturbed });
                    Reached { k, width, scored, recall: Recall { mean: of[5], at_least: of[6] } }
                };
                recalls.chunks_exact(7).map(one).collect()
            }
        };
        let kept = Kept::File(GraphFile { file, metric, steps: ranges.steps(), ranges });
        Ok(Self { metric, kept, reached, measured_on, is_old, scratches: Mutex::new(Vec::new()) })
    }

    /// Writes the graph into the store over whose first rows it was built.
    ///
    /// # Errors
    /// As `save`, and if a file of the store was changed meanwhile.
    ///
    /// # Panics
    /// If the store's rows are others; the writer's lock keeps them as they are.
    pub fn keep(&self, writer: &Writer) -> Result<(), StoreError> {
        let store = writer.store();
        let cut = store.cut(self.rows()).expect("the rows over which it was built");
        store.check_unchanged()?;
        self.save(store.folder().join(GRAPH), cut.stamp)
    }

    /// Opens the graph over a store's first rows. Returns `None` if there is no graph, or if its
    /// rows have been moved since.
    ///
    /// # Errors
    /// A damaged file.
    pub fn of(store: &Store) -> Result<Option<Self>, StoreError> {
        let graph = match Self::open(store.folder().join(GRAPH)) {
            Err(StoreError::Missing { .. }) => return Ok(None),
            graph => graph?,
        };
        let same = store.cut(graph.rows()).is_some_and(|cut| Some(cut.stamp) == graph.stamp());
        Ok(Some(graph).filter(|graph| same && graph.prefix() <= store.header().dims))
    }

    /// Checks that the graph's file, if it lies in one, was not written into or cut since it was
    /// opened; to be called before hits are used.
    ///
    /// # Errors
    /// If it was.
    pub fn check_unchanged(&self) -> Result<(), StoreError> {
        match &self.kept {
            Kept::Memory { .. } => Ok(()),
            Kept::File(file) => file.check_unchanged(),
        }
    }

    /// The stamp that it was saved with; none of a graph that was built and not opened.
    pub fn stamp(&self) -> Option<u64> {
        match &self.kept {
            Kept::Memory { .. } => None,
            Kept::File(file) => Some(file.file.meta()[5]),
        }
    }

    /// Reads every byte of a file and compares every checksum.
    ///
    /// # Errors
    /// No such file, or one that is not as it was written.
    pub fn check(path: impl AsRef<Path>) -> Result<(), StoreError> {
        check_file(path.as_ref(), &GRAPH_KINDS).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Hnsw, HnswSettings, Index};
    use crate::search::{Corpus, Metric, RecallTarget};
    use crate::testing::{bytes_of, embeddings};
    use maana_kernels::Context;
    use std::sync::Arc;

    #[test]
    fn what_was_saved_finds_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph");
        let context = Context::new(2);
        for rows in [0, 1, 700] {
            let matrix = embeddings(rows.max(1), 20, 6, 1);
            let corpus = Corpus::from(matrix.view().range(0..rows));
            let settings = HnswSettings { prefix: Some(12), links: 6, ..HnswSettings::default() };
            let mut built = Hnsw::build(&context, corpus.clone(), Metric::Cosine, &settings).unwrap();
            built.measure(&context, &RecallTarget::default()).unwrap();
            built.graph().save(&path, 5).unwrap();
            Graph::check(&path).unwrap();
            let opened = Arc::new(Graph::open(&path).unwrap());
            assert_eq!((opened.stamp(), built.graph().stamp()), (Some(5), None));
            assert_eq!((opened.rows(), opened.bytes(), opened.prefix()), (rows, built.graph().bytes(), 12));
            assert_eq!(opened.reached(), built.graph().reached());
            assert_eq!((opened.measured_on(), opened.is_old()), (built.graph().measured_on(), false));
            let opened = Hnsw::over(corpus, opened, &settings);
            let queries = embeddings(10, 20, 3, 9);
            let found = |graph: &Hnsw<'_>| bytes_of(&graph.search(&context, queries.view(), 5, None).unwrap());
            assert_eq!(found(&opened), found(&built));
        }
    }

    /// Writes a graph as an earlier version did: without what is said of copies.
    fn save_old(graph: &Graph, path: &Path) {
        let (disk, net) = (Disk::default(), graph.net());
        let (links, codes) = (net.links, net.codes);
        let meta = [graph.rows() as u64, links.links as u64, graph.prefix() as u64, 0, u64::from(links.entry), 5];
        let mut writer = SectionWriter::create(&disk, path, Kind::LinkedCopies, meta).unwrap();
        let lists = [links.ground, links.places, links.higher];
        let ranges = [codes.ranges.low.clone(), codes.ranges.high.clone()].concat();
        let recalls = [16.0f64, 2.0, 0.97, 24.0, 2.0, 0.995];
        let sections = std::iter::once(links.levels).chain(lists.map(bytemuck::cast_slice));
        let others =
            [bytemuck::cast_slice(&ranges), bytemuck::cast_slice(codes.data), &[], bytemuck::cast_slice(&recalls)];
        for section in sections.chain(others) {
            writer.section().unwrap();
            writer.write(section).unwrap();
        }
        writer.finish().unwrap();
    }

    #[test]
    fn what_an_earlier_version_wrote_is_walked_still() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph");
        let context = Context::new(1);
        let matrix = embeddings(300, 20, 6, 1);
        let corpus = Corpus::from(matrix.view());
        let built = Hnsw::build(&context, corpus.clone(), Metric::Cosine, &HnswSettings::default()).unwrap();
        save_old(built.graph(), &path);
        Graph::check(&path).unwrap();
        let opened = Graph::open(&path).unwrap();
        assert!(opened.is_old() && opened.measured_on().is_none() && opened.copied() == 0);
        assert_eq!(opened.width_for(10, 0.98).map(|reached| (reached.width, reached.scored)), Some((24, 2)));
        assert_eq!(opened.width_for(11, 0.5), None);
        let opened = Hnsw::over(corpus, Arc::new(opened), &HnswSettings::default());
        let found = |graph: &Hnsw<'_>| bytes_of(&graph.search(&context, matrix.view(), 5, None).unwrap());
        assert_eq!(found(&opened), found(&built));
    }

    #[test]
    fn ranges_that_are_not_finite_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph");
        let context = Context::new(1);
        let matrix = embeddings(50, 8, 2, 1);
        for bad in [f32::NAN, f32::INFINITY, 1e30] {
            let mut built =
                Hnsw::build(&context, matrix.view().into(), Metric::Cosine, &HnswSettings::default()).unwrap();
            let graph = Arc::get_mut(&mut built.graph).unwrap();
            let Kept::Memory { codes, .. } = &mut graph.kept else { unreachable!("it was built in memory") };
            codes.ranges.low[3] = bad;
            // However it came to be, a walk over it ends.
            built.search(&context, matrix.view(), 3, None).unwrap();
            built.graph().save(&path, 1).unwrap();
            let error = Graph::open(&path).err().unwrap().to_string();
            assert!(error.contains("the range of column 3"), "{error}");
        }
    }

    #[test]
    fn every_byte_is_checked_and_none_leads_out_of_the_graph() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph");
        let mut matrix = embeddings(40, 8, 2, 1);
        let copied = matrix.row(7).to_vec();
        (20..30).for_each(|row| matrix.row_mut(row).copy_from_slice(&copied));
        let corpus = Corpus::from(matrix.view());
        let context = Context::new(1);
        let settings = HnswSettings { links: 2, ..HnswSettings::default() };
        let built = Hnsw::build(&context, corpus.clone(), Metric::Cosine, &settings).unwrap();
        built.graph().save(&path, 1).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        for place in 0..bytes.len() {
            bytes[place] ^= 1 << (place % 8);
            std::fs::write(&path, &bytes).unwrap();
            assert!(Graph::check(&path).is_err(), "byte {place}");
            if let Ok(graph) = Graph::open(&path) {
                let hits = Hnsw::over(corpus.clone(), Arc::new(graph), &settings)
                    .search(&context, matrix.view(), 3, None)
                    .unwrap();
                assert!(hits.iter().flatten().all(|hit| hit.row < 40));
            }
            bytes[place] ^= 1 << (place % 8);
        }
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(matches!(Graph::open(&path), Err(StoreError::Damaged { .. })));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Graph::open(&path), Err(StoreError::Missing { .. })));
    }
}
