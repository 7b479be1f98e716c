"""Writes python.json: what functions of Sentence Transformers 6.2 return for the small model, for the
tests of the Python package.

    pip install sentence-transformers==6.2.0 datasets && python golden/make_golden_python.py
"""

import json
from pathlib import Path

from datasets import Dataset
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.util import mine_hard_negatives

HERE = Path(__file__).parent
CASES = [
    {},
    {"num_negatives": 2, "range_min": 3, "range_max": 12},
    {"relative_margin": 0.0005, "output_scores": True},
    {"absolute_margin": 0.0003, "output_format": "n-tuple", "output_scores": True},
    {"max_score": 0.9975, "min_score": 0.996, "output_format": "labeled-pair"},
    {"output_format": "labeled-pair", "output_scores": True, "num_negatives": 1},
    {"output_format": "labeled-list", "relative_margin": 0.001},
    {"output_format": "labeled-list", "output_scores": True},
    {"include_positives": True, "num_negatives": 4},
    {"min_score": 0.0, "range_max": 12, "output_scores": True, "rescored": True},
    {"relative_margin": 0.01, "num_negatives": 2, "output_format": "n-tuple", "rescored": True},
    {"corpus": ["Nairobi", "Paka analala.", "Mvua inanyesha sana."], "query_prompt": "swali: "},
]


def main():
    model = SentenceTransformer(str(HERE / "tiny-bert"), device="cpu")
    rows = [json.loads(line) for line in (HERE.parent / "recipes/demo/train.jsonl").read_text().splitlines()[:18]]
    scorer = CrossEncoder(str(HERE / "cross" / "bert"), device="cpu")
    # Two positives for some anchors.
    pairs = {
        "anchor": [row["anchor"] for row in rows] + [row["anchor"] for row in rows[:4]],
        "positive": [row["positive"] for row in rows] + [row["positive"] for row in rows[4:8]],
    }
    mined = []
    for settings in CASES:
        given = {name: value for name, value in settings.items() if name != "rescored"}
        given["cross_encoder"] = scorer if settings.get("rescored") else None
        result = mine_hard_negatives(Dataset.from_dict(pairs), model, verbose=False, **given)
        mined.append({"settings": settings, "columns": result.to_dict()})
    content = {"pairs": pairs, "hard_negatives": mined}
    (HERE / "python.json").write_text(json.dumps(content, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
