"""`CrossEncoder`: scores, ranks and errors, compared with the reference's numbers."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from conftest import ROOT
from maana import CrossEncoder, SentenceTransformer

GOLDEN = json.loads((ROOT / "golden" / "cross.json").read_text())
PAIRS = GOLDEN["pairs"]


def folder(name):
    return str(ROOT / "golden" / "cross" / name)


@pytest.fixture(scope="module")
def scorer():
    return CrossEncoder(folder("bert"))


@pytest.mark.parametrize("expected", GOLDEN["models"], ids=lambda model: model["name"])
def test_scores_are_those_of_the_reference(expected):
    model = CrossEncoder(folder(expected["name"]))
    labels = len(expected["labels"])
    assert model.labels == expected["labels"] and model.num_labels == labels
    assert model.max_length == expected["max_length"]
    shape = (len(PAIRS), labels) if labels > 1 else (len(PAIRS),)
    assert np.abs(model.predict(PAIRS) - np.reshape(expected["scores"], shape)).max() < 1e-5
    logits = model.predict(PAIRS, activation_fn=lambda logits: logits)
    assert np.abs(logits - np.reshape(expected["logits"], shape)).max() < 1e-5


def test_one_pair_and_other_types(scorer):
    scores = scorer.predict(PAIRS)
    assert scores.dtype == np.float32 and scorer.predict(PAIRS[0]) == scores[0]
    assert scorer.predict(tuple(PAIRS[1])) == scores[1]
    assert np.array_equal(scorer.predict(np.array(PAIRS)), scores)
    assert np.array_equal(scorer.predict([tuple(pair) for pair in PAIRS] * 300), np.tile(scores, 300))
    assert scorer.predict([]).shape == (0,)
    assert scorer.predict(PAIRS, convert_to_numpy=False) == list(scores)


def test_softmax_and_activations():
    model = CrossEncoder(folder("bert-classes"))
    logits = model.predict(PAIRS, activation_fn=lambda logits: logits)
    softmax = model.predict(PAIRS, activation_fn=lambda logits: logits, apply_softmax=True)
    assert np.allclose(softmax.sum(axis=1), 1) and (softmax.argmax(axis=1) == logits.argmax(axis=1)).all()
    with pytest.raises(ValueError, match="num_labels=1"):
        model.rank("habari", ["mto"])
    torch = pytest.importorskip("torch")
    sigmoid = CrossEncoder(folder("bert-classes"), activation_fn=torch.nn.Sigmoid()).predict(PAIRS)
    assert np.allclose(sigmoid, 1 / (1 + np.exp(-logits)), atol=1e-6)
    assert isinstance(model.predict(PAIRS, convert_to_tensor=True), torch.Tensor)


def test_ranks_are_ordered_by_score(scorer):
    documents = [second for _, second in PAIRS]
    scores = scorer.predict([("habari", document) for document in documents])
    ranked = scorer.rank("habari", documents, top_k=4, return_documents=True)
    assert [hit["corpus_id"] for hit in ranked] == np.argsort(-scores, kind="stable")[:4].tolist()
    assert all(hit["score"] == scores[hit["corpus_id"]] and hit["text"] == documents[hit["corpus_id"]] for hit in ranked)
    negated = scorer.rank("habari", documents, activation_fn=lambda logits: -logits)
    assert negated[-1]["corpus_id"] == ranked[0]["corpus_id"]
    assert scorer.rank("habari", []) == []


def test_prompts_are_put_in_front_of_the_first_text(scorer):
    model = CrossEncoder(folder("bert"), prompts={"query": "yako: "}, default_prompt_name="query")
    expected = scorer.predict([["yako: " + first, second] for first, second in PAIRS])
    assert np.array_equal(model.predict(PAIRS), expected)
    assert np.array_equal(scorer.predict(PAIRS, prompt="yako: "), expected)
    with pytest.raises(ValueError, match="'other'"):
        model.predict(PAIRS, prompt_name="other")
    del model.prompts["query"]
    assert np.array_equal(model.predict(PAIRS), scorer.predict(PAIRS)), "as the reference: no prompt"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, "NoneType"),
        ("habari", "str"),
        ([["a"]], r"inputs\[0\]"),
        ([["a", "b"], ["a", None]], r"inputs\[1\]"),
        ([["a", "b", "c"]], r"inputs\[0\]"),
        ([3, 4], r"inputs\[0\]"),
    ],
)
def test_inputs_that_are_not_pairs_are_named(scorer, inputs, message):
    with pytest.raises(TypeError, match=message):
        scorer.predict(inputs)


def test_models_of_the_other_task_are_refused():
    with pytest.raises(ValueError, match="(?i)score|pair|embed"):
        SentenceTransformer(folder("bert"))
    with pytest.raises(FileNotFoundError):
        CrossEncoder("/nowhere/model")
    with pytest.raises(ValueError, match="num_labels"):
        CrossEncoder(folder("bert"), num_labels=2)


def test_a_saved_and_a_pickled_model_give_the_same_bits(scorer, tmp_path):
    scores = scorer.predict(PAIRS)
    scorer.save_pretrained(tmp_path / "model")
    assert np.array_equal(CrossEncoder(tmp_path / "model").predict(PAIRS), scores)
    assert CrossEncoder(tmp_path / "model").fingerprint() == scorer.fingerprint()
    short = CrossEncoder(folder("bert"), max_length=8)
    again = pickle.loads(pickle.dumps(short))
    assert again.max_length == 8 and np.array_equal(again.predict(PAIRS), short.predict(PAIRS))
    assert not np.array_equal(short.predict(PAIRS), scores)
