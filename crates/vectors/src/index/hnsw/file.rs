//! The graph on disk, in the form of the store's files. Only links are kept: the prefixes are read from the corpus again. A
//! stamp says of which rows it is, so that a graph of others is told and not followed.

use super::{Hnsw, Links, NONE, Prefixes};
use crate::search::{Corpus, Metric};
use crate::store::{Disk, Kind, SectionFile, SectionWriter, StoreError, check_file};
use maana_kernels::Pool;
use std::path::Path;
use std::sync::Mutex;

const METRICS: [Metric; 4] = [Metric::Cosine, Metric::Dot, Metric::Euclidean, Metric::Manhattan];

impl<'a> Hnsw<'a> {
    /// Writes the graph, taking the place of a file whole. `stamp` says of which rows it is, as `Store::stamp`.
    ///
    /// # Errors
    /// What the system refuses; a file that was there stays.
    pub fn save(&self, path: impl AsRef<Path>, stamp: u64) -> Result<(), StoreError> {
        let (path, disk) = (path.as_ref(), Disk::default());
        let links = &self.links;
        let metric = METRICS.iter().position(|metric| *metric == self.prefixes.metric).expect("all are listed");
        let meta = [
            self.corpus.rows() as u64,
            links.links as u64,
            self.prefix() as u64,
            metric as u64,
            u64::from(links.entry),
            stamp,
        ];
        let temporary = path.with_extension("new");
        let mut writer = SectionWriter::create(&disk, &temporary, Kind::Graph, meta)?;
        writer.section()?;
        writer.write(&links.levels)?;
        for numbers in [&links.ground, &links.places, &links.higher] {
            writer.section()?;
            numbers.chunks(4096).try_for_each(|numbers| writer.write(bytemuck::cast_slice(numbers)))?;
        }
        writer.finish()?;
        disk.rename(&temporary, path)?;
        disk.sync_folder(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))
    }

    /// Reads a graph of the corpus, every byte of it checked.
    ///
    /// # Errors
    /// No such file, a damaged one, or one of other rows (`Missing` and `Damaged` say so: build it again).
    pub fn load(
        pool: &Pool,
        path: impl AsRef<Path>,
        corpus: Corpus<'a>,
        stamp: u64,
        width: usize,
    ) -> Result<Self, StoreError> {
        let path = path.as_ref();
        check_file(path, Kind::Graph)?;
        let file = SectionFile::open(path, Kind::Graph)?;
        let damaged = |what: &str| StoreError::damaged(path, what);
        let [rows, count, prefix, metric, entry, own] = *file.meta();
        if own != stamp || rows != corpus.rows() as u64 || prefix > corpus.columns() as u64 || prefix == 0 {
            return Err(damaged("it is a graph of other rows"));
        }
        let metric = *METRICS.get(metric as usize).ok_or_else(|| damaged("a metric that is unknown"))?;
        file.expect::<u32>(1, rows.saturating_mul(2).saturating_mul(count))?;
        file.expect::<u8>(0, rows)?;
        file.expect::<u32>(2, rows)?;
        let links = Links {
            links: count as usize,
            levels: file.section::<u8>(0)?.to_vec(),
            ground: file.section::<u32>(1)?.to_vec(),
            places: file.section::<u32>(2)?.to_vec(),
            higher: file.section::<u32>(3)?.to_vec(),
            entry: entry as u32,
        };
        if !whole(&links, rows as usize) {
            return Err(damaged("links that lead nowhere"));
        }
        let prefixes = Prefixes::of(pool, &corpus, metric, prefix as usize);
        Ok(Self { corpus, prefixes, links, width, scratches: Mutex::new(Vec::new()) })
    }
}

/// Whether no walk can leave the graph.
fn whole(links: &Links, rows: usize) -> bool {
    let inside = |row: &u32| *row == NONE || (*row as usize) < rows;
    let entry = if rows == 0 { links.entry == NONE } else { (links.entry as usize) < rows };
    let place = |(level, place): (&u8, &u32)| {
        *level == 0 || (*place as usize + usize::from(*level)) * links.links <= links.higher.len()
    };
    let reached = |row: u32| {
        let levels = usize::from(links.levels[row as usize]);
        (1..=levels)
            .all(|level| links.of(row, level).iter().all(|other| usize::from(links.levels[*other as usize]) >= level))
    };
    entry
        && links.ground.iter().all(inside)
        && links.higher.iter().all(inside)
        && links.levels.iter().zip(&links.places).all(place)
        && (0..rows as u32).all(reached)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{HnswSettings, Index};
    use crate::testing::{bytes_of, embeddings};

    #[test]
    fn what_was_saved_finds_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph");
        let pool = Pool::new(2);
        for rows in [0, 1, 700] {
            let matrix = embeddings(rows.max(1), 20, 6, 1);
            let corpus = Corpus::from(matrix.view().range(0..rows));
            let settings = HnswSettings { prefix: Some(12), links: 6, ..HnswSettings::default() };
            let graph = Hnsw::build(&pool, corpus.clone(), Metric::Cosine, &settings).unwrap();
            graph.save(&path, 5).unwrap();
            let loaded = Hnsw::load(&pool, &path, corpus.clone(), 5, graph.width).unwrap();
            assert_eq!(loaded.links, graph.links);
            assert_eq!((loaded.bytes(), loaded.prefix()), (graph.bytes(), 12));
            let queries = embeddings(10, 20, 3, 9);
            let found = |graph: &Hnsw<'_>| bytes_of(&graph.search(&pool, queries.view(), 5, None).unwrap());
            assert_eq!(found(&loaded), found(&graph));
            let other = Hnsw::load(&pool, &path, corpus, 6, 10).map(|_| ()).unwrap_err().to_string();
            assert!(other.contains("graph of other rows"), "{other}");
        }
    }

    #[test]
    fn every_byte_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph");
        let matrix = embeddings(40, 8, 2, 1);
        let corpus = Corpus::from(matrix.view());
        let pool = Pool::new(1);
        let settings = HnswSettings { links: 2, ..HnswSettings::default() };
        Hnsw::build(&pool, corpus.clone(), Metric::Cosine, &settings).unwrap().save(&path, 1).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        for place in 0..bytes.len() {
            bytes[place] ^= 1 << (place % 8);
            std::fs::write(&path, &bytes).unwrap();
            assert!(Hnsw::load(&pool, &path, corpus.clone(), 1, 10).is_err(), "byte {place}");
            bytes[place] ^= 1 << (place % 8);
        }
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(matches!(Hnsw::load(&pool, &path, corpus.clone(), 1, 10), Err(StoreError::Damaged { .. })));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Hnsw::load(&pool, &path, corpus, 1, 10), Err(StoreError::Missing { .. })));
    }
}
