"""Golden numbers of modules behind pooling (Sentence Transformers 6.2.0, transformers 5.24.0, CPU, fp32).

Run:  pip install sentence-transformers==6.2.0 transformers==5.24.0
      python make_golden_modules.py

Writes beside this file:
  modules/            what the reference writes of tiny-bert with Dense with a residual, LayerNorm, Dropout, Dense and Normalize
                      behind mean pooling: modules.json and the folders of the modules, without those of the encoder
  modules.json        texts, their embeddings, and the upstream gradient of a backward pass without dropout
  modules_grads.safetensors  the gradients of the modules' parameters and of some of the encoder's
"""
import json, os, shutil, sys, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Dropout, LayerNorm, Normalize

HERE = os.path.dirname(os.path.abspath(__file__))
torch.manual_seed(17)
torch.set_num_threads(1)

TEXTS = ["The House of the king and the water of the river ", "the sea", "a man said to the people that the king was there"]
OF_ENCODER = ["embeddings.LayerNorm.weight", "encoder.layer.0.attention.self.value.weight", "encoder.layer.1.output.dense.bias"]


def floats(t):
    return [float(f"{x:.7g}") for x in t.double().reshape(-1).tolist()]


base = SentenceTransformer(os.path.join(HERE, "tiny-bert"), device="cpu")
modules = [base[0], base[1], Dense(64, 20, use_residual=True), LayerNorm(20), Dropout(0.3),
           Dense(20, 20, bias=False, activation_function=torch.nn.GELU(), use_residual=True), Normalize()]
with torch.no_grad():
    modules[3].norm.weight.uniform_(0.5, 1.5)
    modules[3].norm.bias.uniform_(-0.5, 0.5)
model = SentenceTransformer(modules=modules, device="cpu")
model.eval()

with tempfile.TemporaryDirectory() as place:
    model.save(place, create_model_card=False)
    target = os.path.join(HERE, "modules")
    shutil.rmtree(target, ignore_errors=True)
    os.mkdir(target)
    shutil.copy(os.path.join(place, "modules.json"), target)
    for entry in json.load(open(os.path.join(place, "modules.json")))[1:]:
        shutil.copytree(os.path.join(place, entry["path"]), os.path.join(target, entry["path"]))

embeddings = model(model.preprocess(TEXTS))["sentence_embedding"]
upstream = torch.randn(embeddings.shape)
(embeddings * upstream).sum().backward()
gradients = {}
for name, parameter in model.named_parameters():
    number, rest = name.split(".", 1)
    if number == "0":
        rest = rest.split("auto_model.", 1)[-1].split("model.", 1)[-1]
        if rest in OF_ENCODER:
            gradients[rest] = parameter.grad
    else:
        gradients[f"{number}_{type(modules[int(number)]).__name__}.{rest}"] = parameter.grad
assert len(gradients) == 3 + 3 + 2 + 1, sorted(gradients)
save_file({name: gradient.contiguous() for name, gradient in gradients.items()}, os.path.join(HERE, "modules_grads.safetensors"))
json.dump({"texts": TEXTS, "embeddings": floats(embeddings), "upstream": floats(upstream)},
          open(os.path.join(HERE, "modules.json"), "w"), ensure_ascii=False)
print(sorted(gradients))
