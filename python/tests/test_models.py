"""Models that are built of modules, and modules of models that are open."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest

from conftest import ROOT, TINY
from maana import CrossEncoder, SentenceTransformer, models
from maana.models import Dense, Dropout, LayerNorm, Normalize, Pooling, Router, StaticEmbedding, Transformer

TEXTS = ["Kuna masuala ya sera.", "Habari ya asubuhi", "Good morning"]


@pytest.fixture(scope="module")
def encoder():
    return Transformer(TINY)


def test_a_model_of_the_modules_of_another_one_is_the_same(model, encoder):
    built = SentenceTransformer(modules=[encoder, Pooling(encoder.get_embedding_dimension(), "cls"), Normalize()])
    assert np.array_equal(built.encode(TEXTS), model.encode(TEXTS))
    assert np.array_equal(SentenceTransformer(modules=list(model)).encode(TEXTS), model.encode(TEXTS))
    assert np.array_equal(SentenceTransformer(modules={"0": model[0], "1": model[1]}).encode(TEXTS).shape, (3, 64))


def test_modules_can_be_looked_at(model):
    assert len(model) == len(list(model)) == 3 and [type(each) for each in model] == [Transformer, Pooling, Normalize]
    assert model._first_module() is model[0] and model._last_module() is model[-1] and model[1:] == list(model)[1:]
    assert model[0].max_seq_length == model.max_seq_length and model[0].get_embedding_dimension() == 64
    assert model[1].pooling_mode == "cls" and model[1].pooling_mode_cls_token and not model[1].pooling_mode_mean_tokens
    assert model[1].get_pooling_mode_str() == "cls" and model[1].word_embedding_dimension == 64
    assert "Pooling" in repr(model) and "BertModel" in repr(model[0]) and len(model.fingerprint()) == 64


def test_the_configuration_of_the_encoder_can_be_read(model):
    fields = json.loads((ROOT / "golden" / "tiny-bert" / "config.json").read_text())
    for config in (model[0].auto_model.config, model[0].config, model.config, model.transformers_model.config):
        assert config.hidden_size == fields["hidden_size"] and config.model_type == "bert"
        assert config.to_dict() == fields and config.name_or_path
    assert not hasattr(model[0].auto_model, "embeddings")
    with pytest.raises(AttributeError, match="not a module of PyTorch"):
        model[0].auto_model.encoder  # noqa: B018
    assert SentenceTransformer(modules=[StaticEmbedding(model.tokenizer, embedding_dim=4)]).config is None


def test_a_saved_and_a_pickled_model_of_modules_stay_when_it_is_gone(tmp_path, model, encoder):
    built = SentenceTransformer(modules=[encoder, Pooling(64, "cls"), Dense(64, 8, activation_function=None)])
    embeddings = built.encode(TEXTS)
    built.save_pretrained(tmp_path / "model")
    content = pickle.dumps(built)
    del built
    assert np.array_equal(SentenceTransformer(tmp_path / "model").encode(TEXTS), embeddings)
    again = pickle.loads(content)
    assert np.array_equal(again.encode(TEXTS), embeddings)
    assert np.array_equal(pickle.loads(pickle.dumps(again)).encode(TEXTS), embeddings)
    assert (ROOT / "golden" / "tiny-bert" / "model.safetensors").stat().st_nlink >= 1


@pytest.mark.parametrize("activation", ["Tanh", "torch.nn.modules.activation.Tanh", "ReLU", None])
def test_dense_computes_its_formula(model, encoder, activation):
    weight, bias = np.random.default_rng(1).standard_normal((5, 64)), np.arange(5) / 10
    dense = Dense(64, 5, activation_function=activation, init_weight=weight, init_bias=bias)
    function = {None: lambda rows: rows, "ReLU": lambda rows: np.maximum(rows, 0)}.get(activation, np.tanh)
    found = SentenceTransformer(modules=[encoder, Pooling(64), dense]).encode(TEXTS)
    pooled = SentenceTransformer(modules=[encoder, Pooling(64)]).encode(TEXTS)
    assert np.allclose(found, function(pooled @ weight.T + bias), atol=1e-5)


def test_weights_that_are_not_given_are_drawn_once(model, encoder):
    np.random.seed(3)
    dense = Dense(64, 5, use_residual=True)
    first, second = (SentenceTransformer(modules=[encoder, Pooling(64), dense]).encode(TEXTS) for _ in range(2))
    assert np.array_equal(first, second)
    np.random.seed(3)
    again = SentenceTransformer(modules=[encoder, Pooling(64), Dense(64, 5, use_residual=True)]).encode(TEXTS)
    assert np.array_equal(again, first)
    norm = SentenceTransformer(modules=[encoder, Pooling(64), LayerNorm(64), Dropout(0.1)]).encode(TEXTS)
    assert np.allclose(norm.mean(axis=1), 0, atol=1e-5) and np.allclose(norm.std(axis=1), 1, atol=1e-3)


def test_settings_of_the_encoder_and_of_pooling(encoder):
    short = Transformer(TINY, max_seq_length=8)
    built = SentenceTransformer(modules=[short, Pooling(64, ("cls", "max"))])
    assert short.max_seq_length == built.max_seq_length == 8 and built.get_embedding_dimension() == 128
    lower = SentenceTransformer(modules=[Transformer(TINY, do_lower_case=True), Pooling(64)])
    assert lower[0].do_lower_case and np.array_equal(lower.encode("HABARI"), lower.encode("habari"))
    flags = Pooling(word_embedding_dimension=64, pooling_mode_mean_tokens=False, pooling_mode_cls_token=True)
    assert flags.pooling_mode == "cls" and flags.get_sentence_embedding_dimension() == 64
    prompted = SentenceTransformer(modules=[encoder, Pooling(64)], prompts={"query": "swali: "})
    before = prompted.encode_query(TEXTS)
    prompted.set_pooling_include_prompt(False)
    assert not prompted[1].include_prompt and not np.array_equal(prompted.encode_query(TEXTS), before)


def test_static_embeddings_of_a_table(model):
    table = np.random.default_rng(2).standard_normal((len(model.tokenizer), 6)).astype(np.float32)
    for tokenizer in (model.tokenizer, ROOT / "golden" / "tiny-bert" / "tokenizer.json", model.tokenizer.json()):
        static = SentenceTransformer(modules=[StaticEmbedding(tokenizer, table)])
        ids = model.tokenizer.encode(TEXTS[0], add_special_tokens=False)
        assert np.allclose(static.encode(TEXTS[0]), table[ids].mean(axis=0), atol=1e-6)
    assert np.array_equal(static[0].weights, table) and static[0].max_seq_length == float("inf")
    np.random.seed(1)
    drawn = StaticEmbedding(model.tokenizer, embedding_dim=6)
    assert (drawn.num_embeddings, drawn.embedding_dim) == table.shape and abs(drawn.weights.std() - 1) < 0.1
    library = pytest.importorskip("tokenizers")
    theirs = StaticEmbedding(library.Tokenizer.from_file(TINY + "/tokenizer.json"), table)
    assert np.array_equal(SentenceTransformer(modules=[theirs]).encode(TEXTS), static.encode(TEXTS))


def test_static_embeddings_of_other_models(tmp_path, model):
    distilled = StaticEmbedding.from_distillation(TINY, pca_dims=16)
    assert distilled.embedding_dim == 16 and SentenceTransformer(modules=[distilled]).encode(TEXTS).shape == (3, 16)
    words = StaticEmbedding.from_distillation(TINY, vocabulary=["asubuhi", "masuala"], pca_dims=16, apply_zipf=False)
    assert words.num_embeddings > distilled.num_embeddings
    folder = tmp_path / "static"
    SentenceTransformer(modules=[distilled, Normalize()]).save_pretrained(folder)
    again = StaticEmbedding.from_model2vec(folder)
    assert np.array_equal(again.weights, distilled.weights)
    assert np.array_equal(SentenceTransformer(folder)[0].weights, distilled.weights)
    for arguments, message in [
        ({"quantize_to": "int8"}, "quantize_to"),
        ({"use_subword": False}, "use_subword"),
        ({"token_remove_pattern": "x"}, "token_remove_pattern"),
        ({"pooling": "mean"}, "pooling"),
    ]:
        with pytest.raises(NotImplementedError, match=message):
            StaticEmbedding.from_distillation(TINY, **arguments)
    with pytest.raises(ValueError, match="not a static model"):
        StaticEmbedding.from_model2vec(TINY)


def test_a_router_chooses_by_task(tmp_path, model, encoder):
    query = StaticEmbedding(model.tokenizer, embedding_dim=64)
    built = SentenceTransformer(modules=[Router.for_query_document([query], [encoder, Pooling(64, "cls")]), Normalize()])
    only = SentenceTransformer(modules=[query, Normalize()])
    assert np.array_equal(built.encode_query(TEXTS), only.encode(TEXTS))
    assert np.array_equal(built.encode_document(TEXTS), model.encode(TEXTS))
    assert np.array_equal(built.encode(TEXTS), model.encode(TEXTS)), "the default route"
    mapped = Router({"a": [query], "b": [encoder, Pooling(64)]}, route_mappings={("query", None): "a", ("document", "text"): "b"})
    assert np.array_equal(SentenceTransformer(modules=[mapped, Normalize()]).encode_query(TEXTS), only.encode(TEXTS))
    built.save_pretrained(tmp_path / "model")
    again = SentenceTransformer(tmp_path / "model")
    assert set(again[0].sub_modules) == {"query", "document"} and again.config.model_type == "bert"
    assert np.array_equal(again.encode_query(TEXTS), only.encode(TEXTS))
    assert np.array_equal(SentenceTransformer(modules=list(again)).encode_query(TEXTS), only.encode(TEXTS))


def test_modules_of_every_form_of_folder(tmp_path):
    for name in ("router_static", "asym", "modules"):
        source = ROOT / "golden" / name
        if not (source / "modules.json").is_file():
            continue
        folder = tmp_path / name
        shutil.copytree(TINY, folder / "document_0_Transformer" if name == "router_static" else folder)
        shutil.copytree(source, folder, dirs_exist_ok=True)
        opened = SentenceTransformer(folder)
        again = SentenceTransformer(modules=list(opened))
        assert np.array_equal(again.encode_query(TEXTS), opened.encode_query(TEXTS))


def test_a_plain_encoder_has_the_modules_with_which_it_is_opened(tmp_path):
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(f"{TINY}/{name}", tmp_path / name)
    plain = SentenceTransformer(tmp_path)
    assert [type(each) for each in plain] == [Transformer, Pooling] and plain[1].pooling_mode == "mean"
    assert np.array_equal(SentenceTransformer(modules=list(plain)).encode(TEXTS), plain.encode(TEXTS))


def test_a_folder_with_the_vocabulary_of_an_older_tokenizer_opens(model, tmp_path):
    old, saved = tmp_path / "old", tmp_path / "saved"
    shutil.copytree(TINY, old)
    vocabulary = json.loads((old / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    lines = "".join(f"{token}\n" for token in sorted(vocabulary, key=vocabulary.get))
    (old / "vocab.txt").write_text(lines, encoding="utf-8")
    (old / "tokenizer.json").unlink()
    opened = SentenceTransformer(old)
    assert np.array_equal(opened.encode(TEXTS), model.encode(TEXTS))
    assert opened.tokenizer.get_vocab() == model.tokenizer.get_vocab() and opened.tokenizer.cls_token_id == 2
    assert np.array_equal(SentenceTransformer(modules=list(opened)).encode(TEXTS), model.encode(TEXTS))
    opened.save_pretrained(saved)
    assert (saved / "tokenizer.json").read_bytes() == opened.tokenizer.json() and not (old / "tokenizer.json").exists()
    assert np.array_equal(SentenceTransformer(saved).encode(TEXTS), model.encode(TEXTS))


def test_modules_are_checked(model, encoder):
    for modules, kind, message in [
        ([], ValueError, "modules is empty"),
        ([encoder, 3], TypeError, r"modules\[1\] is of type builtins.int"),
        ([Pooling(64)], ValueError, "Pooling|Transformer"),
        ([encoder, Pooling(32)], ValueError, "32"),
        ([encoder, Pooling(64), Dense(32, 8)], ValueError, "in_features is 32"),
    ]:
        with pytest.raises(kind, match=message):
            SentenceTransformer(modules=modules)
    for make, kind, message in [
        (lambda: SentenceTransformer(), ValueError, "no model"),
        (lambda: Pooling(64, "median"), ValueError, "median"),
        (lambda: Pooling(64, pooling_mode_median=True), TypeError, "pooling_mode_median"),
        (lambda: Pooling(), TypeError, "embedding_dimension"),
        (lambda: Dense(4, 2, init_weight=np.ones((4, 2))), ValueError, r"\(4, 2\); expected \(2, 4\)"),
        (lambda: Dense(4, 2, activation_function=len), ValueError, "activation_function"),
        (lambda: Dense(4, 2, module_input_name="token_embeddings"), NotImplementedError, "module_input_name"),
        (lambda: Normalize("token_embeddings"), NotImplementedError, "module_input_name"),
        (lambda: Transformer(TINY, backend="onnx"), NotImplementedError, "backend"),
        (lambda: Transformer(TINY, transformer_task="fill-mask"), NotImplementedError, "transformer_task"),
        (lambda: Transformer(TINY, model_kwargs={"a": 1}), NotImplementedError, "model_kwargs"),
        (lambda: Transformer(TINY, query_length=8), NotImplementedError, "query_length"),
        (lambda: Transformer("/nowhere/model"), FileNotFoundError, "nowhere"),
        (lambda: StaticEmbedding(model.tokenizer), ValueError, "embedding_dim"),
        (lambda: StaticEmbedding(object(), embedding_dim=4), ValueError, "must be fast"),
        (lambda: StaticEmbedding(model.tokenizer, np.ones(4)), ValueError, "expected \\(tokens, columns\\)"),
        (lambda: Router({}), ValueError, "cannot be empty"),
        (lambda: Router({"query": [encoder]}, "document"), ValueError, "not found in route keys"),
        (lambda: Router({"query": [encoder]}, route_mappings={("a", None): "b"}), ValueError, "route_mappings"),
        (lambda: encoder.save("/tmp/unused", safe_serialization=False), NotImplementedError, "safe_serialization"),
    ]:
        with pytest.raises(kind, match=message):
            make()
    with pytest.raises(ImportError, match="CLIPModel is not supported: it embeds images"):
        models.CLIPModel  # noqa: B018


def test_a_module_can_be_saved_and_loaded_by_itself(tmp_path, model, encoder):
    for place, module in enumerate((encoder, Pooling(64, "cls"), Dense(64, 4), LayerNorm(4), Normalize())):
        module.save(tmp_path / str(place))
        again = type(module).load(tmp_path / str(place))
        assert again.get_config_dict() == module.get_config_dict()
    assert (tmp_path / "0" / "model.safetensors").stat().st_nlink == 1, "saved files are copies"
    dense = Dense(64, 4)
    dense.save(tmp_path / "dense")
    again = Dense.load(tmp_path / "dense")
    built = [SentenceTransformer(modules=[encoder, Pooling(64), each]).encode(TEXTS) for each in (dense, again)]
    assert np.array_equal(*built)


def test_programs_import_modules_from_the_places_of_the_reference():
    from maana.base.evaluation import BaseEvaluator
    from maana.base.modules import Transformer as first
    from maana.cross_encoder.model_card import CrossEncoderModelCardData
    from maana.cross_encoder.modules import Transformer as third
    from maana.sentence_transformer.datasets import SentencesDataset
    from maana.sentence_transformer.evaluation import TripletEvaluator
    from maana.sentence_transformer.losses import MatryoshkaLoss
    from maana.sentence_transformer.model import SentenceTransformer as model
    from maana.sentence_transformer.model_card import SentenceTransformerModelCardData
    from maana.sentence_transformer.modules import Transformer as second
    from maana.sentence_transformer.readers import InputExample
    from maana.sentence_transformer.trainer import SentenceTransformerTrainer
    from maana.sentence_transformer.training_args import BatchSamplers

    assert CrossEncoderModelCardData and SentencesDataset and SentenceTransformerModelCardData and InputExample
    assert model is SentenceTransformer and SentenceTransformerTrainer and third is Transformer
    assert first is second is Transformer and MatryoshkaLoss and BatchSamplers and issubclass(TripletEvaluator, BaseEvaluator)


def test_a_cross_encoder_of_modules(encoder, tmp_path):
    head = Dense(64, 2, activation_function=None, module_output_name="scores")
    scorer = CrossEncoder(modules=[encoder, Pooling(64, "cls"), head])
    pairs = [("habari", text) for text in TEXTS]
    rows = scorer.predict(pairs)
    assert rows.shape == (len(TEXTS), 2) and scorer.num_labels == 2
    scorer.save_pretrained(tmp_path / "scorer")
    assert np.array_equal(CrossEncoder(tmp_path / "scorer").predict(pairs), rows)
    assert np.array_equal(pickle.loads(pickle.dumps(scorer)).predict(pairs), rows)
    ready = str(ROOT / "golden" / "cross" / "bert")
    with_head = CrossEncoder(modules=[Transformer(ready, transformer_task="sequence-classification")])
    assert np.array_equal(with_head.predict(pairs), CrossEncoder(ready).predict(pairs))
    reference = pytest.importorskip("sentence_transformers")
    theirs = reference.CrossEncoder(str(tmp_path / "scorer"), device="cpu")
    assert np.abs(theirs.predict(pairs) - rows).max() < 1e-5


def test_a_cross_encoder_of_other_modules_is_refused(encoder):
    from maana.cross_encoder import modules

    for chain, message in [
        ([], "empty"),
        ([encoder, Pooling(64)], "the last is a Dense that computes the scores"),
        ([encoder, Pooling(64), Dense(64, 1)], "scores"),
    ]:
        with pytest.raises(ValueError, match=message):
            CrossEncoder(modules=chain)
    with pytest.raises(ImportError, match="LogitScore is not supported: .*Dense"):
        modules.LogitScore  # noqa: B018
    with pytest.raises(NotImplementedError, match="text-generation.*feature-extraction"):
        Transformer(TINY, transformer_task="text-generation")


def test_modules_are_put_behind_a_model(model):
    longer = SentenceTransformer(TINY)
    assert list(longer.children()) == list(longer)
    longer.add_module("dense", Dense(64, 8))
    assert longer.encode(TEXTS).shape == (len(TEXTS), 8) and len(longer) == len(model) + 1
    assert longer.append(Normalize()) is longer and np.allclose(np.linalg.norm(longer.encode(TEXTS), axis=1), 1)
    with pytest.raises(ValueError, match="32"):
        longer.append(Dense(32, 4))
    again = pickle.loads(pickle.dumps(longer))
    assert len(longer) == len(model) + 2 and np.array_equal(again.encode(TEXTS), longer.encode(TEXTS))

    class Custom(Dense):
        """A module that computes in PyTorch."""

    for module, message in [(Custom(64, 8), "Custom, which computes in PyTorch"), (str, "not one in PyTorch")]:
        with pytest.raises(TypeError, match=message):
            SentenceTransformer(modules=[*model, module])


def test_a_model_of_modules_is_trained(tmp_path, model):
    from maana import SentenceTransformerTrainer, SentenceTransformerTrainingArguments

    built = SentenceTransformer(modules=[StaticEmbedding(model.tokenizer, embedding_dim=16)])
    before = built.encode(TEXTS)
    texts = [f"swali la {number}" for number in range(32)]
    args = SentenceTransformerTrainingArguments(
        str(tmp_path / "run"), num_train_epochs=1, per_device_train_batch_size=16, learning_rate=0.1
    )
    train = {"anchor": texts, "positive": [text.replace("swali", "jibu") for text in texts]}
    assert SentenceTransformerTrainer(built, args, train).train().global_step == 2
    assert not np.array_equal(built.encode("swali"), before[0]) and built[0].embedding_dim == 16
    assert np.array_equal(pickle.loads(pickle.dumps(built)).encode(TEXTS), built.encode(TEXTS))
