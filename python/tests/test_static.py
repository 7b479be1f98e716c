"""Static models."""

from __future__ import annotations

import json

import numpy as np
import pytest

from conftest import ROOT, TINY
from maana import SentenceTransformer, distill_static

TEXTS = [json.loads(line)["positive"] for line in (ROOT / "recipes" / "demo" / "train.jsonl").read_text().splitlines()[:200]]


def test_a_static_model_imitates_its_encoder(tmp_path, model):
    plain = distill_static(TINY, TEXTS, tmp_path / "plain", dimension=32)
    trained = distill_static(model, TEXTS, tmp_path / "trained", dimension=32, epochs=10, vocabulary="texts")
    assert plain.encode(TEXTS).shape == trained.encode(TEXTS).shape == (200, 32)
    assert np.array_equal(SentenceTransformer(tmp_path / "trained").encode(TEXTS), trained.encode(TEXTS))
    assert np.array_equal(trained.encode(TEXTS[::-1])[::-1], trained.encode(TEXTS))

    def agreement(other):
        ours, theirs = (np.asarray(each.similarity(each.encode(TEXTS), each.encode(TEXTS))) for each in (other, model))
        return np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]

    assert agreement(trained) > 0.3


def test_settings_of_static_models_are_checked(tmp_path, model):
    for settings, message in [({"dimension": 0}, "dimension"), ({"vocabulary": "all"}, "vocabulary"), ({"sif": 2.0}, "sif")]:
        with pytest.raises(ValueError, match=message):
            distill_static(model, TEXTS, tmp_path / "out", **settings)
    with pytest.raises(TypeError, match=r"texts\[0\]"):
        distill_static(model, [None], tmp_path / "out")
