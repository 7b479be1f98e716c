"""Evaluators of one's own during a run."""

from __future__ import annotations

import os
import re
import signal
import threading
import time

import numpy as np
import pytest

from conftest import ROOT, TINY
from maana import SentenceTransformer, SentenceTransformerTrainer, evaluation, losses
from maana.cross_encoder import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments
from test_training import PAIRS, arguments


def run(folder, evaluator, resume=None, **more):
    model = SentenceTransformer(TINY)
    more = {"eval_strategy": "epoch", "num_train_epochs": 3, **more}
    callbacks = more.pop("callbacks", None)
    trainer = SentenceTransformerTrainer(
        model,
        arguments(folder, **more),
        PAIRS,
        loss=losses.MultipleNegativesRankingLoss(model),
        evaluator=evaluator,
        callbacks=callbacks,
    )
    return model, trainer, trainer.train(resume_from_checkpoint=resume)


def evaluations(trainer):
    return [row for row in trainer.state.log_history if "eval_runtime" in row]


class Rate(evaluation.SentenceEvaluator):
    """The mean similarity of the pairs, by the embeddings at the moment."""

    def __init__(self):
        super().__init__()
        self.primary_metric = "rate"
        self.calls = []

    def __call__(self, model, output_path=None, epoch=-1, steps=-1):
        rows = [model.encode(PAIRS[column][:16], normalize_embeddings=True) for column in ("anchor", "positive")]
        self.calls.append((output_path, epoch, steps, model.encode("neno")))
        return {"rate": float((rows[0] * rows[1]).sum(axis=1).mean()), "one": 1}


def test_an_evaluator_sees_the_weights_of_its_moment(tmp_path):
    rate = Rate()
    model, trainer, output = run(tmp_path / "run", rate)
    paths, epochs, steps, embeddings = zip(*rate.calls)
    assert steps == (0, 6, 12, 18, 18) and epochs == pytest.approx((0, 1, 2, 3, 3))
    assert set(paths) == {str(tmp_path / "run" / "eval")}
    assert np.array_equal(embeddings[0], SentenceTransformer(TINY).encode("neno"))
    assert np.array_equal(embeddings[4], model.encode("neno")) and np.array_equal(embeddings[3], embeddings[4])
    assert len({each.tobytes() for each in embeddings}) == 4
    rows = evaluations(trainer)
    assert [row["step"] for row in rows] == [6, 12, 18] and {"eval_rate", "eval_one"} <= set(rows[0])
    assert output.metrics["eval_rate"] == rows[-1]["eval_rate"] == trainer.evaluate()["eval_rate"]
    card = (tmp_path / "run" / "run" / "model" / "README.md").read_text()
    assert "Custom Evaluation" in card and "rate" in card


def test_functions_return_numbers_and_may_use_the_model_of_the_program(tmp_path):
    seen = []

    def closeness(model, output_path=None, epoch=-1, steps=-1):
        seen.append(np.array_equal(program_model.encode("neno"), model.encode("neno")))
        return np.float32(steps)

    program_model = SentenceTransformer(TINY)
    trainer = SentenceTransformerTrainer(
        program_model, arguments(tmp_path / "run", eval_strategy="steps", eval_steps=3), PAIRS, evaluator=closeness
    )
    trainer.train()
    assert [row["eval_evaluator"] for row in evaluations(trainer)] == [3.0, 6.0] and all(seen)


def test_evaluators_of_several_kinds_together(tmp_path):
    texts = PAIRS["anchor"][:12]
    triplets = evaluation.TripletEvaluator(texts, PAIRS["positive"][:12], texts[::-1], name="three")
    inner = evaluation.SequentialEvaluator([Rate(), lambda model, *moment: 0.25])
    together = evaluation.SequentialEvaluator([triplets, inner], main_score_function=sum)
    model, trainer, output = run(tmp_path / "run", together, num_train_epochs=1)
    row = evaluations(trainer)[0]
    assert row["eval_evaluator_1"] == 0.25 and row["eval_three_cosine_accuracy"] == triplets(model)["three_cosine_accuracy"]
    assert row["eval_sequential_score"] == pytest.approx(row["eval_three_cosine_accuracy"] + 0.25)
    assert together(model)["sequential_score"] == pytest.approx(output.metrics["eval_sequential_score"])
    card = (tmp_path / "run" / "run" / "model" / "README.md").read_text()
    assert "Triplet" in card
    for measure in ("rate", "evaluator_1", "sequential_score"):
        assert re.search(rf"\|[ *]*{measure}[ *]*\|", card), measure
    listed = run(tmp_path / "list", [triplets, Rate()], num_train_epochs=1)[1]
    assert evaluations(listed)[0]["eval_sequential_score"] == evaluations(listed)[0]["eval_rate"]


def test_names_are_those_of_the_evaluators_at_each_dimension(tmp_path):
    texts = PAIRS["anchor"][:12]
    queries = {str(number): text for number, text in enumerate(texts)}
    documents = {str(number): text for number, text in enumerate(PAIRS["positive"][:12])}
    relevant = {query: {query} for query in queries}
    by_dim = [
        evaluation.InformationRetrievalEvaluator(queries, documents, relevant, name=f"dim_{dim}", truncate_dim=dim)
        for dim in (64, 16)
    ]
    metric = "eval_dim_16_cosine_ndcg@10"
    best = {"load_best_model_at_end": True, "metric_for_best_model": metric}
    model, trainer, output = run(tmp_path / "run", evaluation.SequentialEvaluator(by_dim), **best)
    values = [row[metric] for row in evaluations(trainer)]
    assert output.metrics[metric] == max(values) == trainer.state.best_metric
    assert by_dim[1](model)["dim_16_cosine_ndcg@10"] == max(values)


@pytest.mark.parametrize("greater", [True, False])
def test_the_best_checkpoint_by_a_measure_of_ones_own(tmp_path, greater):
    values = {0: 0.0, 6: 2.0, 12: 3.0, 18: 1.0}
    rate = Rate()

    def chosen(model, output_path=None, epoch=-1, steps=-1):
        rate(model, output_path, epoch, steps)
        return {"chosen": values[steps]}

    best = {"load_best_model_at_end": True, "metric_for_best_model": "chosen", "greater_is_better": greater}
    model, trainer, _ = run(tmp_path / "run", chosen, **best)
    at = {steps: embedding for _, _, steps, embedding in rate.calls}
    expected = rate.calls[2 if greater else 3][3]
    assert trainer.state.best_metric == (3.0 if greater else 1.0) and len(at) == 4
    assert np.array_equal(model.encode("neno"), expected)


def test_early_stopping_ends_with_the_best_weights(tmp_path):
    from maana.callbacks import EarlyStoppingCallback

    falling = iter([0.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0, 0.0])
    best = {"load_best_model_at_end": True, "metric_for_best_model": "evaluator", "num_train_epochs": 6}
    stops = [EarlyStoppingCallback(early_stopping_patience=2)]
    _, trainer, output = run(tmp_path / "run", lambda model, *moment: next(falling), callbacks=stops, **best)
    assert len(evaluations(trainer)) == 3 and output.global_step == 18 and trainer.state.best_metric == 5.0


def test_a_resumed_run_keeps_measures_and_bits(tmp_path):
    whole, first, _ = run(tmp_path / "whole", Rate())
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", Rate(), callbacks=[lambda event, row, state: state.global_step == 8])
    again = Rate()
    model, second, output = run(tmp_path / "cut", again, resume=True)
    assert np.array_equal(model.encode("neno"), whole.encode("neno"))
    assert [steps for _, _, steps, _ in again.calls] == [12, 18, 18]
    assert [row["eval_rate"] for row in evaluations(second)] == [row["eval_rate"] for row in evaluations(first)][1:]
    assert output.metrics["eval_rate"] == evaluations(first)[-1]["eval_rate"]


def test_an_exception_of_an_evaluator_ends_the_run_which_then_continues(tmp_path):
    whole = run(tmp_path / "whole", Rate())[0]

    def fail(model, output_path=None, epoch=-1, steps=-1):
        if steps == 12:
            raise ZeroDivisionError("mine")
        return 1.0

    with pytest.raises(ZeroDivisionError, match="mine"):
        run(tmp_path / "cut", fail)
    rate = Rate()
    model = run(tmp_path / "cut", rate, resume=True)[0]
    assert np.array_equal(model.encode("neno"), whole.encode("neno"))
    assert 12 in [steps for _, _, steps, _ in rate.calls], "the interrupted evaluation is repeated"


def test_a_signal_interrupts_an_evaluator(tmp_path):
    def slow(model, output_path=None, epoch=-1, steps=-1):
        if steps > 0:
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            time.sleep(30)
        return 1.0

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", slow)
    assert time.monotonic() - began < 20
    assert list((tmp_path / "run" / "run").glob("checkpoint-6*"))


def test_a_model_in_training_is_neither_saved_nor_pickled(tmp_path):
    import pickle

    found = []

    def save(model, output_path=None, epoch=-1, steps=-1):
        for attempt in (lambda: model.save_pretrained(str(tmp_path / "saved")), lambda: pickle.dumps(model)):
            with pytest.raises(RuntimeError, match="being trained"):
                attempt()
            found.append(steps)
        return 1.0

    model = run(tmp_path / "run", save, num_train_epochs=1)[0]
    assert found and not (tmp_path / "saved").exists()
    assert np.array_equal(pickle.loads(pickle.dumps(model)).encode("neno"), model.encode("neno"))


@pytest.mark.parametrize(
    ("evaluator", "error", "message"),
    [
        (7, TypeError, "int"),
        ([Rate(), "rate"], TypeError, "str"),
        (lambda model, *moment: None, ValueError, "evaluator = None"),
        (lambda model, *moment: {}, ValueError, "empty"),
        (lambda model, *moment: {"a": "high"}, ValueError, "high"),
        (lambda model: 1.0, TypeError, "argument"),
    ],
)
def test_results_that_are_not_measures_are_named(tmp_path, evaluator, error, message):
    with pytest.raises(error, match=message):
        run(tmp_path / "run", evaluator)


def test_a_measure_that_is_missing_is_named_before_the_first_update(tmp_path):
    best = {"load_best_model_at_end": True, "metric_for_best_model": "eval_other"}
    with pytest.raises(ValueError, match="other.*rate"):
        run(tmp_path / "run", Rate(), **best)


def test_a_recipe_with_an_evaluator_of_the_program_says_who_can_run_it(tmp_path):
    import subprocess
    import sys

    run(tmp_path / "run", Rate(), num_train_epochs=1)
    recipe = tmp_path / "run" / "run" / "recipe.toml"
    assert 'own = ["Rate"]' in recipe.read_text()
    command = [sys.executable, "-m", "maana", "train", str(recipe), "--out", str(tmp_path / "again")]
    failed = subprocess.run(command, capture_output=True, text=True)
    assert failed.returncode == 1 and "program" in failed.stderr, failed.stderr


def test_evaluators_of_a_cross_encoder(tmp_path):
    pairs = list(zip(PAIRS["anchor"][:8], PAIRS["positive"][:8]))
    scores = []

    def mean(model, output_path=None, epoch=-1, steps=-1):
        scores.append(model.predict(pairs))
        return {"mean": float(scores[-1].mean())}

    model = CrossEncoder(str(ROOT / "golden" / "cross" / "bert"))
    data = {"query": PAIRS["anchor"][:32], "document": PAIRS["positive"][:32], "label": [1.0, 0.0] * 16}
    args = CrossEncoderTrainingArguments(
        str(tmp_path / "run"), num_train_epochs=1, per_device_train_batch_size=8, learning_rate=1e-3, eval_strategy="epoch"
    )
    trainer = CrossEncoderTrainer(model, args, data, evaluator=mean)
    output = trainer.train()
    assert len(scores) == 3 and not np.array_equal(scores[0], scores[1])
    assert np.array_equal(scores[2], model.predict(pairs))
    assert output.metrics["eval_mean"] == evaluations(trainer)[0]["eval_mean"] == pytest.approx(scores[2].mean())


def test_evaluators_of_sentence_transformers(tmp_path):
    reference = pytest.importorskip("sentence_transformers.evaluation")
    texts = PAIRS["anchor"][:12]
    theirs = reference.TripletEvaluator(texts, PAIRS["positive"][:12], texts[::-1], name="theirs")
    ours = evaluation.TripletEvaluator(texts, PAIRS["positive"][:12], texts[::-1], name="ours")
    row = evaluations(run(tmp_path / "run", [theirs, ours], num_train_epochs=1)[1])[0]
    assert row["eval_theirs_cosine_accuracy"] == row["eval_ours_cosine_accuracy"]
    nested = reference.SequentialEvaluator([ours, theirs])
    row = evaluations(run(tmp_path / "nested", nested, num_train_epochs=1)[1])[0]
    assert row["eval_sequential_score"] == row["eval_theirs_cosine_accuracy"]
