//! Checks of the settings of losses.

use super::arguments::LossArguments;
use super::directions::{Direction, PartitionMode};
use super::distance::DistanceMetric;
use super::gist_embed::MarginStrategy;
use super::names::{Inputs, LossName};
use super::number_or_all::NumberOrAll;
use super::pairs::WeightingScheme;
use crate::error::TrainError;

/// The most classes, or columns of a projection.
const MOST_COLUMNS: usize = 1 << 16;

impl LossArguments {
    /// Checks everything that does not depend on the model but on its inputs.
    ///
    /// # Errors
    /// If the loss trains other models, or a setting is invalid or belongs to another loss.
    pub fn check(&self, inputs: Inputs) -> Result<(), TrainError> {
        self.check_parameters(inputs)?;
        let positive = [
            ("scale", self.scale),
            ("temperature", self.temperature),
            ("student_temperature", self.student_temperature),
            ("teacher_temperature", self.teacher_temperature),
            ("pos_weight", self.pos_weight),
            ("mu", self.mu),
            ("sigma", self.sigma),
            ("eps", self.eps),
            ("alpha", self.alpha),
        ];
        for (field, value) in positive {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value > 0.0)) {
                return Err(invalid(field, &value, "a finite number above 0"));
            }
        }
        if self.k == Some(0) {
            return Err(invalid("k", &0, "at least 1, or left out for all documents"));
        }
        if let (Some(mu), Some(scheme)) = (self.mu, self.weighting_scheme)
            && scheme != WeightingScheme::NdcgLoss2Pp
        {
            return Err(invalid("mu", &mu, "left out: only the weighting_scheme \"ndcg_loss2pp\" has it"));
        }
        self.check_margin()?;
        self.check_directions()?;
        if self.name.compares_classes() && self.distance_metric == Some(DistanceMetric::Manhattan) {
            return Err(invalid("distance_metric", &"manhattan", "`cosine` or `euclidean` for this loss"));
        }
        if self.teacher_columns.is_some() && self.teacher.is_none() {
            return Err(named("teacher_columns", &self.teacher_columns, "given together with `teacher`"));
        }
        self.check_trained_layer()?;
        self.check_adaptive_layers()?;
        self.check_dims()
    }

    /// Checks that the loss trains models with these inputs, and every setting belongs to it.
    fn check_parameters(&self, inputs: Inputs) -> Result<(), TrainError> {
        if !self.name.trains(inputs) {
            let names = LossName::ALL.iter().filter(|name| name.trains(inputs));
            let names: Vec<String> = names.map(|name| serde_json::json!(name).to_string()).collect();
            let wanted = match inputs {
                Inputs::Texts => {
                    "a loss of embeddings, or [model] kind has to be \"cross_encoder\"; the losses of \
                                  embeddings are"
                }
                Inputs::Pairs => {
                    "a loss of cross-encoders, or [model] kind has to be left out; the losses of \
                                  cross-encoders are"
                }
            };
            let name = serde_json::json!(self.name).to_string();
            return Err(TrainError::argument("name", name, format!("{wanted} {}", names.join(", "))));
        }
        let known = self.name.parameters(inputs);
        let serde_json::Value::Object(fields) = serde_json::json!(self) else { unreachable!("a struct is an object") };
        for (field, value) in fields {
            let of_matryoshka = matches!(field.as_str(), "matryoshka_dims" | "matryoshka_weights" | "n_dims_per_step");
            let modifies = of_matryoshka || field == "adaptive_layers";
            let everywhere = field == "name" || (modifies && inputs == Inputs::Texts);
            if value.is_null() || everywhere || known.contains(&field.as_str()) {
                continue;
            }
            let loss = serde_json::json!(self.name);
            let known = if known.is_empty() { "no parameters".into() } else { format!("only {}", known.join(", ")) };
            let modifiers = if inputs == Inputs::Texts { ", and those of Matryoshka and adaptive layers" } else { "" };
            let wanted = format!("left out: the loss {loss} has {known}{modifiers}");
            return Err(TrainError::argument(field, value, wanted));
        }
        Ok(())
    }

    /// Checks the settings of layers that a loss owns.
    fn check_trained_layer(&self) -> Result<(), TrainError> {
        if self.name == LossName::Softmax {
            match self.num_labels {
                None => return Err(TrainError::argument("num_labels", "missing", "the number of classes, at least 2")),
                Some(number) if !(2..=MOST_COLUMNS).contains(&number) => {
                    return Err(invalid("num_labels", &number, "the number of classes, from 2 to 65536"));
                }
                Some(_) => {}
            }
            let parts = [
                self.concatenation_sent_rep.unwrap_or(true),
                self.concatenation_sent_difference.unwrap_or(true),
                self.concatenation_sent_multiplication.unwrap_or(false),
            ];
            if parts == [false; 3] {
                let wanted = "true, or one of the other two parts that the classifier may see";
                return Err(invalid("concatenation_sent_rep", &false, wanted));
            }
        }
        if let Some(columns) = self.projection_dim.filter(|columns| !(1..=MOST_COLUMNS).contains(columns)) {
            return Err(invalid(
                "projection_dim",
                &columns,
                "from 1 to 65536, the columns of the teacher's embeddings",
            ));
        }
        match &self.matryoshka_dims {
            Some(dims) if self.name == LossName::Softmax || self.projection_dim.is_some() => {
                let wanted = "left out: the layer that this loss trains reads whole embeddings, as in the reference";
                Err(invalid("matryoshka_dims", dims, wanted))
            }
            _ => Ok(()),
        }
    }

    fn check_adaptive_layers(&self) -> Result<(), TrainError> {
        let Some(settings) = &self.adaptive_layers else { return Ok(()) };
        if settings.n_layers_per_step == NumberOrAll::Number(0) {
            return Err(invalid("adaptive_layers.n_layers_per_step", &0, "at least 1, or \"all\""));
        }
        let weights = [
            ("adaptive_layers.last_layer_weight", settings.last_layer_weight),
            ("adaptive_layers.prior_layers_weight", settings.prior_layers_weight),
            ("adaptive_layers.kl_div_weight", settings.kl_div_weight),
            ("adaptive_layers.kl_temperature", settings.kl_temperature),
        ];
        for (field, value) in weights {
            if !(value.is_finite() && value >= 0.0) {
                return Err(invalid(field, &value, "a finite number that is not negative"));
            }
        }
        Ok(())
    }

    fn check_margin(&self) -> Result<(), TrainError> {
        let Some(margin) = self.margin else { return Ok(()) };
        match (self.name, self.margin_strategy) {
            (LossName::GistEmbed, Some(MarginStrategy::Percentile)) if !(0.0..=1.0).contains(&margin) => {
                Err(invalid("margin", &margin, "from 0 to 1, the share of texts to leave out"))
            }
            (LossName::GistEmbed, _) if !margin.is_finite() => Err(invalid("margin", &margin, "a finite number")),
            (LossName::GistEmbed, _) => Ok(()),
            _ if !(margin.is_finite() && margin > 0.0) => Err(invalid("margin", &margin, "a finite number above 0")),
            _ => Ok(()),
        }
    }

    fn check_directions(&self) -> Result<(), TrainError> {
        if let Some(directions) = &self.directions {
            if !directions.contains(&Direction::QueryToDoc) {
                let wanted = "a list with `query_to_doc`, which compares queries with their positives";
                return Err(named("directions", directions, wanted));
            }
            if (1..directions.len()).any(|place| directions[..place].contains(&directions[place])) {
                return Err(named("directions", directions, "a list without repetitions"));
            }
            let ill_defined =
                |direction: &Direction| matches!(direction, Direction::QueryToQuery | Direction::DocToDoc);
            if self.partition_mode == Some(PartitionMode::PerDirection) && directions.iter().any(ill_defined) {
                let wanted = "`joint` for `query_to_query` and `doc_to_doc`, which do not contain the positive";
                return Err(invalid("partition_mode", &"per_direction", wanted));
            }
        }
        match (self.hardness_mode, self.hardness_strength) {
            (_, Some(strength)) if !(strength.is_finite() && strength > 0.0) => {
                Err(invalid("hardness_strength", &strength, "a finite number above 0"))
            }
            (Some(mode), None) => Err(named("hardness_mode", &mode, "given together with `hardness_strength`")),
            (None, Some(strength)) => {
                Err(invalid("hardness_strength", &strength, "given together with `hardness_mode`"))
            }
            _ => Ok(()),
        }
    }

    fn check_dims(&self) -> Result<(), TrainError> {
        let Some(dims) = &self.matryoshka_dims else {
            return match (&self.matryoshka_weights, self.n_dims_per_step) {
                (None, None) => Ok(()),
                (Some(weights), _) => {
                    Err(invalid("matryoshka_weights", weights, "given together with `matryoshka_dims`"))
                }
                (_, Some(number)) => Err(invalid("n_dims_per_step", &number, "given together with `matryoshka_dims`")),
            };
        };
        if dims.is_empty() || dims.contains(&0) || !dims.is_sorted_by(|larger, smaller| larger > smaller) {
            return Err(invalid("matryoshka_dims", dims, "falling numbers of at least 1"));
        }
        if let Some(weights) = &self.matryoshka_weights {
            if weights.len() != dims.len() || !weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0) {
                let wanted = format!("{} numbers that are not negative, one for each dimension", dims.len());
                return Err(invalid("matryoshka_weights", weights, &wanted));
            }
            if weights.iter().all(|weight| *weight == 0.0) {
                let wanted = "above 0 for at least one dimension, or nothing is learnt";
                return Err(invalid("matryoshka_weights", weights, wanted));
            }
        }
        if let Some(number) = self.n_dims_per_step.filter(|&number| number == 0 || number > dims.len()) {
            let wanted = format!("from 1 to {}, the number of dimensions", dims.len());
            return Err(invalid("n_dims_per_step", &number, &wanted));
        }
        Ok(())
    }
}

fn invalid(field: &str, value: &dyn std::fmt::Debug, wanted: &str) -> TrainError {
    TrainError::argument(field, format!("{value:?}"), wanted)
}

/// As [`invalid`], for a value with names, which are those of recipes.
fn named(field: &str, value: &impl serde::Serialize, wanted: &str) -> TrainError {
    TrainError::argument(field, serde_json::json!(value), wanted)
}
