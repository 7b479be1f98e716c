"""Writes measures.json: measures of pairs and lists as Sentence Transformers 6.2, SciPy and scikit-learn give them.

pip install sentence-transformers==6.2.0 scikit-learn scipy; python golden/make_golden_measures.py
"""

import json
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import f1_score
from sentence_transformers.sentence_transformer.evaluation import (
    BinaryClassificationEvaluator,
    EmbeddingSimilarityEvaluator,
    ParaphraseMiningEvaluator,
    RerankingEvaluator,
    TranslationEvaluator,
    TripletEvaluator,
)
import sentence_transformers.sentence_transformer.evaluation.paraphrase_mining as mining_module

rng = np.random.default_rng(7)
PAIRS, COLUMNS = 40, 6


def numbers(rows):
    return rng.standard_normal((rows, COLUMNS)).astype(np.float32).round(3)


class Table:
    """A model that gives the embeddings which stand under a text in a table."""

    similarity_fn_name = "cosine"
    model_card_data = type("Card", (), {"set_evaluation_metrics": lambda *arguments, **more: None})()

    def __init__(self, rows):
        self.rows = rows

    def encode(self, sentences, convert_to_numpy=True, convert_to_tensor=False, **more):
        rows = np.stack([self.rows[sentence] for sentence in sentences])
        if convert_to_tensor:
            return torch.from_numpy(rows)
        return rows if convert_to_numpy else list(torch.from_numpy(rows))

    encode_query = encode_document = encode

    def similarity(self, a, b):
        a, b = (torch.nn.functional.normalize(torch.as_tensor(x), dim=-1) for x in (a, b))
        return a @ b.T


a, c = numbers(PAIRS), numbers(PAIRS)
b = (a + numbers(PAIRS) * 0.8).astype(np.float32).round(3)
a[5], b[5] = a[4], b[4]  # Equal scores.
texts = [f"t{number}" for number in range(PAIRS)]
texts[9] = texts[8]
rows = {}
for kind, table in (("a", a), ("b", b), ("c", c)):
    rows |= {f"{kind}{number}": table[number] for number in range(PAIRS)}
names = lambda kind: [f"{kind}{number}" for number in range(PAIRS)]
model = Table(rows)
scores = (rng.random(PAIRS) * 5).round(1)
alike = [int(score > 2.5) for score in (np.sum(a * b, axis=1) + rng.standard_normal(PAIRS) * 2)]
every = ["cosine", "euclidean", "manhattan", "dot"]


def plain(metrics):
    return {key: float(value) for key, value in metrics.items()}


similarity = EmbeddingSimilarityEvaluator(names("a"), names("b"), scores.tolist(), similarity_fn_names=every)(model)
classification = BinaryClassificationEvaluator(names("a"), names("b"), alike, similarity_fn_names=every)
classified = {
    f"{way}_{key}": value
    for way, values in classification.compute_metrics(model).items()
    for key, value in values.items()
}
triplets = TripletEvaluator(names("a"), names("b"), names("c"), similarity_fn_names=every)(model)

queries = numbers(8)
candidates, documents, samples = [], [], []
for query in range(8):
    positives, negatives = int(rng.integers(0, 4)), int(rng.integers(1, 15))
    block = numbers(positives + negatives)
    block[: positives] += queries[query] * 0.5
    block = block.round(3)
    first = len(documents)
    documents.extend(block)
    candidates.append({"positives": positives, "negatives": negatives})
    samples.append({
        "query": f"q{query}",
        "positive": [f"d{first + place}" for place in range(positives)],
        "negative": [f"d{first + positives + place}" for place in range(negatives)],
    })
lists = Table({f"q{n}": row for n, row in enumerate(queries)} | {f"d{n}": row for n, row in enumerate(documents)})
lists.similarity_fn_name = "cosine"
reranking = RerankingEvaluator(samples, at_k=10)(lists)

count = 30
mined = sorted(
    ((float(np.float32(round(float(rng.random()), 2))), *sorted(rng.choice(count, 2, replace=False).tolist())) for _ in range(60)),
    reverse=True,
)
mined = list({(i, j): (score, i, j) for score, i, j in reversed(mined)}.values())
mined.sort(key=lambda pair: -pair[0])
known = {tuple(sorted(rng.choice(count, 2, replace=False).tolist())) for _ in range(12)} | {pair[1:] for pair in mined[::4]}
mining_module.paraphrase_mining = lambda *arguments, **more: [list(pair) for pair in mined]
ids = {f"s{number}": f"text {number}" for number in range(count)}
mining = ParaphraseMiningEvaluator(ids, [(f"s{i}", f"s{j}") for i, j in known])(model)

translated = Table({})
translated.encode = lambda sentences, **more: list(torch.from_numpy(a if sentences is sources else b))
sources, targets = list(texts), list(texts)
translation = TranslationEvaluator(sources, targets)(translated)


def weighted_f1(source, target):
    """As MTEB measures the mining of translations, each row's own number being right."""
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (source, target)]
    return f1_score(range(len(source)), (unit[0] @ unit[1].T).argmax(1), average="weighted", zero_division=0)


translation_f1 = {"src2trg_f1": weighted_f1(a, b), "trg2src_f1": weighted_f1(b, a)}

out = {
    "a": a.tolist(), "b": b.tolist(), "c": c.tolist(), "scores": scores.tolist(), "alike": alike, "texts": texts,
    "queries": queries.tolist(), "documents": np.stack(documents).tolist(), "candidates": candidates,
    "mined": mined, "known": sorted(known),
    "semantic_similarity": plain(similarity), "pair_classification": plain(classified), "triplets": plain(triplets),
    "reranking": plain(reranking), "paraphrase_mining": plain(mining), "translation": plain(translation),
    "translation_f1": plain(translation_f1),
}
path = Path(__file__).with_name("measures.json")
path.write_text(json.dumps(out, indent=None, separators=(",", ":")) + "\n")
