//! Expected answers: the embeddings that `maana encode` writes.

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use std::path::Path;
use std::process::Command;

/// Encodes `texts` by `maana encode` with `flags`; its files are written to `folder`.
pub(crate) fn encode(
    maana: &Path,
    model: &Path,
    texts: &[String],
    folder: &Path,
    flags: &[&str],
) -> Result<Vec<Vec<f32>>> {
    let (input, output) = (folder.join("texts.jsonl"), folder.join("embeddings.npy"));
    let lines: String = texts.iter().map(|text| format!("{}\n", json!({"text": text}))).collect();
    std::fs::write(&input, lines).with_context(|| input.display().to_string())?;
    let mut command = Command::new(maana);
    command
        .arg("encode")
        .arg(model)
        .arg("--allow-blank")
        .arg("--input")
        .arg(&input)
        .arg("--output")
        .arg(&output)
        .args(flags);
    crate::command::output(&mut command)?;
    let bytes = std::fs::read(&output).with_context(|| output.display().to_string())?;
    rows(&bytes).with_context(|| output.display().to_string())
}

/// Reads the rows of an `.npy` file of f32: magic, version, length of the header, header with the
/// shape, numbers.
fn rows(bytes: &[u8]) -> Result<Vec<Vec<f32>>> {
    let length = bytes.get(8..10).context("cut short")?;
    let start = 10 + usize::from(u16::from_le_bytes([length[0], length[1]]));
    let header = str::from_utf8(bytes.get(10..start).context("cut short")?)?;
    let shape = header.split('(').nth(1).and_then(|rest| rest.split(')').next()).context("no shape")?;
    let shape: Vec<usize> = shape.split(',').filter_map(|count| count.trim().parse().ok()).collect();
    let [count, columns] = shape[..] else { bail!("{header}: not two dimensions") };
    let floats: Vec<f32> = bytes[start..].as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    ensure!(floats.len() == count * columns && columns > 0, "{} numbers, not {count} × {columns}", floats.len());
    Ok(floats.chunks(columns).map(<[f32]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn rows_of_a_small_file() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }";
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend([1.5_f32, -2.0].iter().flat_map(|number| number.to_le_bytes()));
        assert_eq!(super::rows(&bytes).unwrap(), [vec![1.5], vec![-2.0]]);
        assert!(super::rows(&bytes[..bytes.len() - 1]).is_err());
    }
}
