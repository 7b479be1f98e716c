"""Writes cross_evaluators.json: small evaluation sets, and their measures by the evaluators of cross-encoders of Sentence
Transformers 6.2 on the models `cross/bert` (one label) and `cross/bert-classes` (three labels).

pip install sentence-transformers==6.2.0 scikit-learn scipy; python golden/make_golden_cross_evaluators.py
"""

import json
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder.evaluation import (
    CrossEncoderClassificationEvaluator,
    CrossEncoderCorrelationEvaluator,
    CrossEncoderRerankingEvaluator,
)
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss

folder = Path(__file__).parent
one = CrossEncoder(str(folder / "cross" / "bert"), device="cpu")
three = CrossEncoder(str(folder / "cross" / "bert-classes"), device="cpu")
rng = np.random.default_rng(3)
WORDS = "habari ya yako asubuhi rafiki yangu mto na leo sana ni mkubwa".split()


def text(): return " ".join(rng.choice(WORDS, rng.integers(2, 9)))


def measures(evaluator, model): return {key: float(value) for key, value in evaluator(model).items()}


first, second = [text() for _ in range(40)], [text() for _ in range(40)]
pairs = list(zip(first, second))
scores = [round(float(score), 2) for score in rng.random(40)]
alike = [int(flag) for flag in rng.random(40) < 0.4]
classes = [int(number) for number in rng.integers(0, 3, 40)]
lists = [{"query": text(), "positive": [text() for _ in range(1 + n % 2)], "negative": [text() for _ in range(1 + n % 12)]} for n in range(20)]
lists.append({"query": text(), "positive": [text(), text()], "negative": []})
ordered = []
for n in range(20):
    positive, others = [text() for _ in range(1 + n % 2)], [text() for _ in range(2 + n % 12)]
    documents = others + positive[: n % 3]
    rng.shuffle(documents)
    ordered.append({"query": text(), "positive": positive, "documents": [str(document) for document in documents]})

# The reference's trainer weights the loss of each batch by its rows.
loss, size, total = BinaryCrossEntropyLoss(one), 8, 0.0
one.eval()
with torch.no_grad():
    for start in range(0, 40, size):
        rows = slice(start, start + size)
        total += float(loss([first[rows], second[rows]], torch.tensor(scores[rows]))) * len(first[rows])

rows = lambda label, values: [{"first": a, "second": b, label: value} for a, b, value in zip(first, second, values)]
rerank = lambda samples, **settings: measures(CrossEncoderRerankingEvaluator(samples, name="set", **settings), one)
sets = {
    "similarity": {"rows": rows("score", scores), "measures": measures(CrossEncoderCorrelationEvaluator(pairs, scores, name="set"), one)},
    "binary": {"rows": rows("label", alike), "measures": measures(CrossEncoderClassificationEvaluator(pairs, alike, name="set"), one)},
    "classification": {"rows": rows("label", classes), "measures": measures(CrossEncoderClassificationEvaluator(pairs, classes, name="set"), three)},
    "reranking": {"rows": lists, "measures": rerank(lists)},
    "reranking_at_3": {"rows": lists, "at_k": 3, "measures": rerank(lists, at_k=3)},
    "reranking_of_documents": {"rows": ordered, "measures": rerank(ordered)},
    "loss": {"rows": rows("label", scores), "batch_size": size, "measures": {"set_loss": total / 40}},
}
(folder / "cross_evaluators.json").write_text(json.dumps({"sets": sets}, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
print({name: len(of["measures"]) for name, of in sets.items()})
