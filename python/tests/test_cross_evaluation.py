"""Evaluators of cross-encoders, compared with the reference's measures."""

from __future__ import annotations

import csv
import json

import pytest

from conftest import ROOT
from maana import CrossEncoder
from maana.cross_encoder import evaluation
from maana.cross_encoder.evaluation import (
    CrossEncoderClassificationEvaluator,
    CrossEncoderCorrelationEvaluator,
    CrossEncoderRerankingEvaluator,
)

SETS = json.loads((ROOT / "golden" / "cross_evaluators.json").read_text())["sets"]


def pairs(name, label):
    rows = SETS[name]["rows"]
    return [(row["first"], row["second"]) for row in rows], [row[label] for row in rows]


EVALUATORS = {
    "similarity": lambda: CrossEncoderCorrelationEvaluator(*pairs("similarity", "score"), name="set"),
    "binary": lambda: CrossEncoderClassificationEvaluator(*pairs("binary", "label"), name="set"),
    "classification": lambda: CrossEncoderClassificationEvaluator(*pairs("classification", "label"), name="set"),
    "reranking": lambda: CrossEncoderRerankingEvaluator(SETS["reranking"]["rows"], name="set"),
    "reranking_at_3": lambda: CrossEncoderRerankingEvaluator(SETS["reranking_at_3"]["rows"], at_k=3, name="set"),
    "reranking_of_documents": lambda: CrossEncoderRerankingEvaluator(SETS["reranking_of_documents"]["rows"], name="set"),
}
HEADERS = {
    "similarity": "Pearson_Correlation,Spearman_Correlation",
    "binary": "Accuracy,Accuracy_Threshold,F1,F1_Threshold,Precision,Recall,Average_Precision",
    "classification": "Macro_F1,Micro_F1,Weighted_F1",
    "reranking": "MAP,MRR@10,NDCG@10",
    "reranking_at_3": "MAP,MRR@3,NDCG@3",
    "reranking_of_documents": "MAP,MRR@10,NDCG@10",
}
PRIMARY = {"similarity": "spearman", "binary": "average_precision", "classification": "f1_macro", "reranking_at_3": "ndcg@3"}


@pytest.fixture(scope="module")
def scorers():
    return {labels: CrossEncoder(str(ROOT / "golden" / "cross" / name)) for labels, name in ((1, "bert"), (3, "bert-classes"))}


@pytest.mark.parametrize("name", EVALUATORS)
def test_measures_and_files_are_those_of_the_reference(scorers, tmp_path, name):
    evaluator, model = EVALUATORS[name](), scorers[3 if name == "classification" else 1]
    found = evaluator(model, str(tmp_path / "out"))
    expected = SETS[name]["measures"]
    assert found == pytest.approx(expected, abs=1e-5) and list(found) == list(expected)
    assert evaluator.primary_metric == "set_" + PRIMARY.get(name, "ndcg@10")
    evaluator(model, str(tmp_path / "out"), epoch=2, steps=30)
    (path,) = (tmp_path / "out").iterdir()
    kind = type(evaluator).__name__
    assert path.name == f"{kind}_set_results{'_@' + str(evaluator.at_k) if 'Reranking' in kind else ''}.csv"
    header, first, second = csv.reader(path.read_text().splitlines())
    assert header == ["epoch", "steps", *HEADERS[name].split(",")]
    assert first[:2] == ["-1", "-1"] and second[:2] == ["2", "30"] and first[2:] == second[2:]
    values = [value for key, value in expected.items() if "base_" not in key]
    assert [float(value) for value in first[2:]] == pytest.approx(values, abs=1e-5)


def test_samples_of_the_reference_are_checked(scorers):
    for sample, message in [
        ({"positive": ["a"], "negative": []}, "'query'"),
        ({"query": "a", "negative": []}, "'positive'"),
        ({"query": "a", "positive": ["a"]}, "exactly one"),
        ({"query": "a", "positive": ["a"], "negative": [], "documents": []}, "exactly one"),
    ]:
        with pytest.raises(ValueError, match=message):
            CrossEncoderRerankingEvaluator([sample])(scorers[1])
    with pytest.raises(ValueError, match="no queries"):
        CrossEncoderRerankingEvaluator([])(scorers[1])
    with pytest.raises(ValueError, match="same length"):
        CrossEncoderClassificationEvaluator([("a", "b")], [])
    with pytest.raises(ValueError, match=r"labels\[1\] is 2; expected a number from 0 to 1"):
        CrossEncoderClassificationEvaluator([("a", "b"), ("a", "c")], [1, 2])(scorers[1])
    with pytest.raises(ValueError, match="2 scores for 1 labels"):
        CrossEncoderCorrelationEvaluator([("a", "b"), ("a", "c")], [1.0])(scorers[1])
    for evaluator in (EVALUATORS["similarity"](), EVALUATORS["reranking"]()):
        with pytest.raises(ValueError, match="3 labels"):
            evaluator(scorers[3])


def test_positives_that_a_search_missed_can_be_left_out(scorers):
    sample = {"query": "habari", "positive": ["yako", "rafiki"], "documents": ["mto", "yako"]}
    without = {"query": "habari", "positive": "leo", "documents": ["mto"]}
    found = CrossEncoderRerankingEvaluator({"a": sample, "b": without}, always_rerank_positives=False, mrr_at_k=1)(scorers[1])
    first = scorers[1].rank("habari", ["mto", "yako"])[0]["corpus_id"]
    assert found["mrr@1"] == (0.5 if first == 1 else 0) and found["base_mrr@1"] == 0


def test_nothing_is_written_when_that_is_asked(scorers, tmp_path):
    evaluator = CrossEncoderRerankingEvaluator(SETS["reranking"]["rows"], write_csv=False)
    assert "map" in evaluator(scorers[1], str(tmp_path)) and not list(tmp_path.iterdir())


def test_older_names(scorers):
    class Example:
        texts, label = ["habari", "yako"], 1

    older = evaluation.CEBinaryClassificationEvaluator.from_input_examples([Example(), Example()], name="a")
    assert older.csv_file == "CrossEncoderClassificationEvaluator_a_results.csv"
    assert older(scorers[1])["a_accuracy"] == 1
    assert evaluation.CECorrelationEvaluator.from_input_examples([Example()]).scores == [1]
