"""Golden numbers of losses over several layers (Sentence Transformers 6.2.0, transformers 5.24.0, CPU, fp32).

Run:  pip install sentence-transformers==6.2.0 transformers==5.24.0
      python make_golden_layers.py

Writes layers.json next to this file, for the tests of `maana-train`: for small models of several families, whose weights follow
from `noise`, the loss of four pairs of texts over all layers, and of the gradient of every parameter its Euclidean norm and its
product with noise(elements, 5). The classifier of SoftmaxLoss has 0.3 * noise(elements, 9), its weight and then its bias.
"""
import json, os, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from noise import fill, noise
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import AutoConfig, AutoModel, AutoTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)
COLUMNS = [
    ["the house of the king", "water", "north and south and east and west", "the water of the river and the house"],
    ["a king", "the river and the water", "west", "the house of the king and the water of the river"],
]
CLASSES = torch.tensor([0, 2, 1, 2])
COMMON = {"vocab_size": 2000, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40,
          "max_position_embeddings": 40}
CONFIGS = {
    "bert": COMMON | {"type_vocab_size": 2, "pad_token_id": 0, "hidden_act": "gelu", "layer_norm_eps": 1e-5},
    "mpnet": COMMON | {"relative_attention_num_buckets": 32, "pad_token_id": 1, "hidden_act": "gelu", "layer_norm_eps": 1e-5},
    "distilbert": {"vocab_size": 2000, "dim": 24, "n_layers": 2, "n_heads": 3, "hidden_dim": 40, "max_position_embeddings": 40,
                   "activation": "gelu"},
    "modernbert": COMMON | {"num_hidden_layers": 3, "pad_token_id": 0, "local_attention": 8, "norm_bias": True,
                            "layer_types": ["full_attention", "sliding_attention", "full_attention"], "attention_bias": True},
}
SETTINGS = {"n_layers_per_step": "all", "last_layer_weight": 0.7, "prior_layers_weight": 0.9, "kl_div_weight": 1.3,
            "kl_temperature": 0.3}
RANKING = {"name": "multiple_negatives_ranking"}


def open_model(family, pooling):
    config = AutoConfig.for_model(family, **CONFIGS[family])
    options = {"add_pooling_layer": False} if family in ("bert", "mpnet") else {}
    model = AutoModel.from_config(config, **options)
    fill(model)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(os.path.join(HERE, "tiny-bert")).save_pretrained(folder)
        transformer = Transformer(folder, max_seq_length=30)
    return SentenceTransformer(modules=[transformer, Pooling(24, pooling), Normalize()], device="cpu").eval()


def adaptive(model, loss, settings, dims=None):
    settings = settings | {"n_layers_per_step": -1 if settings["n_layers_per_step"] == "all" else settings["n_layers_per_step"]}
    if dims is None:
        return losses.AdaptiveLayerLoss(model, loss, **settings)
    return losses.Matryoshka2dLoss(model, loss, dims, n_dims_per_step=-1, **settings)


cases = {}


def add(name, family, pooling, recipe, make, labels=None):
    model = open_model(family, pooling)
    loss = make(model)
    features = [model.preprocess(texts) for texts in COLUMNS]
    value = loss(features, labels)
    value.backward()
    gradients = {}
    parameters = list(model[0].auto_model.named_parameters())
    parameters += [(key.split("loss.")[-1], value) for key, value in loss.named_parameters() if "classifier" in key]
    for key, parameter in parameters:
        if key.startswith("pooler."):
            continue
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        flat = gradient.reshape(-1).double()
        gradients[key] = [float(flat.norm()), float(flat @ torch.from_numpy(noise(flat.numel(), 5)).double())]
    cases[name] = {"family": family, "pooling": pooling, "recipe": recipe, "value": float(value.detach()), "gradients": gradients}
    print(name, float(value.detach()), len(gradients))


for family in CONFIGS:
    for weighting in ("log",) if family != "bert" else ("uniform", "log", "linear"):
        settings = SETTINGS | {"layer_weighting": weighting}
        add(f"{family}_{weighting}", family, "mean", RANKING | {"adaptive_layers": settings},
            lambda model: adaptive(model, losses.MultipleNegativesRankingLoss(model), settings))
for family, pooling in (("bert", "cls"), ("bert", "max"), ("modernbert", "cls"), ("modernbert", "mean")):
    settings, dims = SETTINGS | {"layer_weighting": "uniform"}, [24, 12, 6]
    add(f"{family}_{pooling}_2d", family, pooling, RANKING | {"matryoshka_dims": dims, "adaptive_layers": settings},
        lambda model: adaptive(model, losses.MultipleNegativesRankingLoss(model), settings, dims))
settings = SETTINGS | {"kl_temperature": 0.0, "layer_weighting": "uniform"}
add("without_divergence", "bert", "mean", RANKING | {"adaptive_layers": settings},
    lambda model: adaptive(model, losses.MultipleNegativesRankingLoss(model), settings))


def softmax(model):
    loss = losses.SoftmaxLoss(model, 24, 3)
    layer = loss.classifier
    values = 0.3 * torch.from_numpy(noise(layer.weight.numel() + 3, 9))
    with torch.no_grad():
        layer.weight.copy_(values[:-3].reshape(layer.weight.shape))
        layer.bias.copy_(values[-3:])
    return loss


settings = SETTINGS | {"layer_weighting": "uniform"}
add("softmax", "bert", "mean", {"name": "softmax", "num_labels": 3, "adaptive_layers": settings},
    lambda model: adaptive(model, softmax(model), settings), CLASSES)

json.dump({"columns": COLUMNS, "classes": CLASSES.tolist(), "cases": cases}, open(os.path.join(HERE, "layers.json"), "w"), separators=(",", ":"))
