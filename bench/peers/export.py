"""Writes a model folder of Sentence Transformers as one graph from ids to embeddings, or to scores, for ONNX Runtime and OpenVINO.

    python export.py MODEL OUT

OUT gets model.onnx (with BERT's fusions), model_int8.onnx (dynamic, int8 weights per channel), and model.xml with model.bin.
Sentence Transformers' own backends need Optimum, which has no release for this version of Transformers; and a graph that also
pools and normalises has less overhead than they have.
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import onnx
import onnxruntime.transformers.optimizer as fusions
import openvino
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification


class Embedding(torch.nn.Module):
    """Encoder, pooling and normalisation of a model folder."""

    def __init__(self, folder, attention):
        super().__init__()
        self.encoder = AutoModel.from_pretrained(
            folder, attn_implementation=attention, dtype=torch.float32, add_pooling_layer=False
        ).eval()
        with open(os.path.join(folder, "1_Pooling", "config.json"), encoding="utf-8") as file:
            pooling = json.load(file)
        self.mean = pooling.get("pooling_mode_mean_tokens") or pooling.get("pooling_mode") == "mean"

    def forward(self, input_ids, attention_mask):
        # Explicit types and a plain division leave nothing that hides BERT's patterns from the fusions.
        states = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=torch.zeros_like(input_ids)
        ).last_hidden_state
        if self.mean:
            weights = attention_mask.unsqueeze(2).to(states.dtype)
            pooled = (states * weights).sum(1) / weights.sum(1)
        else:
            pooled = states[:, 0]
        return pooled / pooled.pow(2).sum(1, keepdim=True).sqrt()


class Score(torch.nn.Module):
    """A cross-encoder with the sigmoid of its logit."""

    def __init__(self, folder, attention):
        super().__init__()
        self.model = AutoModelForSequenceClassification.from_pretrained(
            folder, attn_implementation=attention, dtype=torch.float32
        ).eval()

    def forward(self, input_ids, attention_mask, token_type_ids):
        logits = self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).logits
        return torch.sigmoid(logits)


def scores(folder):
    architectures = AutoConfig.from_pretrained(folder).architectures or []
    return any(name.endswith("ForSequenceClassification") for name in architectures)


def inputs(folder):
    """Names of the inputs with an example of each."""
    ids = torch.randint(1000, 2000, (3, 11))
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    named = {"input_ids": ids, "attention_mask": mask}
    if scores(folder):
        named["token_type_ids"] = (torch.arange(11) > 5).long().repeat(3, 1)
    return named


def network(folder, attention):
    return Score(folder, attention) if scores(folder) else Embedding(folder, attention)


def write_onnx(folder, out):
    plain = os.path.join(out, "plain.onnx")
    named = inputs(folder)
    axes = {**{name: {0: "batch", 1: "tokens"} for name in named}, "output": {0: "batch"}}
    torch.onnx.export(
        network(folder, "eager"),
        tuple(named.values()),
        plain,
        input_names=list(named),
        output_names=["output"],
        dynamic_axes=axes,
        opset_version=18,
        dynamo=False,
    )
    config = AutoConfig.from_pretrained(folder)
    fused = fusions.optimize_model(
        plain, model_type="bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size, opt_level=1
    )
    print("fused:", {name: count for name, count in fused.get_fused_operator_statistics().items() if count})
    fused.save_model_to_file(os.path.join(out, "model.onnx"))
    with open("/proc/cpuinfo", encoding="ascii") as file:
        saturates = "vnni" not in file.read()
    quantize_dynamic(
        os.path.join(out, "model.onnx"),
        os.path.join(out, "model_int8.onnx"),
        per_channel=True,
        weight_type=QuantType.QInt8,
        reduce_range=saturates,  # as ONNX Runtime advises where the processor adds pairs of products in 16 bits
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    os.remove(plain)


def write_openvino(folder, out):
    shape = openvino.PartialShape([-1, -1])
    named = inputs(folder)
    shapes = [(name, shape, openvino.Type.i64) for name in named]
    graph = openvino.convert_model(network(folder, "sdpa"), example_input=tuple(named.values()), input=shapes)
    openvino.save_model(graph, os.path.join(out, "model.xml"), compress_to_fp16=False)


if __name__ == "__main__":
    _, folder, out = sys.argv
    os.makedirs(out, exist_ok=True)
    with torch.inference_mode():
        write_onnx(folder, out)
        write_openvino(folder, out)
