//! Small models in older forms: with vocabularies of Python's tokenizers in place of
//! `tokenizer.json`, and with PyTorch's weights in place of safetensors.

use super::fixture::copy;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;

/// Makes the folders `vocab`, `merges`, `pieces`, `torch` and `torch-legacy` of cross-encoders.
pub(super) fn make(folder: &Path) -> Result<()> {
    for (name, file) in [("torch", "views.bin"), ("torch-legacy", "legacy/state_dict.bin")] {
        let model = folder.join(name);
        copy(Path::new("golden/cross/bert"), &model)?;
        std::fs::remove_file(model.join("model.safetensors"))?;
        std::fs::copy(Path::new("golden/torch").join(file), model.join("pytorch_model.bin"))?;
    }
    type Write = fn(&Value, &Path) -> Option<std::io::Result<()>>;
    let forms: [(&str, &str, Write); 3] =
        [("vocab", "bert", vocab), ("merges", "roberta", merges), ("pieces", "xlm-roberta", pieces)];
    for (name, family, write) in forms {
        let model = folder.join(name);
        copy(&Path::new("golden/cross").join(family), &model)?;
        let path = model.join("tokenizer.json");
        let tokenizer: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        write(&tokenizer["model"], &model).with_context(|| format!("{}: of another kind", path.display()))??;
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// Writes the `vocab.txt` of a WordPiece model.
fn vocab(model: &Value, folder: &Path) -> Option<std::io::Result<()>> {
    let mut tokens: Vec<(u64, &String)> =
        model["vocab"].as_object()?.iter().filter_map(|(token, id)| Some((id.as_u64()?, token))).collect();
    tokens.sort_unstable();
    let lines: String = tokens.into_iter().map(|(_, token)| format!("{token}\n")).collect();
    Some(std::fs::write(folder.join("vocab.txt"), lines))
}

/// Writes the `vocab.json` and `merges.txt` of a model of byte pairs.
fn merges(model: &Value, folder: &Path) -> Option<std::io::Result<()>> {
    let merge = |merge: &Value| Some(format!("{} {}\n", merge[0].as_str()?, merge[1].as_str()?));
    let merges: String = model["merges"].as_array()?.iter().map(merge).collect::<Option<_>>()?;
    let vocabulary = std::fs::write(folder.join("vocab.json"), model["vocab"].to_string());
    Some(vocabulary.and_then(|()| std::fs::write(folder.join("merges.txt"), format!("#version: 0.2\n{merges}"))))
}

/// Writes the SentencePiece file of a unigram model of XLM-RoBERTa, whose first four tokens stand
/// for three pieces, and whose last token, the mask, has no piece.
fn pieces(model: &Value, folder: &Path) -> Option<std::io::Result<()>> {
    const FIRST: [(&str, f32, u8); 3] = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)];
    let (_, tokens) = model["vocab"].as_array()?.split_last()?;
    let piece = |token: &Value| Some((token[0].as_str()?.to_owned(), token[1].as_f64()? as f32, 1));
    let tokens = tokens.get(4..)?.iter().map(piece).collect::<Option<Vec<_>>>()?;
    let pieces = FIRST.map(|(text, score, kind)| (text.to_owned(), score, kind)).into_iter().chain(tokens);
    let mut bytes = Vec::new();
    for (text, score, kind) in pieces {
        // Messages of protocol buffers: text, score and kind.
        let length = u8::try_from(text.len()).ok()?;
        let piece = [&[0x0a, length], text.as_bytes(), &[0x15], &score.to_le_bytes(), &[0x18, kind]].concat();
        bytes.extend([0x0a, u8::try_from(piece.len()).ok()?]);
        bytes.extend(piece);
    }
    // Settings: a unigram model; a normalizer without a table.
    bytes.extend([0x12, 2, 0x18, 1, 0x1a, 0]);
    Some(std::fs::write(folder.join("sentencepiece.bpe.model"), bytes))
}
