//! Methods of blending, their settings and their checks.

use super::error::BlendError;
use super::linear::linear;
use super::spherical::spherical;
use super::ties::ties;
use maana_model::Tensor;

/// A method of blending, with names and semantics of the reference (mergekit, which Sentence
/// Transformers calls).
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// Weighted mean of all models.
    Linear {
        /// A weight for each model; their sum is 1.
        weights: Vec<f64>,
    },
    /// Interpolation along the arc between two models, tensor by tensor. Further models are added
    /// one after another, each by its share of the weights so far.
    Slerp {
        /// A weight for each model; their sum is 1.
        weights: Vec<f64>,
    },
    /// Task vectors: trimmed changes from the first model, of those that agree on the sign.
    Ties {
        /// A weight for each model but the first.
        weights: Vec<f64>,
        /// Share of the changes of a tensor that are kept.
        density: f64,
        /// Factor of the merged change.
        lambda: f64,
    },
}

/// Largest difference of the sum of weights from 1.
const SUM_TOLERANCE: f64 = 1e-6;

impl Method {
    /// Returns the name, as the command line takes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Linear { .. } => "linear",
            Self::Slerp { .. } => "slerp",
            Self::Ties { .. } => "ties",
        }
    }

    /// Returns the weights.
    pub fn weights(&self) -> &[f64] {
        match self {
            Self::Linear { weights } | Self::Slerp { weights } | Self::Ties { weights, .. } => weights,
        }
    }

    /// Checks the settings for this number of models.
    ///
    /// # Errors
    /// Names the invalid setting.
    pub(super) fn check(&self, models: usize) -> Result<(), BlendError> {
        let invalid = |reason: String| Err(BlendError::Setting(reason));
        if models < 2 {
            return invalid(format!("a blend needs two models or more, and {models} is given"));
        }
        let weights = self.weights();
        let weighted = if matches!(self, Self::Ties { .. }) { models - 1 } else { models };
        if weights.len() != weighted {
            let each = if weighted < models { "each model but the first, the base" } else { "each model" };
            return invalid(format!(
                "{} weights are given; {} needs {weighted}, one for {each}",
                weights.len(),
                self.name()
            ));
        }
        if let Some(weight) = weights.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
            return invalid(format!("the weight {weight} is not 0 or more"));
        }
        let sum: f64 = weights.iter().sum();
        match self {
            Self::Linear { .. } | Self::Slerp { .. } if (sum - 1.0).abs() > SUM_TOLERANCE => {
                invalid(format!("the weights sum to {sum}; they must sum to 1, such as 0.3,0.7"))
            }
            Self::Ties { .. } if sum == 0.0 => invalid("all weights are 0".into()),
            Self::Ties { density, .. } if !(*density > 0.0 && *density <= 1.0) => {
                invalid(format!("the density {density} is not above 0 and at most 1"))
            }
            Self::Ties { lambda, .. } if !(lambda.is_finite() && *lambda > 0.0) => {
                invalid(format!("lambda is {lambda}; expected a number above 0, usually 1"))
            }
            _ => Ok(()),
        }
    }

    /// Sets the head of a blend, whose other parameters are in `blended`, to the weighted mean of
    /// the heads of those models that have one.
    ///
    /// # Errors
    /// If their weights are all 0.
    pub(super) fn blend_heads(
        &self,
        tensors: &[Tensor],
        models: &[&[f32]],
        has_head: &[bool],
        blended: &mut [f32],
    ) -> Result<(), BlendError> {
        let base = matches!(self, Self::Ties { .. }).then_some(0.0);
        let weights = base.into_iter().chain(self.weights().iter().copied());
        let with_head = weights.zip(models).zip(has_head).filter(|(_, has_head)| **has_head);
        let (weights, models): (Vec<f64>, Vec<&[f32]>) = with_head.map(|((weight, model), _)| (weight, *model)).unzip();
        let sum: f64 = weights.iter().sum();
        if sum == 0.0 {
            return Err(BlendError::Setting("the weights of all models with a head for pairs are 0".into()));
        }
        let weights: Vec<f64> = weights.into_iter().map(|weight| weight / sum).collect();
        for tensor in tensors {
            let heads: Vec<&[f32]> = models.iter().map(|model| &model[tensor.range.clone()]).collect();
            blended[tensor.range.clone()].copy_from_slice(&linear(&weights, &heads));
        }
        Ok(())
    }

    /// Blends the parameters of models of one shape. The result is a function of them only, to the
    /// last bit.
    pub fn blend(&self, tensors: &[Tensor], models: &[&[f32]]) -> Vec<f32> {
        match self {
            Self::Linear { weights } => linear(weights, models),
            Self::Slerp { weights } => {
                let (mut blended, mut sum) = (models[0].to_vec(), weights[0]);
                for (model, weight) in models.iter().zip(weights).skip(1) {
                    sum += weight;
                    let share = if sum == 0.0 { 0.0 } else { weight / sum };
                    for tensor in tensors {
                        let range = tensor.range.clone();
                        let part = spherical(&blended[range.clone()], &model[range.clone()], share);
                        blended[range].copy_from_slice(&part);
                    }
                }
                blended
            }
            Self::Ties { weights, density, lambda } => {
                let mut blended = models[0].to_vec();
                for tensor in tensors {
                    let tuned: Vec<&[f32]> = models[1..].iter().map(|model| &model[tensor.range.clone()]).collect();
                    let part = ties(&models[0][tensor.range.clone()], &tuned, weights, *density, *lambda);
                    blended[tensor.range.clone()].copy_from_slice(&part);
                }
                blended
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn floats(value: &Value) -> Vec<f32> {
        value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
    }

    /// Numbers of `golden/make_golden_blend.py`.
    #[test]
    fn blends_are_those_of_the_reference() {
        let golden: Value = serde_json::from_str(include_str!("../../../../golden/blend.json")).unwrap();
        let mut tensors = Vec::new();
        let mut start = 0;
        for (name, shape) in golden["shapes"].as_object().unwrap() {
            let shape: Vec<usize> = serde_json::from_value(shape.clone()).unwrap();
            let end = start + shape.iter().product::<usize>();
            tensors.push(Tensor { name: name.clone(), shape, range: start..end });
            start = end;
        }
        let models: Vec<Vec<f32>> = golden["models"].as_array().unwrap().iter().map(floats).collect();
        let blends = golden["blends"].as_array().unwrap();
        assert_eq!(blends.len(), 9);
        for blend in blends {
            let numbers: Vec<usize> = serde_json::from_value(blend["models"].clone()).unwrap();
            let models: Vec<&[f32]> = numbers.iter().map(|number| &models[*number][..]).collect();
            let weights: Vec<f64> = serde_json::from_value(blend["weights"].clone()).unwrap();
            let setting = |name: &str| blend[name].as_f64().unwrap_or(f64::NAN);
            let method = match blend["method"].as_str().unwrap() {
                "linear" => Method::Linear { weights },
                "slerp" => Method::Slerp { weights },
                _ => Method::Ties { weights, density: setting("density"), lambda: setting("lambda") },
            };
            method.check(models.len()).unwrap();
            for (ours, theirs) in method.blend(&tensors, &models).into_iter().zip(floats(&blend["blended"])) {
                assert!((ours - theirs).abs() <= 1e-6 * theirs.abs().max(1.0), "{method:?}: {ours} for {theirs}");
            }
        }
    }

    #[test]
    fn equal_models_blend_to_themselves() {
        let tensors = [Tensor { name: "w".into(), shape: vec![5], range: 0..5 }];
        let model: [f32; 5] = [0.5, -1.25, 3.0, 0.0, 1e-3];
        let models = [&model[..]; 3];
        for method in [
            Method::Linear { weights: vec![0.25, 0.25, 0.5] },
            Method::Slerp { weights: vec![0.25, 0.25, 0.5] },
            Method::Ties { weights: vec![1.0, 1.0], density: 0.2, lambda: 1.0 },
        ] {
            assert_eq!(method.blend(&tensors, &models), model, "{method:?}");
        }
    }

    #[test]
    fn the_head_is_the_mean_of_those_that_exist() {
        let head = [Tensor { name: "classifier".into(), shape: vec![2], range: 1..3 }];
        let (base, first, second) = ([1.0, 9.0, 9.0], [2.0, 1.0, 2.0], [3.0, 3.0, 6.0]);
        let models: [&[f32]; 3] = [&base, &first, &second];
        let blend = |method: Method| {
            let mut blended = vec![7.0, 0.0, 0.0];
            method.blend_heads(&head, &models, &[false, true, true], &mut blended).map(|()| blended)
        };
        let linear = |weights: [f64; 3]| Method::Linear { weights: weights.to_vec() };
        assert_eq!(blend(linear([0.5, 0.5, 0.0])).unwrap(), [7.0, 1.0, 2.0]);
        assert_eq!(blend(linear([0.5, 0.25, 0.25])).unwrap(), [7.0, 2.0, 4.0]);
        let ties = Method::Ties { weights: vec![1.0, 1.0], density: 0.2, lambda: 1.0 };
        assert_eq!(blend(ties).unwrap(), [7.0, 2.0, 4.0]);
        let error = blend(linear([1.0, 0.0, 0.0])).unwrap_err().to_string();
        assert!(error.contains("the weights of all models with a head for pairs are 0"), "{error}");
    }

    #[test]
    fn settings_are_checked() {
        let linear = |weights: &[f64]| Method::Linear { weights: weights.to_vec() };
        let ties = |weights: &[f64], density, lambda| Method::Ties { weights: weights.to_vec(), density, lambda };
        for (method, models, expected) in [
            (linear(&[1.0]), 1, "two models or more"),
            (linear(&[0.5, 0.5]), 3, "2 weights are given; linear needs 3"),
            (linear(&[0.5, f64::NAN]), 2, "the weight NaN"),
            (linear(&[-0.5, 1.5]), 2, "the weight -0.5"),
            (linear(&[0.5, 0.6]), 2, "sum to 1.1"),
            (Method::Slerp { weights: vec![1.0, 1.0] }, 2, "sum to 2"),
            (ties(&[1.0, 1.0], 0.2, 1.0), 2, "one for each model but the first"),
            (ties(&[0.0], 0.2, 1.0), 2, "all weights are 0"),
            (ties(&[1.0], 0.0, 1.0), 2, "density 0"),
            (ties(&[1.0], 0.2, -1.0), 2, "lambda is -1"),
        ] {
            let error = method.check(models).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
        linear(&[0.3, 0.7]).check(2).unwrap();
        ties(&[1.0, 2.0], 1.0, 0.5).check(3).unwrap();
    }
}
