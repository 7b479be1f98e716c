"""Golden numbers for `maana-vectors`: Sentence Transformers 6.2.0, scikit-learn 1.9.1, NumPy 2.4.6, on the CPU.

Run:  pip install sentence-transformers==6.2.0 datasets scikit-learn==1.9.1
      python make_golden.py          (writes golden.json beside itself)

What golden.json holds (values of vectors are rounded to three decimals, so that every reader has the same f32):
  blobs      60 x 6 vectors in three classes that overlap a little, their labels
  quantize   those as int8, uint8, binary, ubinary; with ranges of their own and of others
  mining     paraphrase_mining of the first 40 (all pairs; and top_k 3, max_pairs 25)
  hard_negatives  mine_hard_negatives with several settings, rows instead of texts
  communities  community_detection at several thresholds
  logistic   LogisticRegression: coefficients, intercepts, probabilities of the first five, objective; three classes and two
  agglomerative  labels by linkage for three clusters and for a distance threshold; HDBSCAN labels; k-means inertia
  measures   silhouette, V-measure (homogeneity, completeness), ARI, macro-F1, accuracy for the given labellings
  pca        explained variances and the projection up to sign
"""
import json, os
import numpy as np
import torch
from datasets import Dataset
from sentence_transformers.util import (community_detection, cos_sim, mine_hard_negatives, pairwise_cos_sim,
                                         paraphrase_mining_embeddings, quantize_embeddings)
from sklearn.cluster import AgglomerativeClustering, HDBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn import metrics

rng = np.random.default_rng(7)
centres = rng.normal(size=(3, 6)) * 1.6
labels = np.arange(60) % 3
blobs = np.round(centres[labels] + rng.normal(size=(60, 6)), 3).astype(np.float32)
other = np.round(rng.normal(size=(20, 6)), 3).astype(np.float32)


def numbers(x):
    return np.asarray(x, dtype=np.float64).round(10).tolist()


def ints(x):
    return np.asarray(x).astype(int).tolist()


out = {"blobs": numbers(blobs), "labels": ints(labels), "other": numbers(other)}
ranges = np.vstack([other.min(0), other.max(0)])
out["quantize"] = {
    p: ints(quantize_embeddings(blobs, p)) for p in ["int8", "uint8", "binary", "ubinary"]
} | {f"{p}_other": ints(quantize_embeddings(blobs, p, ranges=ranges)) for p in ["int8", "uint8"]}

few = torch.tensor(blobs[:40])
out["mining"] = {
    "all": [[float(s), i, j] for s, i, j in paraphrase_mining_embeddings(few)],
    "limited": [[float(s), i, j] for s, i, j in paraphrase_mining_embeddings(few, top_k=3, max_pairs=25)],
}
out["communities"] = [
    {"threshold": t, "min_size": m, "communities": [ints(c) for c in community_detection(torch.tensor(blobs), threshold=t, min_community_size=m)]}
    for t, m in [(0.75, 3), (0.6, 10), (0.85, 2), (0.95, 2), (0.3, 5), (0.999, 1)]
]


def logistic(x, y, c):
    x = x.astype(np.float64)
    model = LogisticRegression(C=c, tol=1e-12, max_iter=100000).fit(x, y)
    p = model.predict_proba(x)
    objective = c * -np.log(p[np.arange(len(y)), y]).sum() + 0.5 * (model.coef_**2).sum()
    return {"C": c, "coef": numbers(model.coef_), "intercept": numbers(model.intercept_),
            "probabilities": numbers(p[:5]), "objective": float(objective)}


class Model:
    """As much of a SentenceTransformer as mine_hard_negatives asks for: texts are the numbers of rows."""
    device = "cpu"
    model_card_data = type("Card", (), {"base_model": ""})()

    def __init__(self, queries, corpus):
        self.queries, self.corpus = queries, corpus

    def encode_query(self, texts, **_):
        x = self.queries[[int(t[1:]) for t in texts]]
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    def encode_document(self, texts, **_):
        x = self.corpus[[int(t[1:]) for t in texts]]
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    def similarity(self, a, b):
        return cos_sim(a, b)

    def similarity_pairwise(self, a, b):
        return pairwise_cos_sim(a, b)


queries = np.round(rng.normal(size=(12, 6)), 3).astype(np.float32)
corpus = np.round(np.concatenate([queries * 0.8 + rng.normal(size=(12, 6)) * 0.7, rng.normal(size=(40, 6))]), 3).astype(np.float32)
# Query 3 has two answers.
positives = [[q] for q in range(12)]
positives[3].append(20)
pairs = [(q, p) for q, ps in enumerate(positives) for p in ps]
data = Dataset.from_dict({"anchor": [f"q{q}" for q, _ in pairs], "positive": [f"d{p}" for _, p in pairs]})
cases = []
for settings in [dict(num_negatives=3), dict(num_negatives=2, range_min=3, range_max=9), dict(num_negatives=3, absolute_margin=0.2),
                 dict(num_negatives=3, relative_margin=0.1), dict(num_negatives=4, max_score=0.6), dict(num_negatives=3, min_score=0.55),
                 dict(num_negatives=2, relative_margin=0.05, max_score=0.8, min_score=0.2, range_min=1), dict(num_negatives=50)]:
    mined = mine_hard_negatives(data, Model(queries, corpus), corpus=[f"d{i}" for i in range(52)], output_format="triplet",
                                output_scores=True, verbose=False, **settings)
    found = [[] for _ in range(12)]
    for row in mined:
        q, p, n = (int(row[c][1:]) for c in ["anchor", "positive", "negative"])
        score = row[[c for c in mined.column_names if c.startswith("score")][0]][1]
        if p == positives[q][0]:
            found[q].append([n, score])
    cases.append({"settings": settings, "negatives": found})
out["hard_negatives"] = {"queries": numbers(queries), "corpus": numbers(corpus), "positives": positives, "cases": cases}

two = labels != 2
out["logistic"] = {"three": [logistic(blobs, labels, c) for c in [0.01, 1.0, 100.0]],
                   "two": [logistic(blobs[two], labels[two], c) for c in [0.01, 1.0, 100.0]]}

x64 = blobs.astype(np.float64)
out["agglomerative"] = {}
for linkage in ["average", "complete", "single", "ward"]:
    by_k = AgglomerativeClustering(n_clusters=3, linkage=linkage).fit_predict(x64)
    tree = AgglomerativeClustering(n_clusters=None, distance_threshold=0, linkage=linkage).fit(x64)
    heights = np.sort(tree.distances_)
    threshold = float((heights[-6] + heights[-5]) / 2)
    by_t = AgglomerativeClustering(n_clusters=None, distance_threshold=threshold, linkage=linkage).fit_predict(x64)
    out["agglomerative"][linkage] = {"three": ints(by_k), "heights": numbers(heights), "threshold": threshold, "cut": ints(by_t)}
out["hdbscan"] = [
    {"min_cluster_size": m, "min_samples": s, "labels": ints(HDBSCAN(min_cluster_size=m, min_samples=s, copy=True).fit_predict(x64))}
    for m, s in [(5, 5), (3, 3), (8, 2), (5, 1), (4, 10)]
]
out["kmeans"] = {"inertia": float(KMeans(n_clusters=3, n_init=50, random_state=0, tol=0).fit(x64).inertia_)}

guess = KMeans(n_clusters=4, n_init=3, random_state=1).fit_predict(x64)
predicted = np.where(np.arange(60) % 7 == 0, (labels + 1) % 3, labels)
out["measures"] = {
    "guess": ints(guess), "predicted": ints(predicted),
    "silhouette": float(metrics.silhouette_score(x64, guess)),
    "silhouette_cosine": float(metrics.silhouette_score(x64, guess, metric="cosine")),
    "homogeneity": float(metrics.homogeneity_score(labels, guess)),
    "completeness": float(metrics.completeness_score(labels, guess)),
    "v_measure": float(metrics.v_measure_score(labels, guess)),
    "ari": float(metrics.adjusted_rand_score(labels, guess)),
    "accuracy": float(metrics.accuracy_score(labels, predicted)),
    "macro_f1": float(metrics.f1_score(labels, predicted, average="macro")),
    "log_loss": None,
}
pca = PCA(n_components=2, svd_solver="full").fit(x64)
out["pca"] = {"variance": numbers(pca.explained_variance_), "projected": numbers(pca.transform(x64))}

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json")
with open(path, "w") as f:
    json.dump(out, f, separators=(",", ":"))
print(path, os.path.getsize(path))
