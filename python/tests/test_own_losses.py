"""Losses written in Python."""

from __future__ import annotations

import json

import numpy as np
import pytest

from conftest import TINY
from maana import SentenceTransformer, SentenceTransformerTrainer, losses
from test_training import PAIRS, arguments, train

SCORED = {"a": PAIRS["anchor"][:32], "b": PAIRS["positive"][:32], "score": [number % 5 / 4 for number in range(32)]}


def cosine_loss(embeddings, labels):
    """Return `CosineSimilarityLoss` and its gradients."""
    a, b = (column.astype(np.float64) for column in embeddings)
    lengths = [np.linalg.norm(column, axis=1, keepdims=True) for column in (a, b)]
    unit_a, unit_b = a / lengths[0], b / lengths[1]
    cosines = (unit_a * unit_b).sum(axis=1)
    slopes = (2 * (cosines - labels) / len(labels))[:, None]
    gradients = [
        slopes * (unit_b - cosines[:, None] * unit_a) / lengths[0],
        slopes * (unit_a - cosines[:, None] * unit_b) / lengths[1],
    ]
    return ((cosines - labels) ** 2).mean(), gradients


class Squares:
    """The squared distance of pairs, with a factor."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def get_config_dict(self):
        return {"factor": self.factor}

    def forward(self, embeddings, labels):
        difference = embeddings[0] - embeddings[1]
        scale = self.factor / len(difference)
        return scale * (difference**2).sum(), [2 * scale * difference, -2 * scale * difference]


def logged(trainer):
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def test_a_loss_in_python_trains_as_the_native_one(tmp_path):
    own, trainer, _ = train(tmp_path / "own", SCORED, cosine_loss)
    native, other, _ = train(tmp_path / "native", SCORED, losses.CosineSimilarityLoss())
    assert np.allclose(logged(trainer), logged(other), atol=1e-6)
    assert np.abs(own.encode("neno") - native.encode("neno")).max() < 1e-5


def test_a_class_with_forward_is_named_in_card_and_recipe(tmp_path):
    _, trainer, _ = train(tmp_path / "run", loss=Squares(0.5))
    assert logged(trainer)[-1] < logged(trainer)[0]
    card = (tmp_path / "run" / "run" / "model" / "README.md").read_text()
    assert "Squares" in card and "factor" in card
    recipe = (tmp_path / "run" / "run" / "recipe.toml").read_text()
    assert 'name = "own"' in recipe and 'class = "Squares"' in recipe


def test_matryoshka_of_a_loss_in_python(tmp_path):
    model = SentenceTransformer(TINY)
    nested = losses.MatryoshkaLoss(model, cosine_loss, [64, 16])
    own, trainer, _ = train(tmp_path / "own", SCORED, nested)
    native = losses.MatryoshkaLoss(model, losses.CosineSimilarityLoss(), [64, 16])
    other, second, _ = train(tmp_path / "native", SCORED, native)
    assert np.allclose(logged(trainer), logged(second), atol=1e-6)
    assert np.abs(own.encode("neno") - other.encode("neno")).max() < 1e-5


def test_a_stopped_run_continues_to_the_same_bits(tmp_path):
    whole = train(tmp_path / "whole", loss=Squares())[0]
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", loss=Squares(), callbacks=[lambda event, row, state: state.global_step == 3])
    model = SentenceTransformer(TINY)
    trainer = SentenceTransformerTrainer(model, arguments(tmp_path / "cut"), PAIRS, loss=Squares())
    trainer.train(resume_from_checkpoint=True)
    assert np.array_equal(model.encode("neno"), whole.encode("neno"))
    other = SentenceTransformerTrainer(model, arguments(tmp_path / "cut"), PAIRS, loss=Squares(2.0))
    with pytest.raises(ValueError):
        other.train(resume_from_checkpoint=True)


def test_several_sets_with_losses_of_both_kinds(tmp_path):
    model = SentenceTransformer(TINY)
    sets, own = {"pairs": PAIRS, "scored": SCORED}, {"pairs": Squares(), "scored": losses.CoSENTLoss()}
    trainer = SentenceTransformerTrainer(model, arguments(tmp_path / "run"), sets, sets, loss=own)
    assert trainer.train().global_step == 8
    own["scored"] = Squares(2.0)
    with pytest.raises(ValueError, match="Squares"):
        SentenceTransformerTrainer(model, arguments(tmp_path / "b"), sets, loss=own).train()
    own["scored"] = losses.PythonLoss(Squares(2.0), name="Doubled")
    assert SentenceTransformerTrainer(model, arguments(tmp_path / "c"), sets, loss=own).train().global_step == 8


def test_exceptions_of_losses_are_raised_before_the_update(tmp_path):
    def fail(embeddings, labels):
        raise ZeroDivisionError("mine")

    model = SentenceTransformer(TINY)
    before = model.encode("neno")
    trainer = SentenceTransformerTrainer(model, arguments(tmp_path / "run"), PAIRS, loss=fail)
    with pytest.raises(ZeroDivisionError, match="mine"):
        trainer.train()
    assert np.array_equal(model.encode("neno"), before)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda embeddings, labels: 1.0, ValueError, "expected"),
        (lambda embeddings, labels: (1.0, embeddings[:1]), ValueError, "1 gradients for 2"),
        (lambda embeddings, labels: (1.0, [each[:, :3] for each in embeddings]), ValueError, "shape"),
        (lambda embeddings, labels: (1.0, ["a", "b"]), ValueError, "float"),
        (lambda embeddings, labels: (float("nan"), embeddings), ValueError, "loss"),
        (lambda embeddings: (1.0, embeddings), TypeError, "argument"),
        (7, TypeError, "int"),
    ],
)
def test_results_that_are_not_a_loss_are_named(tmp_path, function, error, message):
    with pytest.raises(error, match=message):
        train(tmp_path / "run", loss=function)


def test_a_module_of_pytorch_gets_its_gradients_by_autograd(tmp_path):
    torch = pytest.importorskip("torch")

    class Cosine(torch.nn.Module):
        def forward(self, embeddings, labels):
            return ((torch.cosine_similarity(*embeddings) - labels) ** 2).mean()

    own, trainer, _ = train(tmp_path / "own", SCORED, Cosine())
    _, other, _ = train(tmp_path / "native", SCORED, losses.CosineSimilarityLoss())
    assert np.allclose(logged(trainer), logged(other), atol=1e-5)
    with pytest.raises(ValueError, match="parameters"):
        losses.PythonLoss(torch.nn.Linear(2, 2))


def test_a_recipe_with_a_loss_in_python_says_who_can_run_it(tmp_path):
    import subprocess
    import sys

    train(tmp_path / "run", loss=Squares())
    recipe = tmp_path / "run" / "run" / "recipe.toml"
    command = [sys.executable, "-m", "maana", "train", str(recipe), "--out", str(tmp_path / "again")]
    failed = subprocess.run(command, capture_output=True, text=True)
    assert failed.returncode == 1 and "program" in failed.stderr, failed.stderr
    assert json.loads(losses.PythonLoss(Squares(3.0)).parameters) == {"factor": 3.0}
