"""Texts and embeddings in the columns of Arrow, and data sets of other libraries."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import TINY
from maana import SentenceTransformer
from maana.arrow import as_arrow_texts, fixed_size_lists
from test_training import PAIRS, train

TEXTS = ["Kuna masuala ya sera.", "", "Habari ya asubuhi", "Good morning", "Ça va? 你好"]


def columns():
    pa = pytest.importorskip("pyarrow")
    yield "strings", pa.array(TEXTS)
    yield "large strings", pa.array(TEXTS, pa.large_string())
    yield "views", pa.array(TEXTS, pa.string_view())
    yield "dictionary", pa.array(TEXTS).dictionary_encode()
    yield "chunks", pa.chunked_array([TEXTS[:1], [], TEXTS[1:]])
    yield "slice", pa.array(["x", *TEXTS, "y"]).slice(1, len(TEXTS))
    yield "slices", pa.chunked_array([pa.array(["x", *TEXTS[:3]]).slice(1), pa.array([*TEXTS[3:], "y"]).slice(0, 2)])


def test_columns_of_arrow_give_the_same_bits(model):
    expected = model.encode(TEXTS)
    for name, column in columns():
        assert len(as_arrow_texts(column, name)) == len(TEXTS), name
        assert np.array_equal(model.encode(column), expected), name
    pa = pytest.importorskip("pyarrow")
    assert model.encode(pa.array([], pa.string())).shape == (0,)
    assert np.array_equal(model.encode(pa.array([""])), model.encode([""]))


def test_texts_and_embeddings_of_arrow_are_not_copied(model):
    pa = pytest.importorskip("pyarrow")
    column = pa.array(TEXTS)
    data, _ = as_arrow_texts(column, "texts").chunks[0]
    assert np.shares_memory(data, np.frombuffer(column.buffers()[2], np.uint8))
    embeddings = model.encode(TEXTS)
    lists = fixed_size_lists(embeddings)
    assert lists.type == pa.list_(pa.float32(), embeddings.shape[1])
    assert np.shares_memory(embeddings, lists.flatten().to_numpy())
    with pytest.raises(ValueError, match="shape"):
        fixed_size_lists(embeddings[0])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_series_give_the_same_bits(model, library):
    series = pytest.importorskip(library).Series(TEXTS)
    assert np.array_equal(model.encode(series), model.encode(TEXTS))


def test_columns_of_datasets(model):
    datasets = pytest.importorskip("datasets")
    dataset = datasets.Dataset.from_dict({"text": TEXTS})
    assert np.array_equal(model.encode(dataset["text"]), model.encode(TEXTS))


def test_columns_that_are_not_texts_are_named(model):
    pa = pytest.importorskip("pyarrow")
    for column, message in [
        (pa.array(["a", None]), r"inputs\[1\] is None"),
        (pa.chunked_array([["a"], ["b", None]]), r"inputs\[2\] is None"),
        (pa.array([1, 2]), "int64"),
        (pa.table({"a": ["b"]}), "inputs"),
    ]:
        with pytest.raises(TypeError, match=message):
            model.encode(column)
    pd = pytest.importorskip("pandas")
    for column, message in [(pd.Series(["a", 3]), r"inputs\[1\]"), (pd.Series(["a", None]), r"inputs\[1\]")]:
        with pytest.raises(TypeError, match=message):
            model.encode(column)


@pytest.mark.parametrize("library", ["polars", "datasets"])
def test_data_sets_of_other_libraries_train_to_the_same_bits(tmp_path, library):
    module = pytest.importorskip(library)
    data = module.DataFrame(PAIRS) if library == "polars" else module.Dataset.from_dict(PAIRS)
    expected = train(tmp_path / "expected")[0].encode("neno")
    assert np.array_equal(train(tmp_path / "found", data)[0].encode("neno"), expected)


def test_data_sets_without_their_columns_are_named(tmp_path):
    datasets = pytest.importorskip("datasets")
    for columns, message in [({"anchor": ["a"]}, "column"), ({"anchor": ["a"], "positive": [1.5]}, "positive")]:
        with pytest.raises(ValueError, match=message):
            train(tmp_path / message, datasets.Dataset.from_dict(columns))
    with pytest.raises(TypeError, match="IterableDataset"):
        train(tmp_path / "stream", datasets.Dataset.from_dict(PAIRS).to_iterable_dataset())


def test_missing_texts_of_tables_are_named(tmp_path):
    pd = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="positive"):
        train(tmp_path / "run", pd.DataFrame({"anchor": ["a", "b"], "positive": ["c", None]}))


def test_a_data_set_is_mapped_by_processes(model):
    datasets = pytest.importorskip("datasets")
    texts = [f"neno la {number}" for number in range(60)]
    dataset = datasets.Dataset.from_dict({"text": texts})
    mapped = dataset.map(lambda batch: {"vector": model.encode(batch["text"])}, batched=True, batch_size=16, num_proc=2)
    assert np.array_equal(np.array(mapped["vector"], dtype=np.float32), model.encode(texts))


def test_many_texts_take_little_time_to_be_checked():
    model = SentenceTransformer(TINY)
    with pytest.raises(TypeError, match=r"inputs\[2000000\]"):
        model.encode(["a"] * 2_000_000 + [None])
