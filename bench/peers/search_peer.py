"""faiss and usearch for `cargo xtask bench-search`: builds an index of base.npy once and keeps it beside, then answers all of
queries.npy for every number on standard input, which is the effort of the search (efSearch, expansion), by
{"seconds": …, "recall": …, "peak_bytes": …, "about": …}. Another word ends it."""

import argparse
import json
import os
import sys
import time

from protocol import peak_bytes

parser = argparse.ArgumentParser()
parser.add_argument("engine", choices=["faiss-flat", "faiss-hnsw", "usearch"])
parser.add_argument("--vectors", required=True, help="folder with base.npy, queries.npy and truth.npy")
parser.add_argument("--threads", type=int, required=True)
arguments = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(arguments.threads)

import numpy as np  # noqa: E402  (after the number of threads)

LINKS, BUILD_WIDTH = 16, 128


def of(name):
    return os.path.join(arguments.vectors, name)


def faiss_index(flat):
    import faiss

    faiss.omp_set_num_threads(arguments.threads)
    base = np.load(of("base.npy"), mmap_mode="r")
    if flat:
        index = faiss.IndexFlatIP(base.shape[1])
        index.add(np.ascontiguousarray(base))
        return index
    if not os.path.exists(of("faiss-hnsw")):
        index = faiss.IndexHNSWFlat(base.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = BUILD_WIDTH
        index.add(np.ascontiguousarray(base))
        faiss.write_index(index, of("faiss-hnsw"))
    return faiss.read_index(of("faiss-hnsw"))


def faiss_search(index, flat):
    def search(queries, effort):
        if not flat:
            index.hnsw.efSearch = effort
        return index.search(queries, 10)[1]

    return search


def usearch_search():
    from usearch.index import Index

    base = np.load(of("base.npy"), mmap_mode="r")
    index = Index(ndim=base.shape[1], metric="ip", dtype="f32", connectivity=LINKS, expansion_add=BUILD_WIDTH)
    if not os.path.exists(of("usearch")):
        index.add(np.arange(len(base)), np.ascontiguousarray(base), threads=arguments.threads)
        index.save(of("usearch"))
    index.load(of("usearch"))

    def search(queries, effort):
        index.expansion_search = effort
        return np.asarray(index.search(queries, 10, threads=arguments.threads).keys)

    return search


if arguments.engine == "usearch":
    find, about = usearch_search(), f"connectivity {LINKS}"
else:
    is_flat = arguments.engine == "faiss-flat"
    find, about = faiss_search(faiss_index(is_flat), is_flat), "every vector" if is_flat else f"M {LINKS}"
queries = np.load(of("queries.npy"))
truth = np.load(of("truth.npy")).astype(np.int64)


def say(answer):
    print(json.dumps(answer), flush=True)


say({"ready": True})
for line in sys.stdin:
    if not line.strip().isdigit():
        break
    start = time.perf_counter()
    found = find(queries, int(line))
    seconds = time.perf_counter() - start
    right = sum(len(np.intersect1d(a, b)) for a, b in zip(found, truth))
    say({"seconds": seconds, "recall": right / truth.size, "peak_bytes": peak_bytes(), "about": about})
