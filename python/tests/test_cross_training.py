"""Training of cross-encoders."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from conftest import ROOT, TINY
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


def squares(logits, labels):
    """Return the mean squared difference of the logits and the labels, and its gradient."""
    difference = logits - labels
    return (difference**2).mean(), 2 * difference / len(difference)


def logged(trainer):
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def test_a_loss_in_python_trains_as_the_native_one(tmp_path):
    own, first, _ = train(tmp_path / "own", SCORED, squares)
    native, second, _ = train(tmp_path / "native", SCORED, losses.MSELoss())
    assert np.allclose(logged(first), logged(second), atol=1e-6)
    pairs = list(zip(ANCHORS, POSITIVES))
    assert np.abs(own.predict(pairs) - native.predict(pairs)).max() < 1e-5
    assert "squares" in (tmp_path / "own" / "run" / "model" / "README.md").read_text()


def test_the_dev_loss_of_a_loss_in_python(tmp_path):
    def dev_loss(name, loss):
        args = CrossEncoderTrainingArguments(tmp_path / name, num_train_epochs=1, eval_strategy="epoch")
        trainer = CrossEncoderTrainer(CrossEncoder(FOLDER), args, SCORED, SCORED, loss)
        return trainer.train().metrics["eval_loss"]

    assert dev_loss("own", squares) == pytest.approx(dev_loss("native", losses.MSELoss()), abs=1e-6)


def test_a_loss_in_python_of_classes_and_of_lists(tmp_path):
    shapes = []

    def cross_entropy(logits, labels):
        shapes.append((logits.shape, labels.shape))
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares = powers / powers.sum(axis=1, keepdims=True)
        chosen = (np.arange(len(labels)), labels.astype(int))
        gradient = shares.copy()
        gradient[chosen] -= 1
        return -np.log(shares[chosen]).mean(), gradient / len(labels)

    folder = str(ROOT / "golden" / "cross" / "bert-classes")
    classes = {**PAIRS, "label": [number % 3 for number in range(32)]}
    own, first, _ = train(tmp_path / "own", classes, cross_entropy, model=folder)
    _, second, _ = train(tmp_path / "native", classes, losses.CrossEntropyLoss(), model=folder)
    assert np.allclose(logged(first), logged(second), atol=1e-5) and shapes[0] == ((8, 3), (8,))

    def list_net(logits, labels, starts):
        value, gradient = 0.0, np.zeros_like(logits)
        for start, end in zip(starts, starts[1:]):
            powers, wanted = np.exp(logits[start:end]), np.exp(labels[start:end])
            shares, wanted = powers / powers.sum(), wanted / wanted.sum()
            value -= (wanted * np.log(shares)).sum()
            gradient[start:end] = shares - wanted
        return value / (len(starts) - 1), gradient / (len(starts) - 1)

    ragged = {**LISTS, "documents": [row[: 2 + number % 2] for number, row in enumerate(LISTS["documents"])]}
    ragged["labels"] = [[1.0, 0.0, 0.5][: len(row)] for row in ragged["documents"]]
    _, first, _ = train(tmp_path / "own-lists", ragged, list_net)
    _, second, _ = train(tmp_path / "lists", ragged, losses.ListNetLoss())
    assert np.allclose(logged(first), logged(second), atol=1e-5)


def test_a_loss_in_python_of_several_documents(tmp_path):
    def margins(logits, labels, starts):
        assert labels is None
        pairs = logits.reshape(len(starts) - 1, 2)
        slopes = -1 / (1 + np.exp(pairs[:, 0] - pairs[:, 1])) / len(pairs)
        value = np.log1p(np.exp(pairs[:, 1] - pairs[:, 0])).mean()
        return value, np.stack([slopes, -slopes], axis=1).reshape(-1)

    triplets = {**PAIRS, "negative": POSITIVES[1:] + POSITIVES[:1]}
    _, trainer, output = train(tmp_path / "run", triplets, margins, num_train_epochs=4)
    assert output.global_step == 16 and logged(trainer)[-1] < logged(trainer)[0]


def test_a_stopped_run_with_a_loss_in_python_continues_to_the_same_bits(tmp_path):
    pairs = list(zip(ANCHORS, POSITIVES))
    whole = train(tmp_path / "whole", SCORED, squares)[0].predict(pairs)

    def trainer(folder, **more):
        args = {"num_train_epochs": 1, "per_device_train_batch_size": 8, "learning_rate": 1e-3, "logging_steps": 1}
        return CrossEncoderTrainer(
            CrossEncoder(FOLDER), CrossEncoderTrainingArguments(folder, **args), SCORED, loss=squares, **more
        )

    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "cut", callbacks=[lambda event, row, state: state.global_step == 2]).train()
    again = trainer(tmp_path / "cut")
    again.train(resume_from_checkpoint=True)
    assert np.array_equal(again.model.predict(pairs), whole)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda logits, labels: 1.0, ValueError, "gradient of the logits"),
        (lambda logits, labels: (1.0, logits[:2]), ValueError, "shapes"),
        (lambda logits, labels: (1.0, "a"), ValueError, "float"),
        (lambda logits, labels: (float("nan"), logits), ValueError, "loss"),
        (lambda logits: (1.0, logits), TypeError, "argument"),
        (lambda logits, labels: 1 / 0, ZeroDivisionError, "division"),
        (7, TypeError, "int"),
    ],
)
def test_results_that_are_not_a_loss_are_named(tmp_path, function, error, message):
    with pytest.raises(error, match=message):
        train(tmp_path / "run", SCORED, function)


def test_a_module_of_pytorch_is_a_loss_of_logits(tmp_path):
    torch = pytest.importorskip("torch")
    _, first, _ = train(tmp_path / "own", SCORED, torch.nn.BCEWithLogitsLoss())
    _, second, _ = train(tmp_path / "native", SCORED, losses.BinaryCrossEntropyLoss())
    assert np.allclose(logged(first), logged(second), atol=1e-5)


def test_a_base_without_a_head_gets_one_which_trains(tmp_path):
    pairs = list(zip(ANCHORS, POSITIVES))
    model = CrossEncoder(TINY, num_labels=3)
    assert model.num_labels == 3 and CrossEncoder(TINY).num_labels == 1
    before = model.predict(pairs)
    assert before.shape == (32, 3) and np.array_equal(before, CrossEncoder(TINY, num_labels=3).predict(pairs))
    model.save_pretrained(tmp_path / "new")
    assert np.array_equal(CrossEncoder(tmp_path / "new").predict(pairs), before)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(pairs), before)
    classes = {**PAIRS, "label": [number % 3 for number in range(32)]}
    seen = []
    args = {"num_train_epochs": 4, "per_device_train_batch_size": 8, "learning_rate": 1e-3, "logging_steps": 1}
    trainer = CrossEncoderTrainer(
        model,
        CrossEncoderTrainingArguments(tmp_path / "run", **args),
        classes,
        evaluator=lambda model, *moment: seen.append(model.predict(pairs)) or 1.0,
    )
    trainer.train()
    assert np.array_equal(seen[0], before), "training begins with the head of the model"
    assert model.num_labels == 3 and not np.array_equal(model.predict(pairs), before)
    assert np.array_equal(CrossEncoder(tmp_path / "run" / "run" / "model").predict(pairs), model.predict(pairs))
    model.save_pretrained(tmp_path / "saved")
    assert np.array_equal(CrossEncoder(tmp_path / "saved").predict(pairs), model.predict(pairs))
    other = CrossEncoderTrainer(
        CrossEncoder(TINY), CrossEncoderTrainingArguments(tmp_path / "seed", **args, seed=7), SCORED
    )
    other.train()
    for wrong, message in [(0, "num_labels"), (2, "num_labels is 2")]:
        with pytest.raises(ValueError, match=message):
            CrossEncoder(FOLDER, num_labels=wrong)


def test_settings_of_losses_are_checked():
    with pytest.raises(ValueError, match="activation_fn"):
        losses.MSELoss(activation_fn=print)
    with pytest.raises(NotImplementedError, match="rank_discount_fn"):
        losses.PListMLELoss(lambda_weight=type("Weight", (), {"rank_discount_fn": print})())
    table = losses.LambdaLoss(weighting_scheme=losses.LambdaRankScheme(), k=3, activation_fn="sigmoid").table
    assert table["weighting_scheme"] == "lambda_rank" and table["k"] == 3 and "mu" not in table
    assert losses.MultipleNegativesRankingLoss(num_negatives=None).table["num_negatives"] == "all"
