"""Texts to embeddings with a network that takes padded ids: what ONNX Runtime and OpenVINO need around them, without PyTorch."""

import json
import os

import numpy as np
from tokenizers import Tokenizer

BATCH = 32


class PlainEncoder:
    """`network(ids, mask)` gives embeddings; texts go through it sorted by tokens, 32 a batch."""

    def __init__(self, folder, network):
        self.network = network
        self.tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(longest(folder))

    def encode(self, texts):
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts)]
        order = sorted(range(len(ids)), key=lambda text: -len(ids[text]))
        embeddings = None
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            part = self.network(*padded([ids[text] for text in batch]))
            if embeddings is None:
                embeddings = np.empty((len(ids), part.shape[1]), np.float32)
            embeddings[batch] = part
        return sum(map(len, ids)), embeddings


def padded(ids):
    shape = (len(ids), max(map(len, ids)))
    padded_ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, text in enumerate(ids):
        padded_ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return padded_ids, mask


def longest(folder):
    path = os.path.join(folder, "sentence_bert_config.json")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            length = json.load(file).get("max_seq_length")
        if length:
            return length
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        return json.load(file)["max_position_embeddings"]
