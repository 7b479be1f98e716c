//! Event files for TensorBoard, read by a decoder that shares no code with the writer.

mod toy;

use maana_train::{Arguments, Evaluate, LogRow, Outcome};
use std::path::{Path, PathBuf};
use toy::{Notebook, Toy, arguments, entries, run};

/// CRC-32C, bit by bit (RFC 3720).
fn crc32c(bytes: &[u8]) -> u32 {
    let mut remainder = u32::MAX;
    for byte in bytes {
        remainder ^= u32::from(*byte);
        for _ in 0..8 {
            let odd = remainder % 2 == 1;
            remainder /= 2;
            if odd {
                remainder ^= 0x82f6_3b78;
            }
        }
    }
    !remainder
}

fn take<const LENGTH: usize>(bytes: &mut &[u8]) -> [u8; LENGTH] {
    let (head, rest) = bytes.split_first_chunk().expect("the file is complete");
    *bytes = rest;
    *head
}

fn assert_checksum(stored: [u8; 4], data: &[u8]) {
    let sum = crc32c(data);
    let masked = sum.rotate_right(15).wrapping_add(0xa282_ead8);
    assert_eq!(u32::from_le_bytes(stored), masked);
}

/// Returns the data of the records of a file.
fn records(path: &Path) -> Vec<Vec<u8>> {
    let file = std::fs::read(path).unwrap();
    let mut rest = &file[..];
    let mut records = Vec::new();
    while !rest.is_empty() {
        let length = take::<8>(&mut rest);
        assert_checksum(take(&mut rest), &length);
        let (data, after) = rest.split_at(u64::from_le_bytes(length) as usize);
        rest = after;
        assert_checksum(take(&mut rest), data);
        records.push(data.to_vec());
    }
    records
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let [byte] = take(bytes);
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    unreachable!()
}

/// A field of a message: its number, and its value as bytes.
type Field = (u64, Vec<u8>);

/// Returns the fields of a message.
fn fields(mut bytes: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let value = match key & 7 {
            0 => varint(&mut bytes).to_le_bytes().to_vec(),
            1 => take::<8>(&mut bytes).to_vec(),
            5 => take::<4>(&mut bytes).to_vec(),
            2 => {
                let length = varint(&mut bytes) as usize;
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                value.to_vec()
            }
            other => panic!("wire type {other}"),
        };
        fields.push((key >> 3, value));
    }
    fields
}

fn field(message: &[u8], number: u64) -> Option<Vec<u8>> {
    fields(message).into_iter().find(|(found, _)| *found == number).map(|(_, value)| value)
}

fn whole(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

/// A number of an event file.
#[derive(Clone, Debug, PartialEq)]
struct Scalar {
    step: u64,
    tag: String,
    bits: u32,
    time: f64,
}

/// Returns the only event file of a run.
fn event_file(run: &Path) -> PathBuf {
    let folder = run.join("tensorboard");
    let names = entries(&folder);
    assert_eq!(names.len(), 1, "{names:?}");
    folder.join(&names[0])
}

/// Reads the event file of a run: the settings as text, and the numbers.
fn read(run: &Path) -> (String, Vec<Scalar>) {
    let records = records(&event_file(run));
    assert_eq!(field(&records[0], 3).unwrap(), b"brain.Event:2");
    let value = |record: &[u8]| field(&field(record, 5).expect("a summary"), 1).expect("a value");
    let settings = value(&records[1]);
    assert_eq!(field(&settings, 1).unwrap(), b"args/text_summary");
    assert_eq!(field(&field(&settings, 9).unwrap(), 1).map(|plugin| field(&plugin, 1).unwrap()).unwrap(), b"text");
    let text = String::from_utf8(field(&field(&settings, 8).unwrap(), 8).unwrap()).unwrap();
    let scalar = |record: &Vec<u8>| Scalar {
        step: whole(&field(record, 2).unwrap()),
        tag: String::from_utf8(field(&value(record), 1).unwrap()).unwrap(),
        bits: u32::from_le_bytes(field(&value(record), 2).unwrap().try_into().unwrap()),
        time: f64::from_le_bytes(field(record, 1).unwrap().try_into().unwrap()),
    };
    (text, records[2..].iter().map(scalar).collect())
}

/// Returns the numbers that a log has under the tags of the reference, without times.
fn expected(rows: &[LogRow]) -> Vec<(u64, String, f64)> {
    let mut scalars = Vec::new();
    for row in rows {
        match row {
            LogRow::Training { step, epoch, loss, learning_rate, gradient_norm, .. } => {
                scalars.push((*step, "train/loss".to_owned(), *loss));
                scalars.push((*step, "train/grad_norm".to_owned(), *gradient_norm));
                scalars.push((*step, "train/learning_rate".to_owned(), *learning_rate));
                scalars.push((*step, "train/epoch".to_owned(), *epoch));
            }
            LogRow::Evaluation { step, epoch, scores, .. } => {
                scalars.extend(scores.iter().map(|(name, value)| (*step, format!("eval/{name}"), *value)));
                if !scalars.iter().any(|(logged, tag, _)| logged == step && tag == "train/epoch") {
                    scalars.push((*step, "train/epoch".to_owned(), *epoch));
                }
            }
        }
    }
    scalars
}

fn assert_reads_as(folder: &Path, rows: &[LogRow]) {
    let (text, scalars) = read(folder);
    let settings: Arguments = serde_json::from_str(&text).unwrap();
    assert!(settings.tensorboard && settings.batch_size == 4);
    assert!(scalars.is_sorted_by_key(|scalar| scalar.step));
    for (number, Scalar { step, tag, .. }) in scalars.iter().enumerate() {
        let twice = scalars[..number].iter().any(|scalar| (scalar.step, &scalar.tag) == (*step, tag));
        assert!(!twice, "{tag} at {step}");
    }
    assert!(scalars.is_sorted_by_key(|scalar| scalar.time), "no time runs backwards");
    let (times, values): (Vec<_>, Vec<_>) = scalars.into_iter().partition(|scalar| scalar.tag == "eval/runtime");
    assert_eq!(times.len(), rows.iter().filter(|row| matches!(row, LogRow::Evaluation { .. })).count());
    let of_summary = |tag: &str| tag.starts_with("train/train_") || tag == "train/total_flos";
    let (summary, values): (Vec<_>, Vec<_>) = values.into_iter().partition(|scalar| of_summary(&scalar.tag));
    assert_is_summary(&summary, rows);
    let found: Vec<_> = values.into_iter().map(|scalar| (scalar.step, scalar.tag, scalar.bits)).collect();
    let bits = |(step, tag, value): (u64, String, f64)| (step, tag, (value as f32).to_bits());
    assert_eq!(found, expected(rows).into_iter().map(bits).collect::<Vec<_>>());
}

/// Compares the summary at the end of a run of 30 rows in 3 epochs with its log.
fn assert_is_summary(summary: &[Scalar], rows: &[LogRow]) {
    let tags: Vec<&str> = summary.iter().map(|scalar| scalar.tag.as_str()).collect();
    let expected = ["train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos", "train_loss"];
    assert_eq!(tags, expected.map(|name| format!("train/{name}")));
    let last = rows.last().unwrap().step();
    assert!(summary.iter().all(|scalar| scalar.step == last));
    let [seconds, rows_a_second, updates_a_second, flos, loss] =
        [0, 1, 2, 3, 4].map(|at| f32::from_bits(summary[at].bits));
    assert!((rows_a_second * seconds - 90.0).abs() < 1e-3, "{rows_a_second} rows a second in {seconds} s");
    assert!((updates_a_second * seconds - last as f32).abs() < 1e-3);
    assert_eq!(flos, 0.0);
    let losses = rows.iter().filter_map(|row| match row {
        LogRow::Training { loss, .. } => Some(*loss),
        LogRow::Evaluation { .. } => None,
    });
    let mean = losses.sum::<f64>() / last as f64;
    assert!((f64::from(loss) - mean).abs() < 1e-5 * mean, "{loss} instead of {mean}");
}

fn settings() -> Arguments {
    Arguments { tensorboard: true, evaluate: Evaluate::Steps(2.into()), log_every: 1.into(), ..arguments(None) }
}

fn finish(folder: &Path, arguments: &Arguments, resume: bool) -> Vec<LogRow> {
    match run(&mut Toy::new(), &mut Notebook::default(), arguments, Some(folder), resume).unwrap() {
        Outcome::Finished(record) => record.rows,
        Outcome::Interrupted { .. } => panic!("nobody stopped it"),
    }
}

#[test]
fn the_events_are_the_rows_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let rows = finish(folder.path(), &settings(), false);
    assert!(rows.len() > 8, "{}", rows.len());
    assert_reads_as(folder.path(), &rows);
    // A metric that is NaN stays visible.
    let mut notebook = Notebook { scores: vec![f64::NAN], ..Notebook::default() };
    let other = tempfile::tempdir().unwrap();
    run(&mut Toy::new(), &mut notebook, &settings(), Some(other.path()), false).unwrap();
    assert!(read(other.path()).1.iter().any(|scalar| f32::from_bits(scalar.bits).is_nan()));
}

#[test]
fn a_run_that_is_stopped_after_every_micro_batch_has_one_unbroken_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for call in 0.. {
        let mut notebook = Notebook { stop_after: Some(1), ..Notebook::default() };
        if let Outcome::Finished(record) =
            run(&mut Toy::new(), &mut notebook, &settings(), Some(path), call > 0).unwrap()
        {
            return assert_reads_as(path, &record.rows);
        }
        event_file(path);
    }
}

/// Returns the records of a file without the times at their beginning.
fn timeless_records(path: &Path) -> Vec<Vec<u8>> {
    let is_duration = |record: &[u8]| record.windows(12).any(|part| part == b"eval/runtime" || part == b"train/train_");
    let records = records(path).into_iter().map(|record| record[9..].to_vec());
    // The duration of an evaluation differs from run to run, at the same length.
    records.map(|record| if is_duration(&record) { vec![0; record.len()] } else { record }).collect()
}

#[test]
fn rows_after_the_checkpoint_are_replaced_where_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let rows = finish(path, &settings(), false);
    let before = timeless_records(&event_file(path));
    // The state that a kill after the log and before the next checkpoint leaves.
    for entry in entries(path).into_iter().filter(|name| name.starts_with("checkpoint-") && name != "checkpoint-2") {
        std::fs::remove_dir_all(path.join(entry)).unwrap();
    }
    let mut file = std::fs::OpenOptions::new().append(true).open(event_file(path)).unwrap();
    std::io::Write::write_all(&mut file, b"a record that was cut").unwrap();
    let mut notebook = Notebook { stop_after: Some(1), ..Notebook::default() };
    run(&mut Toy::new(), &mut notebook, &settings(), Some(path), true).unwrap();
    let middle = timeless_records(&event_file(path));
    assert!(middle.len() < before.len());
    assert_eq!(middle, before[..middle.len()]);
    let again = finish(path, &settings(), true);
    assert_eq!(toy::timeless(&again), toy::timeless(&rows));
    assert_reads_as(path, &again);
    // A reader that had read everything finds each record where it was.
    assert_eq!(timeless_records(&event_file(path)), before);
}

#[test]
fn a_damaged_file_is_written_again() {
    for damage in [Vec::new(), b"something else".to_vec(), vec![0; 10_000]] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let mut notebook = Notebook { stop_after: Some(12), ..Notebook::default() };
        run(&mut Toy::new(), &mut notebook, &settings(), Some(path), false).unwrap();
        std::fs::write(event_file(path), damage).unwrap();
        let rows = finish(path, &settings(), true);
        assert_reads_as(path, &rows);
    }
}

#[test]
fn the_option_may_change_when_a_run_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let without = Arguments { tensorboard: false, ..settings() };
    let mut notebook = Notebook { stop_after: Some(12), ..Notebook::default() };
    run(&mut Toy::new(), &mut notebook, &without, Some(path), false).unwrap();
    assert!(!path.join("tensorboard").exists());
    let rows = finish(path, &settings(), true);
    assert_reads_as(path, &rows);
}
