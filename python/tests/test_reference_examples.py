"""The examples in the docstrings of Sentence Transformers run with the imports of this package."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

import reference_examples
from maana import CrossEncoder, SentenceTransformer
from maana._saving import Saving
from reference_examples import load_dataset

reference = pytest.importorskip("sentence_transformers", reason="the examples are those of Sentence Transformers")
EXAMPLES = reference_examples.examples(Path(reference.__file__).parent)

_SIMCSE = "is not supported: train by SimCSE"
_TERM = "GlobalOrthogonalRegularizationLoss is not supported: add the term to a loss in Python"
_DISTILL = "EmbedDistillLoss is not supported: use MSELoss"
#: Examples that are refused, by their numbers, with the message.
REFUSED = {
    "base.BaseModel.merge": {0: "merge is not supported: use the command `maana blend`"},
    "base.Transformer.unpad_inputs": {0: "attn_implementation flash_attention_2 is not supported; expected sdpa or eager"},
    "cross_encoder.PListMLELoss": {0: "lambda_weight with a rank_discount_fn is not supported; omit it"},
    "sentence_transformer.ContrastiveTensionLoss": {0: f"ContrastiveTensionLoss {_SIMCSE}"},
    "sentence_transformer.ContrastiveTensionLossInBatchNegatives": {0: f"ContrastiveTensionLossInBatchNegatives {_SIMCSE}"},
    "sentence_transformer.DenoisingAutoEncoderLoss": {0: f"DenoisingAutoEncoderLoss {_SIMCSE}"},
    "sentence_transformer.EmbedDistillLoss": dict.fromkeys(range(4), _DISTILL),
    "sentence_transformer.GlobalOrthogonalRegularizationLoss": {0: _TERM, 1: _TERM},
    "sentence_transformer.MegaBatchMarginLoss": {0: "MegaBatchMarginLoss is not supported: use Cached"},
    "sentence_transformer.StaticEmbedding": {0: "device is 'cuda'; Maana computes on the CPU"},
    "util.import_from_string": {0: "'maana.sentence_transformer.losses' is not a package"},
    "util.to_scipy_coo": {0: "to_scipy_coo is not supported: embeddings are dense arrays"},
}
#: Examples that do not run in the reference either.
UNFINISHED = {
    "base.BaseTrainer.collect_features": "describes a method that is called by the trainer",
    "base.SequentialEvaluator": "has ... in the place of arguments",
    "sentence_transformer.MSEEvaluator": "adds two columns of a data set, which are no lists in newer versions of datasets",
}
#: Import lines of the examples that leave them out.
IMPORTS = """
from datasets import load_dataset
from maana import *
from maana.sentence_transformer.evaluation import *
from maana.sentence_transformer.losses import *
from maana.util import *
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return reference_examples.Models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def names(models, monkeypatch, tmp_path):
    """Stand in for the hub, and return the names that examples take from the text around them."""
    import datasets
    import torch

    models.use(monkeypatch)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(Saving, "push_to_hub", lambda *arguments, **keywords: "")
    sample = random.sample
    monkeypatch.setattr(random, "sample", lambda rows, k: sample(list(rows), min(k, len(rows))))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(IMPORTS, names)
    embeddings = {f"embeddings{number}": torch.rand(3, 8) for number in (1, 2)}
    rows = {"dataset": load_dataset("natural-questions"), "train": load_dataset("ms-marco-en-bge", "train")}
    rows |= {"queries": load_dataset("ms-marco-en-bge", "queries"), "documents": load_dataset("ms-marco-en-bge", "documents")}
    mining = {"anchor_column_name": "query", "positive_column_name": "answer", "num_negatives": 2, "cross_encoder": None}
    mining |= {"batch_size": 4096, "relative_margin": None}
    return names | embeddings | rows | mining | {"model": SentenceTransformer(models.wide)}


@pytest.mark.parametrize("owner", EXAMPLES)
def test_examples_run_or_are_refused_as_listed(names, tmp_path, monkeypatch, owner):
    if owner in UNFINISHED:
        pytest.skip(UNFINISHED[owner])
    if owner.startswith("cross_encoder"):
        names["model"] = CrossEncoder(reference_examples.CROSS)
    for number, example in enumerate(EXAMPLES[owner]):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        code = compile(re.sub(r"\bsentence_transformers\b", "maana", example), f"{owner}-{number}", "exec")
        if message := REFUSED.get(owner, {}).get(number):
            with pytest.raises((ImportError, NotImplementedError, ValueError), match=re.escape(message)):
                exec(code, names)
        else:
            exec(code, names)


def test_all_that_is_listed_is_an_example():
    assert {*REFUSED, *UNFINISHED} <= set(EXAMPLES)
    assert sum(map(len, EXAMPLES.values())) > 90
