//! ModernBERT in plain f64, straight from the paper.

use super::plain::{Plain, activated, add};

impl Plain {
    /// The token embeddings of one text.
    pub(super) fn modern_bert(&self, ids: &[u32]) -> Vec<Vec<f64>> {
        let config = &self.config;
        let modern = config.modern_bert.as_ref().unwrap();
        let (h, width) = (config.hidden, config.head_dim());
        let words = self.get("embeddings.tok_embeddings.weight");
        let words: Vec<Vec<f64>> = ids.iter().map(|id| words[*id as usize * h..][..h].to_vec()).collect();
        let mut x = self.norm("embeddings.norm", &words);
        for (layer, attention) in modern.layers.iter().enumerate() {
            let name = |part: &str| format!("layers.{layer}.{part}");
            let normed = if layer == 0 { x.clone() } else { self.norm(&name("attn_norm"), &x) };
            let mut qkv = self.linear(&name("attn.Wqkv"), &normed);
            for (position, row) in qkv.iter_mut().enumerate() {
                for head in row[..2 * h].chunks_exact_mut(width) {
                    rotate(head, position as f64, attention.rope_theta);
                }
            }
            let mut attended = vec![vec![0.0; h]; x.len()];
            for (query, attended) in attended.iter_mut().enumerate() {
                let near = attention.window.unwrap_or(usize::MAX);
                let keys = (0..x.len()).filter(|key| query.abs_diff(*key) <= near);
                for head in (0..h).step_by(width) {
                    let q = &qkv[query][head..head + width];
                    let weight = |key: usize| {
                        let k = &qkv[key][h + head..][..width];
                        (q.iter().zip(k).map(|(q, k)| q * k).sum::<f64>() / (width as f64).sqrt()).exp()
                    };
                    let total: f64 = keys.clone().map(weight).sum();
                    for key in keys.clone() {
                        let share = weight(key) / total;
                        for column in head..head + width {
                            attended[column] += share * qkv[key][2 * h + column];
                        }
                    }
                }
            }
            let part = self.linear(&name("attn.Wo"), &attended);
            x.iter_mut().zip(&part).for_each(|(x, part)| add(x, part));
            let normed = self.norm(&name("mlp_norm"), &x);
            let gated = |row: &Vec<f64>| {
                let (input, gate) = row.split_at(config.intermediate);
                input.iter().zip(gate).map(|(input, gate)| activated(config.activation, *input) * gate).collect()
            };
            let before = self.linear(&name("mlp.Wi"), &normed);
            let part = self.linear(&name("mlp.Wo"), &before.iter().map(gated).collect::<Vec<_>>());
            x.iter_mut().zip(&part).for_each(|(x, part)| add(x, part));
        }
        self.norm("final_norm", &x)
    }
}

/// Rotates the pairs of columns half a head apart.
fn rotate(head: &mut [f64], position: f64, theta: f64) {
    let (first, second) = head.split_at_mut(head.len() / 2);
    let pairs = first.len() as f64;
    for (pair, (x, y)) in first.iter_mut().zip(second).enumerate() {
        let (sin, cos) = (position * theta.powf(-(pair as f64) / pairs)).sin_cos();
        (*x, *y) = (*x * cos - *y * sin, *y * cos + *x * sin);
    }
}
