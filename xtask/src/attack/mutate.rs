//! Mutations that know the structure of a file, so that they get past its parser, and those of
//! plain bytes.

use crate::serving::texts::Draws;
use serde_json::{Value, json};

/// Structure of a file, as far as a mutation uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Toml,
    /// A JSON value a line.
    Rows,
    /// Fields between separators.
    Table(char),
    /// A safetensors file: length, JSON header, numbers.
    Weights,
    /// A file of PyTorch: a pickle, numbers and the directory of a zip file, or several pickles and
    /// numbers.
    Torch,
    Bytes,
}

/// Changes `bytes` at one or two places; returns what was done.
pub(crate) fn mutate(bytes: &mut Vec<u8>, format: Format, draws: &mut Draws) -> String {
    let mut done = once(bytes, format, draws);
    if draws.below(4) == 0 {
        done += "; ";
        done += &once(bytes, format, draws);
    }
    done
}

fn once(bytes: &mut Vec<u8>, format: Format, draws: &mut Draws) -> String {
    let structured = match format {
        _ if draws.below(6) == 0 => None,
        Format::Json => json_file(bytes, draws),
        Format::Toml => toml_lines(bytes, draws),
        Format::Rows => lines(bytes, draws, json_line),
        Format::Table(separator) => lines(bytes, draws, |line, draws| fields(line, separator, draws)),
        Format::Weights => header(bytes, draws),
        Format::Torch => torch_file(bytes, draws),
        Format::Bytes => None,
    };
    structured.unwrap_or_else(|| plain(bytes, draws))
}

fn one_of<'a, T>(values: &'a [T], draws: &mut Draws) -> &'a T {
    &values[draws.below(values.len())]
}

/// Flips, overwrites, cuts, repeats or inserts bytes.
fn plain(bytes: &mut Vec<u8>, draws: &mut Draws) -> String {
    if bytes.is_empty() {
        bytes.extend(b"\xef\xbb\xbf\0");
        return "filled an empty file".into();
    }
    let at = draws.below(bytes.len());
    let length = 1 + draws.below(64.min(bytes.len() - at));
    match draws.below(9) {
        0 | 1 => {
            bytes[at] ^= 1 << draws.below(8);
            format!("flipped a bit of byte {at}")
        }
        2 => {
            bytes[at] = draws.number() as u8;
            format!("set byte {at} to {}", bytes[at])
        }
        3 => {
            bytes.truncate(at);
            format!("cut behind {at} bytes")
        }
        4 => {
            bytes[at..at + length].fill(if draws.below(2) == 0 { 0 } else { 0xff });
            format!("overwrote {length} bytes at {at}")
        }
        5 => {
            let copy = bytes[at..at + length].to_vec();
            let to = draws.below(bytes.len());
            bytes.splice(to..to, copy);
            format!("repeated {length} bytes of {at} at {to}")
        }
        6 => {
            bytes.drain(at..at + length);
            format!("removed {length} bytes at {at}")
        }
        7 => {
            let inserted = one_of(&INSERTED, draws);
            bytes.splice(at..at, inserted.iter().copied());
            format!("inserted {inserted:?} at {at}")
        }
        _ => {
            let word = one_of(&WORDS, draws).to_le_bytes();
            let end = bytes.len().min(at + 8);
            bytes[at..end].copy_from_slice(&word[..end - at]);
            format!("wrote {word:?} at {at}")
        }
    }
}

const INSERTED: [&[u8]; 9] =
    [b"\0", b"\n", b"\r\n", b"\"", b"\x1b[31m", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\t,;\t"];
const WORDS: [u64; 7] = [0, 1, u64::MAX, 1 << 63, 1 << 32, u32::MAX as u64, 0x7ff8_0000_7fc0_0000];

/// Values that stand where a file has another.
fn value(draws: &mut Draws) -> Value {
    match draws.below(24) {
        0 => Value::Null,
        1 => json!(draws.below(2) == 0),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(1),
        5 => json!(2),
        6 => json!(1_u64 << 28),
        7 => json!(i32::MAX),
        8 => json!(1_u64 << 32),
        9 => json!(1_u64 << 63),
        10 => json!(u64::MAX),
        11 => json!(0.5),
        12 => json!(1e308),
        13 => json!(-1e308),
        14 => json!(1e-320),
        15 => json!(""),
        16 => json!("x"),
        17 => json!("x".repeat(10_000)),
        18 => json!("../../x"),
        19 => json!("\u{0}\u{1b}[31m\u{202e}"),
        20 => json!([]),
        21 => json!({}),
        22 => json!([[[[[[]]]]]]),
        _ => json!({"a": [null, 1, "b"]}),
    }
}

fn json_file(bytes: &mut Vec<u8>, draws: &mut Draws) -> Option<String> {
    let mut root: Value = serde_json::from_slice(bytes).ok()?;
    let done = json_value(&mut root, draws);
    *bytes = serde_json::to_vec_pretty(&root).ok()?;
    Some(done)
}

/// Changes one value of a tree. Its place is found from the root, so that the few upper ones are
/// changed as often as the many lower ones.
fn json_value(root: &mut Value, draws: &mut Draws) -> String {
    let (mut at, mut path) = (root, String::new());
    loop {
        let deeper = match &*at {
            Value::Object(fields) => fields.len(),
            Value::Array(items) => items.len(),
            _ => 0,
        };
        if deeper == 0 || (!path.is_empty() && draws.below(4) == 0) {
            break;
        }
        let chosen = draws.below(deeper);
        at = match at {
            Value::Object(fields) => {
                let name = fields.keys().nth(chosen).expect("below the number of fields").clone();
                path += &format!(".{name}");
                // A field that is missing, renamed, or there is one more of.
                match draws.below(16) {
                    0 => {
                        fields.remove(&name);
                        return format!("removed {path}");
                    }
                    1 => {
                        let value = fields.remove(&name).expect("its name was just read");
                        fields.insert(format!("{name}x"), value);
                        return format!("renamed {path}");
                    }
                    2 => {
                        fields.insert("x".into(), value(draws));
                        return format!("added x next to {path}");
                    }
                    _ => fields.get_mut(&name).expect("its name was just read"),
                }
            }
            Value::Array(items) => {
                path += &format!("[{chosen}]");
                match draws.below(16) {
                    0 => {
                        items.remove(chosen);
                        return format!("removed {path}");
                    }
                    1 => {
                        let copy = items[chosen].clone();
                        items.push(copy);
                        return format!("repeated {path}");
                    }
                    2 => {
                        let other = draws.below(items.len());
                        items.swap(chosen, other);
                        return format!("swapped {path} and [{other}]");
                    }
                    _ => &mut items[chosen],
                }
            }
            _ => unreachable!("only objects and arrays have something deeper"),
        };
    }
    let changed = match &*at {
        Value::Number(number) if draws.below(2) == 0 => nearby(number, draws),
        Value::String(text) if draws.below(2) == 0 => {
            let mut bytes = text.clone().into_bytes();
            plain(&mut bytes, draws);
            json!(String::from_utf8_lossy(&bytes))
        }
        _ => value(draws),
    };
    let said: String = changed.to_string().chars().take(60).collect();
    *at = changed;
    format!("set {path} to {said}")
}

fn nearby(number: &serde_json::Number, draws: &mut Draws) -> Value {
    match number.as_i64() {
        Some(number) => {
            let changed = [
                number.wrapping_add(1),
                number.wrapping_sub(1),
                number.wrapping_mul(2),
                number / 2,
                number.wrapping_neg(),
                number.wrapping_mul(1 << 20),
            ];
            json!(one_of(&changed, draws))
        }
        None => json!(number.as_f64().unwrap_or_default() * -1000.0),
    }
}

const TOML_VALUES: [&str; 22] = [
    "0",
    "-1",
    "1",
    "3",
    "1e9",
    "1e39",
    "-0.5",
    "nan",
    "inf",
    "9223372036854775807",
    "18446744073709551616",
    "true",
    "\"\"",
    "\"x\"",
    "[]",
    "[0]",
    "[64, 64]",
    "[1e300]",
    "{}",
    "[[]]",
    "\"../../x\"",
    "\"\\u0000\\u001b[31m\"",
];

fn toml_lines(bytes: &mut Vec<u8>, draws: &mut Draws) -> Option<String> {
    lines(bytes, draws, |line, draws| {
        let (key, _) = line.split_once('=')?;
        Some(match draws.below(12) {
            0 => format!("{}x = 1", key.trim()),
            1 => format!("{line}\n{line}"),
            _ => format!("{key}= {}", one_of(&TOML_VALUES, draws)),
        })
    })
}

/// Changes one line by `change`, or the order and number of lines.
fn lines(
    bytes: &mut Vec<u8>,
    draws: &mut Draws,
    change: impl Fn(&str, &mut Draws) -> Option<String>,
) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return None;
    }
    let at = draws.below(lines.len());
    let done = match draws.below(12) {
        0 => {
            lines.remove(at);
            format!("removed line {}", at + 1)
        }
        1 => {
            lines.insert(at, lines[draws.below(lines.len())].clone());
            format!("repeated a line before line {}", at + 1)
        }
        2 => {
            lines
                .insert(at, one_of(&["", " ", "\t", "\u{feff}", "\u{0}", "#", "{", "\"\"", "null"], draws).to_string());
            format!("inserted a line before line {}", at + 1)
        }
        _ => {
            lines[at] = change(&lines[at], draws)?;
            let said: String = lines[at].chars().take(80).collect();
            format!("line {} is now {said:?}", at + 1)
        }
    };
    let end = *one_of(&["\n", "\n", "\n", "\r\n", "\r"], draws);
    *bytes = lines.join(end).into_bytes();
    bytes.extend(end.as_bytes());
    Some(format!("{done}; lines end in {end:?}"))
}

fn json_line(line: &str, draws: &mut Draws) -> Option<String> {
    let mut row: Value = serde_json::from_str(line).ok()?;
    json_value(&mut row, draws);
    Some(row.to_string())
}

fn fields(line: &str, separator: char, draws: &mut Draws) -> Option<String> {
    let mut fields: Vec<String> = line.split(separator).map(str::to_owned).collect();
    let at = draws.below(fields.len());
    match draws.below(5) {
        0 => drop(fields.remove(at)),
        1 => fields.push("x".into()),
        2 => fields[at].insert(0, '"'),
        _ => {
            const FIELDS: [&str; 12] = [
                "",
                " ",
                "nan",
                "1e999",
                "-1",
                "18446744073709551616",
                "\"a\"\"b\"",
                "\"",
                "x\u{0}",
                "0,5",
                "null",
                "true",
            ];
            fields[at] = (*one_of(&FIELDS, draws)).to_owned();
        }
    }
    Some(fields.join(&separator.to_string()))
}

fn header(bytes: &mut Vec<u8>, draws: &mut Draws) -> Option<String> {
    let length = usize::try_from(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)).ok()?;
    let end = length.checked_add(8)?;
    if draws.below(8) == 0 {
        let word = one_of(&WORDS, draws);
        bytes[..8].copy_from_slice(&word.to_le_bytes());
        return Some(format!("the header's length is {word}"));
    }
    if draws.below(4) == 0 {
        // Numbers that no model has.
        let number = one_of(&[f32::NAN, f32::INFINITY, 3e38, 1e-44, -0.0], draws);
        let start = end + 4 * draws.below(bytes.len().checked_sub(end)? / 4);
        bytes.get_mut(start..start + 4)?.copy_from_slice(&number.to_le_bytes());
        return Some(format!("a weight is {number}"));
    }
    let mut header: Value = serde_json::from_slice(bytes.get(8..end)?).ok()?;
    let done = json_value(&mut header, draws);
    let header = header.to_string();
    let numbers = bytes.split_off(end);
    *bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(numbers);
    Some(done)
}

/// Changes a pickle or the directory of a zip file, and leaves everything else in its place.
fn torch_file(bytes: &mut [u8], draws: &mut Draws) -> Option<String> {
    let find = |from: usize, start: &[u8]| {
        Some(from + bytes.get(from..)?.windows(start.len()).position(|window| window == start)?)
    };
    let pickle = find(0, b"\x80\x02")?;
    let parts = match find(pickle, b"PK\x01\x02") {
        Some(directory) => [("the pickle", pickle..find(pickle, b"PK")?), ("the directory", directory..bytes.len())],
        None => {
            // The keys of the storages, which follow, and the number of elements of the first.
            let keys = find(pickle, b"\x80\x02]")?;
            let end = bytes.len().min(find(keys, b"e.")? + 10);
            [("the pickles", 0..keys), ("the keys", keys..end)]
        }
    };
    let (name, part) = parts[draws.below(parts.len())].clone();
    let mut changed = bytes[part.clone()].to_vec();
    let done = plain(&mut changed, draws);
    changed.resize(part.len(), 0);
    bytes[part].copy_from_slice(&changed);
    Some(format!("{name}: {done}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every format is changed in nearly every trial, and the same seed changes the same.
    #[test]
    fn mutations_change_files_and_repeat() {
        let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let weights = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 8]].concat();
        let files: [(Format, &[u8]); 8] = [
            (Format::Json, br#"{"a": {"b": [1, 2.5, "c"]}, "d": null}"#),
            (Format::Toml, b"[model]\nbase = \"x\"\nsteps = 3\n"),
            (Format::Rows, b"{\"a\": 1}\n{\"a\": 2}\n"),
            (Format::Table(','), b"a,b\n1,2\n"),
            (Format::Weights, &weights),
            (Format::Torch, b"PK\x03\x04x/data.pkl\x80\x02}X\x01\0\0\0aNs.PK\x07\x08numbersPK\x01\x02x/data.pkl"),
            (Format::Torch, b"\x80\x02M\xe9\x03.\x80\x02}.\x80\x02](X\x01\0\0\09e.\x02\0\0\0\0\0\0\0numbers"),
            (Format::Bytes, b"bytes"),
        ];
        for (format, file) in files {
            let run = |seed| {
                let mut bytes = file.to_vec();
                let done = mutate(&mut bytes, format, &mut Draws::new(seed));
                (bytes, done)
            };
            let changed = (0..500).filter(|seed| run(*seed).0 != file).count();
            assert!(changed > 400, "{format:?}: {changed} of 500");
            assert!((0..500).all(|seed| run(seed) == run(seed)), "{format:?}");
        }
    }
}
