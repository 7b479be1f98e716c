//! Problems of the data, each with its remedy.

use super::facts::{Inspection, Warning};
use super::scripts::NO_LETTERS;
use crate::card::quantity::count;
use crate::roles;

/// Shares from which a problem is worth a warning.
const REPEATED: f64 = 0.01;
const NEAR: f64 = 0.05;
const CUT: f64 = 0.01;
const UNKNOWN: f64 = 0.01;
const FALSE_NEGATIVES: f64 = 0.1;
/// Share of texts below which a script is the exception in its column.
const RARE_SCRIPT: f64 = 0.1;

/// Lists the problems. `are_named` is true if the caller named the columns; `refusal` is the reason
/// for which a run would refuse the data.
pub(super) fn of(inspection: &Inspection, are_named: bool, refusal: Option<String>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |problem: String, remedy: &str| warnings.push(Warning { problem, remedy: remedy.to_owned() });
    let rows = inspection.rows as f64;
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);

    if let Some(reason) = refusal {
        warn(
            reason,
            "training refuses these data: name a loss that takes them (--loss here), or the columns that it needs \
             (--columns here, [data] columns in the recipe)",
        );
    }
    let names: Vec<String> = inspection.columns.iter().map(|column| column.name.clone()).collect();
    let better: Vec<String> = roles::better_order(&names).iter().map(|name| format!("{name:?}")).collect();
    let order = format!("set [data] columns = [{}] in the recipe (--columns here)", better.join(", "));
    let doubts = [roles::ids_among(&names), roles::out_of_place(&names)];
    for doubt in doubts.into_iter().flatten().filter(|_| !are_named) {
        warn(doubt, &order);
    }

    let repeats = &inspection.repeats;
    if repeats.blank > 0 {
        warn(format!("rows with a blank text: {}", count(repeats.blank)), "remove them; training refuses blank texts");
    }
    if repeats.rows > 0 {
        let problem = format!(
            "rows that equal an earlier row: {} ({})",
            count(repeats.rows),
            percent(repeats.rows as f64 / rows)
        );
        warn(problem, "keep one of each: a repeated row counts more than once in training");
    }
    if repeats.same_in_row > 0 {
        let problem = format!("rows with the same text in two columns: {}", count(repeats.same_in_row));
        warn(problem, "remove them: such a row teaches nothing, or the opposite if the text is also the negative");
    }
    if repeats.share_of_rows >= REPEATED {
        warn(
            format!(
                "in a random batch of {}, {} of the rows share a text with another row, whose document is then a false negative",
                inspection.batch_size,
                percent(repeats.share_of_rows)
            ),
            "set [training] batch_sampler = \"no_duplicates\"",
        );
    }
    let near = &inspection.near;
    if near.texts as f64 >= NEAR * near.compared as f64 && near.texts > 0 {
        let share = percent(near.texts as f64 / near.compared as f64);
        warn(
            format!("near-duplicate texts: {} ({share}); groups of them: {}", count(near.texts), count(near.groups)),
            "keep one of each group, for example with maana dedupe; in a batch they are false negatives of each other",
        );
    }
    for leaks in &inspection.leaks {
        let all = leaks.equal + leaks.near;
        if all > 0 {
            let share = percent(all as f64 / leaks.texts as f64);
            warn(
                format!(
                    "{} of {} {} of {} ({share}) are in the data: {} equal, {} nearly",
                    count(all),
                    count(leaks.texts),
                    leaks.part,
                    leaks.set,
                    count(leaks.equal),
                    count(leaks.near)
                ),
                "remove their rows from the training data (--json lists them), or evaluate on other texts: scores on these are \
                 too high",
            );
        }
    }
    for column in &inspection.columns {
        let cut = column.cut.unwrap_or(0);
        if cut as f64 >= CUT * rows {
            let longest = inspection.max_seq_length.unwrap_or(0);
            warn(
                format!(
                    "{} texts of `{}` ({}) are longer than the {longest} tokens that the model reads",
                    count(cut),
                    column.name,
                    percent(cut as f64 / rows)
                ),
                "raise [model] max_seq_length if the model has more positions, shorten the texts, or accept the loss",
            );
        }
        let rare = column.scripts.iter().skip(1).filter(|share| share.script != NO_LETTERS);
        for share in rare.filter(|share| share.share < RARE_SCRIPT) {
            warn(
                format!(
                    "{} texts of `{}` are mainly in {}, most others in {}",
                    count(share.texts),
                    column.name,
                    share.script,
                    column.scripts[0].script
                ),
                "check that these texts belong to the data, and that the model's vocabulary has the script",
            );
        }
    }
    if let Some(share) = inspection.unknown_tokens.filter(|share| *share >= UNKNOWN) {
        warn(
            format!("{} of the tokens are unknown to the model", percent(share)),
            "choose a base model whose vocabulary has this script, such as a multilingual one",
        );
    }
    if let Some(negatives) =
        inspection.negatives.as_ref().filter(|negatives| negatives.share_of_rows >= FALSE_NEGATIVES)
    {
        warn(
            format!(
                "in batches of {}, {} of the rows have a document of another row that the model finds more similar than \
                 their own",
                negatives.batch_size,
                percent(negatives.share_of_rows)
            ),
            "read the examples: if these documents are relevant, remove near-duplicates or train with a loss that has a \
             guide (GIST); if not, they are good hard negatives",
        );
    }
    if inspection.labels.as_ref().is_some_and(|labels| labels.length == 1 && labels.distinct == 1) {
        warn("all labels are equal".into(), "check the column: no loss learns from a single label");
    }
    warnings
}
