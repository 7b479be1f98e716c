//! The store: a directory of write-once, checksummed, memory-mapped segments, and a manifest that
//! is replaced whole. One `Writer` at a time; any number of `Store`s, each a whole state that no
//! later change touches. What a call of the writer has returned for is on the disk. Ids are
//! strings, payloads opaque bytes, the maker of the vectors a fingerprint.
//!
//! On disk: `manifest` (text: version, checksum, JSON), `segment-N` (vectors, ids, payloads, an
//! index of ids), `dead-N` (a bit for each deleted row of a segment), `lock`, and `graph` where
//! there is an index over the vectors. Files that the manifest does not name are leftovers; the
//! next writer removes them.
//!
//! ```
//! use maana_kernels::{Context, Rows};
//! use maana_vectors::search::{Metric, Search};
//! use maana_vectors::store::{Document, Store, StoreHeader, Stored, Writer};
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("store");
//! let header =
//!     StoreHeader::new(2, Metric::Cosine, Stored::F32, b"fingerprint", "all-MiniLM-L6-v2");
//! let mut writer = Writer::create(&path, header).unwrap();
//! let documents =
//!     [Document { id: "a", payload: b"habari" }, Document { id: "b", payload: b"asante" }];
//! writer.add(&documents, Rows::new(&[1.0, 0.0, 0.0, 1.0], 2, 2, 2)).unwrap();
//! writer.delete(&["a"]).unwrap();
//!
//! let store = Store::open(&path).unwrap();
//! let query = Rows::new(&[0.1, 1.0], 1, 2, 2);
//! let hits = store.search(&Context::new(1), query, &Search::default()).unwrap();
//! assert_eq!(store.document(hits[0][0].row).unwrap().payload, b"asante");
//! ```

mod disk;
mod error;
mod manifest;
mod names;
mod salvage;
mod sections;
mod segment;
mod snapshot;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use disk::Disk;
pub use error::{StoreError, expect_maker};
pub use manifest::{StoreHeader, Stored};
pub(crate) use names::GRAPH;
pub use salvage::{Salvaged, SegmentDamage, salvage};
pub(crate) use sections::{GRAPH_KINDS, Kind, SectionFile, SectionWriter, check as check_file};
pub use segment::Document;
pub use snapshot::{Cut, Store, StoreInfo};
pub use verify::{Damage, Verified, verify};
pub use writer::{Added, Writer};
