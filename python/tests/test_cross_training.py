"""Training of cross-encoders."""

from __future__ import annotations

import json

import numpy as np
import pytest

from conftest import ROOT
from maana.cross_encoder import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments, losses

FOLDER = str(ROOT / "golden" / "cross" / "bert")
ROWS = [json.loads(line) for line in (ROOT / "recipes" / "demo" / "train.jsonl").read_text().splitlines()[:32]]
ANCHORS, POSITIVES = [row["anchor"] for row in ROWS], [row["positive"] for row in ROWS]
SCORED = {"query": ANCHORS, "document": POSITIVES, "label": [number % 2 * 1.0 for number in range(32)]}
PAIRS = {"query": ANCHORS, "document": POSITIVES}
LISTS = {
    "query": ANCHORS,
    "documents": [[first, second, third] for first, second, third in zip(POSITIVES, POSITIVES[1:] + POSITIVES, ANCHORS)],
    "labels": [[1.0, 0.0, 0.5]] * 32,
}


def train(folder, data, loss=None, model=FOLDER, **more):
    model = CrossEncoder(model)
    given = {"num_train_epochs": 1, "per_device_train_batch_size": 8, "learning_rate": 1e-3, "logging_steps": 1, **more}
    trainer = CrossEncoderTrainer(model, CrossEncoderTrainingArguments(folder, **given), data, loss=loss)
    return model, trainer, trainer.train()


@pytest.mark.parametrize(
    ("data", "loss"),
    [
        (SCORED, None),
        (SCORED, losses.MSELoss()),
        (PAIRS, losses.MultipleNegativesRankingLoss(num_negatives=3)),
        (PAIRS, losses.CachedMultipleNegativesRankingLoss(mini_batch_size=4)),
        (LISTS, losses.LambdaLoss()),
        (LISTS, losses.RankNetLoss(k=2)),
        (LISTS, losses.ListNetLoss()),
        (LISTS, losses.ListMLELoss()),
        (LISTS, losses.PListMLELoss()),
        (LISTS, losses.ADRMSELoss()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_run_changes_the_scores(tmp_path, data, loss):
    before = CrossEncoder(FOLDER).predict(list(zip(ANCHORS, POSITIVES)))
    model, trainer, output = train(tmp_path / "run", data, loss)
    assert output.global_step == 4 and np.isfinite([row["loss"] for row in trainer.state.log_history if "loss" in row]).all()
    after = model.predict(list(zip(ANCHORS, POSITIVES)))
    assert not np.array_equal(after, before)
    saved = CrossEncoder(tmp_path / "run" / "run" / "model")
    assert np.array_equal(saved.predict(list(zip(ANCHORS, POSITIVES))), after)


def test_classes(tmp_path):
    folder = str(ROOT / "golden" / "cross" / "bert-classes")
    data = {**PAIRS, "label": [number % 3 for number in range(32)]}
    model, trainer, _ = train(tmp_path / "run", data, model=folder, num_train_epochs=4)
    logged = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert model.num_labels == 3 and logged[-1] < logged[0]


def test_a_loss_in_python_is_refused(tmp_path):
    with pytest.raises(ValueError, match="own"):
        train(tmp_path / "run", SCORED, lambda logits, labels: (0.0, logits))


def test_settings_of_losses_are_checked():
    with pytest.raises(ValueError, match="activation_fn"):
        losses.MSELoss(activation_fn=print)
    with pytest.raises(NotImplementedError, match="rank_discount_fn"):
        losses.PListMLELoss(lambda_weight=type("Weight", (), {"rank_discount_fn": print})())
    table = losses.LambdaLoss(weighting_scheme=losses.LambdaRankScheme(), k=3, activation_fn="sigmoid").table
    assert table["weighting_scheme"] == "lambda_rank" and table["k"] == 3 and "mu" not in table
    assert losses.MultipleNegativesRankingLoss(num_negatives=None).table["num_negatives"] == "all"
