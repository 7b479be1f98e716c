"""Opens a model folder that Maana wrote with Sentence Transformers, and compares the embeddings of both.

Run by `cargo xtask reference MODEL`, or:  python check_folder.py MODEL TEXTS.jsonl EMBEDDINGS.npy [DIM ...]
TEXTS.jsonl has lines {"text": …}, EMBEDDINGS.npy what `maana encode` made of them.
Ends with 1 if an element differs by more than 1e-5.
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import sentence_transformers
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer

model_path, texts_path, ours_path, *dims = sys.argv[1:]
model = SentenceTransformer(model_path, device="cpu")
with open(texts_path, encoding="utf-8") as lines:
    texts = [json.loads(line)["text"] for line in lines]
ours = np.load(ours_path)
theirs = model.encode(texts, batch_size=32, convert_to_numpy=True)
worst = float(np.abs(ours - theirs).max())
print(f"Sentence Transformers {sentence_transformers.__version__} opened {model_path}: {model}")
print(f"{len(texts)} texts, {ours.shape[1]} dimensions: largest difference of an element {worst:.2e}")
for dim in map(int, dims):
    short = SentenceTransformer(model_path, device="cpu", truncate_dim=dim).encode(texts, normalize_embeddings=True)
    cut = ours[:, :dim] / np.linalg.norm(ours[:, :dim], axis=1, keepdims=True)
    difference = float(np.abs(short - cut).max())
    print(f"first {dim} dimensions: largest difference {difference:.2e}")
    worst = max(worst, difference)

# What it saves again holds the same weights.
again = os.path.join(os.path.dirname(os.path.abspath(ours_path)), "saved_again")
model.save(again)
ours_weights = load_file(os.path.join(model_path, "model.safetensors"))
their_weights = load_file(os.path.join(again, "model.safetensors"))
missing = sorted(set(ours_weights) ^ set(their_weights))
assert all(name.startswith("pooler.") or name.endswith("position_ids") for name in missing), missing
assert all((ours_weights[name] == their_weights[name]).all() for name in their_weights if name in ours_weights)
print(f"saved again by it: {len(their_weights)} tensors, the same bits")
sys.exit(worst > 1e-5)
