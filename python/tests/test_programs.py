"""Programs of other people with this package in place of Sentence Transformers. Each test is skipped
where its library is not installed."""

from __future__ import annotations

import contextlib
import io
import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from conftest import ROOT, TINY
from maana import CrossEncoder, SentenceTransformer
from maana.models import Dense, LayerNorm, Normalize, Pooling, Router, StaticEmbedding, Transformer

PROGRAMS = Path(__file__).parent / "programs"
TOPICS = [
    [f"{first} {second}" for first in ("paka", "mbwa", "simba", "tembo", "ndege") for second in words]
    for words in (("analala", "anakula", "anakimbia", "ananguruma"), ("wa shule", "wa kitabu", "wa soko", "wa bei"))
]
TEXTS = [text for topic in TOPICS for text in topic]


def with_our_imports(code: str) -> str:
    """Return a program whose import lines name this package."""
    return re.sub(r"^(from|import) sentence_transformers", r"\1 maana", code, flags=re.MULTILINE)


def load_dataset(name, *arguments, split):
    """Return rows of this repository for the data sets of the program."""
    from datasets import Dataset

    rows = [json.loads(line) for line in (ROOT / "recipes" / "demo" / "train.jsonl").read_text().splitlines()[:80]]
    anchors, positives = [row["anchor"] for row in rows], [row["positive"] for row in rows]
    if name.endswith("gooaq"):
        return Dataset.from_dict({"question": anchors[:48], "answer": positives[:48]})
    if name.endswith("all-nli"):
        columns = {"anchor": anchors, "positive": positives, "negative": positives[::-1]}
    else:
        columns = {"sentence1": anchors, "sentence2": positives[1:] + positives[:1], "score": np.linspace(0, 1, 80)}
    rows = slice(0, 64) if split == "train" else slice(64, 80)
    return Dataset.from_dict({column: values[rows] for column, values in columns.items()})


def test_a_training_script_of_sentence_transformers(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(sys, "argv", ["matryoshka.py", TINY, str(tmp_path / "run")])
    program = tmp_path / "program.py"
    program.write_text(with_our_imports((PROGRAMS / "matryoshka.py").read_text()))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path(str(program), run_name="__main__")
    for dim in (64, 32, 16):
        assert f"sts-test-{dim}_spearman_cosine" in printed.getvalue()
    trained = SentenceTransformer(tmp_path / "run" / "final")
    assert not np.array_equal(trained.encode("neno"), SentenceTransformer(TINY).encode("neno"))


def test_a_training_script_of_a_cross_encoder(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(sys, "argv", ["cross_encoder.py", TINY, TINY, str(tmp_path)])
    program = tmp_path / "program.py"
    program.write_text(with_our_imports((PROGRAMS / "cross_encoder.py").read_text()))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        found = runpy.run_path(str(program), run_name="__main__")
    assert "Model num labels: 1" in printed.getvalue() and "'gooaq-dev_ndcg@10'" in printed.getvalue()
    logged = [row for row in found["trainer"].state.log_history if "eval_runtime" in row]
    assert {"eval_gooaq-dev_ndcg@10", "eval_gooaq-dev_base_map", "eval_order_spearman"} <= set(logged[0])
    trained = CrossEncoder(tmp_path / "final")
    assert np.array_equal(trained.predict(found["pairs"]), found["model"].predict(found["pairs"]))
    card = (tmp_path / "mined" / "run" / "model" / "README.md").read_text()
    assert "# Mined" in card and "Cross Encoder Reranking" in card and "Cross Encoder Correlation" in card


def test_the_snippet_of_a_model_card():
    card = (ROOT / "golden" / "st301" / "model" / "README.md").read_text()
    snippet = next(block for block in re.findall(r"```python\n(.*?)```", card, re.DOTALL) if ".similarity(" in block)
    code = re.sub(r'SentenceTransformer\("[^"]*"\)', f"SentenceTransformer({TINY!r})", with_our_imports(snippet))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert printed.getvalue().splitlines() == ["(3, 64)", "(3, 3)"]


def test_bertopic(model):
    pytest.importorskip("bertopic")
    pytest.importorskip("sklearn")
    from bertopic import BERTopic
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    from maana.bertopic import MaanaBackend

    topics = BERTopic(
        embedding_model=MaanaBackend(model),
        umap_model=PCA(5, random_state=0),
        hdbscan_model=KMeans(2, random_state=0),
        min_topic_size=4,
    )
    found, _ = topics.fit_transform(TEXTS)
    assert len(found) == len(TEXTS) and set(found) == {0, 1}
    assert topics.find_topics("paka")[0]
    assert np.array_equal(topics.embedding_model.embed_documents(TEXTS[:3]), model.encode(TEXTS[:3]))


def test_keybert(model):
    pytest.importorskip("keybert")
    from keybert import KeyBERT

    from maana.keybert import MaanaBackend

    text = "Mwalimu anafundisha watoto shuleni. Watoto wanasoma kitabu."
    words = KeyBERT(model=MaanaBackend(model)).extract_keywords(text, top_n=3)
    document = model.encode(text)
    for word, score in words:
        assert score == pytest.approx(float(model.similarity(document, model.encode(word))[0, 0]), abs=1e-3)
    assert len(words) == 3


def test_setfit(model):
    pytest.importorskip("setfit")
    from setfit import SetFitModel
    from sklearn.linear_model import LogisticRegression

    labels = [0] * len(TOPICS[0]) + [1] * len(TOPICS[1])
    classifier = SetFitModel(model_body=model, model_head=LogisticRegression(max_iter=1000))
    classifier.fit(TEXTS, labels, num_epochs=1)
    assert (np.array(classifier.predict(TEXTS)) == labels).mean() > 0.9
    head = LogisticRegression(max_iter=1000).fit(model.encode(TEXTS), labels)
    assert np.array_equal(classifier.predict(TEXTS), head.predict(model.encode(TEXTS)))


def test_mteb(tmp_path):
    mteb = pytest.importorskip("mteb")
    from datasets import Dataset, DatasetDict
    from mteb.abstasks.sts import AbsTaskSTS
    from mteb.abstasks.task_metadata import TaskMetadata

    from maana.mteb import MaanaEncoder

    rows = load_dataset("stsb", split="train")

    class Local(AbsTaskSTS):
        metadata = TaskMetadata(
            name="Local",
            description="Rows of this repository.",
            type="STS",
            dataset={"path": "maana/local", "revision": "1"},
            eval_langs=["swa-Latn"],
            main_score="cosine_spearman",
        )
        min_score, max_score = 0, 1

        def load_data(self, **arguments):
            self.dataset = DatasetDict({"test": Dataset.from_dict(rows.to_dict())})
            self.data_loaded = True

    model = SentenceTransformer(TINY)
    result = mteb.evaluate(MaanaEncoder(model), Local(), cache=None)
    found = result.task_results[0].scores["test"][0]["cosine_spearman"]
    first, second = (model.encode(rows[column]) for column in ("sentence1", "sentence2"))
    from scipy.stats import spearmanr

    assert found == pytest.approx(spearmanr(model.similarity_pairwise(first, second), rows["score"])[0], abs=1e-6)


def test_numbers_are_those_of_sentence_transformers(model, tmp_path):
    reference = pytest.importorskip("sentence_transformers")
    theirs = reference.SentenceTransformer(TINY, device="cpu", truncate_dim=32)
    ours = SentenceTransformer(TINY, truncate_dim=32)
    texts = [*TEXTS, "", "neno " * 200]
    assert np.abs(ours.encode(texts) - theirs.encode(texts)).max() < 1e-5
    options = {"normalize_embeddings": True, "prompt": "swali: "}
    expected = theirs.encode(texts, **options)
    assert np.abs(ours.encode(texts, **options) - expected).max() < 1e-5
    similarity = theirs.similarity(expected, expected).numpy()
    assert np.abs(ours.similarity(expected, expected) - similarity).max() < 1e-5
    tokens = zip(ours.encode(texts, output_value="token_embeddings"), theirs.encode(texts, output_value="token_embeddings"))
    assert all(np.abs(a - b.numpy()).max() < 1e-5 for a, b in tokens)


def test_models_of_modules_and_tokenizers_are_those_of_sentence_transformers(tmp_path):
    reference = pytest.importorskip("sentence_transformers")
    encoder, query = Transformer(TINY, max_seq_length=16), StaticEmbedding(SentenceTransformer(TINY).tokenizer, embedding_dim=32)
    chain = [encoder, Pooling(64, ("cls", "mean")), Dense(128, 32, use_residual=True), LayerNorm(32)]
    for name, modules in {
        "chain": [*chain, Normalize()],
        "static": [query],
        "router": [Router.for_query_document([query], chain), Normalize()],
    }.items():
        ours = SentenceTransformer(modules=modules)
        ours.save_pretrained(tmp_path / name)
        theirs = reference.SentenceTransformer(str(tmp_path / name), device="cpu")
        assert np.abs(ours.encode_query(TEXTS) - theirs.encode_query(TEXTS)).max() < 1e-5
        assert np.abs(ours.encode_document(TEXTS) - theirs.encode_document(TEXTS)).max() < 1e-5
    ours, theirs = SentenceTransformer(TINY).tokenizer, reference.SentenceTransformer(TINY, device="cpu").tokenizer
    arguments = {"padding": True, "truncation": True, "max_length": 6, "return_special_tokens_mask": True}
    found, expected = ours(TEXTS, **arguments), theirs(TEXTS, **arguments)
    assert all(found[key] == expected[key] for key in found)
    assert ours.get_vocab() == theirs.get_vocab() and len(ours) == len(theirs) and ours.vocab_size == theirs.vocab_size
    for name in ("cls_token", "sep_token_id", "pad_token_id", "unk_token", "mask_token_id", "all_special_ids"):
        assert getattr(ours, name) == getattr(theirs, name), name
    ids = theirs.encode(TEXTS[0])
    assert ours.tokenize(TEXTS[0]) == theirs.tokenize(TEXTS[0]) and ours.decode(ids) == theirs.decode(ids)
