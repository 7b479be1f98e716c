//! The nearest rows of a corpus: exact search by blocked product and top-k, scans over quantised
//! planes, and the funnel that goes from the one to the other. Knows vectors and row numbers; never
//! a text, a model, or a file.
//!
//! The score of a row is one sum in a fixed order (`Metric::score`), so it is the same bits
//! whatever the block size, the number of threads and the company of queries; of equal scores the
//! lower row number comes first.

mod best;
mod bits;
mod codes;
mod corpus;
mod exact;
mod funnel;
mod metric;
mod plane;
mod sample;

pub(crate) use best::Best;
pub use bits::Bits;
pub(crate) use codes::{Codes, CodesQuery, CodesView, RowQueries, is_distance};
pub use corpus::{Corpus, Part, Values};
pub(crate) use exact::check as check_queries;
pub use exact::{Filter, Hit, Search, search};
pub use funnel::{Choice, Funnel, FunnelSettings, Measured, choose};
pub use metric::Metric;
pub(crate) use metric::{norm, norms};
pub use plane::{Plane, PlanePrecision};
pub use sample::{MeasuredOn, Recall, RecallTarget, perturbed};
pub(crate) use sample::{Places, Sample};
