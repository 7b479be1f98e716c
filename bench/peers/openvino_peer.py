"""OpenVINO: the whole model as one graph, compiled for the CPU with the latency hint and all threads in one stream."""

import os

import protocol

arguments = protocol.arguments()

import openvino
from plain_encoder import PlainEncoder

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


def network(ids, mask):
    return request.infer({"input_ids": ids, "attention_mask": mask})[0]


encoder = PlainEncoder(arguments.model, network)
texts = [row["positive"] for row in protocol.rows(arguments.texts)]


def round_of_work():
    tokens, embeddings = encoder.encode(texts)
    return tokens, protocol.first(embeddings)


if arguments.mode == "start":
    encoder.encode(texts[:1])
else:
    protocol.serve(round_of_work, computes_in=str(compiled.get_property("INFERENCE_PRECISION_HINT")))
