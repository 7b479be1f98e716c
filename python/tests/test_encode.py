"""`SentenceTransformer.encode` and its inputs, outputs and errors."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from conftest import ROOT, TINY
from maana import SentenceTransformer

TEXTS = ["Kuna masuala ya sera.", "Habari ya asubuhi", "Good morning"]


def test_embeddings_agree_with_the_reference(model, golden):
    expected = np.array([row["embedding"] for row in golden], dtype=np.float32)
    found = model.encode([row["text"] for row in golden])
    assert found.dtype == np.float32 and found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5


def test_one_text_is_a_vector_with_the_same_bits(model):
    whole = model.encode(TEXTS)
    assert all(np.array_equal(model.encode(text), row) for text, row in zip(TEXTS, whole))


def test_the_order_and_the_company_of_texts_change_no_bit(model):
    texts = TEXTS * 700
    found = model.encode(texts[::-1])
    assert np.array_equal(found[::-1], np.tile(model.encode(TEXTS), (700, 1)))


@pytest.mark.parametrize("kind", ["tuple", "array", "generator", "pandas", "arrow"])
def test_inputs_of_other_types(model, kind):
    texts = {
        "tuple": lambda: tuple(TEXTS),
        "array": lambda: np.array(TEXTS),
        "generator": lambda: (text for text in TEXTS),
        "pandas": lambda: pytest.importorskip("pandas").Series(TEXTS),
        "arrow": lambda: pytest.importorskip("pyarrow").chunked_array([TEXTS[:1], TEXTS[1:]]),
    }[kind]()
    assert np.array_equal(model.encode(texts), model.encode(TEXTS))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, "NoneType"),
        (3, "int"),
        (float("nan"), "float"),
        (b"x", "bytes"),
        ({"a": 1}, "dict"),
        ([None], r"inputs\[0\] is None"),
        (["a", 3], r"inputs\[1\] is of type int"),
        ([["a", "b"]], r"inputs\[0\] is of type list"),
        (np.zeros((2, 3)), r"inputs\[0\] is of type list"),
    ],
)
def test_inputs_that_are_not_texts_are_named(model, inputs, message):
    with pytest.raises(TypeError, match=message):
        model.encode(inputs)


def test_no_texts_give_an_empty_array(model):
    assert model.encode([]).shape == (0,)


def test_truncation_keeps_columns_and_normalises_only_when_asked(model):
    whole = model.encode(TEXTS)
    assert np.array_equal(model.encode(TEXTS, truncate_dim=16), whole[:, :16])
    unit = model.encode(TEXTS, truncate_dim=16, normalize_embeddings=True)
    assert np.allclose(np.linalg.norm(unit, axis=1), 1)
    with model.truncate_embeddings(8):
        assert model.get_embedding_dimension() == 8 and model.encode(TEXTS[0]).shape == (8,)
    assert model.get_sentence_embedding_dimension() == whole.shape[1]
    assert SentenceTransformer(TINY, truncate_dim=4).encode(TEXTS).shape == (3, 4)


def test_prompts_are_put_in_front():
    model = SentenceTransformer(TINY, prompts={"query": "swali: ", "passage": "jibu: "}, default_prompt_name="passage")
    plain = SentenceTransformer(TINY)
    swali, jibu = (plain.encode([prefix + text for text in TEXTS]) for prefix in ("swali: ", "jibu: "))
    assert np.array_equal(model.encode_query(TEXTS), swali)
    assert np.array_equal(model.encode(TEXTS, prompt="swali: "), swali)
    assert np.array_equal(model.encode(TEXTS, prompt_name="query"), swali)
    assert np.array_equal(model.encode(TEXTS), jibu)
    with pytest.raises(ValueError, match="'other' not found"):
        model.encode(TEXTS, prompt_name="other")


def test_documents_take_the_first_prompt_that_there_is():
    texts = SentenceTransformer(TINY, prompts={"document": "hati: "})
    plain = SentenceTransformer(TINY)
    assert np.array_equal(texts.encode_document(TEXTS), plain.encode(["hati: " + text for text in TEXTS]))


@pytest.mark.parametrize("name", ["router", "asym"])
def test_the_task_chooses_the_module_of_a_router(name, tmp_path):
    expected = json.loads((ROOT / "golden" / "router.json").read_text())[name]
    # The folders lack the encoder that both have in common.
    shutil.copytree(TINY, tmp_path / ("document_0_Transformer" if name == "router" else "."), dirs_exist_ok=True)
    shutil.copytree(ROOT / "golden" / name, tmp_path, dirs_exist_ok=True)
    model = SentenceTransformer(tmp_path)
    for role, encode in (("query", model.encode_query), ("document", model.encode_document)):
        texts = expected["queries" if role == "query" else "documents"]
        embeddings = np.reshape(expected[role], (len(texts), -1))
        assert np.abs(encode(texts) - embeddings).max() < 1e-5
        assert np.array_equal(model.encode(texts, task=role), encode(texts))


def test_forms_of_the_result(model):
    rows = model.encode(TEXTS, convert_to_numpy=False)
    assert isinstance(rows, list) and np.array_equal(np.stack(rows), model.encode(TEXTS))
    assert model.encode(TEXTS, precision="ubinary").dtype == np.uint8
    assert model.encode(TEXTS, precision="int8").shape == (3, model.get_embedding_dimension())
    tokens = model.encode(TEXTS, output_value="token_embeddings")
    ids = model.tokenize(TEXTS)
    assert [len(rows) for rows in tokens] == ids["attention_mask"].sum(axis=1).tolist()
    both = model.encode(TEXTS[0], output_value=None)
    assert np.array_equal(both["token_embeddings"], tokens[0])
    assert both["input_ids"].tolist() == ids["input_ids"][0, : len(tokens[0])].tolist()


def test_arguments_that_have_no_meaning_are_refused(model):
    for arguments, message in [
        ({"foo": 1}, "foo"),
        ({"batch_size": 0}, "batch_size"),
        ({"device": "cuda"}, "CPU"),
        ({"precision": "int4"}, "int4"),
        ({"output_value": "tokens"}, "output_value"),
        ({"truncate_dim": 0}, "truncate_dim"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.encode(TEXTS, **arguments)


def test_models_that_are_not_there():
    with pytest.raises(FileNotFoundError):
        SentenceTransformer("/nowhere/model")
    with pytest.raises(ValueError, match="fp8"):
        SentenceTransformer(TINY, precision="fp8")


def test_progress_is_reported(model):
    calls: list[int] = []
    model.native.encode(TEXTS * 700, "", None, False, calls.append)
    assert calls[-1] == 2100 and calls == sorted(calls)
    pytest.importorskip("tqdm")
    assert len(model.encode(TEXTS, show_progress_bar=True)) == 3


def test_an_exception_of_the_progress_ends_the_work(model):
    def fail(done: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        model.native.encode(TEXTS, "", None, False, fail)


def test_the_length_of_texts_can_be_set(model):
    short = SentenceTransformer(TINY)
    short.max_seq_length = 8
    assert short.get_max_seq_length() == 8 and short.tokenize(["neno " * 50])["input_ids"].shape == (1, 8)
    assert not np.array_equal(short.encode("neno " * 50), model.encode("neno " * 50))
    with pytest.raises(ValueError, match="positions"):
        short.max_seq_length = 100_000
    assert short.max_seq_length == 8


def test_a_saved_model_is_the_same_model_for_stores(model, tmp_path):
    shutil.copytree(TINY, tmp_path / "bare")
    (tmp_path / "bare" / "config_sentence_transformers.json").unlink()
    for source in (model, SentenceTransformer(tmp_path / "bare")):
        source.save_pretrained(tmp_path / "saved")
        assert SentenceTransformer(tmp_path / "saved").fingerprint() == source.fingerprint()


def test_a_saved_model_opens_and_gives_the_same_bits(model, tmp_path):
    named = SentenceTransformer(TINY, prompts={"query": "swali: "}, similarity_fn_name="dot")
    named.save_pretrained(tmp_path / "model")
    again = SentenceTransformer(tmp_path / "model")
    assert again.prompts["query"] == "swali: " and again.similarity_fn_name == "dot"
    assert np.array_equal(again.encode(TEXTS), model.encode(TEXTS))
    model.save_pretrained(tmp_path / "model")
    assert SentenceTransformer(tmp_path / "model").similarity_fn_name == "cosine", "it is replaced"
    named.save_pretrained(tmp_path / "named", model_name="maana/tiny")
    assert (tmp_path / "named" / "README.md").read_text() == (ROOT / "golden" / "tiny-bert" / "README.md").read_text()
    named.save(tmp_path / "named", create_model_card=False, train_datasets=["a"])
    assert not (tmp_path / "named" / "README.md").exists()
    SentenceTransformer(tmp_path / "named").save_pretrained(tmp_path / "card", model_name="maana/tiny")
    assert "SentenceTransformer('maana/tiny')" in (tmp_path / "card" / "README.md").read_text()
    with pytest.raises(NotImplementedError, match="safe_serialization"):
        named.save_pretrained(tmp_path / "named", safe_serialization=False)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with pytest.raises(ValueError, match="not a model folder"):
        model.save_pretrained(tmp_path / "other")
    assert (tmp_path / "other" / "letter.txt").read_text() == "mine"


def test_similarity_is_that_of_the_model(model):
    rows = model.encode(TEXTS)
    assert np.allclose(np.diag(model.similarity(rows, rows)), 1, atol=1e-6)
    assert model.similarity_pairwise(rows, rows[::-1]).shape == (3,)
    dot = SentenceTransformer(TINY, similarity_fn_name="dot")
    assert np.allclose(dot.similarity(rows, rows), rows @ rows.T, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError):
        SentenceTransformer(TINY, similarity_fn_name="other")
