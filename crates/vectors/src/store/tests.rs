//! The store against a list in memory, against a disk that fails, and against damage.

mod damage;
mod faults;
mod model;

use super::{Disk, Document, Store, StoreHeader, Stored, Writer};
use crate::index::{Graph, Hnsw, HnswSettings, Index};
use crate::random::Random;
use crate::search::{Metric, Search, search};
use crate::testing::bytes_of;
use maana_kernels::{Context, Matrix, Rows, from_bf16, to_bf16};
use std::path::Path;
use std::sync::Arc;

const DIMS: usize = 3;

fn header(stored: Stored) -> StoreHeader {
    StoreHeader::new(DIMS, Metric::Cosine, stored, &[1, 2, 0xFF], "a model")
}

/// Without waiting for the disk: these tests kill no machine.
fn fast() -> Disk {
    Disk { unsynced: true, ..Disk::default() }
}

/// Expected content of a store: documents in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    documents: Vec<(String, Vec<f32>, Vec<u8>)>,
}

/// A change.
#[derive(Clone, Debug)]
enum Operation {
    Add(Vec<(String, Vec<f32>, Vec<u8>)>),
    Delete(Vec<String>),
    Compact,
}

impl Operation {
    /// Ids from a small set, so that they meet.
    fn random(random: &mut Random) -> Self {
        let id = |random: &mut Random| format!("id {}", random.below(60));
        match random.below(10) {
            0..6 => {
                let mut documents: Vec<(String, Vec<f32>, Vec<u8>)> = Vec::new();
                for _ in 0..random.below(6) {
                    let id = id(random);
                    if documents.iter().all(|(other, ..)| *other != id) {
                        let vector = (0..DIMS).map(|_| random.below(9) as f32 - 4.0).collect();
                        let payload = (0..random.below(20)).map(|_| random.below(256) as u8).collect();
                        documents.push((id, vector, payload));
                    }
                }
                Operation::Add(documents)
            }
            6..9 => Operation::Delete((0..random.below(8)).map(|_| id(random)).collect()),
            _ => Operation::Compact,
        }
    }

    fn apply(&self, writer: &mut Writer) -> Result<(), super::StoreError> {
        match self {
            Operation::Add(documents) => {
                let beside: Vec<Document<'_>> =
                    documents.iter().map(|(id, _, payload)| Document { id, payload }).collect();
                let vectors = documents.iter().flat_map(|(_, vector, _)| vector.iter().copied()).collect();
                let vectors = Matrix::from_vec(documents.len(), DIMS, vectors);
                writer.add(&beside, vectors.view()).map(|_| ())
            }
            Operation::Delete(ids) => {
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                writer.delete(&ids).map(|_| ())
            }
            Operation::Compact => writer.compact().map(|_| ()),
        }
    }
}

impl Model {
    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Add(documents) => {
                self.documents.retain(|(id, ..)| documents.iter().all(|(new, ..)| new != id));
                self.documents.extend(documents.iter().cloned());
            }
            Operation::Delete(ids) => self.documents.retain(|(id, ..)| !ids.contains(id)),
            Operation::Compact => {}
        }
    }

    /// Returns the content of a store.
    fn of(store: &Store) -> Self {
        let corpus = store.corpus();
        let document = |row: usize| {
            let mut vector = vec![0.0; DIMS];
            corpus.copy_row(row, &mut vector);
            let document = store.document(row).unwrap();
            (document.id.to_owned(), vector, document.payload.to_vec())
        };
        Self { documents: store.rows().map(document).collect() }
    }

    fn at(folder: &Path) -> Self {
        Self::of(&Store::open(folder).unwrap())
    }

    /// Checks that every query has this model's answer.
    fn check(&self, store: &Store, random: &mut Random) {
        assert_eq!(Model::of(store), *self);
        assert_eq!((store.len(), store.is_empty()), (self.documents.len(), self.documents.is_empty()));
        let row_of = |id: &str| store.find(id).unwrap().map(|row| store.document(row).unwrap().id.to_owned());
        for number in 0..60 {
            let id = format!("id {number}");
            let there = self.documents.iter().any(|(other, ..)| *other == id);
            assert_eq!(row_of(&id), there.then_some(id));
        }
        let data = self.documents.iter().flat_map(|(_, vector, _)| vector.iter().copied()).collect();
        let matrix = Matrix::from_vec(self.documents.len(), DIMS, data);
        let query = Matrix::from_vec(1, DIMS, (0..DIMS).map(|_| random.below(9) as f32 - 4.0).collect());
        let settings = Search { k: random.below(70), ..Search::default() };
        let context = Context::new(1);
        let expected = search(&context, &matrix.view().into(), query.view(), &settings).unwrap();
        let mut found = store.search(&context, query.view(), &settings).unwrap();
        let live: Vec<usize> = store.rows().collect();
        found[0].iter_mut().for_each(|hit| hit.row = live.binary_search(&hit.row).unwrap());
        assert_eq!(bytes_of(&found), bytes_of(&expected));
    }
}

#[test]
fn half_the_room_for_half_the_bits() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create_on(fast(), folder.path(), header(Stored::Bf16)).unwrap();
    let vectors = crate::testing::noise(10 * DIMS, 1);
    let ids: Vec<String> = (0..10).map(|i| i.to_string()).collect();
    let documents: Vec<Document<'_>> = ids.iter().map(|id| Document { id, payload: b"" }).collect();
    writer.add(&documents, Matrix::from_vec(10, DIMS, vectors.clone()).view()).unwrap();
    let expected: Vec<f32> = vectors.iter().map(|value| from_bf16(to_bf16(*value))).collect();
    let stored: Vec<f32> = Model::of(writer.store()).documents.into_iter().flat_map(|(_, vector, _)| vector).collect();
    assert_eq!(stored, expected);
    let huge = Matrix::from_vec(1, DIMS, vec![1.0, f32::MAX, 0.0]);
    let error = writer.add(&documents[..1], huge.view()).unwrap_err();
    assert!(error.to_string().contains("column 1 is inf"), "{error}");
}

/// A store of 500 documents in one segment, with a graph.
fn with_graph(folder: &Path) -> Writer {
    let mut writer = Writer::create_on(fast(), folder, header(Stored::F32)).unwrap();
    let vectors = Matrix::from_vec(500, DIMS, crate::testing::noise(500 * DIMS, 3));
    let ids: Vec<String> = (0..500).map(|i| i.to_string()).collect();
    let documents: Vec<Document<'_>> =
        ids.iter().map(|id| Document { id, payload: b"a text that can be damaged" }).collect();
    writer.add(&documents, vectors.view()).unwrap();
    let settings = HnswSettings::default();
    let built = Hnsw::build(&Context::new(1), writer.store().corpus(), Metric::Cosine, &settings).unwrap();
    built.graph().keep(&writer).unwrap();
    writer
}

#[test]
fn files_that_are_cut_or_written_while_mapped_are_an_error() {
    let context = Context::new(2);
    let query = Matrix::from_vec(1, DIMS, vec![1.0; DIMS]);
    for cut in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = with_graph(folder.path());
        let (store, graph) = (Store::open(folder.path()).unwrap(), Graph::of(writer.store()).unwrap().unwrap());
        let search = || store.search(&context, query.view(), &Search::default());
        search().unwrap();
        for name in ["segment-00000001", "graph"] {
            let path = folder.path().join(name);
            let earlier = std::fs::metadata(&path).unwrap().modified().unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            match cut {
                true => file.set_len(100).unwrap(),
                false => file.set_modified(earlier + std::time::Duration::from_millis(1)).unwrap(),
            }
        }
        let walk = Hnsw::over(store.corpus(), Arc::new(graph), &HnswSettings::default());
        walk.search(&context, query.view(), 5, None).unwrap();
        let errors = [
            search().unwrap_err(),
            walk.graph().check_unchanged().unwrap_err(),
            writer.delete(&["3"]).unwrap_err(),
            writer.add(&[Document { id: "new", payload: b"" }], query.view()).unwrap_err(),
        ];
        for error in errors {
            assert!(maana_files::FileChanged::caused(&error), "{error}");
        }
    }
}

#[test]
fn damaged_texts_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    drop(with_graph(folder.path()));
    let path = folder.path().join("segment-00000001");
    let mut bytes = std::fs::read(&path).unwrap();
    let text = b"a text that can be damaged";
    let last = bytes.windows(text.len()).rposition(|window| window == text).unwrap();
    bytes[last] = b'A';
    std::fs::write(&path, bytes).unwrap();
    let store = Store::open(folder.path()).unwrap();
    for row in [0, 499, 0] {
        let error = store.document(row).unwrap_err().to_string();
        assert!(error.contains("the checksum of the section `ids and payloads` is wrong"), "{error}");
    }
}
