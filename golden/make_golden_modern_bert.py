"""Golden numbers of ModernBERT (Sentence Transformers 6.2.0, transformers 5.24.0, CPU, fp32).

Run:  pip install sentence-transformers==6.2.0 transformers==5.24.0
      python make_golden_modern_bert.py

Writes next to this file, for the tests of `maana-model` and `maana-text`:
  modern_bert.json
    configurations   configurations, with the base and the window of each layer as ModernBertConfig resolves them, or its error
    models           small random models with the fields of well-known models, their texts, token ids and embeddings. Weights follow
                     from `noise`, by the sorted names of the tensors
    tokenizers       small tokenizers of byte-level BPE and of the BPE of Gemma, with the ids that they give for some texts
  modern_bert_grads.safetensors   gradients of all parameters of the small models for sum(embeddings * noise(rows * columns, 3)) over
                     the first five texts, by name, with the name of the model in front
  modern_bert_long_grads.safetensors   gradients of one model for a text of 4,063 tokens and sum(embedding * noise(columns, 3)), computed
                     in float64
"""
import json, os, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from noise import fill, noise
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoConfig, AutoTokenizer, ModernBertModel

HERE = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)


def floats(t):
    return [float(f"{x:.7g}") for x in t.double().reshape(-1).tolist()]


# Fields of the configurations of well-known models, of which only sizes differ: what ModernBERT-base, mmBERT, bekko-embedding (a8m)
# and granite-embedding-r2 write, older and newer.
COMMON = {"model_type": "modernbert", "vocab_size": 400, "hidden_size": 24, "num_attention_heads": 4, "intermediate_size": 20,
          "max_position_embeddings": 256}
OLDER = {"architectures": ["ModernBertForMaskedLM"], "attention_bias": False, "attention_dropout": 0.0, "classifier_activation": "gelu",
         "classifier_bias": False, "classifier_dropout": 0.0, "classifier_pooling": "mean", "decoder_bias": True,
         "deterministic_flash_attn": False, "embedding_dropout": 0.0, "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0,
         "gradient_checkpointing": False, "hidden_activation": "gelu", "initializer_cutoff_factor": 2.0, "initializer_range": 0.02,
         "layer_norm_eps": 1e-05, "local_attention": 16, "local_rope_theta": 10000.0, "mlp_bias": False, "mlp_dropout": 0.0,
         "norm_bias": False, "norm_eps": 1e-05, "position_embedding_type": "absolute", "reference_compile": None,
         "sparse_pred_ignore_index": -100, "sparse_prediction": False, "torch_dtype": "float32"}
NEWER = {key: value for key, value in OLDER.items() if not key.endswith("theta")} | {"dtype": "float32", "tie_word_embeddings": True}
ropes = lambda full, sliding: {"full_attention": {"rope_type": "default", "rope_theta": full},
                               "sliding_attention": {"rope_type": "default", "rope_theta": sliding}}
every = lambda n, layers: ["sliding_attention" if i % n else "full_attention" for i in range(layers)]
MODELS = {
    "ModernBERT-base": OLDER | {"num_hidden_layers": 4, "bos_token_id": 285, "cls_token_id": 285, "eos_token_id": 286,
                                "sep_token_id": 286, "pad_token_id": 287},
    "mmBERT-small": NEWER | {"num_hidden_layers": 4, "bos_token_id": 2, "cls_token_id": 1, "eos_token_id": 1, "sep_token_id": 1,
                             "pad_token_id": 0, "mask_token_id": 4, "position_embedding_type": "sans_pos", "global_rope_theta": None,
                             "local_rope_theta": None, "rope_theta": None, "layer_types": every(3, 4),
                             "rope_parameters": ropes(160000, 160000)},
    "bekko-embedding-a8m": OLDER | {"architectures": ["ModernBertModel"], "num_hidden_layers": 2, "bos_token_id": 2, "cls_token_id": 1,
                                    "eos_token_id": 1, "sep_token_id": 1, "pad_token_id": 0, "mask_token_id": 4,
                                    "position_embedding_type": "sans_pos", "local_rope_theta": 160000.0, "max_position_embeddings": 4096},
    "granite-embedding-r2": OLDER | {"architectures": ["ModernBertModel"], "num_hidden_layers": 3, "classifier_pooling": "cls",
                                     "bos_token_id": 285, "cls_token_id": 285, "eos_token_id": 286, "sep_token_id": 286,
                                     "pad_token_id": 287, "hidden_activation": "silu", "global_rope_theta": 80000.0},
    "with biases": NEWER | {"architectures": ["ModernBertModel"], "num_hidden_layers": 3, "attention_bias": True, "mlp_bias": True,
                            "norm_bias": True, "pad_token_id": 0, "local_attention": 7,
                            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
                            "rope_parameters": ropes(80000.0, 10000.0)},
}
GEMMA = {"mmBERT-small", "bekko-embedding-a8m"}
CLS = {"granite-embedding-r2", "mmBERT-small"}
TEXTS = ["the house of the king", "", "Habari ya asubuhi, mwalimu?\n\n  Nzuri.", "water " * 30 + "and the sea",
         "north and south and east and west, " * 4 + "the king"]


# For one model, to see that angles of far positions are those of the reference.
LONG = "the water and the king " * 580


def configurations():
    base = {"model_type": "modernbert", "vocab_size": 400, "hidden_size": 24, "num_attention_heads": 4, "intermediate_size": 20,
            "num_hidden_layers": 4, "max_position_embeddings": 256, "pad_token_id": 0}
    yield base
    for model in MODELS.values():
        yield COMMON | model
    for change in [
        {"global_attn_every_n_layers": 1}, {"global_attn_every_n_layers": 2, "local_attention": 9},
        {"global_attn_every_n_layers": 0}, {"global_attn_every_n_layers": None}, {"local_attention": 0},
        {"layer_types": every(2, 4), "global_attn_every_n_layers": 3}, {"layer_types": every(2, 3)}, {"layer_types": every(2, 5)},
        {"layer_types": ["attention"] * 4}, {"layer_types": ["local"] * 4}, {"layer_types": ["chunked_attention"] * 4},
        {"layer_types": None}, {"rope_parameters": None, "global_rope_theta": 5e4},
        {"rope_parameters": ropes(1e6, 2e4), "global_rope_theta": 160000.0, "local_rope_theta": 10000.0},
        {"rope_parameters": {"full_attention": {"rope_type": "default"}}, "global_rope_theta": 7e4, "local_rope_theta": 3e4},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
        {"rope_parameters": {"full_attention": None, "sliding_attention": {"rope_theta": 123.0}}},
        {"rope_parameters": {"full_attention": {"rope_theta": None}}},
        {"global_rope_theta": None}, {"local_rope_theta": None},
        {"layer_types": ["full_attention"] * 4, "local_rope_theta": None},
        {"rope_scaling": None}, {"hidden_size": 20}, {"hidden_size": 25}, {"norm_eps": 1e-3, "layer_norm_eps": 1e-12},
    ]:
        yield base | change


def resolved(config):
    """The layers of a configuration, by making the model, as some errors come only then."""
    with tempfile.TemporaryDirectory() as place:
        json.dump(config, open(os.path.join(place, "config.json"), "w"))
        try:
            read = AutoConfig.from_pretrained(place)
            model = ModernBertModel(read).eval()
            model(input_ids=torch.tensor([[1, 2, 3]]))
        except Exception as error:
            return {"config": config, "error": f"{type(error).__name__}: {str(error)[:120]}"}
        layers = [{"rope_theta": float(read.rope_parameters[kind]["rope_theta"]),
                   "window": read.sliding_window if kind == "sliding_attention" else None} for kind in read.layer_types]
        return {"config": config, "layers": layers}


def special(i, content, **flags):
    return {"id": i, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": True} | flags


def template(before, after, ids):
    part = lambda token: {"SpecialToken": {"id": token, "type_id": 0}}
    sequence = lambda name: {"Sequence": {"id": name, "type_id": 0}}
    return {"type": "TemplateProcessing", "single": [part(before), sequence("A"), part(after)],
            "pair": [part(before), sequence("A"), part(after), sequence("B"), part(after)],
            "special_tokens": {token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in {before, after}}}


def byte_level():
    """The tokenizer of ModernBERT: NFC, byte-level BPE without a space in front, [CLS] and [SEP], and tokens for runs of spaces."""
    pieces = ["|||IP_ADDRESS|||", "  ", "   "] + sorted(ByteLevel.alphabet())
    merges = ["t h", "th e", "Ġ the", "Ġ h", "o u", "s e", "ou se", "Ġh ouse", "w a", "wa t", "wat e", "wate r", "Ġ water", "k i", "n g", "Ġ k",
              "Ġk i", "Ġki ng", "a n", "an d", "Ġ and", "e a", "s t", "ea st", "w e"]
    vocab = {}
    for piece in pieces + [merge.replace(" ", "") for merge in merges]:
        vocab.setdefault(piece, len(vocab))
    tokens = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    ids = {token: len(vocab) + i for i, token in enumerate(tokens)}
    added = [special(vocab["|||IP_ADDRESS|||"], "|||IP_ADDRESS|||", special=False, normalized=True)]
    added += [special(vocab[run], run, special=False, normalized=True) for run in ["  ", "   "]]
    added += [special(ids[token], token, lstrip=token == "[MASK]") for token in tokens]
    description = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": template("[CLS]", "[SEP]", ids),
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "vocab": vocab, "merges": [merge.split(" ") for merge in merges]}}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": True, "model_max_length": 8192,
              "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]", "unk_token": "[UNK]",
              "model_input_names": ["input_ids", "attention_mask"],
              "added_tokens_decoder": {str(token["id"]): {k: v for k, v in token.items() if k != "id"} for token in added}}
    return description, config


def gemma():
    """The tokenizer of mmBERT, from Gemma 2: spaces become ▁, BPE of the whole text with bytes for unknown letters, <bos> and <eos>,
    and tokens for line feeds and runs of spaces."""
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    runs = ["\n", "\n\n", "▁▁", "▁▁▁"]
    letters = list("▁abcdefghijklmnopqrstuvwxyzHN,.?é")
    merges = ["t h", "th e", "▁ the", "▁ h", "o u", "s e", "ou se", "▁h ouse", "w a", "wa t", "wat e", "wate r", "▁ water", "k i", "n g", "▁ k",
              "▁k i", "▁ki ng", "a n", "an d", "▁ and", "e a", "s t", "ea st", "w e", "▁ ▁", "▁▁ ▁"]
    vocab = {}
    pieces = tokens + runs + [f"<0x{byte:02X}>" for byte in range(256)] + letters + [merge.replace(" ", "") for merge in merges]
    for piece in pieces:
        vocab.setdefault(piece, len(vocab))
    added = [special(vocab[token], token) for token in tokens] + [special(vocab[run], run, special=False) for run in runs]
    description = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
        "post_processor": template("<bos>", "<eos>", vocab),
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                                                     {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": True, "byte_fallback": True, "ignore_merges": False, "vocab": vocab,
                  "merges": [merge.split(" ") for merge in merges]}}
    config = {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True, "add_eos_token": True, "padding_side": "right",
              "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>",
              "cls_token": "<bos>", "sep_token": "<eos>", "clean_up_tokenization_spaces": False, "spaces_between_special_tokens": False,
              "model_max_length": 1000000000000000019884624838656,
              "added_tokens_decoder": {str(token["id"]): {k: v for k, v in token.items() if k != "id"} for token in added}}
    return description, config


STRINGS = TEXTS[:3] + ["the house ", " the house", "the  house\tand   water", "[MASK] <mask> the [SEP] <eos>", "Ünïcode 日本 e\u0301",
                       "water\n\nwater\n", "a<bos>b", "   ", "\u2581\u2581the"]


def tokenizers():
    cases = [("byte-level", *byte_level()), ("Gemma", *gemma())]
    for field, value in [("add_eos_token", False), ("add_bos_token", None), ("padding_side", "left"), ("tokenizer_class", "PreTrainedTokenizerFast"),
                         ("tokenizer_class", None), ("tokenizer_class", "GemmaTokenizerFast")]:
        description, config = gemma()
        config.pop(field)
        cases.append((f"Gemma, {field} {value}", description, config | ({} if value is None else {field: value})))
    description, config = byte_level()
    description["pre_tokenizer"]["add_prefix_space"] = True
    cases.append(("byte-level of another class", description, config | {"tokenizer_class": "RobertaTokenizer"}))
    description, config = gemma()
    description["post_processor"] = None
    cases.append(("Gemma without post_processor", description, config))
    for name, description, config in cases:
        with tempfile.TemporaryDirectory() as place:
            json.dump(description, open(os.path.join(place, "tokenizer.json"), "w"))
            json.dump(config, open(os.path.join(place, "tokenizer_config.json"), "w"))
            json.dump(COMMON | MODELS["mmBERT-small"], open(os.path.join(place, "config.json"), "w"))
            tokenizer = AutoTokenizer.from_pretrained(place)
            ids = [tokenizer(text)["input_ids"] for text in STRINGS]
            # Padding is no part of an embedding, whatever its side.
            print(name, type(tokenizer).__name__, ids[0])
        yield {"name": name, "config": config, "description": description, "texts": STRINGS, "ids": ids}


def models(gradients):
    for name, fields in MODELS.items():
        description, config = gemma() if name in GEMMA else byte_level()
        with tempfile.TemporaryDirectory() as place:
            json.dump(description, open(os.path.join(place, "tokenizer.json"), "w"))
            json.dump(config, open(os.path.join(place, "tokenizer_config.json"), "w"))
            json.dump(COMMON | fields, open(os.path.join(place, "config.json"), "w"))
            model = ModernBertModel(AutoConfig.from_pretrained(place)).eval()
            fill(model)
            model.save_pretrained(place)
            json.dump(COMMON | fields, open(os.path.join(place, "config.json"), "w"))
            transformer = Transformer(place)
            pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="cls" if name in CLS else "mean")
            sentences = SentenceTransformer(modules=[transformer, pooling, Normalize()], device="cpu").eval()
            rows, texts = [], TEXTS + [LONG] * (name == "bekko-embedding-a8m")
            for text in texts:
                # One text at a time: without padding there is no mask.
                rows.append(sentences(sentences.preprocess([text]))["sentence_embedding"][0])
            ids = [sentences.tokenizer(text)["input_ids"] for text in texts]
            padded = torch.tensor(sentences.encode(texts, batch_size=8))
            embeddings = torch.stack(rows)
            assert (padded - embeddings).abs().max() < 1e-5, "padding changes nothing"
            # Without the long text, whose gradients are sums of thousands of rounded numbers.
            short = embeddings[:len(TEXTS)]
            (short * torch.from_numpy(noise(short.numel(), 3)).reshape(short.shape)).sum().backward()
            for parameter, value in transformer.auto_model.named_parameters():
                gradients[f"{name}/{parameter}"] = value.grad.contiguous()
            print(name, [len(text) for text in ids], embeddings[0, :3].tolist())
        yield {"name": name, "config": COMMON | fields, "tokenizer": "Gemma" if name in GEMMA else "byte-level",
               "pooling": "cls" if name in CLS else "mean", "texts": texts, "ids": ids,
               "embeddings": [floats(row.detach()) for row in rows]}


def long_gradients(name="bekko-embedding-a8m"):
    """Gradients of a long text in float64: in float32 they are sums of thousands of rounded numbers."""
    description, config = gemma()
    with tempfile.TemporaryDirectory() as place:
        for file, content in [("tokenizer.json", description), ("tokenizer_config.json", config), ("config.json", COMMON | MODELS[name])]:
            json.dump(content, open(os.path.join(place, file), "w"))
        ids = torch.tensor([AutoTokenizer.from_pretrained(place)(LONG)["input_ids"]])
        found = {}
        for dtype in [torch.float32, torch.float64]:
            torch.set_default_dtype(dtype)
            model = ModernBertModel(AutoConfig.from_pretrained(place, attn_implementation="eager")).eval()
            fill(model)
            embedding = torch.nn.functional.normalize(model(input_ids=ids).last_hidden_state.mean(1), dim=1)
            (embedding[0] * torch.from_numpy(noise(embedding.numel(), 3)).to(dtype)).sum().backward()
            found[dtype] = {key: value.grad.clone() for key, value in model.named_parameters()}
        torch.set_default_dtype(torch.float32)
        apart = {key: (found[torch.float32][key] - value).abs().max().item() for key, value in found[torch.float64].items()}
        print("float32 differs from float64 by", max(apart.values()), "of", max(v.abs().max().item() for v in found[torch.float64].values()))
    save_file({key: value.float().contiguous() for key, value in found[torch.float64].items()},
              os.path.join(HERE, "modern_bert_long_grads.safetensors"))


def main():
    long_gradients()
    gradients = {}
    result = {"configurations": [resolved(config) for config in configurations()], "models": list(models(gradients)), "tokenizers": list(tokenizers())}
    for case in result["configurations"]:
        print(case.get("error") or case["layers"])
    save_file(gradients, os.path.join(HERE, "modern_bert_grads.safetensors"))
    with open(os.path.join(HERE, "modern_bert.json"), "w", encoding="utf-8") as file:
        json.dump(result, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


main()
