"""OpenVINO: the whole model as one graph, compiled for the CPU with the latency hint and all threads in one stream."""

import os

import protocol

arguments = protocol.arguments()

import openvino
from plain_encoder import run

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


run(arguments, network, computes_in=str(compiled.get_property("INFERENCE_PRECISION_HINT")))
