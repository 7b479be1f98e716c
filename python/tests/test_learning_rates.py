"""Learning rates by names of parameters."""

from __future__ import annotations

import json

import numpy as np
import pytest

from conftest import ROOT, TINY
from maana import CrossEncoder, SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from maana import CrossEncoderTrainer, CrossEncoderTrainingArguments, losses
from maana._learning_rates import groups_of, reference_name
from maana.models import Dense, Pooling, Router, StaticEmbedding, Transformer

CROSS = ROOT / "golden" / "cross"
NAMES = ["embeddings.word.weight", "encoder.layer.0.weight", "encoder.layer.0.bias", "encoder.layer.1.weight", "2_Dense.linear.weight"]
TEXTS = [f"swali la {number}" for number in range(16)]
PAIRS = {"anchor": TEXTS, "positive": [text.replace("swali", "jibu") for text in TEXTS]}


def groups(mapping):
    return [(group["pattern"], group["learning_rate"]) for group in groups_of(mapping, NAMES)]


def test_the_last_pattern_that_matches_counts():
    assert groups({r"layer\.0": 1e-3}) == [("encoder.layer.0.*", 1e-3)]
    found = groups({"encoder": 1e-3, r"bias$": 2e-3, r"^model\.2\.": 3e-3})
    assert found == [
        ("encoder.layer.0.weight", 1e-3),
        ("encoder.layer.1.weight", 1e-3),
        ("encoder.layer.0.bias", 2e-3),
        ("2_Dense.linear.weight", 3e-3),
    ]
    assert groups({"layer.0": 1.0, ".": 2.0}) == [("*", 2.0)]
    with pytest.raises(ValueError, match=r"No parameters found matching the pattern 'layer.7'.*'model.2.linear.weight'"):
        groups({"layer.7": 1.0})
    with pytest.raises(ValueError, match=r"'\(' is not a regular expression"):
        groups({"(": 1.0})


def test_a_mapping_changes_the_rates_of_a_run(tmp_path):
    def trained(name, **options):
        model = SentenceTransformer(modules=[Transformer(TINY), Pooling(64), dense])
        args = SentenceTransformerTrainingArguments(
            str(tmp_path / name), num_train_epochs=1, learning_rate=1e-3, **options
        )
        SentenceTransformerTrainer(model, args, PAIRS, loss=losses.MultipleNegativesRankingLoss()).train()
        return model

    dense = Dense(64, 16)
    before = SentenceTransformer(modules=[Transformer(TINY), Pooling(64), dense])
    mapping = {r"model\.[02]\.": 0.0, r"model\.2\.": 1e-2, r"linear\.bias": 0.0}
    after = trained("mapped", learning_rate_mapping=json.dumps(mapping))
    tokens = [model.encode(TEXTS, output_value="token_embeddings")[0] for model in (before, after)]
    assert np.array_equal(*tokens), "the encoder has the rate 0"
    assert not np.array_equal(before.encode(TEXTS), after.encode(TEXTS))
    groups = [{"pattern": "2_Dense.linear.weight", "learning_rate": 1e-2}, {"pattern": "*", "learning_rate": 0.0}]
    same = trained("groups", recipe={"groups": groups})
    assert np.array_equal(after.encode(TEXTS), same.encode(TEXTS))
    with pytest.raises(ValueError, match="No parameters found"):
        trained("wrong", learning_rate_mapping={"no such parameter": 1.0})


def test_a_mapping_of_a_cross_encoder(tmp_path):
    scorer = CrossEncoder(str(CROSS / "bert"))
    pairs = {"query": TEXTS, "document": TEXTS[::-1], "label": [float(number % 2) for number in range(16)]}
    rates = {r"^model\.0\.model\.bert\.": 0.0}
    args = CrossEncoderTrainingArguments(str(tmp_path / "run"), num_train_epochs=1, learning_rate_mapping=rates)
    CrossEncoderTrainer(scorer, args, pairs).train()
    assert "bert" not in (tmp_path / "run" / "run" / "recipe.toml").read_text().split("groups")[1].split("learning_rate")[0]


def models():
    encoder, static = Transformer(TINY), StaticEmbedding(SentenceTransformer(TINY).tokenizer, embedding_dim=32)
    chain = [encoder, Pooling(64), Dense(64, 32)]
    yield "chain", SentenceTransformer(modules=chain)
    yield "router", SentenceTransformer(modules=[Router.for_query_document([static], chain)])
    for folder in sorted(CROSS.iterdir()):
        yield folder.name, CrossEncoder(str(folder))


def test_names_are_those_of_the_reference(tmp_path):
    reference = pytest.importorskip("sentence_transformers")
    for name, model in models():
        folder = tmp_path / name
        model.save_pretrained(folder)
        kind = reference.CrossEncoder if isinstance(model, CrossEncoder) else reference.SentenceTransformer
        theirs = {f"model.{each}" for each, _ in kind(str(folder), device="cpu").named_parameters()}
        ours = set()
        for number, parameter in enumerate(parameters := model.native.parameters()):
            type_ = json.loads((folder / "config.json").read_text())["model_type"] if kind is reference.CrossEncoder else None
            # A pattern of each name alone finds the parameter.
            ours.add(reference_name(parameter) if type_ is None else _found(parameters, number, type_, theirs))
        assert ours <= theirs, (name, sorted(ours - theirs)[:3])


def _found(parameters, number, model_type, theirs):
    """Return the name of the reference whose exact pattern gives the group of one parameter."""
    from re import escape

    for each in theirs:
        try:
            if [group["pattern"] for group in groups_of({f"^{escape(each)}$": 1.0}, parameters, model_type)] == [parameters[number]]:
                return each
        except ValueError:
            continue
    return f"nothing for {parameters[number]}"
