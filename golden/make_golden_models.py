"""Golden numbers of folders that differ from tiny-bert in one setting (Sentence Transformers 6.2.0, transformers 5.24.0, CPU, fp32).

Run:  pip install sentence-transformers==6.2.0 transformers==5.24.0
      python make_golden_models.py

Writes models.json beside this file, which the tests of `maana-model` and `maana-text` read:
  texts       the strings that are encoded
  dense       weight (8 x 64) and bias of a Dense module, for the variants that have one
  variants    each with the changes that make it from tiny-bert (file -> field -> value, null removes a field), what is done to its
              weights, and the embeddings that the reference gives for the texts
  tokenizers  small tokenizer.json descriptions with the class that reads them, and the ids that it gives for some texts
"""
import json, os, shutil, sys, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = os.path.join(HERE, "tiny-bert")
torch.manual_seed(7)
torch.set_num_threads(1)

TEXTS = [
    "The House of the king and the water of the river ",
    "[PAD] Éa [SEP] 日本 the [PAD] sea",
]
DENSE = {"weight": torch.randn(8, 64) / 4, "bias": torch.randn(8) / 4}


def edit(path, changes):
    fields = json.load(open(path)) if os.path.exists(path) else {}
    for pointer, value in changes.items():
        place, keys = fields, pointer.split("/")
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        if value is None:
            place.pop(keys[-1], None)
        else:
            place[keys[-1]] = value
    json.dump(fields, open(path, "w"))


def floats(t):
    return [float(f"{x:.6g}") for x in t.double().reshape(-1).tolist()]


def build(folder, variant):
    shutil.copytree(TINY, folder)
    for name, changes in variant.get("changes", {}).items():
        edit(os.path.join(folder, name), changes)
    weights = os.path.join(folder, "model.safetensors")
    tensors = load_file(weights)
    if "legacy" in variant:
        norm = lambda n: n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        tensors = {variant["legacy"] + norm(n): t for n, t in tensors.items()}
    if variant.get("dtype") == "F64":
        tensors = {n: t.double() for n, t in tensors.items()}
    save_file(tensors, weights, metadata={"format": "pt"})
    if "dense" in variant:
        place = os.path.join(folder, "2_Dense")
        os.mkdir(place)
        config = {"in_features": 64, "out_features": 8, "bias": True}
        if variant["dense"]:
            config["activation_function"] = variant["dense"]
        json.dump(config, open(os.path.join(place, "config.json"), "w"))
        save_file({f"linear.{n}": t.contiguous() for n, t in DENSE.items()}, os.path.join(place, "model.safetensors"))
        modules = json.load(open(os.path.join(folder, "modules.json")))
        modules[2] = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
        json.dump(modules, open(os.path.join(folder, "modules.json"), "w"))


def variants():
    yield {"name": "as it is"}
    for name in ["gelu_python", "gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate", "relu", "silu",
                 "swish", "tanh", "sigmoid", "linear"]:
        yield {"name": f"hidden_act {name}", "changes": {"config.json": {"hidden_act": name}}}
    for prefix in ["", "bert."]:
        yield {"name": f"gamma and beta, prefix '{prefix}'", "legacy": prefix}
    yield {"name": "F64 weights", "dtype": "F64"}
    yield {"name": "layer_norm_eps", "changes": {"config.json": {"layer_norm_eps": 0.01}}}
    for family in ["roberta", "camembert", "xlm-roberta"]:
        yield {"name": f"{family}, with its padding token in a text",
               "changes": {"config.json": {"model_type": family, "architectures": None}}}
    for activation in ["modules.activation.Tanh", "Sigmoid", "SiLU", "GELU", "ReLU", "Identity", None]:
        yield {"name": f"Dense {activation}", "dense": activation and f"torch.nn.{activation}"}
    token = lambda **fields: {"tokenizer_config.json": fields}
    short = {"sentence_bert_config.json": {"max_seq_length": 6}}
    yield {"name": "max_seq_length", "changes": short}
    yield {"name": "model_max_length", "changes": token(model_max_length=7)}
    yield {"name": "truncation_side left", "changes": token(truncation_side="left") | short}
    direction = {"direction": "Left", "max_length": 9, "strategy": "LongestFirst", "stride": 0}
    yield {"name": "truncation.direction Left", "changes": {"tokenizer.json": {"truncation": direction}} | short}
    yield {"name": "truncation_side right wins", "changes":
           token(truncation_side="right") | {"tokenizer.json": {"truncation": direction}} | short}
    yield {"name": "do_lower_case false", "changes": token(do_lower_case=False)}
    yield {"name": "do_lower_case not said", "changes":
           token(do_lower_case=None) | {"tokenizer.json": {"normalizer/lowercase": False}}}
    yield {"name": "do_lower_case of sentence_bert_config.json", "changes":
           token(do_lower_case=False) | {"sentence_bert_config.json": {"do_lower_case": True}}}
    yield {"name": "strip_accents false", "changes": token(strip_accents=False)}
    yield {"name": "tokenize_chinese_chars false", "changes": token(tokenize_chinese_chars=False)}
    yield {"name": "split_special_tokens", "changes": token(split_special_tokens=True)}
    yield {"name": "additional_special_tokens", "changes": token(additional_special_tokens=["the"])}
    added = {"content": "the", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    yield {"name": "added_tokens_decoder", "added": "the", "changes": token(added_tokens_decoder={"ID": added})}
    yield {"name": "no post_processor", "changes": {"tokenizer.json": {"post_processor": None}}}
    yield {"name": "another class takes tokenizer.json as it is", "changes":
           token(tokenizer_class="PreTrainedTokenizerFast", do_lower_case=False, strip_accents=False)}
    yield {"name": "padding of tokenizer.json", "changes": {"tokenizer.json": {"padding": {
        "strategy": {"Fixed": 20}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "[PAD]"}}}}
    for mode in ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", ["mean", "cls"]]:
        yield {"name": f"pooling_mode {mode}", "changes": {"1_Pooling/config.json": {"pooling_mode": mode}}}
    yield {"name": "default prompt", "changes": {"config_sentence_transformers.json":
           {"prompts": {"p": "the sea: "}, "default_prompt_name": "p"}}}
    yield {"name": "default prompt, left out of the mean", "changes": {
        "config_sentence_transformers.json": {"prompts": {"p": "the sea: "}, "default_prompt_name": "p"},
        "1_Pooling/config.json": {"pooling_mode": "mean", "include_prompt": False}}}


def encoded():
    for variant in variants():
        if "added" in variant:
            vocabulary = json.load(open(os.path.join(TINY, "tokenizer.json")))["model"]["vocab"]
            decoder = variant["changes"]["tokenizer_config.json"]["added_tokens_decoder"]
            decoder[str(vocabulary[variant.pop("added")])] = decoder.pop("ID")
            for special in ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]:
                decoder[str(vocabulary[special])] = {"content": special, "single_word": False, "lstrip": False, "rstrip": False,
                                                     "normalized": False, "special": True}
        with tempfile.TemporaryDirectory() as place:
            folder = os.path.join(place, "model")
            build(folder, variant)
            model = SentenceTransformer(folder, device="cpu")
            rows = [floats(torch.tensor(model.encode([text])[0])) for text in TEXTS]
        print(variant["name"], rows[0][:2], file=sys.stderr)
        yield variant | {"embeddings": rows}


SPACES = ["habari", "habari ", " habari", "habari  yako", "habari\tyako\n", "yako habari yako  ", " ", ""]


def unigram(normalizer, pre_tokenizer):
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁habari", "▁yako", "habari", "a", "b", "h", "i", "k", "o", "r", "y"]
    special = lambda i, c: {"id": i, "content": c, "single_word": False, "lstrip": c == "<mask>", "rstrip": False,
                            "normalized": False, "special": True}
    vocab = [[p, 0.0 if i < 4 else -2.0 - i / 8] for i, p in enumerate(pieces)] + [["<mask>", 0.0]]
    frame = lambda t: {"SpecialToken": {"id": t, "type_id": 0}}
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [special(i, vocab[i][0]) for i in [0, 1, 2, 3, 16]],
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "decoder": None,
            "post_processor": {"type": "TemplateProcessing", "single": [frame("<s>"), {"Sequence": {"id": "A", "type_id": 0}},
                               frame("</s>")], "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                               "special_tokens": {t: {"id": t, "ids": [i], "tokens": [t]} for t, i in [("<s>", 0), ("</s>", 2)]}},
            "model": {"type": "Unigram", "unk_id": 3, "vocab": vocab, "byte_fallback": False}}


def byte_level(prefix_space):
    from tokenizers.pre_tokenizers import ByteLevel
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    vocab = {t: i for i, t in enumerate(special + sorted(ByteLevel.alphabet()) + ["Ġh", "ha"])}
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": i, "content": t, "single_word": False, "lstrip": t == "<mask>", "rstrip": False,
                              "normalized": False, "special": True} for i, t in enumerate(special)],
            "normalizer": None, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": prefix_space, "trim_offsets": True,
                                                  "use_regex": True},
            "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True,
                               "add_prefix_space": prefix_space},
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
                      "fuse_unk": False, "byte_fallback": False, "vocab": vocab, "merges": [["Ġ", "h"], ["h", "a"]]}}


def tokenizers():
    space = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    shapes = {
        "as older converters wrote it": (None, {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, space]}),
        "as converters of 2022 wrote it": ({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}, space),
        "as converters since 2023 write it": ({"type": "Sequence", "normalizers": [
            {"type": "Strip", "strip_left": False, "strip_right": True},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]}, space),
    }
    cases = [(f"Unigram {name}", "XLMRobertaTokenizer", {}, unigram(*shape)) for name, shape in shapes.items()]
    cases += [("as written", "PreTrainedTokenizerFast", {}, unigram(*shapes["as converters of 2022 wrote it"]))]
    for prefix, config in [(True, {}), (False, {"add_prefix_space": True})]:
        cases.append((f"ByteLevel {prefix}, class {config}", "RobertaTokenizer", config, byte_level(prefix)))
    for name, cls, config, description in cases:
        with tempfile.TemporaryDirectory() as place:
            json.dump(description, open(os.path.join(place, "tokenizer.json"), "w"))
            fields = {"tokenizer_class": cls, "model_max_length": 512} | config
            json.dump(fields, open(os.path.join(place, "tokenizer_config.json"), "w"))
            model_type = "roberta" if cls == "RobertaTokenizer" else "xlm-roberta"
            json.dump({"model_type": model_type}, open(os.path.join(place, "config.json"), "w"))
            tokenizer = AutoTokenizer.from_pretrained(place)
            ids = [tokenizer(text)["input_ids"] for text in SPACES]
        print(name, ids, file=sys.stderr)
        yield {"name": name, "config": fields, "description": description, "texts": SPACES, "ids": ids}


result = {
    "texts": TEXTS,
    "dense": {name: floats(tensor) for name, tensor in DENSE.items()},
    "variants": list(encoded()),
    "tokenizers": list(tokenizers()),
}
with open(os.path.join(HERE, "models.json"), "w", encoding="utf-8") as f:
    json.dump(result, f, ensure_ascii=True, separators=(",", ":"))
    f.write("\n")
