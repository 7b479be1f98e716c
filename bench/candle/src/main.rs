//! Encodes with candle for `cargo xtask bench-peers`: loads once, then a round for every line `go`
//! on standard input.
//!
//! Its best setting: f32 (candle multiplies bf16 on a CPU by way of f32), `gemm` with AVX-512 where
//! there is any, the processor's own instructions, texts sorted by tokens, 32 a batch.
#![forbid(unsafe_code)]

use anyhow::{Context, Error, Result, bail};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokenizers::{Tokenizer, TruncationParams};

const BATCH: usize = 32;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, model, texts] = arguments.as_slice() else {
        bail!("usage: candle-peer encode|start MODEL TEXTS.jsonl");
    };
    let encoder = Encoder::open(Path::new(model))?;
    let texts = read_texts(Path::new(texts))?;
    match mode.as_str() {
        "start" => {
            encoder.encode(&texts[..1])?;
            Ok(())
        }
        "encode" => serve(&encoder, &texts),
        other => bail!("{other}: no such mode; there are encode and start"),
    }
}

fn serve(encoder: &Encoder, texts: &[String]) -> Result<()> {
    let (_, rows) = encoder.encode(texts)?;
    let first: Vec<f32> = rows[0].iter().take(4).copied().collect();
    say(&json!({"ready": true, "first": first}))?;
    for line in std::io::stdin().lock().lines() {
        match line?.trim() {
            "go" => {}
            "quit" => break,
            other => bail!("{other:?}: not understood; a line is go or quit"),
        }
        let start = Instant::now();
        let (tokens, _) = encoder.encode(texts)?;
        let seconds = start.elapsed().as_secs_f64();
        say(&json!({"seconds": seconds, "tokens": tokens, "peak_bytes": peak_bytes()}))?;
    }
    Ok(())
}

fn say(line: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Largest resident memory of this process so far.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

fn read_texts(path: &Path) -> Result<Vec<String>> {
    let file = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let text = |line: &str| -> Result<String> {
        let row: Value = serde_json::from_str(line)?;
        Ok(row["positive"]
            .as_str()
            .with_context(|| format!("{}: a row without \"positive\"", path.display()))?
            .to_owned())
    };
    file.lines().map(text).collect()
}

struct Encoder {
    bert: BertModel,
    tokenizer: Tokenizer,
    mean: bool,
}

impl Encoder {
    fn open(folder: &Path) -> Result<Self> {
        let read = |name: &str| -> Result<Value> {
            let path = folder.join(name);
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            Ok(serde_json::from_str(&text)?)
        };
        let config: Config = serde_json::from_value(read("config.json")?)?;
        let pooling = read("1_Pooling/config.json")?;
        let mean = pooling["pooling_mode_mean_tokens"] == true || pooling["pooling_mode"] == "mean";
        let longest = read("sentence_bert_config.json")
            .ok()
            .and_then(|settings| settings["max_seq_length"].as_u64())
            .unwrap_or(config.max_position_embeddings as u64);
        let weights: PathBuf = folder.join("model.safetensors");
        let tensors =
            candle_core::safetensors::load(&weights, &Device::Cpu).with_context(|| weights.display().to_string())?;
        let bert = BertModel::load(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu), &config)?;
        Ok(Self { bert, tokenizer: tokenizer(folder, longest as usize)?, mean })
    }

    /// Tokens and embeddings, in the order of the texts.
    fn encode(&self, texts: &[String]) -> Result<(usize, Vec<Vec<f32>>)> {
        let ids: Vec<Vec<u32>> = self
            .tokenizer
            .encode_batch_fast(texts.to_vec(), true)
            .map_err(Error::msg)?
            .iter()
            .map(|encoding| encoding.get_ids().to_vec())
            .collect();
        let tokens = ids.iter().map(Vec::len).sum();
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_by_key(|&text| std::cmp::Reverse(ids[text].len()));
        let mut rows = vec![Vec::new(); texts.len()];
        for batch in order.chunks(BATCH) {
            let embeddings = self.batch(&batch.iter().map(|&text| ids[text].as_slice()).collect::<Vec<_>>())?;
            for (&text, row) in batch.iter().zip(embeddings.to_vec2::<f32>()?) {
                rows[text] = row;
            }
        }
        Ok((tokens, rows))
    }

    /// (texts, hidden), each of length 1. A batch whose texts are equally long needs no mask.
    fn batch(&self, ids: &[&[u32]]) -> Result<Tensor> {
        let longest = ids.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let padded = |real: fn(u32) -> u32| -> Vec<u32> {
            let row = |ids: &&[u32]| {
                let rest = longest - ids.len();
                ids.iter().map(|&id| real(id)).chain(std::iter::repeat_n(0, rest)).collect::<Vec<_>>()
            };
            ids.iter().flat_map(row).collect()
        };
        let shape = (ids.len(), longest);
        let input = Tensor::from_vec(padded(|id| id), shape, &Device::Cpu)?;
        let mask = Tensor::from_vec(padded(|_| 1), shape, &Device::Cpu)?;
        let states = self.bert.forward(&input, &input.zeros_like()?, Some(&mask))?;
        let pooled = if self.mean {
            let weights = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
            states.broadcast_mul(&weights)?.sum(1)?.broadcast_div(&weights.sum(1)?)?
        } else {
            states.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?
        };
        Ok(pooled.broadcast_div(&pooled.sqr()?.sum_keepdim(1)?.sqrt()?)?)
    }
}

fn tokenizer(folder: &Path, longest: usize) -> Result<Tokenizer> {
    let mut tokenizer = Tokenizer::from_file(folder.join("tokenizer.json")).map_err(Error::msg)?;
    tokenizer.with_padding(None);
    let truncation = TruncationParams { max_length: longest, ..Default::default() };
    tokenizer.with_truncation(Some(truncation)).map_err(Error::msg)?;
    Ok(tokenizer)
}
