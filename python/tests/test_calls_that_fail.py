"""Calls of Sentence Transformers' documentation: those that the page lists fail as it says, the others run."""

from __future__ import annotations

import re

import numpy as np
import pytest

import maana
from conftest import ROOT, TINY
from maana import CrossEncoder, SentenceTransformer, losses, quantization, util
from maana.evaluation import LabelAccuracyEvaluator
from maana.models import Dense, Router, Transformer
from maana.quantization import quantize_embeddings

CROSS = str(ROOT / "golden" / "cross" / "bert")
ROW = re.compile(r"\| `(?P<call>.+?)` \| `(?P<error>\w+Error)` \| (?P<reason>.+?) \|$", re.MULTILINE)
PAGE = (ROOT / "docs" / "python.md").read_text().split("## Calls of Sentence Transformers' documentation")[1]
SENTENCES = ["The cat sits outside", "A man is playing guitar", "The new movie is awesome", "The new movie is so great"]


@pytest.mark.parametrize("row", list(ROW.finditer(PAGE)), ids=lambda row: row["call"][:60])
def test_the_calls_that_the_page_lists_fail_with_a_remedy(model, row):
    names = {
        "CrossEncoder": CrossEncoder,
        "DefaultBatchSampler": maana.DefaultBatchSampler,
        "Dense": Dense,
        "FOLDER": TINY,
        "LabelAccuracyEvaluator": LabelAccuracyEvaluator,
        "Router": Router,
        "SentenceTransformer": SentenceTransformer,
        "SentenceTransformerTrainingArguments": maana.SentenceTransformerTrainingArguments,
        "Transformer": Transformer,
        "losses": losses,
        "model": model,
        "quantization": quantization,
        "rows": np.ones((2, 8), np.float32),
        "scorer": CrossEncoder(CROSS),
    }
    with pytest.raises(Exception) as raised:
        exec(row["call"], names)
    assert type(raised.value).__name__ == row["error"], raised.value
    assert re.search("expected|omit|use|open|Name one|compute|support|does not|device", str(raised.value)), raised.value


def test_the_page_lists_what_there_is_not():
    assert len(list(ROW.finditer(PAGE))) == PAGE.count("\n| `") >= 15
    for name in maana._REFUSED:
        with pytest.raises(ImportError, match=f"{name} is not supported: "):
            getattr(maana, name)


def test_calls_of_the_pages_on_embeddings_and_search(model):
    embeddings = model.encode(SENTENCES)
    assert model.similarity(embeddings, embeddings).shape == (4, 4)
    queries, documents = model.encode_query(SENTENCES[:1]), model.encode_document(SENTENCES)
    hits = util.semantic_search(queries, util.normalize_embeddings(documents), score_function=util.dot_score)
    assert hits[0][0]["corpus_id"] == 0
    assert len(util.paraphrase_mining(model, SENTENCES, corpus_chunk_size=len(SENTENCES), top_k=1)) >= 2
    assert util.community_detection(embeddings, min_community_size=1, threshold=0.99, batch_size=16)
    pool = model.start_multi_process_pool()
    assert np.array_equal(model.encode(SENTENCES, pool=pool), embeddings)
    assert np.array_equal(model.encode_multi_process(SENTENCES, pool), embeddings)
    model.stop_multi_process_pool(pool)
    scorer = CrossEncoder(CROSS)
    scores = scorer.predict([(SENTENCES[0], hit) for hit in SENTENCES])
    assert scorer.rank(SENTENCES[0], SENTENCES)[0]["corpus_id"] == scores.argmax()
    assert scorer.rank(SENTENCES[0], SENTENCES, return_documents=True, top_k=1)[0]["text"] in SENTENCES


def test_calls_of_the_pages_on_smaller_embeddings_and_prompts(model):
    embeddings = model.encode(SENTENCES)
    binary = model.encode(SENTENCES, precision="binary")
    assert np.array_equal(quantize_embeddings(embeddings, precision="binary"), binary)
    assert quantize_embeddings(embeddings, precision="int8", calibration_embeddings=model.encode(SENTENCES * 9)).dtype == np.int8
    short = SentenceTransformer(TINY, truncate_dim=16, trust_remote_code=True)
    rows = short.encode(SENTENCES, convert_to_numpy=True)
    assert rows.shape == (4, 16) and short.similarity(rows[0], rows[1:]).shape == (1, 3)
    prompted = SentenceTransformer(TINY, prompts={"query": "query: ", "passage": "passage: "}, default_prompt_name="query")
    prompted.set_pooling_include_prompt(include_prompt=False)
    assert np.array_equal(prompted.encode("a", prompt="query: "), prompted.encode("a", prompt_name="query"))


def test_calls_of_the_pages_on_speed(model):
    half = SentenceTransformer(TINY, model_kwargs={"torch_dtype": "bfloat16"})
    half.compile(dynamic=True)
    assert half.encode(SENTENCES).shape == (4, 64)
    assert CrossEncoder(CROSS, model_kwargs={"torch_dtype": "bfloat16"}).predict([("a", "b")]).shape == (1,)
    loss = losses.CachedMultipleNegativesRankingLoss(model, mini_batch_num_tokens=32768)
    assert loss.training == {"mini_batch_tokens": 32768}
