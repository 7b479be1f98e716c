"""Golden numbers of cross-encoders (Sentence Transformers 6.2.0, transformers 5.24.0, torch 2.15.0, CPU, fp32).

Run:  pip install sentence-transformers==6.2.0 transformers==5.24.0
      python make_golden_cross.py

What it writes beside this file, which the tests of `maana-text`, `maana-model` and `maana-train` read:
  cross/NAME/              a tiny cross-encoder of each family with random weights, saved by Sentence Transformers 6.2.0
  cross_grads.safetensors  for each of them the gradient of every parameter, NAME/PARAMETER, of sum(logits * upstream)
  cross.json:
    pairs       the pairs of texts that are scored, and the upstream gradient of a pair with one and with three labels
    models      of each folder: the names of labels, the largest number of tokens, logits and scores
    older       of `bert`, other activations as versions before 6.0 wrote them into config.json, with their scores
    tokenizers  small tokenizer.json descriptions with the class that reads them, and the ids and segments of pairs
"""
import json, os, shutil, sys, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from safetensors.torch import save_file
from sentence_transformers import CrossEncoder
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "cross")
torch.set_num_threads(1)

PAIRS = [
    ["habari yako", "habari ya asubuhi rafiki yangu"],
    ["habari yako", "mto"],
    ["", "habari ya mto"],
    ["rafiki", ""],
    ["", ""],
    ["habari ya mto na rafiki yangu leo asubuhi sana", "habari ya mto na rafiki yangu leo asubuhi sana, mto ni mkubwa"],
    ["Mto ni mkubwa.", "habari " * 40],
    ["yako " * 40, "mto"],
    ["habari [SEP] </s> yako", "Yako, habari!"],
]
WORDS = ["habari", "ya", "yako", "asubuhi", "rafiki", "yangu", "mto", "na", "leo", "sana", "ni", "mkubwa", ",", ".", "!", "[", "]",
         "<", ">", "/", "s", "sep", "##ri", "##ki", "##bari", "ha", "m", "##to"]


def floats(t):
    return [float(f"{x:.8g}") for x in t.detach().double().reshape(-1).tolist()]


def special(i, c, **flags):
    return {"id": i, "content": c, "single_word": False, "lstrip": c == "<mask>", "rstrip": False, "normalized": False,
            "special": True} | flags


def frame(token, segment=0):
    return {"SpecialToken": {"id": token, "type_id": segment}}


def text(name, segment=0):
    return {"Sequence": {"id": name, "type_id": segment}}


def template(cls, sep, ids, segment=1):
    return {"type": "TemplateProcessing", "single": [frame(cls), text("A"), frame(sep)],
            "pair": [frame(cls), text("A"), frame(sep), text("B", segment), frame(sep, segment)],
            "special_tokens": {t: {"id": t, "ids": [i], "tokens": [t]} for t, i in zip([cls, sep], ids)}}


def word_piece(specials, post_processor):
    vocab = {t: i for i, t in enumerate(specials + WORDS)}
    unknown = next(t for t in specials if "unk" in t.lower())
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [special(i, t) for i, t in enumerate(specials)],
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                           "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": post_processor,
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {"type": "WordPiece", "unk_token": unknown, "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                      "vocab": vocab}}


BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MPNET = ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"]
LETTERS = "abcdefghijklmnoprstuwyz.,![]/<>"


def unigram(post_processor):
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁"] + ["▁" + w for w in WORDS[:12]] + list(LETTERS)
    vocab = [[p, 0.0 if i < 4 else -2.0 - i / 8] for i, p in enumerate(pieces)] + [["<mask>", 0.0]]
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [special(i, vocab[i][0]) for i in [0, 1, 2, 3, len(vocab) - 1]], "normalizer": None,
            "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
            "decoder": None, "post_processor": post_processor,
            "model": {"type": "Unigram", "unk_id": 3, "vocab": vocab, "byte_fallback": False}}


def byte_level(specials, post_processor):
    vocab = {t: i for i, t in enumerate(specials + list(LETTERS) + ["Ġ", "ha", "Ġy"])}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [special(i, t) for i, t in enumerate(specials)],
            "normalizer": None,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            "post_processor": post_processor,
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
                      "fuse_unk": False, "byte_fallback": False, "vocab": vocab, "merges": [["h", "a"], ["Ġ", "y"]]}}


ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
PROCESSOR = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True, "add_prefix_space": False}
NO_PAIR = {**template("<s>", "</s>", [0, 2]), "pair": [text("A"), text("B")]}
FAST = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]",
        "sep_token": "[SEP]", "mask_token": "[MASK]"}
NAMES = {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}
# Of each: name, model_type, tokenizer_config.json, tokenizer.json.
TOKENIZERS = [
    ("bert", "bert", {"tokenizer_class": "BertTokenizer"}, word_piece(BERT, template("[CLS]", "[SEP]", [2, 3]))),
    ("bert without post_processor", "bert", {"tokenizer_class": "BertTokenizerFast"}, word_piece(BERT, None)),
    ("bert, cut at the left", "bert", {"tokenizer_class": "BertTokenizer", "truncation_side": "left"},
     word_piece(BERT, template("[CLS]", "[SEP]", [2, 3]))),
    ("bert without segments by its list of inputs", "bert",
     {"tokenizer_class": "BertTokenizer", "model_input_names": ["input_ids", "attention_mask"]},
     word_piece(BERT, template("[CLS]", "[SEP]", [2, 3]))),
    ("no class", "bert", {}, word_piece(BERT, template("[CLS]", "[SEP]", [2, 3]))),
    ("distilbert", "distilbert", {"tokenizer_class": "DistilBertTokenizer"}, word_piece(BERT, template("[CLS]", "[SEP]", [2, 3]))),
    ("mpnet", "mpnet", {"tokenizer_class": "MPNetTokenizer"}, word_piece(MPNET, PROCESSOR)),
    ("roberta", "roberta", {"tokenizer_class": "RobertaTokenizer"}, byte_level(ROBERTA, PROCESSOR)),
    ("xlm-roberta", "xlm-roberta", {"tokenizer_class": "XLMRobertaTokenizer"}, unigram(NO_PAIR)),
    ("camembert", "camembert", {"tokenizer_class": "CamembertTokenizer"}, unigram(NO_PAIR)),
    ("modernbert", "modernbert", FAST, byte_level(BERT, template("[CLS]", "[SEP]", [2, 3], segment=0))),
    ("any class, with segments", "bert", FAST | NAMES, byte_level(BERT, template("[CLS]", "[SEP]", [2, 3]))),
]


def tokenizers():
    for name, model_type, config, description in TOKENIZERS:
        with tempfile.TemporaryDirectory() as place:
            config = config | {"model_max_length": 512}
            json.dump(description, open(os.path.join(place, "tokenizer.json"), "w"))
            json.dump(config, open(os.path.join(place, "tokenizer_config.json"), "w"))
            json.dump({"model_type": model_type}, open(os.path.join(place, "config.json"), "w"))
            tokenizer = AutoTokenizer.from_pretrained(place)
            pairs = []
            for texts in PAIRS:
                for max_length in [512, 24, 13, 12, 6]:
                    out = tokenizer([texts], truncation="longest_first", max_length=max_length)
                    ids = out["input_ids"][0]
                    segments = out["token_type_ids"][0] if "token_type_ids" in out else [0] * len(ids)
                    pairs.append({"texts": texts, "max_length": max_length, "ids": ids, "segments": segments})
        print(name, type(tokenizer).__name__, pairs[0]["ids"], pairs[0]["segments"], file=sys.stderr)
        if "tokenizer_class" not in config:
            config = config | {"tokenizer_class": type(tokenizer).__name__}
        yield {"name": name, "config": config, "description": description, "pairs": pairs}


SHAPE = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=40,
             hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
DISTIL = dict(dim=16, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=40, dropout=0.0, attention_dropout=0.0)
MODERN = dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24, max_position_embeddings=64,
              local_attention=8, global_attn_every_n_layers=2, pad_token_id=0, cls_token_id=2, sep_token_id=3, bos_token_id=2,
              eos_token_id=3)
# Of each folder: name, tokenizer, labels, fields of the configuration.
MODELS = [
    ("bert", "bert", ["LABEL_0"], SHAPE | {"type_vocab_size": 2}),
    ("bert-classes", "bert", ["contradiction", "entailment", "neutral"], SHAPE | {"type_vocab_size": 2, "classifier_dropout": 0.3}),
    ("roberta", "roberta", ["LABEL_0"], SHAPE | {"type_vocab_size": 1, "max_position_embeddings": 42}),
    ("xlm-roberta", "xlm-roberta", ["LABEL_0"], SHAPE | {"type_vocab_size": 1, "max_position_embeddings": 42}),
    ("camembert", "camembert", ["a", "b", "c"], SHAPE | {"type_vocab_size": 1, "max_position_embeddings": 42}),
    ("distilbert", "distilbert", ["LABEL_0"], DISTIL),
    ("mpnet", "mpnet", ["LABEL_0"], SHAPE | {"max_position_embeddings": 42}),
    ("modernbert", "modernbert", ["LABEL_0"], MODERN | {"classifier_pooling": "cls"}),
    ("modernbert-mean", "modernbert", ["a", "b", "c"], MODERN | {"classifier_pooling": "mean", "classifier_bias": True, "norm_bias": True}),
]
UPSTREAM = {labels: torch.randn(len(PAIRS), labels, generator=torch.Generator().manual_seed(5)) for labels in (1, 3)}


def save_model(name, tokenizer_name, labels, fields):
    """Builds a cross-encoder of random weights, whose head is large enough that scores differ."""
    _, model_type, tokenizer_config, description = next(t for t in TOKENIZERS if t[0] == tokenizer_name)
    vocab = description["model"]["vocab"]
    # Some classes add tokens of their own to the vocabulary.
    config = AutoConfig.for_model(model_type, vocab_size=len(vocab) + 4, id2label=dict(enumerate(labels)),
                                  label2id={label: i for i, label in enumerate(labels)}, **fields)
    config.architectures = None
    torch.manual_seed(len(name))
    model = AutoModelForSequenceClassification.from_config(config).eval()
    for parameter in model.parameters():
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.3)
        elif parameter.dim() == 1:
            torch.nn.init.normal_(parameter, mean=float(parameter.mean().round()), std=0.1)
    with tempfile.TemporaryDirectory() as place:
        model.save_pretrained(place)
        longest = fields["max_position_embeddings"] - (2 if model_type in ("roberta", "xlm-roberta", "camembert", "mpnet") else 0)
        json.dump(description, open(os.path.join(place, "tokenizer.json"), "w"))
        json.dump(tokenizer_config | {"model_max_length": longest}, open(os.path.join(place, "tokenizer_config.json"), "w"))
        cross_encoder = CrossEncoder(place, device="cpu", local_files_only=True)
    cross_encoder.save_pretrained(os.path.join(OUT, name), create_model_card=False)


def load(name):
    return CrossEncoder(os.path.join(OUT, name), device="cpu", local_files_only=True)


def each(cross_encoder, **options):
    """Scores each pair by itself, without padding."""
    return torch.cat([torch.tensor(cross_encoder.predict([pair], **options)).reshape(1, -1) for pair in PAIRS])


def gradients(cross_encoder, labels):
    model = cross_encoder.model
    model.zero_grad()
    length = cross_encoder.max_seq_length
    for pair, upstream in zip(PAIRS, UPSTREAM[labels]):
        inputs = cross_encoder.tokenizer([pair], return_tensors="pt", truncation="longest_first", max_length=length)
        if "token_type_ids" in inputs and cross_encoder.model.config.model_type == "distilbert":
            del inputs["token_type_ids"]
        (model(**inputs).logits[0] * upstream).sum().backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def models():
    all_gradients = {}
    for name, tokenizer_name, labels, fields in MODELS:
        save_model(name, tokenizer_name, labels, fields)
        cross_encoder = load(name)
        logits = each(cross_encoder, activation_fn=torch.nn.Identity())
        scores = each(cross_encoder)
        for parameter, gradient in gradients(cross_encoder, len(labels)).items():
            all_gradients[f"{name}/{parameter}"] = gradient.contiguous()
        print(name, cross_encoder.max_seq_length, logits[:3].flatten().tolist(), file=sys.stderr)
        yield {"name": name, "labels": labels, "max_length": cross_encoder.max_seq_length, "logits": floats(logits),
               "scores": floats(scores)}
    save_file(all_gradients, os.path.join(HERE, "cross_grads.safetensors"))


def older():
    """Plain folders as versions 2 to 5 wrote them: only config.json names the activation."""
    cases = [
        ("none", {}),
        ("before 4.0", {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}),
        ("since 4.0", {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Tanh", "version": "5.1.0"}}),
        ("both", {"sbert_ce_default_activation_function": "torch.nn.modules.activation.Tanh",
                  "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}),
        ("a class of somebody", {"sentence_transformers": {"activation_fn": "somebody.Activation"}}),
    ]
    for folder in ["bert", "bert-classes"]:
        for name, fields in cases + [("softmax", {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Softmax"}})]:
            with tempfile.TemporaryDirectory() as place:
                for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]:
                    shutil.copy(os.path.join(OUT, folder, file), place)
                path = os.path.join(place, "config.json")
                config = json.load(open(path))
                config.pop("sentence_transformers", None)
                json.dump(config | fields, open(path, "w"))
                scores = each(CrossEncoder(place, device="cpu", local_files_only=True))
            yield {"name": name, "folder": folder, "fields": fields, "scores": floats(scores)}


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    result = {
        "pairs": PAIRS,
        "upstream": {str(labels): floats(upstream) for labels, upstream in UPSTREAM.items()},
        "models": list(models()),
        "older": list(older()),
        "tokenizers": list(tokenizers()),
    }
    with open(os.path.join(HERE, "cross.json"), "w", encoding="utf-8") as f:
        json.dump(result, f, ensure_ascii=True, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
