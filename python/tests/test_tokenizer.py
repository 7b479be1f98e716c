"""The tokenizer of a model, with the calls of ``transformers``."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from conftest import ROOT
from maana import CrossEncoder

TEXTS = ["Habari ya asubuhi", "Good morning, Nairobi"]
GOLDEN = json.loads((ROOT / "golden" / "tokenize.json").read_text())


def test_ids_are_those_of_the_reference(minilm):
    for row in GOLDEN:
        found = minilm.tokenizer.encode(row["text"], truncation=True, max_length=row["max_length"])
        assert found == row["ids"]


def test_ids_are_those_of_the_model(model):
    tokens = model.preprocess(TEXTS)
    found = model.tokenizer(TEXTS, padding=True, truncation=True, return_tensors="np")
    assert np.array_equal(found["input_ids"], tokens["input_ids"])
    assert np.array_equal(found["attention_mask"], tokens["attention_mask"])
    assert model.tokenizer(TEXTS)["input_ids"] == [model.tokenizer.encode(text) for text in TEXTS]
    assert model.tokenizer.decode(model.tokenizer.encode(TEXTS[0]), skip_special_tokens=True).lower() == TEXTS[0].lower()
    assert model.tokenizer.batch_decode(found["input_ids"], skip_special_tokens=True)[1]
    assert model.processor is model.tokenizer and model.tokenizer.model_max_length == model.max_seq_length


def test_special_tokens_and_the_vocabulary(model):
    tokenizer = model.tokenizer
    ids = tokenizer.encode("Habari")
    assert ids[0] == tokenizer.cls_token_id and ids[-1] == tokenizer.sep_token_id and tokenizer.pad_token_id == 0
    assert tokenizer.cls_token == "[CLS]" and "[SEP]" in tokenizer.all_special_tokens and tokenizer.unk_token == "[UNK]"
    assert tokenizer.convert_tokens_to_ids(tokenizer.convert_ids_to_tokens(ids)) == ids
    assert tokenizer.convert_tokens_to_ids("no such token") == tokenizer.unk_token_id
    assert tokenizer.tokenize("Habari") == tokenizer.convert_ids_to_tokens(ids, skip_special_tokens=True)
    assert len(tokenizer) == len(tokenizer.get_vocab()) >= tokenizer.vocab_size > 100
    assert tokenizer.num_special_tokens_to_add() == 2
    assert len(pickle.loads(pickle.dumps(model)).tokenizer) == len(tokenizer)


def test_texts_are_cut_and_padded(model):
    tokenizer = model.tokenizer
    cut = tokenizer("neno " * 50, truncation=True, max_length=6)["input_ids"]
    assert len(cut) == 6 and cut[-1] == tokenizer.sep_token_id
    padded = tokenizer(TEXTS, padding="max_length", max_length=30, return_tensors="np", return_offsets_mapping=True)
    assert padded["input_ids"].shape == (2, 30) and padded["offset_mapping"].shape == (2, 30, 2)
    start, end = padded["offset_mapping"][0][1]
    assert TEXTS[0][start:end] == TEXTS[0][: end - start]
    assert tokenizer("a", return_special_tokens_mask=True, return_length=True)["special_tokens_mask"][0] == 1


def test_calls_are_checked(model):
    for call, kind, message in [
        (lambda: model.tokenizer("a", "b"), NotImplementedError, "text_pair"),
        (lambda: model.tokenizer([None]), TypeError, r"text\[0\]"),
        (lambda: model.tokenizer(TEXTS, return_tensors="np"), ValueError, "padding=True"),
        (lambda: model.tokenizer(TEXTS, padding=True, return_tensors="tf"), ValueError, "'tf'"),
        (lambda: model.tokenizer.decode([10**6]), ValueError, "1000000"),
        (lambda: model.tokenizer.other, AttributeError, "other"),
    ]:
        with pytest.raises(kind, match=message):
            call()


def test_the_tokenizer_of_a_cross_encoder():
    scorer = CrossEncoder(str(ROOT / "golden" / "cross" / "bert"))
    assert scorer.tokenizer.encode("habari")[0] == scorer.tokenizer.cls_token_id
