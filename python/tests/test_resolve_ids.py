"""Texts in the place of ids."""

from __future__ import annotations

import pickle

import pytest

from conftest import TINY
from maana import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments, losses, resolve_ids

datasets = pytest.importorskip("datasets")
QUERIES = datasets.Dataset.from_dict({"query_id": ["q0", "q1", "q1"], "text": ["habari", "kwanza", "mto"]})
DOCUMENTS = datasets.Dataset.from_dict({"id": [0, 1, 2], "title": ["a", "b", "c"], "text": ["njema", "ziwa", "paka"]})
BATCH = {"query_id": ["q0", "q1"], "document_ids": [[0, 1, 2], [2, 1, 0]], "scores": [[1.0, 0.5, 0.0], [0.9, 0.4, 0.1]]}
LOOKUPS = {"query_id": QUERIES, "document_ids": (DOCUMENTS, "id", "text")}


def test_lists_become_columns_or_stay_lists():
    found = resolve_ids(LOOKUPS, max_list_length=2)(BATCH)
    assert found == {
        "query": ["habari", "mto"],
        "document_1": ["njema", "paka"],
        "document_2": ["ziwa", "ziwa"],
        "scores": [[1.0, 0.5], [0.9, 0.4]],
    }
    lists = pickle.loads(pickle.dumps(resolve_ids(LOOKUPS, output_format="lists")))(BATCH)
    assert lists["documents"] == [["njema", "ziwa", "paka"], ["paka", "ziwa", "njema"]] and list(lists) == ["query", "documents", "scores"]
    texts = {**BATCH, "document_ids": ["[0, 1]", "[2, 0]"], "scores": ["[1, 2]", "[3, 4]"]}
    assert resolve_ids(LOOKUPS)(texts)["document_2"] == ["ziwa", "njema"] and resolve_ids(LOOKUPS)(texts)["scores"][1] == [3, 4]


def test_results_are_those_of_the_reference():
    theirs = pytest.importorskip("sentence_transformers").util.resolve_ids
    for options in ({}, {"max_list_length": 1}, {"output_format": "lists"}, {"keep_columns": ("query_id",)}):
        assert resolve_ids(LOOKUPS, **options)(BATCH) == theirs(LOOKUPS, **options)(BATCH), options
    for column in ("query_ids", "entity_ids", "other", "row_idx"):
        batch = {column: [["q0"], ["q1"]]}
        for form in ("columns", "lists"):
            options = {"output_format": form}
            assert resolve_ids({column: QUERIES}, **options)(batch) == theirs({column: QUERIES}, **options)(batch)


def test_a_data_set_with_a_transformation_is_trained_on(tmp_path):
    rows = datasets.Dataset.from_dict({"query_id": ["q0", "q1"] * 4, "positive_id": [0, 1] * 4})
    rows.set_transform(resolve_ids({"query_id": QUERIES, "positive_id": (DOCUMENTS, "id", "text")}))
    model, args = SentenceTransformer(TINY), SentenceTransformerTrainingArguments(str(tmp_path / "run"), num_train_epochs=1)
    assert SentenceTransformerTrainer(model, args, rows, loss=losses.MultipleNegativesRankingLoss()).train().global_step == 1
    assert (tmp_path / "run" / "data" / "train.jsonl").read_text().startswith('{"query": "habari", "positive": "njema"}')


def test_calls_are_checked():
    for call, error, message in [
        (lambda: resolve_ids({"query_id": {"a": 1}}), TypeError, "Dataset"),
        (lambda: resolve_ids({"query_id": (QUERIES, "other")}), ValueError, "'other' is not a column"),
        (lambda: resolve_ids({"query_id": DOCUMENTS}), ValueError, "Cannot infer the value column.*title"),
        (lambda: resolve_ids(LOOKUPS, keep_columns="score"), TypeError, "list or tuple"),
        (lambda: resolve_ids(LOOKUPS, max_list_length=0), ValueError, "positive integer"),
        (lambda: resolve_ids(LOOKUPS, output_format="rows"), ValueError, "rows"),
        (lambda: resolve_ids(LOOKUPS)({**BATCH, "query_id": ["q0", "q9"]}), KeyError, "q9"),
        (lambda: resolve_ids(LOOKUPS)({**BATCH, "document_ids": [[0], [1, 2]]}), ValueError, "max_list_length"),
        (lambda: resolve_ids(LOOKUPS)({**BATCH, "document_ids": ["[0", "[1]"]}), ValueError, "cannot be read"),
        (lambda: resolve_ids(LOOKUPS, keep_columns=("query",))({**BATCH, "query": [1, 2]}), ValueError, "more than once"),
    ]:
        with pytest.raises(error, match=message):
            call()
