"""OpenVINO: the whole model as one graph, compiled for the CPU with the latency hint and all threads in one stream."""

import os

import protocol

arguments = protocol.arguments()

import openvino
from plain_encoder import PlainCrossEncoder, PlainEncoder

core = openvino.Core()
settings = {
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_NUM_THREADS": arguments.threads,
    "INFERENCE_PRECISION_HINT": arguments.precision,
}
if arguments.mode == "start":
    settings["CACHE_DIR"] = os.path.join(arguments.exported, "cache")
compiled = core.compile_model(os.path.join(arguments.exported, "model.xml"), "CPU", settings)
request = compiled.create_infer_request()


def network(**inputs):
    return request.infer(inputs)[0]


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
    protocol.serve(round_of_work, computes_in=str(compiled.get_property("INFERENCE_PRECISION_HINT")))
