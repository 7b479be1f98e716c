"""Golden numbers of further losses (Sentence Transformers 6.2.0, torch 2.15.0, CPU, fp32).

Run:  pip install sentence-transformers==6.2.0 datasets accelerate
      python make_golden_losses.py OUT_DIR

Writes losses_more.json: fixed embeddings and labels, and for each case the columns, the label, the value of the loss and
the gradient of every embedding; of losses with a layer of their own also its weight and bias, and their gradients.
"""
import json, os, sys
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from torch.nn import functional as F
from transformers import AutoTokenizer
from sentence_transformers import util
from sentence_transformers.sentence_transformer import losses
from sentence_transformers.sentence_transformer.losses.batch_hard_triplet import BatchHardTripletLossDistanceFunction as BatchDistance
from sentence_transformers.sentence_transformer.losses.contrastive import SiameseDistanceMetric as Siamese
from sentence_transformers.sentence_transformer.losses.triplet import TripletDistanceMetric as TripletDistance

OUT = sys.argv[1]
HERE = os.path.dirname(os.path.abspath(__file__))
torch.manual_seed(1)
torch.set_num_threads(1)
B, D, G = 6, 16, 8
DIMS = [16, 8, 4]


def floats(t): return [float(f"{x:.8g}") for x in t.detach().double().reshape(-1).tolist()]


class Fixed(torch.nn.Module):
    """Stands in for a model: returns the embeddings that it is given under a key."""
    similarity_fn_name = "cosine"
    tokenizer = AutoTokenizer.from_pretrained(os.path.join(HERE, "tiny-bert"))
    max_seq_length = 128
    device = "cpu"

    def __init__(self, key="sentence_embedding"):
        super().__init__()
        self.key = key

    def forward(self, features): return {"sentence_embedding": features[self.key]}
    def get_embedding_dimension(self): return D
    def __getitem__(self, index): return self


m, guide = Fixed(), Fixed("guide_embedding")

a, p, n, o = (torch.randn(B, D) for _ in range(4))
p = a * 0.4 + p * 0.9
n = a * 0.2 + n * 0.9
columns = {"a": a, "p": p, "n": n, "o": o}
guides = {name: torch.randn(B, G) for name in "apno"}
guides["p"] = guides["a"] * 0.6 + guides["p"] * 0.8
guides["n"] = guides["a"] * 0.5 + guides["n"] * 0.8
labels = {
    "score": torch.rand(B),
    "binary": torch.tensor([1, 0, 0, 1, 1, 0]),
    "ones": torch.ones(B, dtype=torch.long),
    "zeros": torch.zeros(B, dtype=torch.long),
    "class": torch.tensor([0, 1, 0, 2, 1, 0]),
    "one_class": torch.zeros(B, dtype=torch.long),
    "own_class": torch.arange(B),
    "margin": torch.randn(B) * 0.5,
    "margins": torch.randn(B, 2) * 0.5,
    "scores_2": torch.randn(B, 2),
    "scores_3": torch.randn(B, 3) * 3,
    "teacher": torch.randn(B, D),
    "teacher_each": torch.randn(B, 2, D),
}
cases = {}


def add(name, loss, recipe, cols, label=None):
    inputs = [columns[c].clone().requires_grad_(True) for c in cols]
    features = [{"sentence_embedding": x, "guide_embedding": guides[c]} for x, c in zip(inputs, cols)]
    value = loss(features, None if label is None else labels[label])
    value.backward()
    grads = [torch.zeros_like(x) if x.grad is None else x.grad for x in inputs]
    assert name not in cases
    cases[name] = {"recipe": recipe, "columns": cols, "label": label, "value": float(value.detach()), "d_columns": [floats(g) for g in grads]}


def both(name, make, recipe, cols, label=None):
    add(name, make(), recipe, cols, label)
    add("matryoshka_" + name, losses.MatryoshkaLoss(m, make(), DIMS), recipe | {"matryoshka_dims": DIMS}, cols, label)


for metric in ("COSINE_DISTANCE", "EUCLIDEAN", "MANHATTAN"):
    key, fn = metric.split("_")[0].lower(), getattr(Siamese, metric)
    margin = {"cosine": 0.9, "euclidean": 6.0, "manhattan": 20.0}[key]
    recipe = {"distance_metric": key, "margin": margin}
    both(f"contrastive_{key}", lambda: losses.ContrastiveLoss(m, fn, margin), {"name": "contrastive"} | recipe, "ap", "binary")
    both(f"online_contrastive_{key}", lambda: losses.OnlineContrastiveLoss(m, fn, margin), {"name": "online_contrastive"} | recipe, "ap", "binary")
add("contrastive", losses.ContrastiveLoss(m), {"name": "contrastive"}, "ap", "binary")
for label in ("binary", "ones"):
    add(f"online_contrastive_{label}", losses.OnlineContrastiveLoss(m), {"name": "online_contrastive"}, "ap", label)
add("online_contrastive_zeros", losses.OnlineContrastiveLoss(m, margin=0.9), {"name": "online_contrastive", "margin": 0.9}, "ap", "zeros")
for key, margin in (("cosine", 0.3), ("manhattan", 5.0)):
    fn = getattr(TripletDistance, key.upper())
    both(f"triplet_{key}", lambda: losses.TripletLoss(m, fn, margin), {"name": "triplet", "distance_metric": key, "margin": margin}, "apn")
for cols, label in (("a", "teacher"), ("ap", "teacher"), ("ap", "teacher_each")):
    both(f"mse_{cols}_{label}", lambda: losses.MSELoss(m), {"name": "mse"}, cols, label)
for key, fn in (("dot", util.pairwise_dot_score), ("cosine", util.pairwise_cos_sim)):
    for cols, label in (("apn", "margin"), ("apn", "scores_2"), ("apno", "margins"), ("apno", "scores_3")):
        recipe = {"name": "margin_mse", "similarity": key}
        both(f"margin_mse_{label}_{key}", lambda: losses.MarginMSELoss(m, fn), recipe, cols, label)
    for cols, label, temperature in (("apn", "scores_2", 1.0), ("apno", "scores_3", 2.0)):
        recipe = {"name": "distill_kl_div", "similarity": key, "temperature": temperature}
        both(f"distill_kl_div_{label}_{key}", lambda: losses.DistillKLDivLoss(m, fn, temperature), recipe, cols, label)
temperatures = {"student_temperature": 0.5, "teacher_temperature": 3.0}
add("distill_kl_div_temperatures", losses.DistillKLDivLoss(m, **temperatures), {"name": "distill_kl_div"} | temperatures, "apno", "scores_3")
both("angle", lambda: losses.AnglELoss(m), {"name": "angle"}, "ap", "score")
both("angle_scale_5", lambda: losses.AnglELoss(m, scale=5.0), {"name": "angle", "scale": 5.0}, "ap", "score")
both("angle_negatives", lambda: losses.AnglELoss(m), {"name": "angle"}, "apno")
add("angle_negatives_scores", losses.AnglELoss(m), {"name": "angle"}, "apn", "score")


def gist(name, make, settings, cols, alone=False):
    recipe = {"name": "gist_embed"} | settings
    (add if alone else both)(name, (make(**settings) if alone else lambda: make(**settings)), recipe, cols)


guided = lambda **settings: losses.GISTEmbedLoss(m, guide, **settings)
gist("gist", guided, {}, "ap")
gist("gist_negatives", guided, {}, "apn")
for strategy in ("absolute", "relative"):
    gist(f"gist_{strategy}", guided, {"temperature": 0.05, "margin_strategy": strategy, "margin": 0.2}, "apn")
for anchors, positives in ((True, False), (False, True), (False, False)):
    settings = {"temperature": 0.05, "contrast_anchors": anchors, "contrast_positives": positives}
    gist(f"gist_anchors_{anchors}_positives_{positives}".lower(), guided, settings, "apn", alone=True)

for key, fn, margin in (("euclidean", BatchDistance.euclidean_distance, 5.0), ("cosine", BatchDistance.cosine_distance, 0.4)):
    for name, make, settings in (
        ("batch_hard_triplet", lambda: losses.BatchHardTripletLoss(m, fn, margin), {"margin": margin}),
        ("batch_all_triplet", lambda: losses.BatchAllTripletLoss(m, fn, margin), {"margin": margin}),
        ("batch_semi_hard_triplet", lambda: losses.BatchSemiHardTripletLoss(m, fn, margin), {"margin": margin}),
        ("batch_hard_soft_margin_triplet", lambda: losses.BatchHardSoftMarginTripletLoss(m, fn), {}),
    ):
        recipe = {"name": name, "distance_metric": key} | settings
        both(f"{name}_{key}", make, recipe, "a", "class")
        for label in ("one_class", "own_class"):
            add(f"{name}_{key}_{label}", make(), recipe, "a", label)


def ranking(name, cols, alone=False, **settings):
    recipe = {"name": "multiple_negatives_ranking"} | settings
    make = lambda: losses.MultipleNegativesRankingLoss(m, **settings)
    (add if alone else both)(name, (make() if alone else make), recipe, cols)


everything = ["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"]
for name, directions in (("queries", everything[:2]), ("symmetric", [everything[0], everything[2]]), ("documents", [everything[0], everything[3]]), ("all", everything)):
    for cols in ("ap", "apno"):
        ranking(f"directions_{name}_{cols}", cols, directions=directions)
ranking("directions_per_direction", "apn", directions=[everything[0], everything[2]], partition_mode="per_direction")
for mode in ("in_batch_negatives", "hard_negatives", "all_negatives"):
    ranking(f"hardness_{mode}", "apno", hardness_mode=mode, hardness_strength=5.0)
ranking("hardness_all_directions", "apno", alone=True, directions=everything, hardness_mode="all_negatives", hardness_strength=9.0)
add("similarity_dot", losses.MultipleNegativesRankingLoss(m, scale=0.5, similarity_fct=util.dot_score), {"name": "multiple_negatives_ranking", "scale": 0.5, "similarity": "dot"}, "apn")

# Losses with a layer of their own: behind the others, so that the numbers of those stay.
labels["shares"] = torch.softmax(torch.randn(B, 3), dim=1)
labels["teacher_small"] = torch.randn(B, G)
labels["teacher_small_each"] = torch.randn(B, 2, G)


def with_layer(name, loss, layer, recipe, cols, label):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3)
    add(name, loss, recipe, cols, label)
    parts = [layer.weight, layer.bias]
    cases[name]["parameters"] = [x for part in parts for x in floats(part)]
    cases[name]["d_parameters"] = [x for part in parts for x in floats(part.grad)]


for label in ("class", "shares"):
    for rep, difference, product in ((True, True, False), (True, False, False), (False, True, True), (True, True, True)):
        settings = {"num_labels": 3, "concatenation_sent_rep": rep, "concatenation_sent_difference": difference,
                    "concatenation_sent_multiplication": product}
        loss = losses.SoftmaxLoss(m, D, **settings)
        name = f"softmax_{label}_{int(rep)}{int(difference)}{int(product)}"
        with_layer(name, loss, loss.classifier, {"name": "softmax"} | settings, "ap", label)
for cols, label in (("a", "teacher_small"), ("ap", "teacher_small"), ("ap", "teacher_small_each")):
    loss = losses.MSELoss(m, projection_dim=G)
    with_layer(f"mse_projected_{cols}_{label}", loss, loss.projection, {"name": "mse", "projection_dim": G}, cols, label)

with open(os.path.join(OUT, "losses_more.json"), "w", encoding="utf-8") as file:
    json.dump({
        "batch": B, "dim": D,
        "columns": {name: floats(x) for name, x in columns.items()},
        "guides": {name: floats(x) for name, x in guides.items()},
        "labels": {name: floats(x) for name, x in labels.items()},
        "cases": cases,
    }, file, separators=(",", ":"))
    file.write("\n")
print(len(cases), "cases")
