"""Writes a cross-encoder with the weights of a model of Sentence Transformers and a random head.

    python cross_encoder.py MODEL OUT
"""

import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from sentence_transformers import CrossEncoder

_, folder, out = sys.argv
torch.manual_seed(42)
CrossEncoder(folder, num_labels=1, max_length=512, device="cpu").save_pretrained(out)
