"""Stores in folders."""

from __future__ import annotations

import pytest

from conftest import TINY
from maana import Hit, SentenceTransformer, Store

TEXTS = ["Nairobi ni mji mkuu wa Kenya.", "Paka analala kwenye kiti.", "Dodoma ni mji mkuu wa Tanzania."]


@pytest.fixture
def store(model, tmp_path):
    store = Store(tmp_path / "store", model)
    assert store.add(TEXTS, fields=[{"nchi": "ke"}, {}, {"nchi": "tz"}]) == (3, 0)
    return store


def test_a_text_finds_itself(store):
    assert len(store) == 3 and store.ids == ["1", "2", "3"]
    first = store.search(TEXTS[1], top_k=1)[0]
    assert isinstance(first, Hit) and (first.id, first.text) == ("2", TEXTS[1])
    assert [hits[0].id for hits in store.search(TEXTS, hybrid=True)] == ["1", "2", "3"]
    assert {hit.id for hit in store.search("mji", filters={"nchi": "tz"})} == {"3"}


def test_documents_are_replaced_and_deleted(store, model, tmp_path):
    assert store.add("Paka amelala.", ids=["2"]) == (0, 1)
    assert store.delete(["1", "99"]) == ["99"]
    store.compact()
    again = Store(tmp_path / "store", model, create=False)
    assert sorted(again.ids) == ["2", "3"] and again.describe()["documents"] == 2
    assert again.add(["mpya"]) == (1, 0) and "4" in again.ids


def test_faults_are_named(store, model, tmp_path):
    with pytest.raises(KeyError, match="lugha"):
        store.search("x", filters={"lugha": "sw"})
    with pytest.raises(ValueError, match="2 texts and 1 ids"):
        store.add(["a", "b"], ids=["1"])
    with pytest.raises(TypeError, match=r"texts\[1\]"):
        store.add(["a", None])
    with pytest.raises(FileNotFoundError):
        Store(tmp_path / "nowhere", model, create=False)
    other = SentenceTransformer(TINY, truncate_dim=8)
    with pytest.raises(ValueError):
        Store(tmp_path / "store", other).search("x")
    prompted = SentenceTransformer(TINY, prompts={"document": "hati: "})
    with pytest.raises(ValueError, match="hati"):
        Store(tmp_path / "store", prompted).add("x")
    with pytest.raises(ValueError, match="`7`"):
        store.add(["a", "b"], ids=["7", "7"])
    assert len(store) == 3
