"""Training data of the trainer: streams, several sets, prompts, routes, examples."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from conftest import ROOT, TINY
from maana import CrossEncoder, InputExample, SentenceTransformer, SentenceTransformerTrainer, losses
from test_training import PAIRS, arguments

SCORED = {"a": PAIRS["anchor"][:32], "b": PAIRS["positive"][:32], "score": [number % 5 / 4 for number in range(32)]}


def train(folder, data, loss=None, model=TINY, **more):
    model = SentenceTransformer(model)
    trainer = SentenceTransformerTrainer(model, arguments(folder, **more), data, loss=loss)
    trainer.train()
    return model.encode("neno")


def test_streams_are_refused_by_name(tmp_path):
    datasets = pytest.importorskip("datasets")
    stream = datasets.Dataset.from_dict(PAIRS).to_iterable_dataset()
    for data in (stream, {"first": stream}, (row for row in [])):
        with pytest.raises(TypeError, match="stream.*take"):
            train(tmp_path / "run", data)
    loaded = datasets.Dataset.from_list(list(stream.take(96)))
    assert np.array_equal(train(tmp_path / "a", loaded), train(tmp_path / "b", PAIRS))


def test_a_dictionary_of_data_sets_with_several_losses(tmp_path):
    datasets = pytest.importorskip("datasets")
    sets = {"pairs": PAIRS, "scored": SCORED}
    both = {"pairs": losses.MultipleNegativesRankingLoss(), "scored": losses.CoSENTLoss()}
    as_datasets = datasets.DatasetDict({name: datasets.Dataset.from_dict(columns) for name, columns in sets.items()})
    assert np.array_equal(train(tmp_path / "a", sets, both), train(tmp_path / "b", as_datasets, both))
    with pytest.raises(ValueError, match="dictionary"):
        train(tmp_path / "c", PAIRS, both)
    with pytest.raises(ValueError, match="in the data set `scored`: .*column"):
        train(tmp_path / "d", {"pairs": PAIRS, "scored": {"a": SCORED["a"], "score": SCORED["score"]}}, both)


def test_prompts_in_each_form(tmp_path):
    whole = train(tmp_path / "all", PAIRS, prompts="swali: ")
    by_column = train(tmp_path / "column", PAIRS, prompts={"anchor": "swali: ", "positive": "swali: "})
    assert np.array_equal(whole, by_column)
    assert np.array_equal(whole, train(tmp_path / "json", PAIRS, prompts='{"anchor": "swali: ", "positive": "swali: "}'))
    assert not np.array_equal(whole, train(tmp_path / "none", PAIRS))
    both = {"pairs": losses.MultipleNegativesRankingLoss(), "scored": losses.CoSENTLoss()}
    sets = {"pairs": PAIRS, "scored": SCORED}
    by_set = train(tmp_path / "set", sets, both, prompts={"pairs": "swali: ", "scored": {"a": "swali: "}})
    assert not np.array_equal(by_set, train(tmp_path / "sets", sets, both))
    one = train(tmp_path / "one", sets, both, prompts={"pairs": {"anchor": "swali: ", "positive": "swali: "}})
    assert np.array_equal(one, train(tmp_path / "same", sets, both, prompts={"pairs": "swali: "}))
    for data, prompts, message in [
        (sets, {"pairs": "swali: ", "other": "x"}, "other"),
        (PAIRS, {"pairs": {"anchor": "x"}}, "data set"),
        (PAIRS, {"question": "x"}, "question"),
    ]:
        with pytest.raises(ValueError, match=message):
            train(tmp_path / "wrong", data, both if data is sets else None, prompts=prompts)


def test_routes_of_the_columns(tmp_path):
    folder = tmp_path / "router"
    shutil.copytree(ROOT / "golden" / "router", folder)
    shutil.copytree(TINY, folder / "document_0_Transformer")
    rows = {"anchor": PAIRS["anchor"][:16], "positive": PAIRS["positive"][:16]}

    def trained(name, data, **more):
        model = SentenceTransformer(str(folder))
        trainer = SentenceTransformerTrainer(
            model, arguments(tmp_path / name, **more), data, loss=losses.MultipleNegativesRankingLoss()
        )
        trainer.train()
        return model.encode_query("neno")

    usual = trained("usual", rows)
    assert np.array_equal(usual, trained("given", rows, router_mapping={"anchor": "query", "positive": "document"}))
    swapped = trained("swapped", rows, router_mapping={"anchor": "document", "positive": "query"})
    assert not np.array_equal(usual, swapped)
    by_set = {"rows": {"anchor": "document", "positive": "query"}}
    assert np.array_equal(swapped, trained("set", {"rows": rows}, router_mapping=by_set))
    with pytest.raises(ValueError, match="routes"):
        train(tmp_path / "plain", PAIRS, router_mapping={"anchor": "query", "positive": "document"})


def test_examples_are_rows(tmp_path):
    examples = [InputExample(texts=[first, second]) for first, second in zip(*PAIRS.values())]
    assert np.array_equal(train(tmp_path / "a", examples), train(tmp_path / "b", PAIRS))
    scored = [InputExample(texts=[a, b], label=score) for a, b, score in zip(*SCORED.values())]
    assert np.array_equal(train(tmp_path / "c", scored), train(tmp_path / "d", SCORED))
    with pytest.raises(ValueError, match="numbers of texts"):
        train(tmp_path / "e", [InputExample(texts=["a"]), InputExample(texts=["a", "b"])])


class Loader:
    """The attributes of a `DataLoader` of PyTorch."""

    def __init__(self, dataset, batch_size):
        self.dataset, self.batch_size = dataset, batch_size


def test_fit_trains_through_the_trainer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples = [InputExample(texts=[first, second]) for first, second in zip(*PAIRS.values())]
    model = SentenceTransformer(TINY)
    calls = []

    def evaluator(model, output_path=None, epoch=-1, steps=-1):
        return {4: 0.5, 6: 0.75}.get(steps, 0.25)

    model.fit(
        train_objectives=[(Loader(examples, 16), losses.MultipleNegativesRankingLoss(model))],
        evaluator=evaluator,
        evaluation_steps=4,
        epochs=1,
        warmup_steps=2,
        optimizer_params={"lr": 1e-3},
        output_path=str(tmp_path / "model"),
        callback=lambda score, epoch, steps: calls.append((score, steps)),
    )
    assert calls == [(0.5, 4), (0.75, 6)], "the end of the epoch is evaluated too"
    assert np.array_equal(SentenceTransformer(str(tmp_path / "model")).encode("neno"), model.encode("neno"))
    same = train(
        tmp_path / "same",
        PAIRS,
        losses.MultipleNegativesRankingLoss(),
        warmup_steps=2,
        weight_decay=0.01,
        multi_dataset_batch_sampler="round_robin",
    )
    assert np.array_equal(model.encode("neno"), same)


def test_fit_of_several_objectives_and_its_refusals(tmp_path):
    pairs = [InputExample(texts=[first, second]) for first, second in zip(*PAIRS.values())]
    scored = [InputExample(texts=[a, b], label=score) for a, b, score in zip(*SCORED.values())]
    model = SentenceTransformer(TINY)
    objectives = [(Loader(pairs, 8), losses.MultipleNegativesRankingLoss(model)), (Loader(scored, 8), losses.CoSENTLoss(model))]
    model.fit(objectives, epochs=1, warmup_steps=0, checkpoint_path=str(tmp_path / "run"))
    assert not np.array_equal(model.encode("neno"), SentenceTransformer(TINY).encode("neno"))
    for settings, error, message in [
        ({"train_objectives": []}, ValueError, "empty"),
        ({"scheduler": "sawtooth"}, ValueError, "scheduler"),
        ({"optimizer_class": "SGD"}, NotImplementedError, "SGD"),
        ({"optimizer_params": {"momentum": 0.9}}, NotImplementedError, "momentum"),
        ({"train_objectives": [(iter(pairs), losses.CoSENTLoss(model))]}, TypeError, "objective 1"),
    ]:
        with pytest.raises(error, match=message):
            model.fit(**{"train_objectives": objectives, **settings})
    with pytest.raises(NotImplementedError, match="fit"):
        model.old_fit(objectives)


def test_fit_of_a_cross_encoder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = str(ROOT / "golden" / "cross" / "bert")
    pairs = list(zip(SCORED["a"], SCORED["b"]))
    examples = [InputExample(texts=list(pair), label=number % 2) for number, pair in enumerate(pairs)]
    settings = {"epochs": 1, "warmup_steps": 0, "optimizer_params": {"lr": 1e-3}}
    native, own = CrossEncoder(folder), CrossEncoder(folder)
    native.fit(Loader(examples, 8), **settings)

    def entropy(logits, labels):
        shares = 1 / (1 + np.exp(-logits))
        value = -(labels * np.log(shares) + (1 - labels) * np.log(1 - shares)).mean()
        return value, (shares - labels) / len(labels)

    calls = []
    own.fit(
        Loader(examples, 8),
        loss_fct=entropy,
        evaluator=lambda model, *moment: float(moment[2]),
        output_path=str(tmp_path / "best"),
        callback=lambda score, epoch, steps: calls.append((score, steps)),
        **settings,
    )
    assert calls == [(4.0, 4)] and np.abs(own.predict(pairs) - native.predict(pairs)).max() < 1e-5
    assert not np.array_equal(native.predict(pairs), CrossEncoder(folder).predict(pairs))
    assert np.array_equal(CrossEncoder(str(tmp_path / "best")).predict(pairs), own.predict(pairs))
    with pytest.raises(NotImplementedError, match="activation_fct"):
        own.fit(Loader(examples, 8), loss_fct=entropy, activation_fct="sigmoid")
    with pytest.raises(NotImplementedError, match="fit"):
        own.old_fit(Loader(examples, 8))


def test_samplers_of_fit_are_those_of_its_data(tmp_path):
    from maana.datasets import NoDuplicatesDataLoader, SentenceLabelDataset, SentencesDataset

    def fit(name, loader, loss):
        model = SentenceTransformer(TINY)
        model.fit([(loader, loss)], warmup_steps=0, optimizer_params={"lr": 1e-3}, checkpoint_path=str(tmp_path / name))
        return model.encode("neno"), (tmp_path / name / "run" / "recipe.toml").read_text()

    pairs = [InputExample(texts=[first, second]) for first, second in zip(*PAIRS.values())]
    ranking = losses.MultipleNegativesRankingLoss()
    found, recipe = fit("a", NoDuplicatesDataLoader(pairs, 16), ranking)
    usual, other = fit("b", Loader(SentencesDataset(pairs), 16), ranking)
    assert 'batch_sampler = "no_duplicates"' in recipe and "no_duplicates" not in other
    expected = train(
        tmp_path / "c", PAIRS, ranking, batch_sampler="no_duplicates", weight_decay=0.01
    )
    assert np.array_equal(found, expected) and usual.shape == found.shape
    classes = [InputExample(texts=[text], label=number % 4) for number, text in enumerate(PAIRS["anchor"])]
    _, recipe = fit("d", Loader(SentenceLabelDataset(classes), 16), losses.BatchAllTripletLoss())
    assert 'batch_sampler = "group_by_label"' in recipe
    with pytest.raises(NotImplementedError, match="samples_per_label"):
        SentenceLabelDataset(classes, samples_per_label=3)
