//! Contrastive pairs: `mean_i ½ (y_i d_i² + (1 − y_i) max(0, margin − d_i)²)`, where `d_i` is the
//! distance of the pair and `y_i` its label. <https://doi.org/10.1109/CVPR.2006.100>

use super::distance::{DistanceMetric, PairDistance};
use super::needs::{Labels, Needs};
use super::objective::{Embedded, Loss, LossSummary, rows_of, single_labels};
use maana_kernels::{Context, Matrix};
use serde_json::{Value, json};

/// Texts with label 1 next to each other, those with label 0 at least a margin apart. The
/// reference's `ContrastiveLoss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contrastive {
    /// Required distance of texts with label 0; 0.5 in the reference.
    pub margin: f64,
    /// Distance; cosine in the reference.
    pub metric: DistanceMetric,
}

impl Loss for Contrastive {
    fn loss(&self, _context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        let rows = rows_of(embedded, d_columns);
        let labels = single_labels(embedded);
        let ([a, b], [d_a, d_b]) = (embedded.columns, d_columns) else { panic!("needs() asks for two columns") };
        let weight = f64::from(weight) / rows as f64;
        let mut sum = 0.0;
        for (row, &label) in labels.iter().enumerate() {
            let (distance, label) = (PairDistance::new(self.metric, a.row(row), b.row(row)), f64::from(label));
            let missing = (self.margin - distance.value).max(0.0);
            sum += 0.5 * (label * distance.value * distance.value + (1.0 - label) * missing * missing);
            let d = weight * (label * distance.value - (1.0 - label) * missing);
            distance.backward(d, d_a.row_mut(row), d_b.row_mut(row));
        }
        (weight * sum) as f32
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=2, labels: Labels::Binary, columns_alone: 2 }
    }

    fn describe(&self) -> LossSummary {
        LossSummary {
            name: "contrastive".into(),
            class: "ContrastiveLoss".into(),
            parameters: vec![
                ("distance_metric".into(), siamese_name(self.metric)),
                ("margin".into(), json!(self.margin)),
                ("size_average".into(), json!(true)),
            ],
            inner: None,
        }
    }
}

/// Returns the reference's name of a distance of contrastive losses.
pub(super) fn siamese_name(metric: DistanceMetric) -> Value {
    json!(match metric {
        DistanceMetric::Cosine => "SiameseDistanceMetric.COSINE_DISTANCE",
        DistanceMetric::Euclidean => "SiameseDistanceMetric.EUCLIDEAN",
        DistanceMetric::Manhattan => "SiameseDistanceMetric.MANHATTAN",
    })
}
