//! Notes on settings without effect, printed before a run.

use maana_model::Architecture;
use maana_train::{Arguments, BatchSampler, LossName, Optimizer, Plan, Schedule};

/// Describes shuffled batches for a loss that compares the rows of a batch by their labels.
pub(super) fn labels_by_chance(loss: LossName, arguments: &Arguments) -> Option<String> {
    // The sampler of labels does not belong to that version.
    let is_grouped = arguments.batch_sampler == BatchSampler::GroupByLabel || arguments.reproduce.is_some();
    let name = serde_json::json!(loss);
    (loss.compares_classes() && !is_grouped).then(|| {
        format!(
            "the loss {name} compares the rows of a batch by their labels, which come together by chance; \
             batch_sampler = \"group_by_label\" puts at least two rows of each label in a batch"
        )
    })
}

/// Describes settings that have no effect in a run of this plan. `in_batch_loss` names the loss if
/// it compares a row only with the other rows of its batch.
pub(super) fn without_effect(arguments: &Arguments, plan: &Plan, in_batch_loss: Option<&str>) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |text: String| notes.push(text);
    if plan.updates < plan.scheduled_updates {
        note(format!(
            "texts repeat so often that batches without duplicates allow only {} of {} updates; the learning rate \
             does not reach the end of its schedule",
            plan.updates, plan.scheduled_updates
        ));
    }
    if let Some(loss) = in_batch_loss.filter(|_| plan.single_row_batches > 0) {
        let remedy = if arguments.batch_size == 1 {
            "set a larger batch_size, or give the data a column of negatives"
        } else {
            "drop_last = true drops the last batch of an epoch"
        };
        note(format!(
            "{} of {} micro-batches have one row, whose loss is 0: `{loss}` compares a row with the others of its batch; {remedy}",
            plan.single_row_batches, plan.micro_batches
        ));
    }
    let (ratio, steps) = (arguments.warmup_ratio > 0.0, arguments.warmup_steps > 0);
    if !arguments.schedule.has_warmup() {
        if ratio || steps {
            let name = arguments.schedule.name();
            note(format!("schedule = {name:?} has no warmup; \"constant_with_warmup\" has one"));
        }
    } else if plan.warmup_updates >= plan.scheduled_updates {
        note(format!(
            "the warmup of {} updates is not shorter than the run of {}: the learning rate never reaches {}",
            plan.warmup_updates, plan.scheduled_updates, arguments.learning_rate
        ));
    }
    if ratio && steps {
        note("warmup_ratio has no effect next to warmup_steps".into());
    }
    if arguments.adam_epsilon > 1.0 {
        note(format!(
            "adam_epsilon = {} makes every update next to nothing; the usual value is 1e-8",
            arguments.adam_epsilon
        ));
    }
    optimizer_notes(arguments, plan, &mut note);
    if let Some(decay) = arguments.ema_decay
        && 1.0 / (1.0 - decay) > plan.updates as f64
    {
        note(format!(
            "ema_decay = {decay} averages about {:.0} updates, but the run has {}: the average stays near its start; \
             choose a smaller one",
            1.0 / (1.0 - decay),
            plan.updates
        ));
    }
    if let Some(every) = plan.evaluate_every.filter(|every| *every > plan.updates) {
        note(format!(
            "evaluate = {every}, but the run has {} updates: nothing is measured while it trains{}",
            plan.updates,
            if arguments.keep_best.is_some() { ", and keep_best has nothing to choose from" } else { "" }
        ));
    }
    if let Some(patience) =
        arguments.early_stopping_patience.filter(|&patience| patience >= plan.evaluations.len() as u64)
    {
        note(format!(
            "early_stopping_patience = {patience} has no effect: the run has {} evaluations, of which the first sets \
             the best value",
            plan.evaluations.len()
        ));
    }
    if let Some(every) = plan.save_every.filter(|every| *every > plan.updates) {
        note(format!("save_every = {every}, but the run has {} updates", plan.updates));
    }
    notes
}

/// Describes SimCSE with a model of this architecture that has no dropout.
pub(super) fn without_dropout(architecture: Architecture) -> String {
    let remedy = match architecture {
        Architecture::Static => "a static model learns from pairs",
        Architecture::DistilBert => "set dropout in its config.json, for example to 0.1",
        Architecture::ModernBert => "set mlp_dropout in its config.json, for example to 0.1",
        _ => "set hidden_dropout_prob in its config.json, for example to 0.1",
    };
    format!(
        "the model has no dropout, so that both embeddings of a text are equal: `simcse` only pushes other texts apart; \
         {remedy}"
    )
}

/// Describes settings of schedule and optimizer without effect.
fn optimizer_notes(arguments: &Arguments, plan: &Plan, note: &mut impl FnMut(String)) {
    let defaults = Arguments::default();
    let adam = [
        ("adam_beta1", arguments.adam_beta1 != defaults.adam_beta1),
        ("adam_beta2", arguments.adam_beta2 != defaults.adam_beta2),
        ("adam_epsilon", arguments.adam_epsilon != defaults.adam_epsilon),
    ];
    if arguments.optimizer != Optimizer::AdamW {
        for (name, _) in adam.into_iter().filter(|(_, given)| *given) {
            note(format!("{name} has no effect: it belongs to the optimizer `adamw`"));
        }
    }
    match &arguments.schedule {
        Schedule::ReduceLrOnPlateau(plateau) if plan.evaluations.len() as u64 <= plateau.patience + 1 => note(format!(
            "schedule.patience = {}, but the run has {} evaluations: the learning rate is never reduced",
            plateau.patience,
            plan.evaluations.len()
        )),
        Schedule::WarmupStableDecay(phases)
            if plan.warmup_updates + phases.decay_steps(plan.scheduled_updates) > plan.scheduled_updates =>
        {
            note(format!(
                "the warmup of {} updates and the decay of {} are longer than the run of {}: the learning rate never \
                 reaches {}",
                plan.warmup_updates,
                phases.decay_steps(plan.scheduled_updates),
                plan.scheduled_updates,
                arguments.learning_rate
            ));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maana_train::{Adafactor, Evaluate, ReduceLrOnPlateau, WarmupStableDecay};

    fn notes(rows: usize, in_batch_loss: Option<&str>, arguments: Arguments) -> String {
        let plan = Plan::new(rows, &arguments).unwrap();
        without_effect(&arguments, &plan, in_batch_loss).join("\n")
    }

    #[test]
    fn settings_with_an_effect_are_not_mentioned() {
        let typical = Arguments {
            warmup_ratio: 0.1,
            evaluate: Evaluate::Steps(5.into()),
            save_every: Some(5.into()),
            ..Arguments::default()
        };
        assert_eq!(notes(80, Some("cosent"), typical), "");
    }

    #[test]
    fn settings_without_effect_are_named() {
        let wsd: WarmupStableDecay = serde_json::from_str(r#"{"num_decay_steps": 0.5}"#).unwrap();
        let wsd = Schedule::WarmupStableDecay(wsd);
        let cases = [
            (
                Arguments { warmup_steps: 300, ..Arguments::default() },
                "warmup of 300 updates is not shorter than the run of 30",
            ),
            (Arguments { warmup_ratio: 1.0, ..Arguments::default() }, "never reaches 0.00005"),
            (
                Arguments { warmup_steps: 3, schedule: Schedule::Constant, ..Arguments::default() },
                "constant_with_warmup",
            ),
            (
                Arguments {
                    optimizer: Optimizer::Adafactor(Adafactor::default()),
                    adam_beta1: 0.8,
                    ..Arguments::default()
                },
                "adam_beta1 has no effect",
            ),
            (
                Arguments {
                    schedule: Schedule::ReduceLrOnPlateau(ReduceLrOnPlateau::default()),
                    evaluate: Evaluate::Epoch,
                    keep_best: Some("x".into()),
                    ..Arguments::default()
                },
                "schedule.patience = 10, but the run has 3 evaluations",
            ),
            (
                Arguments { warmup_steps: 20, schedule: wsd, ..Arguments::default() },
                "warmup of 20 updates and the decay of 15 are longer than the run of 30",
            ),
            (Arguments { warmup_steps: 3, warmup_ratio: 0.5, ..Arguments::default() }, "warmup_ratio has no effect"),
            (Arguments { adam_epsilon: 1e6, ..Arguments::default() }, "adam_epsilon = 1000000"),
            (
                Arguments { ema_decay: Some(0.99), ..Arguments::default() },
                "averages about 100 updates, but the run has 30",
            ),
            (
                Arguments { evaluate: Evaluate::Steps(31.into()), ..Arguments::default() },
                "evaluate = 31, but the run has 30",
            ),
            (Arguments { save_every: Some(31.into()), ..Arguments::default() }, "save_every = 31"),
            (
                Arguments {
                    keep_best: Some("loss".into()),
                    evaluate: Evaluate::Epoch,
                    early_stopping_patience: Some(3),
                    ..Arguments::default()
                },
                "early_stopping_patience = 3 has no effect: the run has 3 evaluations",
            ),
        ];
        for (arguments, expected) in cases {
            let found = notes(80, None, arguments);
            assert!(found.contains(expected), "{expected}: {found}");
        }
    }

    #[test]
    fn shuffled_batches_of_losses_of_labels_are_reported() {
        let found = labels_by_chance(LossName::BatchAllTriplet, &Arguments::default()).unwrap();
        assert!(found.contains("\"batch_all_triplet\" compares") && found.contains("group_by_label"), "{found}");
        let grouped = Arguments { batch_sampler: BatchSampler::GroupByLabel, ..Arguments::default() };
        assert_eq!(labels_by_chance(LossName::BatchAllTriplet, &grouped), None);
        assert_eq!(labels_by_chance(LossName::Cosent, &Arguments::default()), None);
    }

    #[test]
    fn batches_of_one_row_are_reported() {
        let one = Arguments { batch_size: 1, ..Arguments::default() };
        let found = notes(10, Some("multiple_negatives_ranking"), one.clone());
        assert!(
            found.contains("30 of 30 micro-batches have one row") && found.contains("larger batch_size"),
            "{found}"
        );
        assert_eq!(notes(10, None, one), "", "hard negatives give every row a loss");
        let last = notes(17, Some("cosent"), Arguments::default());
        assert!(last.contains("3 of 9 micro-batches") && last.contains("drop_last"), "{last}");
        assert_eq!(notes(17, Some("cosent"), Arguments { drop_last: true, ..Arguments::default() }), "");
    }
}
