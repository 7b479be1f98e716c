"""Training, evaluators and losses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from conftest import ROOT, TINY
from maana import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    evaluation,
    losses,
)
from maana.training_args import BatchSamplers

ROWS = [json.loads(line) for line in (ROOT / "recipes" / "demo" / "train.jsonl").read_text().splitlines()[:96]]
PAIRS = {"anchor": [row["anchor"] for row in ROWS], "positive": [row["positive"] for row in ROWS]}


def arguments(folder, **more):
    given = {"num_train_epochs": 1, "per_device_train_batch_size": 16, "learning_rate": 1e-3, "logging_steps": 1, **more}
    return SentenceTransformerTrainingArguments(folder, **given)


def train(folder, data=PAIRS, loss=None, **more):
    model = SentenceTransformer(TINY)
    callbacks = more.pop("callbacks", None)
    trainer = SentenceTransformerTrainer(
        model, arguments(folder, **more), data, loss=loss or losses.MultipleNegativesRankingLoss(model), callbacks=callbacks
    )
    return model, trainer, trainer.train()


def test_a_run_changes_the_model_and_logs_a_falling_loss(tmp_path):
    model, trainer, output = train(tmp_path / "run", num_train_epochs=3)
    logged = [row for row in trainer.state.log_history if "loss" in row]
    assert output.global_step == 18 and trainer.state.max_steps == 18 and len(logged) == 18
    assert logged[-1]["loss"] < logged[0]["loss"] and {"learning_rate", "grad_norm", "epoch"} <= set(logged[0])
    assert not np.array_equal(model.encode("neno"), SentenceTransformer(TINY).encode("neno"))
    saved = tmp_path / "run" / "run" / "model"
    assert np.array_equal(SentenceTransformer(saved).encode("neno"), model.encode("neno"))
    assert "MultipleNegativesRankingLoss" in (saved / "README.md").read_text()


def test_a_run_is_a_function_of_its_arguments(tmp_path):
    first, second = (train(tmp_path / name, seed=7, batch_sampler=BatchSamplers.NO_DUPLICATES)[0] for name in "ab")
    other = train(tmp_path / "c", seed=8)[0]
    assert np.array_equal(first.encode("neno"), second.encode("neno"))
    assert not np.array_equal(first.encode("neno"), other.encode("neno"))


@pytest.mark.parametrize("kind", ["rows", "path", "pandas", "arrow"])
def test_data_of_other_types_give_the_same_bits(tmp_path, kind):
    path = tmp_path / "pairs.jsonl"
    pairs = [{"anchor": anchor, "positive": positive} for anchor, positive in zip(*PAIRS.values())]
    path.write_text("".join(json.dumps(row) + "\n" for row in pairs))
    data = {
        "rows": lambda: pairs,
        "path": lambda: path,
        "pandas": lambda: pytest.importorskip("pandas").DataFrame(PAIRS),
        "arrow": lambda: pytest.importorskip("pyarrow").table(PAIRS),
    }[kind]()
    expected = train(tmp_path / "expected")[0].encode("neno")
    assert np.array_equal(train(tmp_path / "found", data)[0].encode("neno"), expected)


def test_a_callback_ends_a_run_which_then_continues_to_the_same_bits(tmp_path):
    whole = train(tmp_path / "whole")[0]

    def stop(event, row, state):
        return event == "log" and state.global_step == 3

    with pytest.raises(KeyboardInterrupt, match="checkpoint"):
        train(tmp_path / "cut", callbacks=[stop])
    with pytest.raises(ValueError, match="earlier run"):
        train(tmp_path / "cut")
    model = SentenceTransformer(TINY)
    again = SentenceTransformerTrainer(
        model, arguments(tmp_path / "cut"), PAIRS, loss=losses.MultipleNegativesRankingLoss(model)
    )
    again.train(resume_from_checkpoint=True)
    assert np.array_equal(model.encode("neno"), whole.encode("neno"))


def test_an_exception_of_a_callback_is_raised(tmp_path):
    def fail(event, row, state):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        train(tmp_path / "run", callbacks=[fail])


def test_matryoshka_evaluators_and_the_best_checkpoint(tmp_path):
    model = SentenceTransformer(TINY)
    queries = {str(number): text for number, text in enumerate(PAIRS["anchor"][:20])}
    corpus = {str(number): text for number, text in enumerate(PAIRS["positive"])}
    relevant = {query: {query} for query in queries}
    evaluators = [
        evaluation.InformationRetrievalEvaluator(queries, corpus, relevant, name=f"ir_{dim}", truncate_dim=dim)
        for dim in (64, 16)
    ]
    before = evaluation.SequentialEvaluator(evaluators)(model)
    loss = losses.MatryoshkaLoss(model, losses.MultipleNegativesRankingLoss(model), [64, 16])
    assert loss.table["matryoshka_dims"] == [64, 16] and before["ir_64_cosine_ndcg@10"] <= 1
    trainer = SentenceTransformerTrainer(
        model, arguments(tmp_path / "run", eval_strategy="epoch"), PAIRS, loss=loss, evaluator=evaluators
    )
    output = trainer.train()
    assert "eval_ir_16_cosine_ndcg@10" in output.metrics, sorted(output.metrics)
    assert any("eval_runtime" in row for row in trainer.state.log_history)
    after = trainer.evaluate()
    assert after["eval_ir_64_cosine_ndcg@10"] >= before["ir_64_cosine_ndcg@10"]


def test_the_dev_loss_and_several_data_sets(tmp_path):
    scored = {"sentence1": PAIRS["anchor"][:32], "sentence2": PAIRS["positive"][:32], "score": [0.5, 1.0] * 16}
    model = SentenceTransformer(TINY)
    trainer = SentenceTransformerTrainer(
        model,
        arguments(tmp_path / "run", eval_strategy="epoch"),
        {"pairs": PAIRS, "scored": scored},
        eval_dataset={"pairs": {key: values[:16] for key, values in PAIRS.items()}},
        loss={"pairs": losses.MultipleNegativesRankingLoss(model), "scored": losses.CoSENTLoss(model)},
    )
    output = trainer.train()
    assert output.global_step == 8 and any(name.endswith("loss") for name in output.metrics), output.metrics
    with pytest.raises(ValueError, match="scored"):
        SentenceTransformerTrainer(
            model,
            arguments(tmp_path / "other"),
            {"pairs": PAIRS, "scored": scored},
            loss={"pairs": losses.CoSENTLoss(model)},
        ).train()


def test_faults_of_data_and_arguments_are_named(tmp_path):
    model = SentenceTransformer(TINY)
    cases = [
        (7, TypeError, "int"),
        ({"anchor": ["a"], "positive": []}, ValueError, "lengths"),
        ({"anchor": [], "positive": []}, ValueError, "no rows"),
        ({"anchor": ["a", None], "positive": ["b", "c"]}, ValueError, "anchor"),
        ({"anchor": ["a", "b"]}, ValueError, "column"),
        (tmp_path / "nowhere.jsonl", (FileNotFoundError, ValueError), "nowhere"),
    ]
    for number, (data, error, message) in enumerate(cases):
        with pytest.raises(error, match=message):
            train(tmp_path / str(number), data)
    with pytest.raises(ValueError, match="label_smoothing_factor"):
        arguments(tmp_path, label_smoothing_factor=0.1)
    with pytest.raises(ValueError, match="no_such_argument"):
        arguments(tmp_path, no_such_argument=1)
    with pytest.raises(ValueError, match="learning_rate"):
        train(tmp_path / "rate", learning_rate=-1.0)
    with pytest.raises(ValueError, match="margin"):
        train(tmp_path / "margin", loss=losses.TripletLoss(model, triplet_margin=-1))
    with pytest.raises(NotImplementedError):
        losses.ContrastiveLoss(model, size_average=False)


def test_evaluators_agree_with_their_definitions():
    model = SentenceTransformer(TINY)
    texts = PAIRS["anchor"][:12]
    triplets = evaluation.TripletEvaluator(texts, texts, PAIRS["positive"][1:13], name="three")(model)
    assert triplets["three_cosine_accuracy"] == 1.0
    pairs = evaluation.EmbeddingSimilarityEvaluator(texts, texts[::-1], np.linspace(0, 1, 12))(model)
    assert -1 <= pairs["spearman_cosine"] <= 1
    binary = evaluation.BinaryClassificationEvaluator(texts * 2, texts + texts[1:] + texts[:1], [1] * 12 + [0] * 12)
    assert binary(model)["cosine_ap"] == pytest.approx(1.0) and binary.primary_metric is not None
    translated = evaluation.TranslationEvaluator(texts, texts)(model)
    assert translated["mean_accuracy"] == 1.0
    samples = [{"query": text, "positive": [text], "negative": [texts[0] + " x"]} for text in texts[1:]]
    assert evaluation.RerankingEvaluator(samples)(model)["map"] == 1.0


def test_losses_over_layers_and_with_a_classifier(tmp_path):
    model = SentenceTransformer(TINY)
    nested = losses.Matryoshka2dLoss(model, losses.MultipleNegativesRankingLoss(model), [16, 64], kl_temperature=0.5)
    assert nested.table["matryoshka_dims"] == [64, 16] and nested.table["n_dims_per_step"] == 1
    layers = nested.table["adaptive_layers"]
    assert (layers["n_layers_per_step"], layers["kl_temperature"], layers["layer_weighting"]) == (1, 0.5, "uniform")
    every = losses.AdaptiveLayerLoss(model, losses.CoSENTLoss(model), n_layers_per_step=-1)
    assert every.table["adaptive_layers"]["n_layers_per_step"] == "all"
    SentenceTransformerTrainer(model, arguments(tmp_path / "layers"), PAIRS, loss=nested).train()
    classes = [number % 3 for number in range(len(PAIRS["anchor"]))]
    labelled = {"premise": PAIRS["anchor"], "hypothesis": PAIRS["positive"], "label": classes}
    softmax = losses.SoftmaxLoss(model, 64, num_labels=3, concatenation_sent_multiplication=True)
    output = SentenceTransformerTrainer(model, arguments(tmp_path / "classes"), labelled, loss=softmax).train()
    assert output.global_step > 0 and not list((tmp_path / "classes" / "model").glob("*classifier*"))
    with pytest.raises(ValueError, match="Matryoshka2dLoss"):
        losses.MatryoshkaLoss(model, losses.AdaptiveLayerLoss(model, losses.CoSENTLoss(model)), [64, 16])
    with pytest.raises(ValueError, match="num_labels"):
        losses.SoftmaxLoss(model)
    with pytest.raises(ValueError, match="layer_weighting"):
        losses.AdaptiveLayerLoss(model, losses.CoSENTLoss(model), layer_weighting=lambda layer: 1.0)


def test_a_model_is_saved_beside_the_run_and_its_program_changes_the_directory(tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    model = SentenceTransformer(TINY)
    args = SentenceTransformerTrainingArguments("out", num_train_epochs=1, per_device_train_batch_size=16)
    SentenceTransformerTrainer(model, args, PAIRS, loss=losses.MultipleNegativesRankingLoss()).train()
    monkeypatch.chdir(tmp_path / "other")
    for _ in range(2):
        model.save_pretrained(tmp_path / "out")
        assert np.array_equal(SentenceTransformer(tmp_path / "out").encode("neno"), model.encode("neno"))
    assert (tmp_path / "out" / "run" / "recipe.toml").is_file() and not list((tmp_path / "out").glob(".saving*"))
    (tmp_path / "other" / "file").write_text("text")
    with pytest.raises(ValueError, match="not a model folder"):
        model.save_pretrained(tmp_path / "other")


def test_settings_of_searches_and_of_the_best_model(tmp_path):
    trainer = SentenceTransformerTrainer(None, arguments(tmp_path), PAIRS, model_init=lambda trial: SentenceTransformer(TINY))
    with pytest.raises(NotImplementedError, match="hyperparameter_search is not supported: train once"):
        trainer.hyperparameter_search(n_trials=2)
    with pytest.raises(ValueError, match="load_best_model_at_end needs evaluations: set eval_strategy"):
        arguments(tmp_path, load_best_model_at_end=True)
