//! Names of a layer's linear layers and norms in the file, by family.

use crate::blocks::AttentionNames;
use crate::config::Architecture;

/// Names in one layer; each with a `.weight` and, in most families, a `.bias`.
pub(crate) struct LayerNames {
    pub(crate) attention: AttentionNames,
    pub(crate) attention_norm: String,
    /// The linear layers of the feed-forward part.
    pub(crate) feed_forward: [String; 2],
    pub(crate) norm: String,
}

impl LayerNames {
    /// Names in layer `index`.
    pub(crate) fn of(architecture: Architecture, index: usize) -> Self {
        let (layer, qkv, [output, attention_norm, up, down, norm]): (_, &[&str], _) = match architecture {
            Architecture::ModernBert => {
                ("layers", &["attn.Wqkv"], ["attn.Wo", "attn_norm", "mlp.Wi", "mlp.Wo", "mlp_norm"])
            }
            Architecture::DistilBert => (
                "transformer.layer",
                &["attention.q_lin", "attention.k_lin", "attention.v_lin"],
                ["attention.out_lin", "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"],
            ),
            Architecture::MpNet => (
                "encoder.layer",
                &["attention.attn.q", "attention.attn.k", "attention.attn.v"],
                ["attention.attn.o", "attention.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"],
            ),
            Architecture::Static => unreachable!("static embeddings have no layers"),
            Architecture::Bert | Architecture::Roberta | Architecture::Camembert | Architecture::XlmRoberta => (
                "encoder.layer",
                &["attention.self.query", "attention.self.key", "attention.self.value"],
                [
                    "attention.output.dense",
                    "attention.output.LayerNorm",
                    "intermediate.dense",
                    "output.dense",
                    "output.LayerNorm",
                ],
            ),
        };
        let name = |part: &str| format!("{layer}.{index}.{part}");
        Self {
            attention: AttentionNames { qkv: qkv.iter().map(|part| name(part)).collect(), output: name(output) },
            attention_norm: name(attention_norm),
            feed_forward: [up, down].map(name),
            norm: name(norm),
        }
    }
}
