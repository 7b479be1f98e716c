"""Golden numbers of static models (Sentence Transformers 6.2.0, CPU, fp32).

Run:  pip install sentence-transformers==6.2.0
      python make_golden_static.py

Writes next to this file, for the tests of `maana-model` and `maana`:
  static.json  embeddings of small static models in every form of folder, with numbers of `noise` and the tokenizer of tiny-bert;
               gradients of one of them for sum(embeddings * noise(rows * 6, 3)); and the principal components and weights by which
               Model2Vec 0.10 makes a table of token embeddings
"""
import json, os, shutil, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import torch
from noise import noise
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer

HERE = os.path.dirname(os.path.abspath(__file__))
TEXTS = ["the house of the king", "water", "", "north and south and east and west",
         "The house of the king, and the water of the river!"]
ROWS, COLUMNS = 2000, 8
torch.set_num_threads(1)


def write(folder, place, tensors, modules, max_length=None):
    os.makedirs(os.path.join(folder, place), exist_ok=True)
    save_file(tensors, os.path.join(folder, place, "model.safetensors"))
    tokenizer = json.load(open(os.path.join(HERE, "tiny-bert", "tokenizer.json")))
    if max_length:
        tokenizer["truncation"] = {"direction": "Right", "max_length": max_length, "strategy": "LongestFirst", "stride": 0}
    json.dump(tokenizer, open(os.path.join(folder, place, "tokenizer.json"), "w"))
    listed = [("StaticEmbedding", place)] + [(kind, f"{index + 1}_{kind}") for index, kind in enumerate(modules)]
    json.dump([{"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
               for index, (kind, path) in enumerate(listed)], open(os.path.join(folder, "modules.json"), "w"))
    for kind, path in listed[1:]:
        os.makedirs(os.path.join(folder, path), exist_ok=True)
        if kind == "Dense":
            json.dump({"in_features": COLUMNS, "out_features": 6, "bias": True,
                       "activation_function": "torch.nn.modules.activation.Tanh"}, open(os.path.join(folder, path, "config.json"), "w"))
            save_file({"linear.weight": noise(6 * COLUMNS, 8).reshape(6, COLUMNS), "linear.bias": noise(6, 9)},
                      os.path.join(folder, path, "model.safetensors"))


def principal_components(x, count):
    """`_pca_fit_transform` of Model2Vec 0.10."""
    centered = x - x.mean(axis=0)
    values, vectors = np.linalg.eigh(centered.T @ centered / (len(x) - 1))
    scores = centered @ vectors[:, ::-1][:, :count]
    largest = np.argmax(np.abs(scores), axis=0)
    return scores * np.sign(scores[largest, range(count)])


def main():
    table = noise(ROWS * COLUMNS, 7).reshape(ROWS, COLUMNS)
    shared = noise(50 * COLUMNS, 7).reshape(50, COLUMNS)
    mapping = (np.arange(ROWS) * 7 % 50).astype(np.int32)
    weights = (noise(ROWS, 10).astype(np.float64) + 2) / 3
    int8 = np.rint(table * 127).astype(np.int8)
    cases = {
        "root": ("", {"embedding.weight": table}, [], None),
        "folder": ("0_StaticEmbedding", {"embedding.weight": table}, ["Dense", "Normalize"], None),
        "half": (".", {"embeddings": table.astype(np.float16)}, ["Normalize"], None),
        "weights": (".", {"embeddings": table, "weights": weights.astype(np.float32)}, [], None),
        "mapping": (".", {"embeddings": shared, "mapping": mapping, "weights": weights}, ["Normalize"], None),
        "int8": (".", {"embeddings": int8}, [], None),
        "short": ("", {"embedding.weight": table}, [], 3),
    }
    result = {"texts": TEXTS, "embeddings": {}}
    for name, (place, tensors, modules, max_length) in cases.items():
        folder = tempfile.mkdtemp()
        # An EmbeddingBag has gradients, which integers have not; and in f16 it normalises an empty text to NaN.
        used = {key: value.astype(np.float32) if value.dtype in (np.int8, np.float16) else value for key, value in tensors.items()}
        write(folder, place, used, modules, max_length)
        model = SentenceTransformer(folder, device="cpu")
        result["embeddings"][name] = np.float32(model.encode(TEXTS)).tolist()
        if name == "folder":
            features = model.preprocess(TEXTS) if hasattr(model, "preprocess") else model.tokenize(TEXTS)
            embeddings = model(features)["sentence_embedding"]
            (embeddings * torch.from_numpy(noise(len(TEXTS) * 6, 3).reshape(-1, 6))).sum().backward()
            gradients = {key: value.grad for key, value in model.named_parameters()}
            word = gradients.pop("0.embedding.weight")
            rows = word.abs().sum(dim=1).nonzero().flatten().tolist()
            result["gradients"] = {"rows": rows, "values": word[rows].tolist(),
                                   "weight": gradients["1.linear.weight"].tolist(), "bias": gradients["1.linear.bias"].tolist()}
        shutil.rmtree(folder)
    x = (noise(60 * 12, 5).reshape(60, 12) * np.float32(np.arange(1, 13)))
    inverse = 1 / np.arange(2, 62)
    frequencies = inverse / inverse.sum()
    result["components"] = principal_components(np.float64(x), 5).tolist()
    result["sif"] = (1e-4 / (1e-4 + frequencies)).tolist()
    json.dump(result, open(os.path.join(HERE, "static.json"), "w"))


main()
