"""Golden numbers of low-rank adapters: PEFT 0.21.2 on tiny-bert (torch 2.15.0, transformers 5.24.0, CPU, fp32).

Run:  pip install peft==0.21.2 accelerate sentence-transformers==6.2.0
      python make_golden_lora.py OUT_DIR

What it writes, next to tiny-bert, which make_golden.py made:
  lora/adapter_config.json, lora/adapter_model.safetensors   adapters of query and value, rank 4, alpha 8, A and B random
  lora_grads.safetensors   gradient of A and B by name for the loss sum(embeddings * upstream)
  lora.json                token ids, upstream gradients, and the embeddings (CLS, length 1)
"""
import json, os, shutil, sys
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

OUT = sys.argv[1]
torch.manual_seed(7)
torch.set_num_threads(1)
TEXTS = ["Mwanamke anashona.", "Mtandao huwawezesha watu kununua vitu.", "A", "The quick brown fox jumps."]

tokenizer = AutoTokenizer.from_pretrained(os.path.join(OUT, "tiny-bert"))
base = AutoModel.from_pretrained(os.path.join(OUT, "tiny-bert"))
config = LoraConfig(r=4, lora_alpha=8, target_modules=["query", "value"], task_type="FEATURE_EXTRACTION")
model = get_peft_model(base, config).eval()
for name, parameter in model.named_parameters():
    if "lora_" in name:
        torch.nn.init.normal_(parameter, std=0.2)

upstream = torch.randn(len(TEXTS), 64)
embeddings = []
for text in TEXTS:
    output = model(**tokenizer([text], return_tensors="pt")).last_hidden_state[:, 0]
    embeddings.append(torch.nn.functional.normalize(output, dim=1))
embeddings = torch.cat(embeddings)
(embeddings * upstream).sum().backward()

model.save_pretrained(os.path.join(OUT, "lora"))
os.remove(os.path.join(OUT, "lora", "README.md"))
path = os.path.join(OUT, "lora", "adapter_config.json")
settings = json.load(open(path))
settings["base_model_name_or_path"] = "../tiny-bert"
settings["target_modules"].sort()
json.dump(settings, open(path, "w"), indent=2, sort_keys=True)
gradients = {}
for name, parameter in model.named_parameters():
    if "lora_" in name:
        gradients[name.replace(".default", "").removeprefix("base_model.model.")] = parameter.grad.contiguous()
    else:
        assert parameter.grad is None, name
save_file(gradients, os.path.join(OUT, "lora_grads.safetensors"))
json.dump(
    {
        "texts": TEXTS,
        "upstream": [[float(x) for x in row] for row in upstream],
        "embeddings": [[float(x) for x in row] for row in embeddings.detach()],
    },
    open(os.path.join(OUT, "lora.json"), "w"),
)
