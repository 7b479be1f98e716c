//! Groups of rows, how good they are, and a flat map of them. All deterministic: for a seed where something is drawn, and
//! for any number of threads.

mod agglomerative;
mod communities;
mod distance;
mod hdbscan;
mod kmeans;
mod measures;
mod pca;

pub use agglomerative::{Agglomerative, Dendrogram, Linkage, Merge, agglomerative};
pub use communities::{Communities, communities};
pub use distance::Distance;
pub use hdbscan::{Hdbscan, hdbscan};
pub use kmeans::{Clusters, KMeans, kmeans};
pub use measures::{VMeasure, adjusted_rand, purity, silhouette, silhouettes, v_measure};
pub use pca::{Pca, pca};
