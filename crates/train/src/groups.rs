//! Groups of parameters, resolved for a model: the optimizer's settings for each tensor.

use crate::arguments::Arguments;
use crate::error::TrainError;
use crate::optimizer::{Adafactor, Group, Optimizer};
use glob::Pattern;
use maana_model::{Algorithm, Tensor, TensorSettings, UpdatePlan};

/// Names that an error suggests.
const SUGGESTED: usize = 3;

/// The optimizer's settings for a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedGroups {
    /// The optimizer with its settings for each tensor.
    pub plan: UpdatePlan,
    /// The groups of the recipe in order, and one of all other tensors if there are any.
    pub groups: Vec<GroupSummary>,
}

/// A group of parameters, for display.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSummary {
    /// Pattern of the group; none for the parameters that no group has.
    pub pattern: Option<String>,
    /// Number of tensors.
    pub tensors: usize,
    /// Number of parameters.
    pub parameters: usize,
    /// True if the parameters do not train.
    pub frozen: bool,
    /// Smallest and largest maximum of the learning rate.
    pub learning_rates: [f64; 2],
    /// Weight decay of its tensors except biases and layer norms.
    pub weight_decay: f64,
}

impl ResolvedGroups {
    /// Resolves the optimizer and the groups of a run for the tensors of a model.
    ///
    /// # Errors
    /// If a pattern is invalid or matches no tensor that is still free, or no tensor trains.
    pub fn new(arguments: &Arguments, tensors: &[Tensor]) -> Result<Self, TrainError> {
        let group_of = assign(&arguments.groups, tensors)?;
        let layers_above = layers_above(arguments, tensors)?;
        let settings = |index: usize| {
            let group = group_of[index].map(|group| &arguments.groups[group]);
            let rate = group.and_then(|group| group.learning_rate).map(|rate| rate / arguments.learning_rate);
            let factor = rate.or(group.and_then(|group| group.factor)).unwrap_or(1.0);
            let weight_decay = group.and_then(|group| group.weight_decay).unwrap_or(arguments.weight_decay);
            TensorSettings {
                trains: group.is_none_or(|group| !group.freeze),
                learning_rate_factor: factor * libm::pow(arguments.layer_decay, layers_above[index] as f64),
                weight_decay: if tensors[index].decays() { weight_decay } else { 0.0 },
            }
        };
        let settings: Vec<TensorSettings> = (0..tensors.len()).map(settings).collect();
        if !settings.iter().any(|settings| settings.trains) {
            let wanted = "such that some parameters train";
            return Err(TrainError::argument("groups", "freezing all parameters", wanted));
        }
        let summaries = (0..arguments.groups.len()).map(Some).chain([None]).filter_map(|group| {
            let members = (0..tensors.len()).filter(|index| group_of[*index] == group);
            summarise(arguments, group, members.map(|index| (&tensors[index], &settings[index])))
        });
        let groups = summaries.collect();
        Ok(Self { plan: UpdatePlan { algorithm: algorithm(arguments), tensors: settings }, groups })
    }
}

fn algorithm(arguments: &Arguments) -> Algorithm {
    match arguments.optimizer {
        Optimizer::AdamW => Algorithm::AdamW {
            beta1: arguments.adam_beta1,
            beta2: arguments.adam_beta2,
            epsilon: arguments.adam_epsilon,
            lazy_embeddings: arguments.lazy_embeddings,
        },
        Optimizer::Adafactor(Adafactor { clip_threshold, decay_rate, scale_parameter }) => {
            Algorithm::Adafactor { clip_threshold, decay_rate, scale_parameter }
        }
    }
}

/// Returns the number of the group of each tensor: the first whose pattern matches.
fn assign(groups: &[Group], tensors: &[Tensor]) -> Result<Vec<Option<usize>>, TrainError> {
    let mut assigned = vec![None; tensors.len()];
    for (number, group) in groups.iter().enumerate() {
        let fault = |wanted: String| {
            TrainError::argument(format!("groups[{number}].pattern"), format!("{:?}", group.pattern), wanted)
        };
        let pattern = Pattern::new(&group.pattern).map_err(|error| fault(format!("a valid pattern: {}", error.msg)))?;
        let matching: Vec<usize> = (0..tensors.len()).filter(|index| pattern.matches(&tensors[*index].name)).collect();
        if matching.is_empty() {
            let names = nearest(&group.pattern, tensors).join("`, `");
            return Err(fault(format!("a pattern of parameter names; near ones are `{names}`")));
        }
        let free: Vec<usize> = matching.into_iter().filter(|index| assigned[*index].is_none()).collect();
        if free.is_empty() {
            return Err(fault("before the groups above it, whose patterns match all of its parameters".into()));
        }
        free.into_iter().for_each(|index| assigned[index] = Some(number));
    }
    Ok(assigned)
}

/// Returns the names whose beginnings are nearest to a pattern.
fn nearest<'a>(pattern: &str, tensors: &'a [Tensor]) -> Vec<&'a str> {
    let literal: String = pattern.chars().filter(|letter| *letter != '*').collect();
    let length = literal.chars().count();
    let distance = |name: &&str| {
        let beginning: String = name.chars().take(length).collect();
        maana_files::edit_distance(&literal, &beginning)
    };
    let mut names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    names.sort_by_key(distance);
    names.truncate(SUGGESTED);
    names
}

/// Returns the number of layers above each tensor by the number in its name: all of them for the
/// embeddings, which lie in front of the first layer, none for what lies behind the layers.
fn layers_above(arguments: &Arguments, tensors: &[Tensor]) -> Result<Vec<usize>, TrainError> {
    let layer = |tensor: &Tensor| tensor.name.split('.').find_map(|part| part.parse::<usize>().ok());
    let numbers: Vec<Option<usize>> = tensors.iter().map(layer).collect();
    let layers = numbers.iter().flatten().max().map_or(0, |last| last + 1);
    if layers == 0 && arguments.layer_decay != 1.0 {
        let wanted = "1, as the names of this model's parameters have no numbers of layers";
        return Err(TrainError::argument("layer_decay", arguments.layer_decay, wanted));
    }
    let first = numbers.iter().position(Option::is_some).unwrap_or(0);
    let above = |(index, number): (usize, &Option<usize>)| match number {
        Some(number) => layers - 1 - number,
        None if index < first => layers,
        None => 0,
    };
    Ok(numbers.iter().enumerate().map(above).collect())
}

/// Summarises the members of a group; none if it has no members.
fn summarise<'a>(
    arguments: &Arguments,
    group: Option<usize>,
    members: impl Iterator<Item = (&'a Tensor, &'a TensorSettings)>,
) -> Option<GroupSummary> {
    let group = group.map(|group| &arguments.groups[group]);
    let mut summary = GroupSummary {
        pattern: group.map(|group| group.pattern.clone()),
        tensors: 0,
        parameters: 0,
        frozen: group.is_some_and(|group| group.freeze),
        learning_rates: [f64::INFINITY, 0.0],
        weight_decay: group.and_then(|group| group.weight_decay).unwrap_or(arguments.weight_decay),
    };
    for (tensor, settings) in members {
        summary.tensors += 1;
        summary.parameters += tensor.range.len();
        let rate = arguments.learning_rate * settings.learning_rate_factor;
        let [least, most] = summary.learning_rates;
        summary.learning_rates = [least.min(rate), most.max(rate)];
    }
    (summary.tensors > 0).then_some(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> Vec<Tensor> {
        let names = [
            ("embeddings.word_embeddings.weight", 12),
            ("embeddings.LayerNorm.bias", 3),
            ("encoder.layer.0.output.dense.weight", 9),
            ("encoder.layer.0.output.dense.bias", 3),
            ("encoder.layer.1.output.dense.weight", 9),
            ("2_Dense.linear.weight", 6),
        ];
        let mut start = 0;
        let place = |(name, length): (&str, usize)| {
            start += length;
            Tensor { name: name.into(), shape: vec![length], range: start - length..start }
        };
        names.map(place).into()
    }

    fn arguments(groups: Vec<Group>) -> Arguments {
        Arguments { learning_rate: 1e-3, weight_decay: 0.1, groups, ..Arguments::default() }
    }

    fn group(pattern: &str) -> Group {
        Group { pattern: pattern.into(), ..Group::default() }
    }

    #[test]
    fn the_first_group_that_matches_has_the_tensor() {
        let groups = vec![
            Group { freeze: true, ..group("embeddings.word*") },
            Group { learning_rate: Some(1e-4), weight_decay: Some(0.5), ..group("*.layer.0.*") },
            Group { factor: Some(2.0), ..group("e*") },
        ];
        let resolved = ResolvedGroups::new(&arguments(groups), &tensors()).unwrap();
        let settings =
            |trains, learning_rate_factor, weight_decay| TensorSettings { trains, learning_rate_factor, weight_decay };
        let expected = [
            settings(false, 1.0, 0.1),
            settings(true, 2.0, 0.0),
            settings(true, 0.1, 0.5),
            settings(true, 0.1, 0.0),
            settings(true, 2.0, 0.1),
            settings(true, 1.0, 0.1),
        ];
        assert_eq!(resolved.plan.tensors, expected);
        let shown: Vec<_> = resolved
            .groups
            .iter()
            .map(|group| (group.pattern.as_deref(), group.tensors, group.parameters, group.frozen))
            .collect();
        let expected = [
            (Some("embeddings.word*"), 1, 12, true),
            (Some("*.layer.0.*"), 2, 12, false),
            (Some("e*"), 2, 12, false),
            (None, 1, 6, false),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_rate_decays_from_layer_to_layer() {
        let arguments =
            Arguments { layer_decay: 0.5, ..arguments(vec![Group { factor: Some(3.0), ..group("*.0.*") }]) };
        let resolved = ResolvedGroups::new(&arguments, &tensors()).unwrap();
        let factors: Vec<f64> = resolved.plan.tensors.iter().map(|tensor| tensor.learning_rate_factor).collect();
        assert_eq!(factors, [0.25, 0.25, 1.5, 1.5, 1.0, 1.0]);
        assert_eq!(resolved.groups[1].learning_rates, [0.25e-3, 1e-3]);
        let without_layers = &tensors()[..2];
        let arguments = Arguments { layer_decay: 0.5, ..Arguments::default() };
        let fault = ResolvedGroups::new(&arguments, without_layers).unwrap_err().to_string();
        assert!(fault.contains("`layer_decay`") && fault.contains("no numbers of layers"), "{fault}");
    }

    #[test]
    fn patterns_without_parameters_are_named_with_near_names() {
        let fault = |groups: Vec<Group>| ResolvedGroups::new(&arguments(groups), &tensors()).unwrap_err().to_string();
        let wrong = fault(vec![Group { freeze: true, ..group("embedings.*") }]);
        assert!(
            wrong.contains("`groups[0].pattern`") && wrong.contains("`embeddings.word_embeddings.weight`"),
            "{wrong}"
        );
        let late = fault(vec![
            Group { factor: Some(0.1), ..group("e*") },
            Group { factor: Some(0.5), ..group("*LayerNorm*") },
        ]);
        assert!(late.contains("`groups[1].pattern`") && late.contains("before the groups above it"), "{late}");
        assert!(fault(vec![Group { freeze: true, ..group("a[") }]).contains("a valid pattern"));
        assert!(fault(vec![Group { freeze: true, ..group("*") }]).contains("some parameters train"));
    }
}
