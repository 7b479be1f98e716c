//! Groups of rows, how good they are, and a flat map of them. All deterministic: for a seed where
//! something is drawn, and for any number of threads.

mod agglomerative;
mod communities;
mod copies;
mod distance;
mod hdbscan;
mod kmeans;
mod measures;
mod pca;

pub use agglomerative::{Agglomerative, Dendrogram, Linkage, Merge, agglomerative};
pub use communities::{Communities, communities};
pub use copies::copies;
pub use distance::Distance;
pub use hdbscan::{Hdbscan, hdbscan};
pub use kmeans::{Clusters, KMeans, kmeans};
pub use measures::{VMeasure, adjusted_rand, purity, silhouette, silhouettes, v_measure};
pub use pca::{Pca, Scatter, centred, pca};

use crate::error::VectorsError;

/// Returns an error where more groups are asked for than there are rows.
fn check_groups(k: usize, rows: usize) -> Result<(), VectorsError> {
    if k <= rows {
        return Ok(());
    }
    Err(VectorsError::setting("k", format!("{k} groups of {rows} vectors; take {rows} or fewer")))
}
