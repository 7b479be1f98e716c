"""Golden numbers of the losses of cross-encoders (Sentence Transformers 6.2.0, torch 2.15.0, CPU, fp32).

Run:  pip install sentence-transformers==6.2.0 datasets accelerate
      python make_golden_cross_losses.py OUT_DIR

Writes cross_losses.json: for each case the settings of the recipe, the pairs of each row (numbers of query and document),
their logits row by row, the labels, the value of the loss and the gradient of every logit.
"""
import json, os, sys
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from torch import nn
from sentence_transformers.cross_encoder import CrossEncoder, losses

OUT = sys.argv[1]
torch.manual_seed(3)
torch.set_num_threads(1)
cases = {}


def floats(t): return [float(f"{x:.9g}") for x in t.detach().double().reshape(-1).tolist()]


class Fixed(CrossEncoder):
    """Stands in for a model: the logits of a pair are those of its query and document in a table."""

    def __init__(self, table):
        nn.Module.__init__(self)
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "asked", [])

    num_labels = property(lambda self: self.table.shape[2])
    device = property(lambda self: torch.device("cpu"))

    def preprocess(self, pairs, prompt=None, task=None):
        self.asked.append([(int(q), int(d)) for q, d in pairs])
        return {"pairs": torch.tensor(self.asked[-1])}

    def forward(self, features):
        pairs = features["pairs"]
        return {"scores": self.table[pairs[:, 0], pairs[:, 1]]}


def add(name, make, recipe, queries, documents, labels=None, num_labels=1, spread=1.5):
    """`documents` has a list of columns, or for lists a list of documents for each query."""
    table = (torch.randn(len(queries), 40, num_labels) * spread).requires_grad_(True)
    model = Fixed(table)
    loss = make(model)
    inputs = [[str(q) for q in queries]] + documents
    value = loss(inputs, labels)
    value.backward()
    rows = [[] for _ in queries]
    for q, d in (pair for asked in model.asked for pair in asked):
        # The cached loss asks for every pair once more in its backward pass.
        if d not in rows[q]:
            rows[q].append(d)
    pairs = [(q, d) for q, row in enumerate(rows) for d in row]
    at = torch.tensor(pairs)
    flat = labels
    if isinstance(labels, list):
        flat = torch.cat([label.float().reshape(-1) for label in labels])
    assert name not in cases
    cases[name] = {
        "recipe": recipe,
        "num_labels": num_labels,
        "pairs": rows,
        "logits": floats(table[at[:, 0], at[:, 1]]),
        "labels": None if flat is None else floats(flat),
        "value": float(value.detach()),
        "d_logits": floats(table.grad[at[:, 0], at[:, 1]]),
    }


def columns(count, rows): return [[str(column * rows + row) for row in range(rows)] for column in range(count)]


B = 6
rows = range(B)
binary = torch.tensor([1, 0, 0, 1, 1, 0])
shares = torch.rand(B)
for label, labels in (("binary", binary), ("shares", shares)):
    for weight in (None, 4.0):
        recipe = {"name": "binary_cross_entropy"} | ({} if weight is None else {"pos_weight": weight})
        make = lambda m: losses.BinaryCrossEntropyLoss(m, pos_weight=None if weight is None else torch.tensor(weight))
        add(f"binary_cross_entropy_{label}_{weight}", make, recipe, rows, columns(1, B), labels, spread=4.0)
add("binary_cross_entropy_tanh", lambda m: losses.BinaryCrossEntropyLoss(m, activation_fn=nn.Tanh()), {"name": "binary_cross_entropy", "activation": "tanh"}, rows, columns(1, B), binary)
for labels, classes in ((torch.tensor([0, 2, 1, 1, 0, 2]), 3), (binary, 2)):
    add(f"cross_entropy_{classes}", losses.CrossEntropyLoss, {"name": "cross_entropy"}, rows, columns(1, B), labels, classes)
add("cross_entropy_sigmoid", lambda m: losses.CrossEntropyLoss(m, activation_fn=nn.Sigmoid()), {"name": "cross_entropy", "activation": "sigmoid"}, rows, columns(1, B), torch.tensor([0, 2, 1, 1, 0, 2]), 3)
for activation, fn in (("identity", nn.Identity()), ("sigmoid", nn.Sigmoid()), ("tanh", nn.Tanh()), ("relu", nn.ReLU())):
    add(f"mse_{activation}", lambda m: losses.MSELoss(m, activation_fn=fn), {"name": "mse", "activation": activation}, rows, columns(1, B), shares)
    add(f"margin_mse_{activation}", lambda m: losses.MarginMSELoss(m, activation_fn=fn), {"name": "margin_mse", "activation": activation}, rows, columns(2, B), torch.randn(B))
add("margin_mse_margins", losses.MarginMSELoss, {"name": "margin_mse"}, rows, columns(4, B), [torch.randn(3) for _ in rows])
add("margin_mse_scores", losses.MarginMSELoss, {"name": "margin_mse"}, rows, columns(4, B), [torch.randn(4) * 3 for _ in rows])
add("margin_mse_two_scores", losses.MarginMSELoss, {"name": "margin_mse"}, rows, columns(2, B), [torch.randn(2) * 3 for _ in rows])


def ranking(name, count, settings, make=losses.MultipleNegativesRankingLoss, **recipe):
    add(f"multiple_negatives_ranking_{name}", lambda m: make(m, **settings), {"name": "multiple_negatives_ranking"} | recipe, rows, columns(count, B))


for count in (1, 2, 3):
    ranking(f"all_{count}", count, {"num_negatives": None}, num_negatives="all")
ranking("more_than_there_are", 2, {"num_negatives": 99}, num_negatives=99)
ranking("scale", 2, {"num_negatives": None, "scale": 3.0}, num_negatives="all", scale=3.0)
ranking("identity", 2, {"num_negatives": None, "activation_fn": nn.Identity(), "scale": 1.0}, num_negatives="all", activation="identity", scale=1.0)
ranking("cached", 2, {"num_negatives": None, "mini_batch_size": 5}, losses.CachedMultipleNegativesRankingLoss, num_negatives="all")

lengths = [3, 1, 5, 2, 4]
grades = [[1, 0, 2], [1], [0, 3, 1, 1, 0], [0, 0], [2, 2, 1, 0]]


def lists(name, make, recipe, grades=grades, spread=1.5):
    documents, start = [], 0
    for row in grades:
        documents.append([str(start + n) for n in range(len(row))])
        start += len(row)
    labels = [torch.tensor(row) for row in grades]
    add(name, make, recipe, range(len(grades)), [documents], labels, spread=spread)


schemes = {
    "none": losses.NoWeightingScheme, "ndcg_loss1": losses.NDCGLoss1Scheme, "ndcg_loss2": losses.NDCGLoss2Scheme,
    "lambda_rank": losses.LambdaRankScheme, "ndcg_loss2pp": losses.NDCGLoss2PPScheme,
}
lists("lambda", losses.LambdaLoss, {"name": "lambda"})
for key, scheme in schemes.items():
    for k in (None, 2):
        recipe = {"name": "lambda", "weighting_scheme": key} | ({} if k is None else {"k": k})
        lists(f"lambda_{key}_{k}", lambda m: losses.LambdaLoss(m, scheme(), k=k), recipe)
lists("lambda_mu", lambda m: losses.LambdaLoss(m, losses.NDCGLoss2PPScheme(mu=2.0), sigma=0.5, reduction_log="natural"), {"name": "lambda", "mu": 2.0, "sigma": 0.5, "reduction_log": "natural"})
lists("lambda_eps", lambda m: losses.LambdaLoss(m, eps=5.0), {"name": "lambda", "eps": 5.0})
lists("lambda_sigmoid", lambda m: losses.LambdaLoss(m, activation_fn=nn.Sigmoid()), {"name": "lambda", "activation": "sigmoid"})
lists("lambda_equal_labels", losses.LambdaLoss, {"name": "lambda"}, [[1, 1], [0, 0, 0]])
lists("lambda_fractions", losses.LambdaLoss, {"name": "lambda"}, [[0.25, -1.0, 0.75], [-2.0, -0.5]])
lists("rank_net", losses.RankNetLoss, {"name": "rank_net"})
lists("rank_net_settings", lambda m: losses.RankNetLoss(m, k=2, sigma=2.0, reduction_log="natural"), {"name": "rank_net", "k": 2, "sigma": 2.0, "reduction_log": "natural"})
lists("rank_net_far", losses.RankNetLoss, {"name": "rank_net"}, spread=60.0)
lists("list_net", losses.ListNetLoss, {"name": "list_net"})
lists("list_net_tanh", lambda m: losses.ListNetLoss(m, activation_fn=nn.Tanh()), {"name": "list_net", "activation": "tanh"})
for name, make in (("list_mle", losses.ListMLELoss), ("plist_mle", losses.PListMLELoss)):
    lists(name, make, {"name": name})
    distinct = [[1, 0, 2], [1], [0, 3, 1, 2, -1], [0, 0.5], [2.5, 2, 1, 0]]
    lists(f"{name}_sorted", lambda m: make(m, respect_input_order=False), {"name": name, "respect_input_order": False}, distinct)
    lists(f"{name}_sigmoid", lambda m: make(m, activation_fn=nn.Sigmoid()), {"name": name, "activation": "sigmoid"})
lists("plist_mle_long", losses.PListMLELoss, {"name": "plist_mle"}, [list(range(36, 0, -1)), [1, 0]])
lists("adr_mse", losses.ADRMSELoss, {"name": "adr_mse"})
lists("adr_mse_alpha", lambda m: losses.ADRMSELoss(m, alpha=3.0), {"name": "adr_mse", "alpha": 3.0})

with open(os.path.join(OUT, "cross_losses.json"), "w", encoding="utf-8") as file:
    json.dump(cases, file, separators=(",", ":"))
    file.write("\n")
print(len(cases), "cases")
