"""ONNX Runtime: the whole model (encoder, pooling, normalisation) as one graph with BERT's fusions, all graph optimisations on."""

import os

import protocol

arguments = protocol.arguments()

import onnxruntime
from plain_encoder import run

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = arguments.threads
options.inter_op_num_threads = 1
options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
file = {"f32": "model.onnx", "int8": "model_int8.onnx"}[arguments.precision]
session = onnxruntime.InferenceSession(
    os.path.join(arguments.exported, file), options, providers=["CPUExecutionProvider"]
)


def network(**inputs):
    return session.run(None, inputs)[0]


run(arguments, network)
