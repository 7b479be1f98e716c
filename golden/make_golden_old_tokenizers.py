"""Golden ids of tokenizers without tokenizer.json (transformers 5.24.0, tokenizers 0.23, sentencepiece 0.2).

Run:  pip install sentence-transformers==6.2.0 transformers==5.24.0 sentencepiece==0.2.3 protobuf
      python make_golden_old_tokenizers.py

Writes old_tokenizers.json beside this file, which the tests of `maana-text` and `maana-model` read:
  vocabularies  small vocabulary files by name, text or base64
  texts         the strings that are tokenized
  pairs         pairs of them
  cases         folders with the ids that the tokenizer of transformers gives:
    model_type  that of config.json, and `config` for its other fields
    files       name -> name of a vocabulary, text, or JSON
    class       the class that transformers chooses
    ids, pairs  ids of each text; ids and types of each pair
    twin        the tokenizer.json that transformers saves
  refused       folders that transformers or Maana does not open, with the error of transformers, if it has one
"""
import base64, json, os, shutil, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import sentencepiece
from tokenizers import ByteLevelBPETokenizer, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, logging

logging.set_verbosity_error()
HERE = os.path.dirname(os.path.abspath(__file__))

CORPUS = """
Habari ya asubuhi, karibu nyumbani kwetu.
Watoto wanacheza mpira uwanjani kila jioni baada ya shule.
Mama anapika chakula kitamu jikoni pamoja na bibi.
Mvua kubwa ilinyesha jana usiku katika mji wa Mombasa.
Mwalimu anafundisha wanafunzi kusoma na kuandika vizuri.
Samaki wengi wanaishi baharini, na ndege wanaruka angani.
Mkulima amepanda mahindi, maharagwe na mihogo shambani.
Rafiki yangu alisafiri kwenda Nairobi kwa treni mwaka 2019.
Je, unajua bei ya kitabu hiki? Ni shilingi 1500 tu!
Nyumba ya mfalme iko karibu na mto mkubwa.
Leo tutasoma hadithi ya sungura na fisi.
Café ya zamani imefungwa; naïve résumé à côté.
Ọmọ náà ń kọrin ní ilé. Ẹ káàárọ̀ o.
日本語 と 中文 の テキスト。
Simu mpya inauzwa @soko.co.ke kwa bei nafuu #habari
""".strip().split("\n")

TEXTS = CORPUS[:4] + [
    "", " ", "   ", "\n", "habari", " habari", "habari ", "  habari   yako  ", "Habari\tyako\nleo", "HABARI YA ASUBUHI",
    "Café naïve résumé", "cafe\u0301 nai\u0308ve", "Ẹ káàárọ̀", "日本語", "中文habari日本", "한국어", "habari 😀👍🏽 leo", "👨‍👩‍👧",
    "a\u0000b", "a\u0007b\u200bc\ufeffd", "a\u00a0b\u3000c\u2028d", "ﬁsi ﬀ Ⅳ ① Ｈａｂａｒｉ …", "[CLS] habari [SEP]", "[MASK]", " [MASK] leo",
    "<s> habari </s>", "<mask>", "leo <mask> leo", "<pad><unk>", "[UNK]", "<extra>", "watoto<extra>wanacheza", "leo <extra> leo", "Njeri", "leo njeri leo",
    "leoNjerileo", "<custom>", "a <custom> b", "<ctrl>x", "SOKO", "pesaSOKOpesa", "▁habari ▁ ya", "x" * 120, "mkulima" * 12, "1500.75, 2019-01-02",
    "don't @soko #x!?", "\ud7ff \U0010ffff", "🇰🇪🇹🇿", "İstanbul ǅ ß ẞ", "<0x41>", "##ya ##", "a\r\nb", "\u0301\u0302", "ya\u00adya", "NOTUSED <s>NOTUSED",
]
PAIRS = [["habari ya leo", "Watoto wanacheza"], ["", "leo"], ["leo", ""], [" [MASK] x", "😀 中文"]]

work = tempfile.mkdtemp()


def text(path):
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def binary(path):
    with open(path, "rb") as file:
        return {"base64": base64.b64encode(file.read()).decode()}


def word_pieces(special, lower):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=260, min_frequency=1, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    vocabulary = tokenizer.get_vocab()
    return "".join(token + "\n" for token in sorted(vocabulary, key=vocabulary.get))


def byte_pairs():
    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(CORPUS, vocab_size=340, min_frequency=1, special_tokens=special, show_progress=False)
    tokenizer.add_special_tokens([])
    folder = tempfile.mkdtemp(dir=work)
    tokenizer.save_model(folder)
    vocabulary = json.loads(text(os.path.join(folder, "vocab.json")))
    vocabulary["<mask>"] = len(vocabulary)
    return json.dumps(vocabulary, ensure_ascii=False), text(os.path.join(folder, "merges.txt"))


def pieces(name, **options):
    rules = os.path.join(work, "rules.tsv")
    with open(rules, "w") as file:
        for source, target in [("ﬁ", "fi"), ("ﬀ", "ff"), ("…", "..."), ("\u00a0", " "), ("\u3000", " "), ("\t", " "), ("\n", " "), ("\u200b", ""),
                               ("Ⅳ", "IV"), ("①", "1"), ("Ｈ", "H"), ("ａ", "a"), ("e\u0301", "é"), ("\u0007", "")]:
            hexes = lambda string: " ".join(f"{ord(c):X}" for c in string)
            file.write(f"{hexes(source)}\t{hexes(target)}\n")
    corpus = os.path.join(work, "corpus.txt")
    with open(corpus, "w", encoding="utf-8") as file:
        file.write("\n".join(CORPUS))
    path = os.path.join(work, name)
    normal = {"normalization_rule_tsv": rules}
    if options.pop("identity", False):
        normal = {"normalization_rule_name": "identity"}
    sentencepiece.SentencePieceTrainer.train(input=corpus, model_prefix=path, num_threads=1, hard_vocab_limit=False, minloglevel=2,
                                             character_coverage=0.9995, **{"vocab_size": 200, **normal, **options})
    return binary(path + ".model")


BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MPNET = ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"]
vocab, merges = byte_pairs()
vocabularies = {
    "lower": word_pieces(BERT, True),
    "cased": word_pieces(BERT, False),
    "mpnet": word_pieces(MPNET, True),
    "crlf": word_pieces(BERT, True).replace("\n", "  \r\n") + "\u3000\n\u2003\n",
    "vocab": vocab,
    "merges": merges,
    "unigram": pieces("unigram"),
    "symbols": pieces("symbols", user_defined_symbols=["<custom>", "SOKO"], control_symbols=["<ctrl>"]),
    "bytes": pieces("bytes", byte_fallback=True, identity=True, vocab_size=420),
    "bpe": pieces("bpe", model_type="bpe"),
}


def flags(content, **others):
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, **others}


MASK = {"mask_token": flags("<mask>", lstrip=True)}
UNIGRAM = {"sentencepiece.bpe.model": "unigram"}
PAIRS_OF_BYTES = {"vocab.json": "vocab", "merges.txt": "merges"}
after = lambda name: vocabularies[name].count("\n")
CASES = [
    ("bert, only its vocabulary", "bert", {"vocab.txt": "lower"}),
    ("bert, cased", "bert", {"vocab.txt": "cased", "tokenizer_config.json": {"do_lower_case": False, "model_max_length": 64},
                             "special_tokens_map.json": {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}}),
    ("bert, accents", "bert", {"vocab.txt": "lower", "tokenizer_config.json": {"strip_accents": False, "tokenize_chinese_chars": False}}),
    ("bert, cased without accents", "bert", {"vocab.txt": "cased", "tokenizer_config.json": {"do_lower_case": False, "strip_accents": True, "tokenizer_class": "BertTokenizerFast"}}),
    ("bert, added tokens of older files", "bert", {"vocab.txt": "lower", "added_tokens.json": {"<extra>": after("lower") + 1, "Njeri": after("lower")},
                                                    "special_tokens_map.json": {"additional_special_tokens": ["<extra>"], "mask_token": flags("[MASK]", lstrip=True)}}),
    ("bert, added tokens of the configuration", "bert", {"vocab.txt": "lower", "special_tokens_map.json": {"cls_token": "ignored"}, "tokenizer_config.json": {
        "tokenizer_class": "BertTokenizer", "added_tokens_decoder": {
            "0": flags("[PAD]", special=True), "4": flags("[MASK]", lstrip=True, rstrip=True, special=True),
            str(after("lower")): flags("Njeri", normalized=True, special=False), str(after("lower") + 1): flags("<extra>", special=True, single_word=True)}}}),
    ("bert, other names of special tokens", "bert", {"vocab.txt": "mpnet", "tokenizer_config.json": {
        "cls_token": "<s>", "sep_token": {"__type": "AddedToken", **flags("</s>")}, "pad_token": "<pad>", "mask_token": "<mask>", "unk_token": "<unk>", "entity_token": "SOKO"}}),
    ("bert, further special tokens", "bert", {"vocab.txt": "lower", "tokenizer_config.json": {"additional_special_tokens": ["<custom>", "habari"]}}),
    ("bert, white space and ends of lines", "bert", {"vocab.txt": "crlf"}),
    ("distilbert", "distilbert", {"vocab.txt": "lower", "tokenizer_config.json": {"tokenizer_class": "DistilBertTokenizer", "do_lower_case": True}}),
    ("electra's class", "bert", {"vocab.txt": "lower", "tokenizer_config.json": {"tokenizer_class": "ElectraTokenizer"}}),
    ("mpnet", "mpnet", {"vocab.txt": "mpnet"}),
    ("mpnet, with flags", "mpnet", {"vocab.txt": "mpnet", "special_tokens_map.json": MASK, "tokenizer_config.json": {"tokenizer_class": "MPNetTokenizer", "do_lower_case": False}}),
    ("roberta", "roberta", PAIRS_OF_BYTES),
    ("roberta, with a space", "roberta", {**PAIRS_OF_BYTES, "tokenizer_config.json": {"add_prefix_space": True, "trim_offsets": False}, "special_tokens_map.json": MASK}),
    ("roberta, added tokens", "roberta", {**PAIRS_OF_BYTES, "added_tokens.json": {"<extra>": 341, "Njeri": 342}, "special_tokens_map.json": {"additional_special_tokens": ["<extra>"]}}),
    ("xlm-roberta", "xlm-roberta", UNIGRAM),
    ("xlm-roberta, older files", "xlm-roberta", {**UNIGRAM, "special_tokens_map.json": {**MASK, "additional_special_tokens": ["<unused>"]}, "tokenizer_config.json": {"sp_model_kwargs": {}, "model_max_length": 512}}),
    ("xlm-roberta, symbols", "xlm-roberta", {"sentencepiece.bpe.model": "symbols"}),
    ("xlm-roberta, symbols replaced", "xlm-roberta", {"sentencepiece.bpe.model": "symbols", "tokenizer_config.json": {"additional_special_tokens": []}}),
    ("xlm-roberta, bytes", "xlm-roberta", {"sentencepiece.bpe.model": "bytes"}),
    ("xlm-roberta, other names", "xlm-roberta", {**UNIGRAM, "tokenizer_config.json": {"bos_token": "[CLS]", "eos_token": "[SEP]", "mask_token": "[MASK]", "add_prefix_space": False}}),
    ("bert with pieces", "bert", {"tokenizer.model": "unigram", "tokenizer_config.json": {"tokenizer_class": "XLMRobertaTokenizer"}}),
    ("two models of pieces", "xlm-roberta", {"tokenizer.model": "symbols", "sentencepiece.bpe.model": "unigram"}),
    ("class of config.json", "roberta", {**UNIGRAM, "config.json": {"tokenizer_class": "XLMRobertaTokenizer"}}),
    ("camembert", "camembert", UNIGRAM),
    ("camembert, symbols", "camembert", {"sentencepiece.bpe.model": "symbols", "tokenizer_config.json": {"pad_token": "<ctrl>"}}),
    ("camembert, further special tokens", "camembert", {**UNIGRAM, "tokenizer_config.json": {"tokenizer_class": "CamembertTokenizer", "additional_special_tokens": ["<s>NOTUSED", "</s>NOTUSED"]}}),
]
REFUSED = [
    ("modernbert", "modernbert", PAIRS_OF_BYTES),
    ("fast class", "bert", {"vocab.txt": "lower", "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"}}),
    ("a class of the Python library only", "bert", {"vocab.txt": "lower", "tokenizer_config.json": {"tokenizer_class": "BertJapaneseTokenizer"}}),
    ("no vocabulary", "bert", {}),
    ("no merges", "roberta", {"vocab.json": "vocab"}),
    ("pieces of another class", "xlm-roberta", {"spiece.model": "unigram"}),
    ("pieces of BPE", "xlm-roberta", {"sentencepiece.bpe.model": "bpe"}),
]


def write(folder, model_type, files):
    os.makedirs(folder)
    for name, content in {"config.json": {}, **files}.items():
        content = vocabularies.get(content, content) if isinstance(content, str) else content
        path = os.path.join(folder, name)
        if name == "config.json":
            content = {"model_type": model_type, **content}
        if isinstance(content, dict) and "base64" in content:
            with open(path, "wb") as file:
                file.write(base64.b64decode(content["base64"]))
        else:
            with open(path, "w", encoding="utf-8", newline="") as file:
                file.write(content if isinstance(content, str) else json.dumps(content))


def case(name, model_type, files):
    folder = os.path.join(work, "case")
    shutil.rmtree(folder, ignore_errors=True)
    write(folder, model_type, files)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    types = "token_type_ids" in tokenizer.model_input_names
    pairs = tokenizer(PAIRS, return_token_type_ids=types)
    saved = os.path.join(work, "saved")
    tokenizer.save_pretrained(saved)
    return {
        "name": name, "model_type": model_type, "config": files.get("config.json", {}),
        "files": {name: content for name, content in files.items() if name != "config.json"}, "class": type(tokenizer).__name__,
        "ids": [tokenizer(text)["input_ids"] for text in TEXTS],
        "pairs": [[ids, pairs["token_type_ids"][place] if types else [0] * len(ids)] for place, ids in enumerate(pairs["input_ids"])],
        "twin": json.loads(text(os.path.join(saved, "tokenizer.json"))),
    }


def refusal(name, model_type, files):
    folder = os.path.join(work, "refused")
    shutil.rmtree(folder, ignore_errors=True)
    write(folder, model_type, files)
    try:
        error = None if AutoTokenizer.from_pretrained(folder) else None
    except Exception as found:
        error = f"{type(found).__name__}: {found}".split("\n")[0]
    return {"name": name, "model_type": model_type, "config": {}, "files": files, "error": error}


with open(os.path.join(HERE, "old_tokenizers.json"), "w", encoding="utf-8") as file:
    golden = {"vocabularies": vocabularies, "texts": TEXTS, "pairs": PAIRS, "cases": [case(*each) for each in CASES],
              "refused": [refusal(*each) for each in REFUSED]}
    json.dump(golden, file, ensure_ascii=False, separators=(",", ":"))
shutil.rmtree(work)
