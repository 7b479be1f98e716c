//! Names of the files of model folders. Everything else in a folder belongs to its owner, and stays
//! when the model is replaced.

/// Files of any model.
const FILES: [&str; 17] = [
    "README.md",
    "report.html",
    "blend.svg",
    "modules.json",
    "config.json",
    "config_sentence_transformers.json",
    "router_config.json",
    "adapter_config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
];

/// Endings of weights, and of vocabularies of SentencePiece.
const ENDINGS: [&str; 5] = [".safetensors", ".bin", ".safetensors.index.json", ".bin.index.json", ".model"];

/// Folders with the weights in the form of other engines.
const EXPORTS: [&str; 2] = ["onnx", "openvino"];

/// Returns true if the file or folder belongs to the model that a folder holds, so that it means
/// nothing next to another one.
pub(super) fn is_of_model(name: &str) -> bool {
    let is_length = name.starts_with("sentence_") && name.ends_with("_config.json");
    FILES.contains(&name)
        || EXPORTS.contains(&name)
        || is_length
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
        || is_module(name)
}

/// Returns true for names such as `1_Pooling` and, of a router, `query_0_StaticEmbedding`.
fn is_module(name: &str) -> bool {
    let parts: Vec<&str> = name.split('_').collect();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_class = |part: &str| part.starts_with(|letter: char| letter.is_ascii_uppercase());
    parts.windows(2).any(|pair| is_number(pair[0]) && is_class(pair[1]))
}

#[cfg(test)]
mod tests {
    use super::is_of_model;

    #[test]
    fn files_of_models_are_known_by_their_names() {
        for name in
            ["1_Pooling", "query_0_StaticEmbedding", "model-00001-of-00002.safetensors", "pytorch_model.bin.index.json"]
        {
            assert!(is_of_model(name), "{name}");
        }
        for name in ["sentence_bert_config.json", "sentencepiece.bpe.model", "onnx", "config.json"] {
            assert!(is_of_model(name), "{name}");
        }
        for name in [".git", ".gitattributes", "notes.txt", "results.json", "2_runs", "model", "data_1.csv"] {
            assert!(!is_of_model(name), "{name}");
        }
    }
}
