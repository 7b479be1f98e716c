"""Golden numbers of the dropout of low-rank adapters: PEFT 0.21.2 (torch 2.15.0, transformers 5.24.0, CPU, fp32) with given masks.

Run:  pip install peft==0.21.2 accelerate transformers==5.24.0 safetensors
      python make_golden_lora_dropout.py

PEFT draws its masks with PyTorch's generator. Here each of its dropouts is replaced by a product with the mask that `maana-model`
documents: a function (Philox4x32-10, Salmon et al. 2011) of the seed, the number of the pass, the site, which is 2^22 and the number
of the adapted layer, the token in the batch and the column. The small models have weights that follow from `noise`, and the adapters
0.2 * noise(elements of all, 3) in the order of the layers, A before B.

Writes, next to this file:
  lora_dropout.json                settings, texts, and for each case the targets, the loss and the embeddings
  lora_dropout_grads.safetensors   gradient of A and B by case and name for the loss sum(embeddings * noise(texts * 24, 5))
"""
import json, os
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import torch
from noise import fill, noise
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModel, AutoTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)
TEXTS = ["the house of the king", "water", "north and south and east and west", "the water of the river and the house"]
SEED, PASS, PROBABILITY, RANK, ALPHA = 5_000_000_042, 3, 0.3, 4, 8
FIRST_SITE = 1 << 22
COMMON = {"vocab_size": 2000, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40,
          "max_position_embeddings": 40, "pad_token_id": 0}
CONFIGS = {
    "bert": COMMON | {"type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-5},
    "modernbert": COMMON | {"num_hidden_layers": 3, "local_attention": 8, "norm_bias": True, "attention_bias": True,
                            "layer_types": ["full_attention", "sliding_attention", "full_attention"]},
}
TARGETS = {"bert": ["query", "value", "intermediate.dense", "output.dense"],
           "modernbert": ["Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"]}


def philox(counter, key):
    """Ten rounds; all numbers have 32 bits."""
    mask = np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = (np.asarray(part, dtype=np.uint64) for part in counter)
    k0, k1 = key
    for _ in range(10):
        a, b = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (b >> np.uint64(32)) ^ c1 ^ np.uint64(k0), b & mask, (a >> np.uint64(32)) ^ c3 ^ np.uint64(k1), a & mask
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3])


def mask(site, first_row, rows, columns):
    """Factors of rows of a dropout site: 0, or 1 / (1 - p)."""
    row, group = np.meshgrid(np.arange(first_row, first_row + rows), np.arange((columns + 3) // 4), indexing="ij")
    counter = group, row & 0xFFFFFFFF, (site << 8) ^ (row >> 32), np.full_like(row, PASS & 0xFFFFFFFF)
    bits = philox(counter, [(SEED & 0xFFFFFFFF) ^ (PASS >> 32), SEED >> 32])
    bits = np.moveaxis(bits, 0, -1).reshape(rows, -1)[:, :columns]
    threshold = int(np.float64(np.float32(PROBABILITY)) * 2**32)
    kept = np.float32(1) / (np.float32(1) - np.float32(PROBABILITY))
    return torch.from_numpy(np.where(bits < threshold, np.float32(0), kept))


class Given(torch.nn.Module):
    """A dropout with given masks, of the text that begins with token `first_row` of the batch."""
    first_row = 0

    def __init__(self, site):
        super().__init__()
        self.site = site

    def forward(self, x):
        return x * mask(self.site, Given.first_row, x.shape[-2], x.shape[-1])


cases, gradients = {}, {}
tokenizer = AutoTokenizer.from_pretrained(os.path.join(HERE, "tiny-bert"))
for family in CONFIGS:
    for pooling in ["cls", "mean"]:
        options = {"add_pooling_layer": False} if family == "bert" else {}
        base = AutoModel.from_config(AutoConfig.for_model(family, **CONFIGS[family]), **options)
        fill(base)
        config = LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=PROBABILITY, target_modules=TARGETS[family])
        model = get_peft_model(base, config).eval()
        adapted = [module for module in model.modules() if hasattr(module, "lora_dropout")]
        values, start = noise(sum(part["default"].weight.numel() for layer in adapted for part in [layer.lora_A, layer.lora_B]), 3), 0
        for site, layer in enumerate(adapted):
            layer.lora_dropout["default"] = Given(FIRST_SITE + site)
            for part in [layer.lora_A, layer.lora_B]:
                weight = part["default"].weight
                given = np.float32(0.2) * values[start:start + weight.numel()]
                with torch.no_grad():
                    weight.copy_(torch.from_numpy(given).reshape(weight.shape))
                start += weight.numel()
        embeddings, Given.first_row = [], 0
        for text in TEXTS:
            batch = tokenizer([text], return_tensors="pt")
            batch.pop("token_type_ids", None)
            output = model(**batch).last_hidden_state
            pooled = output[:, 0] if pooling == "cls" else output.mean(dim=1)
            embeddings.append(torch.nn.functional.normalize(pooled, dim=1))
            Given.first_row += output.shape[1]
        embeddings = torch.cat(embeddings)
        loss = (embeddings * torch.from_numpy(noise(embeddings.numel(), 5)).reshape(embeddings.shape)).sum()
        loss.backward()
        name = f"{family}_{pooling}"
        for key, parameter in model.named_parameters():
            if "lora_" in key:
                key = key.replace(".default", "").removeprefix("base_model.model.")
                gradients[f"{name}.{key}"] = parameter.grad.contiguous()
            else:
                assert parameter.grad is None, key
        cases[name] = {"family": family, "pooling": pooling, "targets": TARGETS[family], "loss": float(loss.detach()),
                       "embeddings": [[float(x) for x in row] for row in embeddings.detach()]}
        print(name, float(loss.detach()), len(adapted))

save_file(gradients, os.path.join(HERE, "lora_dropout_grads.safetensors"))
settings = {"seed": SEED, "pass": PASS, "dropout": PROBABILITY, "rank": RANK, "alpha": ALPHA, "texts": TEXTS, "cases": cases}
with open(os.path.join(HERE, "lora_dropout.json"), "w") as file:
    json.dump(settings, file)
