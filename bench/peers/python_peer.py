"""Packages of Python that embed texts, as their users call them: `maana`, Sentence Transformers, fastembed and kjarni.

    python bench/peers/python_peer.py ENGINE --model FOLDER --texts FILE --threads N

Speaks the protocol of `protocol.py`: loads once, then a timed round for each line `go`. All compute in f32. fastembed
reads the ONNX model that `export.py` wrote (`--exported`); kjarni knows all-MiniLM-L6-v2 only, in a cache that it would
otherwise fill from the hub.
"""

import os
import shutil
import sys
import tempfile

import protocol

ENGINE = sys.argv.pop(1)
sys.argv.insert(1, "encode")
arguments = protocol.arguments()
BATCH = 32


def texts():
    return [row["positive"] for row in protocol.rows(arguments.texts)]


def maana():
    os.environ["MAANA_THREADS"] = str(arguments.threads)
    from maana import SentenceTransformer

    model = SentenceTransformer(arguments.model)
    return lambda rows: model.encode(rows, batch_size=BATCH, show_progress_bar=False)


def sentence_transformers():
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(arguments.threads)
    model = SentenceTransformer(arguments.model, device="cpu")
    return lambda rows: model.encode(rows, batch_size=BATCH, show_progress_bar=False)


def fastembed():
    import numpy as np
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    # fastembed wants one folder with the tokenizer and the ONNX model.
    folder = tempfile.mkdtemp()
    for name in os.listdir(arguments.model):
        if name.endswith(".json"):
            shutil.copy(os.path.join(arguments.model, name), folder)
    shutil.copy(os.path.join(arguments.exported, "model.onnx"), folder)
    TextEmbedding.add_custom_model(
        "local/model",
        pooling=PoolingType.DISABLED,
        normalization=False,
        sources=ModelSource(hf="local/model"),
        dim=384,
        model_file="model.onnx",
    )
    model = TextEmbedding("local/model", specific_model_path=folder, threads=arguments.threads)
    return lambda rows: np.stack(list(model.embed(rows, batch_size=BATCH)))


def kjarni():
    import kjarni
    import numpy as np

    cache = tempfile.mkdtemp()
    folder = os.path.join(cache, "sentence-transformers_all-MiniLM-L6-v2")
    shutil.copytree(arguments.model, folder)
    model = kjarni.Embedder("minilm-l6-v2", cache_dir=cache, quiet=True)
    # Its memory for a batch grows with the batch.
    return lambda rows: np.concatenate([model.encode_batch(rows[at : at + BATCH]) for at in range(0, len(rows), BATCH)])


def main():
    encode = {"maana": maana, "sentence-transformers": sentence_transformers, "fastembed": fastembed, "kjarni": kjarni}[
        ENGINE
    ]()
    rows = texts()
    # Packages give different numbers of tokens; the texts are the same.
    protocol.serve(lambda: (len(rows), protocol.first(encode(rows))))


if __name__ == "__main__":
    main()
