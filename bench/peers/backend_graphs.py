"""Writes a cross-encoder in the forms of Sentence Transformers' backends for ONNX Runtime and OpenVINO.

    python backend_graphs.py MODEL OUT

OUT/onnx gets the ONNX model with Optimum's optimisations (O2: all that change no result) and in int8, OUT/openvino that of
OpenVINO. OUT/done marks that all are there.
"""

import os
import shutil
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

from sentence_transformers import CrossEncoder
from sentence_transformers.backend import export_dynamic_quantized_onnx_model, export_optimized_onnx_model


def settings_of_bytes():
    """The name of Optimum's settings for int8 on this processor."""
    with open("/proc/cpuinfo", encoding="ascii") as file:
        flags = file.read().split()
    names = {"avx512_vnni": "avx512_vnni", "avx512f": "avx512"}
    return next((name for flag, name in names.items() if flag in flags), "avx2")


def main(folder, out):
    shutil.rmtree(out, ignore_errors=True)
    onnx, openvino = os.path.join(out, "onnx"), os.path.join(out, "openvino")
    model = CrossEncoder(folder, backend="onnx", device="cpu")
    model.save_pretrained(onnx)
    export_optimized_onnx_model(model, "O2", onnx, file_suffix="O2")
    # Optimum cannot quantize the optimised model.
    export_dynamic_quantized_onnx_model(model, settings_of_bytes(), onnx, file_suffix="int8")
    CrossEncoder(folder, backend="openvino", device="cpu").save_pretrained(openvino)
    with open(os.path.join(out, "done"), "w", encoding="ascii"):
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
