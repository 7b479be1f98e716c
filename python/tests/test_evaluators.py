"""Evaluators that compute in Python, compared with the reference where it is installed."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from conftest import ROOT, TINY
from maana import CrossEncoder, SentenceTransformer
from maana.cross_encoder.evaluation import CrossEncoderNanoBEIREvaluator
from maana.evaluation import (
    InformationRetrievalEvaluator,
    LabelAccuracyEvaluator,
    MSEEvaluator,
    NanoBEIREvaluator,
    ParaphraseMiningEvaluator,
)
from maana.models import Pooling, Transformer

CROSS = str(ROOT / "golden" / "cross" / "bert")
WORDS = ["habari ya asubuhi", "habari za leo", "mto mkubwa", "ziwa dogo", "simba na tembo", "paka analala", "paka mdogo", "mto"]
CORPUS = {f"d{number}": text for number, text in enumerate(WORDS)}
QUERIES = {"q0": "habari", "q1": "mto", "q2": "paka"}
RELEVANT = {"q0": ["d0", "d1"], "q1": ["d2", "d7"], "q2": ["d5"]}


def reference(*parts):
    """Return a name of the reference, or `None` where it is not installed."""
    try:
        import sentence_transformers  # noqa: F401
    except ImportError:
        return None
    from importlib import import_module

    return getattr(import_module(".".join(("sentence_transformers", *parts[:-1]))), parts[-1])


def compare(found, kind, *arguments, **options):
    """Compare measures of the model with those of the reference."""
    if kind is not None:
        # Evaluators of the reference keep themselves in the card of the model.
        expected = kind(*arguments, **options)(SentenceTransformer(TINY))
        assert list(found) == list(expected)
        assert found == pytest.approx(expected, abs=1e-5)


def test_mse(model, tmp_path):
    teacher = SentenceTransformer(modules=[Transformer(TINY), Pooling(64, "mean")])
    evaluator = MSEEvaluator(WORDS, WORDS[::-1], teacher, name="dev", truncate_dim=32)
    found = evaluator(model, str(tmp_path), 1, 2)
    difference = teacher.encode(WORDS, truncate_dim=32) - model.encode(WORDS[::-1], truncate_dim=32)
    assert found == {"dev_negative_mse": pytest.approx(-float((difference**2).mean() * 100))}
    assert evaluator.primary_metric == "dev_negative_mse"
    rows = list(csv.reader((tmp_path / "mse_evaluation_dev_results.csv").open()))
    assert rows[0] == ["epoch", "steps", "MSE"] and rows[1][:2] == ["1", "2"]
    with pytest.raises(ValueError, match="same length"):
        MSEEvaluator(WORDS, WORDS[1:], teacher)
    with pytest.raises(ValueError, match="teacher_model"):
        MSEEvaluator(WORDS, WORDS)
    theirs = reference("sentence_transformer", "evaluation", "MSEEvaluator")
    compare(found, theirs, WORDS, WORDS[::-1], teacher, name="dev", truncate_dim=32)


@pytest.mark.parametrize("closure", [False, True])
def test_paraphrase_mining(model, tmp_path, closure):
    pairs = [("d0", "d1"), ("d2", "d7"), ("d7", "d3"), ("d5", "d6"), ("d5", "nothing")]
    options = {"duplicates_list": pairs, "add_transitive_closure": closure, "name": "dev"}
    evaluator = ParaphraseMiningEvaluator(CORPUS, **options)
    found = evaluator(model, str(tmp_path), 0, 3)
    assert evaluator.primary_metric == "dev_average_precision" and 0 < found["dev_f1"] <= 1
    assert len(evaluator.duplicates) == 4 + closure
    assert (tmp_path / "paraphrase_mining_evaluation_dev_results.csv").is_file()
    nothing = ParaphraseMiningEvaluator(CORPUS)(model)
    assert nothing["average_precision"] == nothing["f1"] == 0
    theirs = reference("sentence_transformer", "evaluation", "ParaphraseMiningEvaluator")
    compare(found, theirs, CORPUS, **options)
    assert ParaphraseMiningEvaluator(CORPUS, duplicates_dict={"d0": {"d1": True, "d2": False}}).duplicates == {
        frozenset(("d0", "d1"))
    }


def load_dataset(name, subset, split):
    from datasets import Dataset

    assert split in ("NanoMSMARCO", "NanoNQ"), split
    texts = {"corpus": CORPUS, "queries": QUERIES if split == "NanoNQ" else {**QUERIES, "q1": "ziwa"}}
    if subset in texts:
        return Dataset.from_dict({"_id": list(texts[subset]), "text": list(texts[subset].values())})
    if subset == "bm25":
        return Dataset.from_dict({"query-id": list(QUERIES), "corpus-ids": [list(CORPUS)[place:] for place in range(3)]})
    rows = [(query, each) for query, ids in RELEVANT.items() for each in ids]
    return Dataset.from_dict({"query-id": [row[0] for row in rows], "corpus-id": [row[1] for row in rows]})


@pytest.fixture
def hub(monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)


def test_nano_beir(hub, model):
    names, prompts = ["msmarco", "NQ"], {"msmarco": "swali: ", "NQ": ""}
    for options in ({}, {"query_prompts": prompts, "corpus_prompts": "jibu: ", "truncate_dim": 32, "aggregate_key": "best"}):
        evaluator = NanoBEIREvaluator(names, **options)
        found = evaluator(model)
        suffix = "_32" if options else ""
        assert evaluator.primary_metric == f"NanoBEIR_{options.get('aggregate_key', 'mean')}{suffix}_cosine_ndcg@10"
        sets = [found[f"Nano{name}{suffix}_cosine_mrr@10"] for name in ("MSMARCO", "NQ")]
        assert found[evaluator.primary_metric.replace("ndcg", "mrr")] == pytest.approx(np.mean(sets))
        theirs = reference("sentence_transformer", "evaluation", "NanoBEIREvaluator")
        if theirs is not None:
            own = reference("SentenceTransformer")(TINY, device="cpu")
            expected = theirs(names, **options)(own)
            assert {key: found[key] for key in expected} == pytest.approx(expected, abs=1e-5)


def test_nano_beir_of_a_cross_encoder(hub, tmp_path):
    evaluator = CrossEncoderNanoBEIREvaluator(["msmarco", "nq"], rerank_k=5)
    found = evaluator(CrossEncoder(CROSS), str(tmp_path), 1, 2)
    assert evaluator.primary_metric == "NanoBEIR_R5_mean_ndcg@10" in found and "NanoNQ_R5_base_map" in found
    assert (tmp_path / "NanoBEIR_evaluation_mean_results.csv").read_text().startswith("epoch,steps,MAP,MRR@10,NDCG@10")
    theirs = reference("cross_encoder", "evaluation", "CrossEncoderNanoBEIREvaluator")
    if theirs is not None:
        own = reference("CrossEncoder")(CROSS, device="cpu")
        assert found == pytest.approx(theirs(["msmarco", "nq"], rerank_k=5)(own), abs=1e-5)


def test_sets_of_nano_beir_are_checked(hub, monkeypatch):
    for names, message in [([], "cannot be empty"), (["other"], "not valid NanoBEIR")]:
        for kind in (NanoBEIREvaluator, CrossEncoderNanoBEIREvaluator):
            with pytest.raises(ValueError, match=message):
                kind(names)
    with pytest.raises(ValueError, match="missing query prompts: .'nq'"):
        NanoBEIREvaluator(["msmarco", "nq"], query_prompts={"msmarco": "a"})
    with pytest.raises(ValueError, match="Could not load subset 'queries' split 'NanoFEVER'"):
        NanoBEIREvaluator(["fever"])
    monkeypatch.setattr("datasets.load_dataset", lambda *names, split: load_dataset("", "corpus", "NanoNQ").remove_columns("text"))
    with pytest.raises(ValueError, match="missing required columns: .'text'"):
        NanoBEIREvaluator(["nq"])


def test_prompts_and_similarities_of_retrieval(model):
    plain = InformationRetrievalEvaluator(QUERIES, CORPUS, RELEVANT)(model)
    prompted = InformationRetrievalEvaluator(QUERIES, CORPUS, RELEVANT, query_prompt="mto: ", corpus_prompt="paka: ")
    named = SentenceTransformer(TINY, prompts={"q": "mto: ", "c": "paka: "})
    by_name = InformationRetrievalEvaluator(QUERIES, CORPUS, RELEVANT, query_prompt_name="q", corpus_prompt_name="c")
    assert prompted(model) == by_name(named) != plain
    same = InformationRetrievalEvaluator(QUERIES, CORPUS, RELEVANT, score_functions={"cosine": np.dot}, main_score_function="cosine")
    assert same(model) == plain
    with pytest.raises(NotImplementedError, match="'dot' is not that of the model, 'cosine'; omit"):
        InformationRetrievalEvaluator(QUERIES, CORPUS, RELEVANT, main_score_function="dot")(model)
    with pytest.raises(NotImplementedError, match="write_predictions"):
        InformationRetrievalEvaluator(QUERIES, CORPUS, RELEVANT, write_predictions=True)


def test_evaluators_that_are_refused():
    with pytest.raises(NotImplementedError, match="LabelAccuracyEvaluator is not supported: .*BinaryClassificationEvaluator"):
        LabelAccuracyEvaluator(None)
