"""Arguments of functions and classes are those of the reference, with its defaults."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest

import maana
from conftest import ROOT, TINY
from maana import CrossEncoder, SentenceTransformer, models, quantization, util
from maana.cross_encoder import evaluation

SIGNATURES = json.loads((ROOT / "golden" / "python_signatures.json").read_text())
OWNERS = {
    "CrossEncoder": CrossEncoder,
    "Router": models.Router,
    "SentenceTransformer": SentenceTransformer,
    "StaticEmbedding": models.StaticEmbedding,
    "evaluation": evaluation,
    "modules": models,
    "quantization": quantization,
    "util": util,
}
CROSS = str(ROOT / "golden" / "cross" / "bert")


def name_of(default):
    """Return a default as the reference's file has it: functions and modules by their names."""
    if callable(default):
        return default.__name__
    return default.rsplit(".", 1)[-1] if isinstance(default, str) and default.startswith("torch.nn") else default


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_and_defaults_are_those_of_the_reference(name):
    owner, function = name.rsplit(".", 1)
    ours = inspect.signature(getattr(OWNERS[owner], function)).parameters
    order = [argument for argument in ours if argument != "self"]
    for place, argument in enumerate(SIGNATURES[name]):
        if argument["kind"].startswith("VAR"):
            continue
        found = ours[argument["name"]]
        if argument["kind"] == "POSITIONAL_OR_KEYWORD":
            assert order[place] == argument["name"], "positions are those of the reference"
            assert found.kind == inspect.Parameter.POSITIONAL_OR_KEYWORD
        if not argument.get("required"):
            assert name_of(found.default) == argument["default"], argument["name"]


#: Values other than the defaults that change nothing, by the function.
ACCEPTED = {
    "model": [
        {"trust_remote_code": True},
        {"backend": "torch"},
        {"model_kwargs": {"torch_dtype": "float32", "attn_implementation": "sdpa", "device_map": "cpu"}},
        {"cache_folder": "/nowhere"},
        {"local_files_only": True},
        {"token": False},
        {"use_auth_token": "secret"},
        {"device": "cpu"},
    ],
    "encode": [
        {"batch_size": 1},
        {"show_progress_bar": False},
        {"device": ["cpu", "cpu"]},
        {"pool": {"processes": []}, "chunk_size": 3},
        {"modality": "text"},
        {"task": "query"},
    ],
    "predict": [
        {"batch_size": 1},
        {"show_progress_bar": False},
        {"device": "cpu"},
        {"pool": {}, "chunk_size": 3},
        {"task": "default"},
    ],
}
#: Values that are refused, with a part of the message.
REFUSED = {
    "model": [
        ({"backend": "onnx"}, "backend"),
        ({"backend": "openvino"}, "backend"),
        ({"model_kwargs": {"torch_dtype": "float16"}}, "float16"),
        ({"model_kwargs": {"attn_implementation": "flash_attention_2"}}, "attn_implementation"),
        ({"model_kwargs": {"device_map": "cuda:1"}}, "device_map"),
        ({"model_kwargs": {"file_name": "x"}}, "file_name"),
        ({"config_kwargs": {"hidden_size": 3}}, "config_kwargs.*hidden_size"),
        ({"processor_kwargs": {"padding_side": "left"}}, "padding_side"),
        ({"device": "cuda"}, "CPU"),
    ],
    "encode": [
        ({"device": "cuda"}, "CPU"),
        ({"modality": "image"}, "modality"),
        ({"processing_kwargs": {"text": {}}}, "processing_kwargs"),
        ({"precision": "int4"}, "int4"),
        ({"prompt_name": "other"}, "other"),
    ],
    "predict": [({"device": "cuda"}, "CPU"), ({"processing_kwargs": {}}, "processing_kwargs"), ({"other": 1}, "other")],
}


@pytest.mark.parametrize("arguments", ACCEPTED["model"], ids=str)
def test_arguments_of_the_constructor_that_change_nothing(model, arguments):
    assert np.array_equal(SentenceTransformer(TINY, **arguments).encode("neno"), model.encode("neno"))
    if "use_auth_token" not in arguments:
        assert CrossEncoder(CROSS, **arguments).num_labels == 1


@pytest.mark.parametrize("arguments", ACCEPTED["encode"], ids=str)
def test_arguments_of_encode_that_change_nothing(model, arguments):
    assert np.array_equal(model.encode(["neno"], **arguments), model.encode(["neno"]))


@pytest.mark.parametrize("arguments", ACCEPTED["predict"], ids=str)
def test_arguments_of_predict_that_change_nothing(arguments):
    scorer = CrossEncoder(CROSS, keep_in_fp32_modules=["classifier"])
    assert np.array_equal(scorer.predict([("a", "b")], **arguments), scorer.predict([("a", "b")]))


@pytest.mark.parametrize(("arguments", "message"), REFUSED["model"], ids=str)
def test_arguments_of_the_constructor_that_are_refused_by_name(arguments, message):
    for kind, folder in ((SentenceTransformer, TINY), (CrossEncoder, CROSS)):
        with pytest.raises((NotImplementedError, ValueError), match=message):
            kind(folder, **arguments)


@pytest.mark.parametrize(("arguments", "message"), REFUSED["encode"], ids=str)
def test_arguments_of_encode_that_are_refused_by_name(model, arguments, message):
    for encode in (model.encode, model.encode_query, model.encode_document):
        with pytest.raises((NotImplementedError, ValueError), match=message):
            encode(["neno"], **arguments)


@pytest.mark.parametrize(("arguments", "message"), REFUSED["predict"], ids=str)
def test_arguments_of_predict_that_are_refused_by_name(arguments, message):
    with pytest.raises((NotImplementedError, ValueError), match=message):
        CrossEncoder(CROSS).predict([("a", "b")], **arguments)


def test_arguments_that_are_honoured(model):
    half = SentenceTransformer(TINY, model_kwargs={"dtype": "bfloat16"})
    assert np.array_equal(half.encode("neno"), SentenceTransformer(TINY, precision="bfloat16").encode("neno"))
    assert np.array_equal(SentenceTransformer(TINY).bfloat16().encode("neno"), half.encode("neno"))
    short = SentenceTransformer(TINY, processor_kwargs={"model_max_length": 8})
    assert short.max_seq_length == 8 == SentenceTransformer(TINY, tokenizer_kwargs={"model_max_length": 8}).max_seq_length
    assert CrossEncoder(CROSS, processor_kwargs={"model_max_length": 9}).max_length == 9
    assert SentenceTransformer.load(TINY).evaluate(lambda model, path: model.name) == TINY
    assert model.supports("text") and not model.supports(("image", "text")) and model.modalities == ["text"]
    assert model.is_singular_input("a") and not model.is_singular_input(["a"]) and model.get_backend() == "torch"


@pytest.mark.parametrize("name", ["SparseEncoder", "MultiVectorEncoder", "export_optimized_onnx_model"])
def test_names_that_are_not_supported_have_a_remedy(name):
    with pytest.raises(ImportError, match=f"{name} is not supported: (use|open)"):
        getattr(maana, name)


@pytest.mark.parametrize("name", ["half", "parameters", "state_dict", "add_adapter", "cuda"])
def test_attributes_that_are_not_supported_have_a_remedy(model, name):
    for each in (model, CrossEncoder(CROSS)):
        assert not hasattr(each, name)
        with pytest.raises(AttributeError, match=f"{name} is not supported"):
            getattr(each, name)
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        model.other  # noqa: B018


@pytest.mark.parametrize("name", ["semantic_search_faiss", "semantic_search_usearch"])
def test_searches_with_other_libraries_are_refused_by_name(name):
    with pytest.raises(NotImplementedError, match=f"{name} is not supported: use util.semantic_search"):
        getattr(quantization, name)(np.ones((1, 8), np.float32), np.ones((2, 8), np.float32))
