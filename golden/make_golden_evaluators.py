"""Writes evaluators.json: small evaluation sets of each kind, and their measures by the evaluators of Sentence Transformers 6.2
on the model of st301 at 64 and 16 dimensions, with the dev loss as its trainer computes it.

pip install sentence-transformers==6.2.0 scikit-learn scipy; python golden/make_golden_evaluators.py
"""

import json
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import (
    BinaryClassificationEvaluator,
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
    ParaphraseMiningEvaluator,
    RerankingEvaluator,
    TranslationEvaluator,
    TripletEvaluator,
)
from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss, MultipleNegativesRankingLoss

folder = Path(__file__).parent
model = SentenceTransformer(str(folder / "st301" / "model"), device="cpu")
rng = np.random.default_rng(5)
lines = (folder / ".." / "recipes" / "demo" / "train.jsonl").read_text().splitlines()
rows = [json.loads(line) for line in lines[:400:7]]
first, second = [row["anchor"] for row in rows], [row["positive"] for row in rows]
DIMS = [64, 16]


def measured(make):
    """Names and values of an evaluator, which `make` makes for a name and a dimension."""
    out = {}
    for dim in DIMS:
        out |= make(f"set_dim_{dim}", dim)(model)
    return {key: float(value) for key, value in out.items()}


scores = [round(float(score), 2) for score in rng.random(40)]
alike = [int(flag) for flag in rng.random(40) < 0.5]
shuffled = [second[place] if flag else second[(place + 9) % 40] for place, flag in enumerate(alike)]
negatives = [second[(place + 5) % 40] for place in range(40)]
lists = [
    {"query": first[n], "positive": [second[n]], "negative": [second[(n + k) % 50] for k in range(1, 4 + n % 9)]}
    for n in range(20)
]
lists.append({"query": first[20], "positive": [second[20]], "negative": []})
texts = [text for pair in zip(first[:30], second[:30]) for text in pair]
queries = {f"q{n:02}": text for n, text in enumerate(first[:20])}
corpus = {f"d{n:02}": text for n, text in enumerate(second)}

# The reference's trainer weights the loss of each batch by its rows.
loss = MatryoshkaLoss(model, MultipleNegativesRankingLoss(model), DIMS)
model.eval()
total, size = 0.0, 8
with torch.no_grad():
    for start in range(0, 30, size):
        columns = [texts[start : min(start + size, 30)] for texts in (first, second)]
        features = [{k: v for k, v in model.tokenize(column).items() if torch.is_tensor(v)} for column in columns]
        total += float(loss(features, None)) * len(columns[0])

sets = {
    "similarity": {
        "rows": [{"a": a, "b": b, "score": s} for a, b, s in zip(first, second, scores)],
        "measures": measured(
            lambda name, dim: EmbeddingSimilarityEvaluator(first[:40], second[:40], scores, name=name, truncate_dim=dim)
        ),
    },
    "binary": {
        "rows": [{"a": a, "b": b, "label": s} for a, b, s in zip(first, shuffled, alike)],
        "measures": measured(
            lambda name, dim: BinaryClassificationEvaluator(first[:40], shuffled, alike, name=name, truncate_dim=dim)
        ),
    },
    "triplet": {
        "rows": [{"a": a, "b": b, "c": c} for a, b, c in zip(first, second, negatives)],
        "measures": measured(
            lambda name, dim: TripletEvaluator(first[:40], second[:40], negatives, name=name, truncate_dim=dim)
        ),
    },
    "reranking": {
        "rows": lists,
        "measures": measured(lambda name, dim: RerankingEvaluator(lists, name=name, truncate_dim=dim)),
    },
    "translation": {
        "rows": [{"a": a, "b": b} for a, b in zip(first[:40], second[:40])],
        "measures": measured(lambda name, dim: TranslationEvaluator(first[:40], second[:40], name=name, truncate_dim=dim)),
    },
    "mining": {
        "rows": [{"a": a, "b": b} for a, b in zip(first[:30], second[:30])],
        "measures": measured(
            lambda name, dim: ParaphraseMiningEvaluator(
                {f"s{n}": text for n, text in enumerate(dict.fromkeys(texts))},
                [(f"s{i}", f"s{j}") for i, j in (
                    (list(dict.fromkeys(texts)).index(a), list(dict.fromkeys(texts)).index(b))
                    for a, b in zip(first[:30], second[:30])
                )],
                name=name,
                truncate_dim=dim,
            )
        ),
    },
    "retrieval": {
        "rows": [{"a": a, "b": b} for a, b in zip(first[:20], second)],
        "measures": measured(
            lambda name, dim: InformationRetrievalEvaluator(
                queries, {key: text for key, text in list(corpus.items())[:20]},
                {f"q{n:02}": {f"d{n:02}"} for n in range(20)}, name=name, truncate_dim=dim,
            )
        ),
    },
    "loss": {
        "rows": [{"a": a, "b": b} for a, b in zip(first[:30], second[:30])],
        "batch_size": size,
        "measures": {"loss": total / 30},
    },
}
assert len(set(first[:40])) == 40 and len(set(second[:40])) == 40, "texts of pairs are distinct"
(folder / "evaluators.json").write_text(json.dumps({"dims": DIMS, "sets": sets}, ensure_ascii=False, separators=(",", ":")) + "\n")
