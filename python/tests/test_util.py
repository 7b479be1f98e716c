"""Functions of embeddings, compared with NumPy."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from conftest import ROOT
from maana import CrossEncoder, util
from maana.quantization import quantize_embeddings

ROWS = np.random.default_rng(0).standard_normal((120, 24)).astype(np.float32)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("cos_sim", lambda a, b: unit(a) @ unit(b).T),
        ("dot_score", lambda a, b: a @ b.T),
        ("euclidean_sim", lambda a, b: -np.linalg.norm(a[:, None] - b[None], axis=2)),
        ("manhattan_sim", lambda a, b: -np.abs(a[:, None] - b[None]).sum(axis=2)),
    ],
)
def test_similarities_agree_with_their_formulas(name, plain):
    a, b = ROWS[:7], ROWS[50:61]
    found = getattr(util, name)(a, b)
    assert found.shape == (7, 11) and np.allclose(found, plain(a, b), atol=2e-5)
    pairs = getattr(util, f"pairwise_{name}")(a, b[:7])
    assert np.allclose(pairs, np.diag(plain(a, b[:7])), atol=2e-5)


def test_search_finds_the_greatest_scores():
    hits = util.semantic_search(ROWS[:9], ROWS, top_k=4)
    scores = unit(ROWS[:9]) @ unit(ROWS).T
    for query, found in enumerate(hits):
        best = np.argsort(-scores[query])[:4]
        assert [hit["corpus_id"] for hit in found] == best.tolist()
        assert np.allclose([hit["score"] for hit in found], scores[query][best], atol=1e-5)
    assert util.semantic_search(ROWS[0], ROWS, top_k=500)[0][-1]["corpus_id"] >= 0
    assert util.semantic_search(ROWS[:2], ROWS[:0]) == [[], []]
    with pytest.raises(ValueError, match="score_function"):
        util.semantic_search(ROWS, ROWS, score_function=lambda a, b: a @ b.T)


def test_pairs_and_communities():
    rows = np.concatenate([ROWS[:20], ROWS[:20] + 0.01])
    pairs = util.paraphrase_mining_embeddings(rows, max_pairs=20)
    assert sorted((low, high) for _, low, high in pairs) == [(row, row + 20) for row in range(20)]
    communities = util.community_detection(rows, threshold=0.99, min_community_size=2)
    assert sorted(map(sorted, communities)) == [[row, row + 20] for row in range(20)]
    assert util.community_detection(rows[:3], min_community_size=10) == []


@pytest.mark.parametrize("precision", ["float32", "int8", "uint8", "binary", "ubinary"])
def test_rounding_agrees_with_the_formula_of_the_reference(precision):
    low, high = ROWS.min(axis=0), ROWS.max(axis=0)
    buckets = np.clip(np.floor((ROWS - low) / ((high - low) / np.float32(255))), 0, 255)
    bits = np.packbits(ROWS > 0, axis=-1)
    expected = {
        "float32": ROWS,
        "int8": (buckets - 128).astype(np.int8),
        "uint8": buckets.astype(np.uint8),
        "binary": (bits.astype(np.int16) - 128).astype(np.int8),
        "ubinary": bits,
    }[precision]
    found = quantize_embeddings(ROWS, precision)
    assert found.dtype == expected.dtype and np.array_equal(found, expected)
    assert len(quantize_embeddings(ROWS[:0], precision)) == 0


def test_rounding_by_given_ranges():
    ranges = np.stack([np.full(24, -1), np.full(24, 1)]).astype(np.float32)
    assert np.array_equal(
        quantize_embeddings(ROWS[:1], "int8", ranges=ranges), quantize_embeddings(ROWS, "int8", ranges=ranges)[:1]
    )
    with pytest.raises(ValueError):
        quantize_embeddings(ROWS[:1], "int8")
    with pytest.raises(ValueError, match="expected"):
        quantize_embeddings(ROWS, "int8", ranges=ranges[:, :3])
    with pytest.raises(ValueError, match="float"):
        quantize_embeddings(np.zeros((2, 8), np.int8), "binary")


def test_arrays_of_other_layouts_and_types():
    expected = util.cos_sim(ROWS, ROWS)
    assert np.array_equal(util.cos_sim(np.asfortranarray(ROWS), ROWS.astype(np.float64)), expected)
    assert np.array_equal(util.cos_sim(ROWS.tolist(), list(ROWS)), expected)
    wide = np.zeros((120, 48), np.float32)
    wide[:, ::2] = ROWS
    assert np.array_equal(util.cos_sim(wide[:, ::2], ROWS), expected)


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (["a"], TypeError),
        ([None], TypeError),
        ([[1.0], [1.0, 2.0]], ValueError),
        (np.zeros((2, 3, 4)), ValueError),
        (np.zeros((2, 5)), ValueError),
    ],
)
def test_arrays_that_are_no_embeddings_are_refused(rows, error):
    with pytest.raises(error):
        util.cos_sim(rows, ROWS)


def test_values_that_are_not_finite_are_refused():
    broken = ROWS.copy()
    broken[3, 4] = np.nan
    with pytest.raises(ValueError, match="finite"):
        util.semantic_search(broken, ROWS)
    with pytest.raises(ValueError, match="finite"):
        util.community_detection(broken)


def test_tensors_give_tensors():
    torch = pytest.importorskip("torch")
    found = util.cos_sim(torch.tensor(ROWS), torch.tensor(ROWS))
    assert isinstance(found, torch.Tensor) and np.array_equal(found.numpy(), util.cos_sim(ROWS, ROWS))


GOLDEN = json.loads((ROOT / "golden" / "python.json").read_text())


@pytest.mark.parametrize("number", range(len(GOLDEN["hard_negatives"])))
def test_hard_negatives_are_those_of_the_reference(model, number):
    case = GOLDEN["hard_negatives"][number]
    settings = dict(case["settings"])
    scorer = CrossEncoder(str(ROOT / "golden" / "cross" / "bert")) if settings.pop("rescored", False) else None
    if scorer is not None:
        settings["cross_encoder"] = scorer
    found = util.mine_hard_negatives(GOLDEN["pairs"], model, **settings)
    assert list(found) == list(case["columns"])
    for name, expected in case["columns"].items():
        if name in ("score", "scores"):
            flat = [np.concatenate([np.atleast_1d(row) for row in rows]) for rows in (found[name], expected)]
            assert np.allclose(*flat, atol=1e-5)
        elif scorer is not None and name.startswith("negative"):
            # Different texts may have the same score.
            ours, theirs = (scorer.predict(list(zip(found["anchor"], texts))) for texts in (found[name], expected))
            assert np.allclose(ours, theirs, atol=1e-5), name
        else:
            assert found[name] == expected, name


def test_hard_negatives_are_drawn_by_the_state_of_random(model, tmp_path):
    settings = {"sampling_strategy": "random", "range_max": 20, "cache_folder": tmp_path}
    random.seed(4)
    first = util.mine_hard_negatives(GOLDEN["pairs"], model, **settings)
    random.seed(4)
    assert util.mine_hard_negatives(GOLDEN["pairs"], model, **settings) == first, "embeddings come from the cache"
    assert len(list(tmp_path.iterdir())) == 2
    assert util.mine_hard_negatives(GOLDEN["pairs"], model, **settings) != first


def test_settings_of_hard_negatives_are_checked(model):
    pairs = GOLDEN["pairs"]
    for settings, message in [
        ({"num_negatives": 0}, "num_negatives"),
        ({"range_min": -1}, "range_min"),
        ({"range_min": 5, "range_max": 6}, "room"),
        ({"output_format": "pairs"}, "output_format"),
        ({"sampling_strategy": "best"}, "sampling_strategy"),
    ]:
        with pytest.raises(ValueError, match=message):
            util.mine_hard_negatives(pairs, model, **settings)
    scorer = CrossEncoder(str(ROOT / "golden" / "cross" / "bert"))
    with pytest.raises(ValueError, match="room"):
        util.mine_hard_negatives(pairs, model, cross_encoder=scorer, max_score=1, range_min=5, range_max=6)
    with pytest.raises(ValueError, match="no rows"):
        util.mine_hard_negatives({"anchor": [], "positive": []}, model)
    with pytest.raises(ValueError, match="two columns"):
        util.mine_hard_negatives({"anchor": ["a"]}, model)


def test_errors_of_a_cross_encoder_end_the_mining(model):
    class Broken:
        def predict(self, pairs, **settings):
            raise KeyError("broken")

    class Short:
        def predict(self, pairs, **settings):
            return [0.5] * (len(pairs) - 1)

    with pytest.raises(KeyError, match="broken"):
        util.mine_hard_negatives(GOLDEN["pairs"], model, cross_encoder=Broken(), max_score=1)
    with pytest.raises(ValueError, match="one for each"):
        util.mine_hard_negatives(GOLDEN["pairs"], model, cross_encoder=Short(), max_score=1)


def test_similarities_are_tensors_for_functions_of_pytorch():
    torch = pytest.importorskip("torch")
    rows = np.eye(3, 4, dtype=np.float32)
    scores, pairs = util.cos_sim(rows, rows), util.pairwise_dot_score(rows, rows)
    assert isinstance(scores, np.ndarray) and type(scores.mean()) is np.float32 and repr(pairs).startswith("array(")
    assert np.array_equal(torch.topk(scores[0], k=1).values, [1])
    assert torch.stack([pairs, pairs], dim=1).shape == (3, 2) and torch.is_tensor(torch.softmax(input=scores, dim=-1))


def test_names_as_paths():
    from maana import losses

    path = util.fullname(losses.CoSENTLoss)
    assert path == "maana.losses.CoSENTLoss" == util.fullname(losses.CoSENTLoss()) and util.fullname(1) == "int"
    assert util.import_from_string(path) is losses.CoSENTLoss
    for wrong in ("CoSENTLoss", "maana.losses.Other", "maana.nothing.Other"):
        with pytest.raises(ImportError):
            util.import_from_string(wrong)
    for name in util._REFUSED:
        with pytest.raises(ImportError, match=f"{name} is not supported: ."):
            getattr(util, name)
