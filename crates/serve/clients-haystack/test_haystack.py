"""Rerankers of Haystack (text-embeddings-inference, Cohere, Jina) and of LangChain's community (Jina) against `maana serve`.

    MAANA=target/debug/maana python -m pytest crates/serve/clients-haystack

Each gets the scores of `/predict`, to the bit.
"""

import asyncio
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))
from serving import DOCUMENTS, QUERY, ROOT, ranking, start


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server with one cross-encoder and nothing else, which answers to any name."""
    yield from start(f"--reranker=rank={ROOT}/golden/cross/bert", tmp_path_factory)


def documents():
    from haystack import Document

    return [Document(content=text, meta={"place": place}) for place, text in enumerate(DOCUMENTS)]


def pairs(answer):
    return [(document.meta["place"], document.score) for document in answer["documents"]]


class TestHaystack:
    def test_text_embeddings_inference(self, server):
        from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker, TruncationDirection

        expected = ranking(server)
        ranker = HuggingFaceTEIRanker(url=server.url, top_k=10, token=None)
        assert pairs(ranker.run(query=QUERY, documents=documents())) == expected
        assert pairs(ranker.run(query=QUERY, documents=documents(), top_k=2)) == expected[:2]
        right = ranker.run(query=QUERY, documents=documents(), truncation_direction=TruncationDirection.RIGHT)
        assert pairs(right) == expected
        assert pairs(asyncio.run(ranker.run_async(query=QUERY, documents=documents()))) == expected
        assert ranker.run(query=QUERY, documents=[]) == {"documents": []}
        raw = HuggingFaceTEIRanker(url=server.url, raw_scores=True, token=None).run(query=QUERY, documents=documents())
        assert [place for place, _ in pairs(raw)] == [place for place, _ in expected]
        with pytest.raises(RuntimeError, match="expected a string"):
            HuggingFaceTEIRanker(url=server.url, token=None, max_retries=1).run(query=5, documents=documents())

    def test_cohere(self, server):
        from haystack.utils import Secret
        from haystack_integrations.components.rankers.cohere import CohereRanker

        ranker = CohereRanker(model="rerank-v3.5", top_k=3, api_key=Secret.from_token("none"), api_base_url=server.url)
        ranker.warm_up()
        assert pairs(ranker.run(query=QUERY, documents=documents())) == ranking(server)[:3]
        assert pairs(ranker.run(query=QUERY, documents=documents(), top_k=6)) == ranking(server)

    def test_jina(self, server):
        from haystack.utils import Secret
        from haystack_integrations.components.rankers.jina import JinaRanker

        ranker = JinaRanker(api_key=Secret.from_token("none"), base_url=server.url + "/v1/rerank")
        answer = ranker.run(query=QUERY, documents=documents())
        assert pairs(answer) == ranking(server)
        assert answer["meta"]["model"] == "rank" and answer["meta"]["usage"]["total_tokens"] > 50
        assert pairs(ranker.run(query=QUERY, documents=documents(), top_k=1)) == ranking(server)[:1]


class TestLangChain:
    def test_jina(self, server, monkeypatch):
        """Its address is a constant of the module."""
        from langchain_community.document_compressors import jina_rerank

        monkeypatch.setattr(jina_rerank, "JINA_API_URL", server.url + "/v1/rerank")
        client = jina_rerank.JinaRerank(jina_api_key="none", model="jina-reranker-v1-base-en", top_n=3)
        found = client.rerank(DOCUMENTS, QUERY)
        assert [(one["index"], one["relevance_score"]) for one in found] == ranking(server)[:3]
        assert len(client.rerank(DOCUMENTS, QUERY, top_n=None)) == len(DOCUMENTS)
