"""The tokenizer of a model, with the calls of ``transformers``."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest

from conftest import ROOT
from maana import CrossEncoder, SentenceTransformer

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
        (lambda: model.tokenizer(["a"], "b"), ValueError, "two lists of texts"),
        (lambda: model.tokenizer(["a"], ["b", "c"]), ValueError, "1 texts, but text_pair has 2"),
        (lambda: model.tokenizer("a b c", "d", truncation="only_second", max_length=4), ValueError, "only_second"),
        (lambda: model.tokenizer([None]), TypeError, r"text\[0\]"),
        (lambda: model.tokenizer(TEXTS, return_tensors="np"), ValueError, "padding=True"),
        (lambda: model.tokenizer(TEXTS, padding=True, return_tensors="tf"), ValueError, "'tf'"),
        (lambda: model.tokenizer.decode([10**6]), ValueError, "1000000"),
        (lambda: model.tokenizer.other, AttributeError, "other"),
    ]:
        with pytest.raises(kind, match=message):
            call()


def test_pairs_of_texts(model):
    tokenizer = model.tokenizer
    first, second = (tokenizer.encode(text, add_special_tokens=False) for text in TEXTS)
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    found = tokenizer(*TEXTS, return_offsets_mapping=True, return_special_tokens_mask=True)
    assert found["input_ids"] == [cls, *first, sep, *second, sep]
    assert found["token_type_ids"] == [0] * (len(first) + 2) + [1] * (len(second) + 1)
    assert sum(found["special_tokens_mask"]) == 3 == tokenizer.num_special_tokens_to_add(pair=True)
    assert found["offset_mapping"][1][0] == found["offset_mapping"][len(first) + 2][0] == 0
    assert tokenizer([TEXTS, TEXTS])["input_ids"] == [found["input_ids"]] * 2 == tokenizer([TEXTS[0]] * 2, [TEXTS[1]] * 2)["input_ids"]
    long = tokenizer("neno " * 9, "neno", truncation=True, max_length=10)
    assert len(long["input_ids"]) == 10 and sum(long["token_type_ids"]) == len(tokenizer.encode("neno")) - 1
    assert len(tokenizer("neno", "neno " * 9, truncation="only_second", max_length=8)["input_ids"]) == 8
    assert tokenizer([TEXTS, ["a", "b"]], padding=True, return_tensors="np")["token_type_ids"].shape[0] == 2
    scorer = CrossEncoder(str(ROOT / "golden" / "cross" / "bert"))
    assert scorer.tokenizer.encode("a", "b") == scorer.tokenizer("a", "b")["input_ids"]


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "golden" / "cross").iterdir()))
def test_pairs_and_special_tokens_are_those_of_transformers(name):
    transformers = pytest.importorskip("transformers")
    folder = str(ROOT / "golden" / "cross" / name)
    ours, theirs = CrossEncoder(folder).tokenizer, transformers.AutoTokenizer.from_pretrained(folder)
    assert ours.special_tokens_map == theirs.special_tokens_map and ours.all_special_ids == theirs.all_special_ids
    short, long = ["habari", "mto"], ["mto na ziwa na bahari na mlima", "habari ya asubuhi ya leo na ya kesho"]
    for options in (
        {},
        {"add_special_tokens": False},
        {"padding": True, "return_special_tokens_mask": True},
        {"truncation": True, "max_length": 9},
        {"truncation": "only_second", "max_length": 24},
        {"truncation": "only_first", "max_length": 24, "return_offsets_mapping": True},
        {"truncation": True, "max_length": 6, "padding": "max_length"},
    ):
        texts = (long, short) if options.get("truncation") == "only_first" else (short, long)
        for call in (texts, (list(zip(*texts)),), (texts[0][0], texts[1][1])):
            found, expected = ours(*call, **options), theirs(*call, **options)
            assert {key: list(value) for key, value in expected.items()} == found, (options, call)
        if "only" not in str(options):
            found, expected = ours(long, **options), theirs(long, **options)
            assert {key: list(value) for key, value in expected.items()} == found, options


@pytest.mark.parametrize("kind", ["Bert", "DistilBert", "MPNet", "Roberta", "XLMRoberta", "Camembert", "Electra"])
def test_a_folder_that_names_no_special_tokens_has_those_of_its_class(tmp_path, kind):
    folder = tmp_path / "model"
    shutil.copytree(ROOT / "golden" / "tiny-bert", folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": f"{kind}Tokenizer"}))
    found = SentenceTransformer(str(folder)).tokenizer
    assert found.mask_token == ("[MASK]" if kind in ("Bert", "DistilBert", "Electra") else "<mask>")
    assert found.cls_token == ("[CLS]" if kind in ("Bert", "DistilBert", "Electra") else "<s>")
    assert ("token_type_ids" in found("a")) == (kind in ("Bert", "Electra"))
    theirs = getattr(pytest.importorskip("transformers"), f"{kind}Tokenizer")()
    assert found.special_tokens_map == theirs.special_tokens_map


def test_the_tokenizer_of_a_cross_encoder():
    scorer = CrossEncoder(str(ROOT / "golden" / "cross" / "bert"))
    assert scorer.tokenizer.encode("habari")[0] == scorer.tokenizer.cls_token_id
