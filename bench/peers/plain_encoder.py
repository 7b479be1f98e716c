"""Texts to embeddings, and pairs to scores, with a network that takes padded ids, for ONNX Runtime and OpenVINO without PyTorch."""

import json
import os

import numpy as np
import protocol
from tokenizers import Tokenizer

BATCH = 32


class PlainEncoder:
    """`network(input_ids, attention_mask)` gives embeddings; texts go through it sorted by tokens, 32 a batch."""

    inputs = ("input_ids", "attention_mask")

    def __init__(self, folder, network):
        self.network = network
        self.tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(longest(folder))

    def encode(self, texts):
        encodings = self.tokenizer.encode_batch_fast(texts)
        lengths = [len(encoding.ids) for encoding in encodings]
        order = sorted(range(len(texts)), key=lambda text: -lengths[text])
        rows = None
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            part = self.network(**self.padded([encodings[text] for text in batch]))
            if rows is None:
                rows = np.empty((len(texts), part.shape[1]), np.float32)
            rows[batch] = part
        return sum(lengths), rows

    def padded(self, encodings):
        shape = (len(encodings), max(len(encoding.ids) for encoding in encodings))
        values = {name: np.zeros(shape, np.int64) for name in self.inputs}
        for row, encoding in enumerate(encodings):
            for name, array in values.items():
                array[row, : len(encoding.ids)] = getattr(encoding, FIELDS[name])
        return values


class PlainCrossEncoder(PlainEncoder):
    """`network(input_ids, attention_mask, token_type_ids)` gives the scores of pairs."""

    inputs = ("input_ids", "attention_mask", "token_type_ids")

    def score(self, query, passages):
        return self.encode([(query, passage) for passage in passages])


def run(arguments, network, **about):
    """Encodes, or ranks passages, as the arguments say: one text for a start, else a round for every `go`."""
    if arguments.mode == "rerank":
        encoder = PlainCrossEncoder(arguments.model, network)
        query, texts = protocol.passages(arguments.texts)
        work = lambda: encoder.score(query, texts)
    else:
        encoder = PlainEncoder(arguments.model, network)
        texts = [row["positive"] for row in protocol.rows(arguments.texts)]
        work = lambda: encoder.encode(texts)

    def round_of_work():
        tokens, rows = work()
        return tokens, protocol.first(rows)

    if arguments.mode == "start":
        encoder.encode(texts[:1])
    else:
        protocol.serve(round_of_work, **about)


FIELDS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


def longest(folder):
    path = os.path.join(folder, "sentence_bert_config.json")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            length = json.load(file).get("max_seq_length")
        if length:
            return length
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        return json.load(file)["max_position_embeddings"]
