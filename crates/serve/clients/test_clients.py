"""Other people's clients against `maana serve`: OpenAI's, Azure's, Hugging Face's, Infinity's, Cohere's, LangChain's, LlamaIndex',
plain HTTP as text-embeddings-inference, Jina and Open WebUI send it, and Schemathesis and a generator of clients with the server's own OpenAPI file.

    MAANA=target/debug/maana python -m pytest crates/serve/clients

Numbers are compared with those of `maana encode`, to the bit: JSON's numbers and base64 both carry an f32 whole.
"""

import asyncio
import concurrent.futures
import json
import pathlib
import os
import shutil
import subprocess
import sys
import urllib.request

import numpy as np
import openai
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from serving import DOCUMENTS, MAANA, QUERY, ROOT, post, ranking, start

TEXTS = ["Habari ya asubuhi", "Mtoto anasoma kitabu shuleni.", "Bei ya mahindi imepanda", "x", "Ndege 🐦 “huruka” juu\tsana\n"]
LONG = "neno " * 400
PROMPT = "swali: "


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The small model of the golden files, with a prompt for queries."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    shutil.copytree(ROOT / "golden/tiny-bert", folder)
    path = folder / "config_sentence_transformers.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["prompts"] = {"query": PROMPT, "document": ""}
    path.write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def server(model, tmp_path_factory):
    yield from start(model, tmp_path_factory, "--dims", "64,32,16")


@pytest.fixture(scope="session")
def strict(model, tmp_path_factory):
    yield from start(model, tmp_path_factory, "--strict-model", "--token-ids")


@pytest.fixture(scope="session")
def keyed(model, tmp_path_factory):
    keys = tmp_path_factory.mktemp("keys") / "keys.txt"
    keys.write_text("asha:sk-asha-1\njuma:sk-juma-2:1\n", encoding="utf-8")
    yield from start(model, tmp_path_factory, "--keys", str(keys))


@pytest.fixture(scope="session")
def narrow(model, tmp_path_factory):
    yield from start(model, tmp_path_factory, "--max-tokens-queued", "12000")


@pytest.fixture(scope="session")
def ranker(model, tmp_path_factory):
    """A server with a cross-encoder of one score, and one of three labels."""
    cross = ROOT / "golden/cross"
    yield from start(model, tmp_path_factory, "--reranker", f"rank={cross}/bert", "--reranker", f"labels={cross}/bert-classes")


@pytest.fixture(scope="session")
def lone_ranker(tmp_path_factory):
    """A server with one cross-encoder and nothing else, which answers to any name."""
    yield from start(f"--reranker=rank={ROOT}/golden/cross/bert", tmp_path_factory)


@pytest.fixture(scope="session")
def encode(model, tmp_path_factory):
    """`maana encode`: texts to an array of f32."""
    folder = tmp_path_factory.mktemp("encode")

    def run(texts, *flags):
        (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        command = [MAANA, "encode", str(model), "--input", str(folder / "texts.jsonl"), "--output", str(folder / "out.npy")]
        subprocess.run([*command, *flags], check=True, capture_output=True)
        return np.load(folder / "out.npy")

    return run


def same_bits(ours, expected):
    ours = np.array(ours, dtype=np.float32)
    assert ours.shape == expected.shape
    assert (ours.view(np.uint32) == expected.view(np.uint32)).all(), np.abs(ours - expected).max()


def get(server, path):
    with urllib.request.urlopen(server.url + path) as answer:
        return answer.status, answer.headers, answer.read().decode()


class TestOpenAi:
    """The official client, with nothing set but the address and a key."""

    @pytest.fixture
    def client(self, server):
        return openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)

    def embeddings(self, answer):
        assert [item.index for item in answer.data] == list(range(len(answer.data)))
        return [item.embedding for item in answer.data]

    def test_a_string_as_the_client_asks_by_itself(self, client, encode):
        answer = client.embeddings.create(model="tiny", input=TEXTS[0])
        same_bits(self.embeddings(answer), encode(TEXTS[:1]))
        assert answer.object == "list" and answer.data[0].object == "embedding" and answer.model == "tiny"
        assert answer.usage.prompt_tokens == answer.usage.total_tokens > 2

    @pytest.mark.parametrize("encoding", ["float", "base64"])
    def test_a_list_in_both_encodings(self, client, encode, encoding):
        answer = client.embeddings.create(model="tiny", input=TEXTS, encoding_format=encoding, user="asha")
        embeddings = self.embeddings(answer)
        if encoding == "base64" and isinstance(embeddings[0], str):
            import base64

            embeddings = [np.frombuffer(base64.b64decode(text), "<f4") for text in embeddings]
        same_bits(embeddings, encode(TEXTS))

    @pytest.mark.parametrize("encoding", ["float", "base64"])
    def test_dimensions_are_those_of_encode(self, client, encode, encoding):
        answer = client.embeddings.create(model="tiny", input=TEXTS, dimensions=16, encoding_format=encoding)
        if encoding == "float":
            same_bits(self.embeddings(answer), encode(TEXTS, "--dim", "16"))
        plain = client.embeddings.create(model="tiny", input=TEXTS, dimensions=16)
        same_bits(self.embeddings(plain), encode(TEXTS, "--dim", "16"))

    def test_token_ids(self, client, server, strict, encode):
        _, _, tokens = post(server, "/tokenize", {"inputs": TEXTS, "add_special_tokens": False})
        ids = [[token["id"] for token in text] for text in tokens]
        with pytest.raises(openai.BadRequestError) as error:
            client.embeddings.create(model="tiny", input=ids)
        assert error.value.param == "input" and "--token-ids" in error.value.message
        client = openai.OpenAI(base_url=strict.url + "/v1", api_key="none", max_retries=0)
        same_bits(self.embeddings(client.embeddings.create(model="tiny", input=ids[0])), encode(TEXTS[:1]))
        same_bits(self.embeddings(client.embeddings.create(model="tiny", input=ids)), encode(TEXTS))

    def test_long_texts_are_cut_as_encode_cuts_them(self, client, encode):
        same_bits(self.embeddings(client.embeddings.create(model="tiny", input=LONG)), encode([LONG]))

    def test_many_at_once(self, server, encode):
        async def all_of_them():
            async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0) as client:
                ask = lambda text: client.embeddings.create(model="tiny", input=text)
                return await asyncio.gather(*(ask(text) for text in TEXTS * 10))

        answers = asyncio.run(all_of_them())
        same_bits([answer.data[0].embedding for answer in answers], np.tile(encode(TEXTS), (10, 1)))

    def test_models(self, client):
        assert [model.id for model in client.models.list()] == ["tiny"]
        assert client.models.retrieve("tiny").object == "model"
        assert client.models.retrieve("huge").id == "tiny"

    def test_wrong_dimensions(self, client):
        with pytest.raises(openai.BadRequestError) as error:
            client.embeddings.create(model="tiny", input="x", dimensions=17)
        assert error.value.param == "dimensions"
        assert error.value.type == "invalid_request_error"
        assert all(dim in error.value.message for dim in ("17", "64", "32", "16")), error.value.message

    @pytest.mark.parametrize("wrong", [{"input": []}, {"input": 5}, {"input": "x", "encoding_format": "binary"}])
    def test_what_is_no_request(self, client, wrong):
        with pytest.raises(openai.BadRequestError) as error:
            client.embeddings.create(model="tiny", **wrong)
        assert error.value.message

    def test_another_model_s_name(self, client, strict):
        assert client.embeddings.create(model="text-embedding-3-small", input="x").model == "tiny"
        client = openai.OpenAI(base_url=strict.url + "/v1", api_key="none", max_retries=0)
        with pytest.raises(openai.NotFoundError) as error:
            client.embeddings.create(model="text-embedding-3-small", input="x")
        assert error.value.code == "model_not_found" and "tiny" in error.value.message
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("huge")

    def test_azure(self, keyed, encode):
        ask = lambda key: openai.AzureOpenAI(
            azure_endpoint=keyed.url, api_key=key, api_version="2024-10-21", max_retries=0
        ).embeddings.create(model="my-deployment", input=TEXTS)
        same_bits(self.embeddings(ask("sk-asha-1")), encode(TEXTS))
        with pytest.raises(openai.AuthenticationError):
            ask("sk-asha-2")

    def test_keys(self, keyed):
        ask = lambda key: openai.OpenAI(base_url=keyed.url + "/v1", api_key=key, max_retries=0)
        assert len(ask("sk-asha-1").embeddings.create(model="tiny", input="x").data) == 1
        for wrong in ("sk-asha-2", "asha", "sk-asha-"):
            with pytest.raises(openai.AuthenticationError) as error:
                ask(wrong).embeddings.create(model="tiny", input="x")
            assert error.value.code == "invalid_api_key" and "sk-asha-1" not in str(error.value)

    def test_a_key_that_asks_too_often(self, keyed):
        client = openai.OpenAI(base_url=keyed.url + "/v1", api_key="sk-juma-2", max_retries=0)
        with pytest.raises(openai.RateLimitError) as error:
            for _ in range(50):
                client.embeddings.create(model="tiny", input="x")
        assert int(error.value.response.headers["retry-after"]) >= 1
        patient = openai.OpenAI(base_url=keyed.url + "/v1", api_key="sk-juma-2", max_retries=5)
        assert len(patient.embeddings.create(model="tiny", input="x").data) == 1

    def test_overload(self, narrow, encode):
        """Each request takes most of the room: of many at once some are refused, and none is answered wrongly."""
        client = openai.OpenAI(base_url=narrow.url + "/v1", api_key="none", max_retries=0)
        texts, expected = [LONG] * 60, np.repeat(encode([LONG]), 60, axis=0)

        def ask(_):
            try:
                return client.embeddings.create(model="tiny", input=texts)
            except openai.RateLimitError as error:
                return error

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(24)))
        refused = [answer for answer in answers if isinstance(answer, openai.RateLimitError)]
        assert refused and len(refused) < len(answers)
        assert all(int(error.response.headers["retry-after"]) >= 1 for error in refused)
        assert all(error.code == "rate_limit_exceeded" for error in refused)
        for answer in answers:
            if answer not in refused:
                same_bits(self.embeddings(answer), expected)


class TestHuggingFace:
    """The inference client, as its documentation shows it for an address of one's own."""

    @pytest.mark.parametrize("path", ["", "/embed"])
    def test_features(self, server, encode, path):
        client = InferenceClient(model=server.url + path)
        same_bits(client.feature_extraction(TEXTS[0]), encode(TEXTS[:1]))
        same_bits(client.feature_extraction(TEXTS), encode(TEXTS))

    def test_features_by_base_url(self, server, encode):
        same_bits(InferenceClient(base_url=server.url).feature_extraction(TEXTS), encode(TEXTS))

    def test_parameters(self, server, encode):
        client = InferenceClient(model=server.url + "/embed")
        same_bits(client.feature_extraction(TEXTS, prompt_name="query"), encode(TEXTS, "--prompt", "query"))
        same_bits(client.feature_extraction(TEXTS, dimensions=16), encode(TEXTS, "--dim", "16"))
        same_bits(client.feature_extraction([LONG], truncate=True, truncation_direction="right"), encode([LONG]))
        left = client.feature_extraction([LONG + "mwisho"], truncate=True, truncation_direction="left")
        assert not np.array_equal(left, client.feature_extraction([LONG + "mwisho"], truncate=True))
        long = client.feature_extraction(TEXTS, normalize=False)
        assert long.shape == (len(TEXTS), 64)

    @pytest.mark.parametrize(
        "wrong", [{"dimensions": 17}, {"prompt_name": "passage"}, {"truncate": False, "text": [LONG]}]
    )
    def test_wrong_parameters(self, server, wrong):
        client = InferenceClient(model=server.url + "/embed")
        with pytest.raises(HfHubHTTPError) as error:
            client.feature_extraction(wrong.pop("text", "x"), **wrong)
        answer = error.value.response
        assert answer.status_code == 422 and set(answer.json()) == {"error", "error_type"}

    @pytest.mark.parametrize("path", ["", "/similarity"])
    def test_similarity(self, server, encode, path):
        client = InferenceClient(model=server.url + path)
        scores = client.sentence_similarity(TEXTS[0], other_sentences=TEXTS[1:])
        rows = encode(TEXTS).astype(np.float64)
        assert np.allclose(scores, rows[1:] @ rows[0], atol=1e-6)

    def test_keys(self, keyed):
        client = InferenceClient(model=keyed.url + "/embed", token="sk-asha-1")
        assert client.feature_extraction("x").shape == (1, 64)
        with pytest.raises(HfHubHTTPError) as error:
            InferenceClient(model=keyed.url + "/embed", token="hf_no").feature_extraction("x")
        assert error.value.response.status_code == 401


class TestInfinity:
    """Infinity's client, with nothing set but the address."""

    def test_embeddings_and_health(self, server, encode):
        from infinity_client import Client
        from infinity_client.api.default import embeddings, health
        from infinity_client.models import OpenAIEmbeddingInputText

        with Client(base_url=server.url) as client:
            assert health.sync(client=client)["unix"] > 1.7e9
            answer = embeddings.sync(client=client, body=OpenAIEmbeddingInputText(input_=TEXTS))
        same_bits([item.embedding for item in answer.data], encode(TEXTS))


class TestRerankers:
    """Clients that rerank, as their documentation shows them: each gets the scores of `/predict`, to the bit."""

    def test_cohere(self, ranker):
        import cohere

        expected = ranking(ranker)
        client = cohere.ClientV2("none", base_url=ranker.url)
        answer = client.rerank(model="rank", query=QUERY, documents=DOCUMENTS, max_tokens_per_doc=4096)
        assert [(result.index, result.relevance_score) for result in answer.results] == expected
        assert answer.meta.tokens.input_tokens > 50
        answer = client.rerank(model="rank", query=QUERY, documents=DOCUMENTS, top_n=2)
        assert [(result.index, result.relevance_score) for result in answer.results] == expected[:2]
        client = cohere.Client("none", base_url=ranker.url)
        documents = [{"text": document, "title": str(place)} for place, document in enumerate(DOCUMENTS)]
        answer = client.rerank(query=QUERY, documents=documents, return_documents=True)
        assert [(result.index, result.relevance_score) for result in answer.results] == expected
        assert all(result.document.text == DOCUMENTS[result.index] for result in answer.results)

        async def all_of_them():
            async with cohere.AsyncClientV2("none", base_url=ranker.url) as client:
                ask = lambda: client.rerank(model="rank", query=QUERY, documents=DOCUMENTS)
                return await asyncio.gather(*(ask() for _ in range(20)))

        for answer in asyncio.run(all_of_them()):
            assert [(result.index, result.relevance_score) for result in answer.results] == expected

    def test_errors_of_cohere(self, ranker, keyed):
        import cohere

        client = cohere.ClientV2("none", base_url=ranker.url)
        for error, words in [
            (cohere.errors.BadRequestError, {"documents": []}),
            (cohere.errors.BadRequestError, {"documents": DOCUMENTS, "top_n": 0}),
            (cohere.errors.BadRequestError, {"documents": DOCUMENTS, "model": "labels"}),
            (cohere.errors.NotFoundError, {"documents": DOCUMENTS, "model": "rerank-v3.5"}),
        ]:
            with pytest.raises(error) as caught:
                client.rerank(**{"model": "rank", "query": QUERY, **words})
            assert caught.value.body["message"]
        with pytest.raises(cohere.errors.UnauthorizedError) as caught:
            cohere.ClientV2("sk-no", base_url=keyed.url).rerank(model="rank", query=QUERY, documents=DOCUMENTS)
        assert "key" in caught.value.body["message"]
        answer = cohere.ClientV2("sk-asha-1", base_url=keyed.url).rerank(model="any", query="mto", documents=["mto"])
        assert answer.results[0].relevance_score > 0.9, "without a reranker embeddings are compared"

    def test_lang_chain(self, lone_ranker):
        from langchain_cohere import CohereRerank
        from langchain_core.documents import Document

        expected = ranking(lone_ranker)
        client = CohereRerank(model="rerank-v3.5", base_url=lone_ranker.url, cohere_api_key="none", top_n=3)
        documents = [Document(document, metadata={"place": place}) for place, document in enumerate(DOCUMENTS)]
        found = client.compress_documents(documents, QUERY)
        assert [(one.metadata["place"], one.metadata["relevance_score"]) for one in found] == expected[:3]
        found = client.rerank([*DOCUMENTS[:5], {"text": "mto"}], QUERY, top_n=None, max_tokens_per_doc=4)
        assert len(found) == 6

    @pytest.mark.parametrize("name", ["cohere", "jina", "text-embeddings-inference"])
    def test_llama_index(self, lone_ranker, name):
        from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

        if name == "cohere":
            from llama_index.postprocessor.cohere_rerank import CohereRerank

            client = CohereRerank(base_url=lone_ranker.url, api_key="none", top_n=4)
        elif name == "jina":
            from llama_index.postprocessor.jinaai_rerank import JinaRerank

            client = JinaRerank(base_url=lone_ranker.url + "/v1", api_key="none", top_n=4)
        else:
            from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

            client = TextEmbeddingInference(base_url=lone_ranker.url, top_n=4)
        places = [place for place, document in enumerate(DOCUMENTS) if document]
        nodes = [NodeWithScore(node=TextNode(text=DOCUMENTS[place], id_=str(place)), score=0.5) for place in places]
        found = client.postprocess_nodes(nodes, QueryBundle(QUERY))
        expected = [one for one in ranking(lone_ranker) if one[0] in places]
        assert [(int(node.node.node_id), node.score) for node in found] == expected[:4]
        if name == "jina":
            broken = JinaRerank(base_url=lone_ranker.url + "/v1", api_key="none", top_n=0)
            with pytest.raises(RuntimeError, match="top_n"):
                broken.postprocess_nodes(nodes, QueryBundle(QUERY))

    def test_infinity(self, lone_ranker):
        from infinity_client import Client
        from infinity_client.api.default import rerank
        from infinity_client.models import RerankInput

        with Client(base_url=lone_ranker.url) as client:
            answer = rerank.sync(client=client, body=RerankInput(query=QUERY, documents=DOCUMENTS, return_documents=True))
        assert [(result.index, result.relevance_score) for result in answer.results] == ranking(lone_ranker)
        assert answer.model == "rank" and answer.usage.total_tokens > 50

    def test_open_webui(self, lone_ranker, keyed):
        """The request of its external reranker (`backend/open_webui/retrieval/models/external.py`), whose address is free, with
        the headers of `requests` and those that name the user."""
        body = {"model": "reranker", "query": QUERY, "documents": DOCUMENTS, "top_n": len(DOCUMENTS)}
        headers = {
            "user-agent": "python-requests/2.34.2", "accept": "*/*", "accept-encoding": "identity", "connection": "keep-alive",
            "Content-Type": "application/json", "Authorization": "Bearer none", "X-OpenWebUI-User-Name": "Asha%20Juma",
            "X-OpenWebUI-User-Id": "f3a6", "X-OpenWebUI-User-Email": "asha@example.org", "X-OpenWebUI-User-Role": "user",
        }
        for path in ("/v1/rerank", "/v2/rerank"):
            status, _, answer = post(lone_ranker, path, body, headers)
            assert status == 200 and "results" in answer
            in_order = sorted(answer["results"], key=lambda result: result["index"])
            assert [result["relevance_score"] for result in in_order] == [score for _, score in sorted(ranking(lone_ranker))]
        status, _, error = post(lone_ranker, "/v1/rerank", {**body, "documents": 5})
        assert status == 400 and error["detail"] and error["message"] == error["detail"]
        assert post(keyed, "/v1/rerank", body, headers)[0] == 401, "the key is checked"
        headers["Authorization"] = "Bearer sk-asha-1"
        assert post(keyed, "/v1/rerank", body, headers)[0] == 200

    def test_hugging_face(self, lone_ranker):
        """The requests of text-embeddings-inference, at the address of an endpoint too."""
        for path in ("/rerank", "/"):
            answer = post(lone_ranker, path, {"query": QUERY, "texts": DOCUMENTS, "truncate": True, "return_text": True})[2]
            assert [(one["index"], one["score"]) for one in answer] == ranking(lone_ranker)
        raw = post(lone_ranker, "/rerank", {"query": QUERY, "texts": DOCUMENTS, "raw_scores": True})[2]
        scores = [1 / (1 + np.exp(-np.float64(one["score"]))) for one in raw]
        assert np.allclose(scores, [score for _, score in ranking(lone_ranker)], atol=1e-6)

    def test_predict(self, ranker):
        status, _, answer = post(ranker, "/predict", {"inputs": [QUERY, DOCUMENTS[0]], "model": "labels"})
        assert status == 200 and {one["label"] for one in answer} == {"contradiction", "entailment", "neutral"}
        assert abs(sum(one["score"] for one in answer) - 1) < 1e-6


class TestFrameworks:
    """Clients that come with frameworks, as their documentation shows them."""

    @pytest.mark.parametrize("slash", ["", "/"])
    def test_llama_index(self, server, encode, slash):
        from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference

        client = TextEmbeddingsInference(model_name="BAAI/bge-base-en-v1.5", base_url=server.url + slash)
        same_bits(client._call_api(TEXTS), encode(TEXTS))

    def test_lang_chain(self, server, encode, monkeypatch):
        from langchain_openai import OpenAIEmbeddings

        client = OpenAIEmbeddings(
            base_url=server.url + "/v1", api_key="none", check_embedding_ctx_length=False, max_retries=0
        )
        same_bits(client.embed_documents(TEXTS), encode(TEXTS))
        same_bits([client.embed_query(TEXTS[0])], encode(TEXTS[:1]))
        # As it is by default it sends the ids of OpenAI's tokenizer, which it fetches: here those of another stand for them.
        client = OpenAIEmbeddings(base_url=server.url + "/v1", api_key="none", max_retries=0)
        monkeypatch.setattr(OpenAIEmbeddings, "_tokenize", lambda self, texts, size: ([0], [[9906, 1917]], [0], [2]))
        with pytest.raises(openai.BadRequestError) as error:
            client.embed_documents(["Hello world"])
        assert "check_embedding_ctx_length=False" in error.value.message


class TestTextEmbeddingsInference:
    """Requests of the shapes in its documentation."""

    def test_embed(self, server, encode):
        status, headers, rows = post(server, "/embed", {"inputs": "Habari ya asubuhi"})
        assert status == 200 and headers["content-type"] == "application/json"
        same_bits(rows, encode(TEXTS[:1]))
        for name in ("x-compute-type", "x-total-time", "x-tokenization-time", "x-queue-time", "x-inference-time"):
            assert headers[name], name
        assert int(headers["x-compute-characters"]) == len(TEXTS[0]) and int(headers["x-compute-tokens"]) > 2
        body = {"inputs": TEXTS, "truncate": True, "truncation_direction": "Right", "normalize": True, "prompt_name": None}
        same_bits(post(server, "/embed", body)[2], encode(TEXTS))
        same_bits(post(server, "/embed", {"inputs": TEXTS, "dimensions": 32})[2], encode(TEXTS, "--dim", "32"))

    def test_embed_all(self, server):
        tokens = post(server, "/tokenize", {"inputs": TEXTS})[2]
        rows = post(server, "/embed_all", {"inputs": TEXTS})[2]
        assert [len(text) for text in rows] == [len(text) for text in tokens]
        assert all(len(row) == 64 for text in rows for row in text)

    def test_tokenize_and_decode(self, server):
        tokens = post(server, "/tokenize", {"inputs": TEXTS[1]})[2]
        assert len(tokens) == 1 and all(set(token) == {"id", "text", "special", "start", "stop"} for token in tokens[0])
        assert tokens[0][0]["special"] and not tokens[0][1]["special"]
        plain = post(server, "/tokenize", {"inputs": [TEXTS[1]], "add_special_tokens": False})[2]
        assert plain[0] == tokens[0][1:-1]
        ids = [token["id"] for token in tokens[0]]
        assert post(server, "/decode", {"ids": ids})[2] == post(server, "/decode", {"ids": [ids], "skip_special_tokens": True})[2]
        assert post(server, "/decode", {"ids": ids, "skip_special_tokens": False})[2] != post(server, "/decode", {"ids": ids})[2]

    def test_similarity(self, server, encode):
        body = {"inputs": {"source_sentence": TEXTS[0], "sentences": TEXTS[1:]}, "parameters": {"truncate": True}}
        rows = encode(TEXTS).astype(np.float64)
        assert np.allclose(post(server, "/similarity", body)[2], rows[1:] @ rows[0], atol=1e-6)

    def test_rerank(self, server):
        body = {"query": "shule", "texts": TEXTS, "raw_scores": False, "return_text": True}
        status, _, ranks = post(server, "/rerank", body)
        assert status == 200 and sorted(rank["index"] for rank in ranks) == list(range(len(TEXTS)))
        scores = [rank["score"] for rank in ranks]
        assert scores == sorted(scores, reverse=True)
        assert all(rank["text"] == TEXTS[rank["index"]] for rank in ranks)
        assert "text" not in post(server, "/rerank", {"query": "shule", "texts": TEXTS})[2][0]

    def test_info_and_health(self, server):
        info = json.loads(get(server, "/info")[2])
        fields = ["model_id", "model_sha", "model_dtype", "model_type", "max_concurrent_requests", "max_input_length"]
        fields += ["max_batch_tokens", "max_client_batch_size", "auto_truncate", "tokenization_workers", "version"]
        assert [field for field in fields if field not in info] == []
        assert info["dimensions"] == [64, 32, 16]
        assert [get(server, path)[0] for path in ("/health", "/health/live", "/health/ready", "/ping")] == [200] * 4

    def test_metrics_are_what_prometheus_reads(self, server):
        _, headers, text = get(server, "/metrics")
        assert headers["content-type"].startswith("text/plain")
        for line in filter(None, text.splitlines()):
            name, _, value = line.rpartition(" ")
            assert line.startswith("# ") or (name and float(value) == float(value)), line

    @pytest.mark.parametrize(
        ("path", "body", "statuses"),
        [
            ("/embed", b"{", {400, 422}),
            ("/embed", {}, {422}),
            ("/embed", {"inputs": []}, {400, 413, 422}),
            ("/embed", {"inputs": 5}, {422}),
            ("/embed", {"inputs": ["a", 5]}, {422}),
            ("/embed", {"inputs": "x", "dimensions": 0}, {422}),
            ("/embed", {"inputs": "x", "truncation_direction": "Up"}, {422}),
            ("/embed", {"inputs": [[1 << 31]]}, {422}),
            ("/similarity", {"inputs": {"source_sentence": "x", "sentences": []}}, {400, 413, 422}),
            ("/rerank", {"query": "x"}, {422}),
            ("/decode", {"ids": ["x"]}, {422}),
        ],
    )
    def test_errors(self, server, path, body, statuses):
        status, _, answer = post(server, path, body)
        assert status in statuses and set(answer) == {"error", "error_type"} and answer["error"], (status, answer)


def test_a_client_is_made_from_the_description(server, tmp_path):
    program = pathlib.Path(sys.executable).with_name("openapi-python-client")
    (tmp_path / "config.yml").write_text("post_hooks: []\n", encoding="utf-8")
    command = [program, "generate", "--url", server.url + "/openapi.json", "--config", tmp_path / "config.yml"]
    run = subprocess.run([*command, "--fail-on-warning", "--meta", "none", "--output-path", tmp_path / "made"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    assert (tmp_path / "made/api").is_dir()


@pytest.mark.parametrize("name", ["server", "ranker"])
def test_schemathesis(name, request):
    """Requests made from the OpenAPI file, good and bad ones: no answer but those that the file promises."""
    server = request.getfixturevalue(name)
    status, _, text = get(server, "/openapi.json")
    assert status == 200 and json.loads(text)["openapi"].startswith("3.")
    program = pathlib.Path(sys.executable).with_name("schemathesis")
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    flags = ["--checks", checks, "--phases", "examples,coverage,fuzzing", "--max-examples", "15", "--seed", "7"]
    command = [program, "run", server.url + "/openapi.json", *flags, "--request-timeout", "30", "--continue-on-failure"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "NO_COLOR": "1"})
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-1000:]
