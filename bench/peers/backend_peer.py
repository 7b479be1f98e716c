"""Sentence Transformers' `CrossEncoder.predict` on its backends for ONNX Runtime and OpenVINO, with the models of `backend_graphs.py`.

    python backend_peer.py onnx|openvino rerank --model MODEL --exported FOLDER --texts FILE --threads N
"""

import os
import sys

import protocol

BACKEND = sys.argv.pop(1)
arguments = protocol.arguments()

import torch
from sentence_transformers import CrossEncoder

BATCH = 32
torch.set_num_threads(arguments.threads)


def settings():
    if BACKEND == "openvino":
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": arguments.threads,
            "INFERENCE_PRECISION_HINT": arguments.precision,
        }
        return {"ov_config": config}
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.inter_op_num_threads = 1
    suffix = {"f32": "O2", "int8": "int8"}[arguments.precision]
    return {
        "file_name": f"onnx/model_{suffix}.onnx",
        "provider": "CPUExecutionProvider",
        "session_options": options,
    }


folder = os.path.join(arguments.exported, BACKEND)
model = CrossEncoder(folder, backend=BACKEND, device="cpu", model_kwargs=settings())
query, passages = protocol.passages(arguments.texts)
pairs = [(query, passage) for passage in passages]
tokens = sum(map(len, model.tokenizer([query] * len(passages), passages, truncation=True)["input_ids"]))


def round_of_work():
    scores = model.predict(pairs, batch_size=BATCH, show_progress_bar=False)
    return tokens, protocol.first(scores.reshape(-1, 1))


protocol.serve(round_of_work)
