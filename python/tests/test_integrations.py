"""Libraries of others; each test is skipped where its library is not installed."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import TINY

TEXTS = ["nafurahi sana", "ni vizuri", "furaha kubwa", "nasikitika", "ni vibaya", "huzuni kubwa"]
LABELS = [1, 1, 1, 0, 0, 0]


def test_langchain(model):
    pytest.importorskip("langchain_core")
    from langchain_core.vectorstores import InMemoryVectorStore

    from maana.langchain import MaanaEmbeddings

    store = InMemoryVectorStore(MaanaEmbeddings(TINY))
    store.add_texts(TEXTS)
    assert store.similarity_search(TEXTS[3], k=1)[0].page_content == TEXTS[3]


def test_llama_index(model):
    pytest.importorskip("llama_index.core")
    from llama_index.core import Document, VectorStoreIndex

    from maana.llama_index import MaanaEmbedding

    index = VectorStoreIndex.from_documents([Document(text=text) for text in TEXTS], embed_model=MaanaEmbedding(TINY))
    assert index.as_retriever(similarity_top_k=1).retrieve(TEXTS[2])[0].text == TEXTS[2]


def test_haystack(model):
    pytest.importorskip("haystack")
    from haystack import Document, Pipeline
    from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    from maana.haystack import MaanaDocumentEmbedder, MaanaTextEmbedder

    store = InMemoryDocumentStore()
    store.write_documents(MaanaDocumentEmbedder(TINY).run([Document(content=text) for text in TEXTS])["documents"])
    pipeline = Pipeline()
    pipeline.add_component("embed", MaanaTextEmbedder(TINY))
    pipeline.add_component("find", InMemoryEmbeddingRetriever(store, top_k=1))
    pipeline.connect("embed.embedding", "find.query_embedding")
    assert pipeline.run({"embed": {"text": TEXTS[4]}})["find"]["documents"][0].content == TEXTS[4]
    assert MaanaTextEmbedder.from_dict(MaanaTextEmbedder(TINY).to_dict()).model == TINY


def test_scikit_learn(model):
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    from maana.sklearn import TextEmbedder

    pipeline = clone(make_pipeline(TextEmbedder(TINY), LogisticRegression()))
    search = GridSearchCV(pipeline, {"textembedder__truncate_dim": [8, None]}, cv=3)
    assert search.fit(TEXTS, LABELS).predict(TEXTS).shape == (6,)
    assert np.array_equal(TextEmbedder(TINY).fit_transform(TEXTS), model.encode(TEXTS))
