"""Golden numbers of low-rank adapters in a model with towers by role: PEFT 0.21.2 (Sentence Transformers 6.2.0, torch 2.15.0, CPU, fp32).

Run:  pip install peft==0.21.2 accelerate sentence-transformers==6.2.0
      python make_golden_router_lora.py

Writes beside this file, from router/ and tiny-bert, which make_golden_router.py and make_golden.py made:
  router_lora/   what PEFT writes in place of the model of each tower: adapters of query and value, of ranks 2 and 4, A and B random
  router_lora_grads.safetensors   gradients of A and B by name, with the folder of the tower in front
  router_lora.json                the embeddings by role, and the upstream gradients
"""
import json, os, shutil, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer

HERE = os.path.dirname(os.path.abspath(__file__))
QUERIES = ["the House of the king", "water and the sea", "a man"]
DOCUMENTS = ["The House of the king and the water of the river ", "the sea", "a man said to the people that the king was there"]
RANKS = {"query": 2, "document": 4}


def floats(t):
    return [float(f"{x:.7g}") for x in t.detach().double().reshape(-1).tolist()]


torch.set_num_threads(1)
with tempfile.TemporaryDirectory() as place:
    base = os.path.join(place, "base")
    shutil.copytree(os.path.join(HERE, "router"), base)
    shutil.copytree(os.path.join(HERE, "tiny-bert"), os.path.join(base, "document_0_Transformer"))
    model = SentenceTransformer(base, device="cpu")
    towers = {role: model[0].sub_modules[role][0].auto_model for role in RANKS}
    torch.manual_seed(11)
    adapted = {}
    for role, tower in towers.items():
        config = LoraConfig(r=RANKS[role], lora_alpha=8, target_modules=["query", "value"], task_type="FEATURE_EXTRACTION")
        # The layers of the tower are replaced in their place.
        adapted[role] = get_peft_model(tower, config)
        for name, parameter in tower.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=0.2)
    model.eval()
    result, total = {"queries": QUERIES, "documents": DOCUMENTS}, 0
    for role, texts in [("query", QUERIES), ("document", DOCUMENTS)]:
        embeddings = model(model.preprocess(texts, task=role), task=role)["sentence_embedding"]
        upstream = torch.randn(embeddings.shape)
        result |= {role: floats(embeddings), f"{role}_upstream": floats(upstream)}
        total = total + (embeddings * upstream).sum()
    total.backward()
    gradients = {}
    for role, tower in towers.items():
        for name, parameter in tower.named_parameters():
            if "lora_" in name:
                gradients[f"{role}_0_Transformer.{name.replace('.default', '')}"] = parameter.grad.contiguous()
    save_file(gradients, os.path.join(HERE, "router_lora_grads.safetensors"))
    target = os.path.join(HERE, "router_lora")
    shutil.rmtree(target, ignore_errors=True)
    # The base models are those of the towers of `router`.
    for role, own in adapted.items():
        folder = os.path.join(target, f"{role}_0_Transformer")
        own.save_pretrained(folder)
        os.remove(os.path.join(folder, "README.md"))
        path = os.path.join(folder, "adapter_config.json")
        settings = json.load(open(path))
        settings["base_model_name_or_path"] = f"../base/{role}_0_Transformer"
        settings["target_modules"].sort()
        json.dump(settings, open(path, "w"), indent=2, sort_keys=True)
json.dump(result, open(os.path.join(HERE, "router_lora.json"), "w"))
