//! The text of an inspection.

use super::facts::{ColumnFacts, Inspection};
use super::minhash::{GRAM, MINIMA, MOST_TEXTS, NEAR};
use crate::card::quantity::count;
use std::fmt::Write;

/// Widest bar of a histogram.
const BAR: usize = 40;
/// Characters of a text that are shown.
const LETTERS: usize = 90;

/// Formats an inspection for reading.
pub fn text(inspection: &Inspection) -> String {
    let mut out = String::new();
    let percent = |part: usize, all: usize| format!("{:.1} %", 100.0 * part as f64 / all.max(1) as f64);
    let mut line = |text: String| {
        out += &text;
        out.push('\n');
    };
    let all = inspection.rows;
    line(format!("rows            {}", count(all)));
    line(format!("loss            {}, which sees the columns so:", inspection.loss));
    for column in &inspection.columns {
        line(format!(
            "  {:<13} `{}`, {} distinct texts; the most frequent one occurs {}",
            column.role,
            column.name,
            count(column.distinct),
            times(column.most_frequent)
        ));
    }
    if let Some(labels) = &inspection.labels {
        line(match labels.length {
            1 => format!(
                "  label         {} distinct values from {} to {}, mean {:.3}",
                count(labels.distinct),
                labels.min,
                labels.max,
                labels.mean
            ),
            length => format!("  label         {length} numbers"),
        });
    }
    let repeats = &inspection.repeats;
    line(format!("equal rows      {} ({})", count(repeats.rows), percent(repeats.rows, all)));
    line(format!(
        "in a batch      of {} random rows, {:.2} % share a text with another row",
        inspection.batch_size,
        100.0 * repeats.share_of_rows
    ));
    if let Some(negatives) = inspection.negatives.as_ref().filter(|negatives| negatives.rows > 0) {
        line(format!(
            "by the model    {:.2} % of the rows have a more similar document in their batch than their own ({:.3} % of pairs; \
             {} sampled rows)",
            100.0 * negatives.share_of_rows,
            100.0 * negatives.share_of_pairs,
            count(negatives.rows)
        ));
        for example in &negatives.examples {
            line(format!("  query         {}", short(&example.query)));
            line(format!("    {:>7.3}     own: {}", example.similarity, short(&example.document)));
            line(format!("    {:>7.3}     other: {}", example.other_similarity, short(&example.other)));
        }
    }
    let near = &inspection.near;
    line(format!(
        "near-duplicates {} texts in {} groups, of {} compared ({GRAM}-letter sequences with a Jaccard similarity of at least \
         {NEAR}, estimated by {MINIMA} hashes)",
        count(near.texts),
        count(near.groups),
        count(near.compared)
    ));
    if !near.is_complete {
        line(format!("                only the first {} distinct texts were compared", count(MOST_TEXTS)));
    }
    for pair in &near.examples {
        line(format!("  {:>5.2}         {}", pair.similarity, short(&pair.texts[0])));
        line(format!("                {}", short(&pair.texts[1])));
    }
    for leaks in &inspection.leaks {
        let all = leaks.equal + leaks.near;
        let part = format!("{} {} of {}", count(leaks.texts), leaks.part, leaks.set);
        if all == 0 {
            line(format!("leaks           none of {part}"));
            continue;
        }
        line(format!(
            "leaks           {} of {part}: {} equal to a text of the data, {} nearly",
            count(all),
            count(leaks.equal),
            count(leaks.near)
        ));
        for example in &leaks.examples {
            line(format!("  {:>5.2}         {}", example.similarity, short(&example.text)));
            if example.text != example.training_text {
                line(format!("    row {:<7} {}", example.row, short(&example.training_text)));
            }
        }
    }
    let unit = inspection.unit.name();
    for column in &inspection.columns {
        line(String::new());
        line(histogram(column, unit, inspection.max_seq_length));
    }
    if let Some(share) = inspection.unknown_tokens {
        line(format!("\nunknown tokens  {:.2} %", 100.0 * share));
    }
    line("\nlongest rows".into());
    for row in &inspection.longest {
        let lengths: Vec<String> = row.lengths.iter().map(|length| count(*length)).collect();
        line(format!("  {}: {} {unit}", row.place, lengths.join(" + ")));
        line(format!("    {}", short(&row.begins)));
    }
    if inspection.warnings.is_empty() {
        line("\nno warnings".into());
    }
    for warning in &inspection.warnings {
        line(format!("\nwarning: {}", warning.problem));
        line(format!("  remedy: {}", warning.remedy));
    }
    out
}

fn histogram(column: &ColumnFacts, unit: &str, max_seq_length: Option<usize>) -> String {
    let lengths = &column.lengths;
    let mut text = format!(
        "lengths of `{}` in {unit}: {} to {}, mean {:.1}, median {}, 95 % up to {}",
        column.name, lengths.min, lengths.max, lengths.mean, lengths.median, lengths.p95
    );
    if let (Some(cut), Some(longest)) = (column.cut, max_seq_length) {
        let _ = write!(text, "; {} longer than {longest}", count(cut));
    }
    let most = lengths.histogram.iter().map(|bar| bar.texts).max().unwrap_or(1).max(1);
    for bar in &lengths.histogram {
        let range = format!("{}–{}", bar.from, bar.to);
        // A bar of texts is never invisible.
        let length = (bar.texts * BAR).div_ceil(most);
        let _ = write!(text, "\n  {range:>11} {:>10} {}", count(bar.texts), "█".repeat(length));
    }
    let scripts: Vec<String> = column
        .scripts
        .iter()
        .map(|share| format!("{} {:.1} % ({})", share.script, 100.0 * share.share, count(share.texts)))
        .collect();
    let _ = write!(text, "\n  scripts     {}", scripts.join(", "));
    text
}

fn times(number: usize) -> String {
    match number {
        1 => "once".into(),
        2 => "twice".into(),
        number => format!("{} times", count(number)),
    }
}

/// Shortens a text to one line.
fn short(text: &str) -> String {
    let mut letters = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let mut short: String = letters.by_ref().take(LETTERS).collect();
    if letters.next().is_some() {
        short.push('…');
    }
    short
}
