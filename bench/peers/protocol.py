"""What every Python peer of `cargo xtask bench-peers` shares: its arguments, its texts, and how it speaks.

A peer loads once, warms up and prints {"ready": true}. Then each line `go` on standard input is one timed round, answered by
{"seconds": …, "tokens": …, "peak_bytes": …}; `quit` or the end of the input ends it. Between rounds it sleeps in `read`.
`tokens` are those of the texts, special tokens counted and padding not. A file descriptor of its own keeps whatever libraries
print out of the answers.
"""

import argparse
import json
import os
import sys
import time


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["encode", "rerank", "train", "evaluate", "start"])
    parser.add_argument("--model", required=True, help="folder of Sentence Transformers")
    parser.add_argument("--exported", help="folder that export.py wrote")
    parser.add_argument("--texts", help="JSONL with positive, and anchor for rerank (that of the first row) and train")
    parser.add_argument("--set", help="folder of a retrieval set, for evaluate")
    parser.add_argument("--dims", type=lambda value: [int(dim) for dim in value.split(",")])
    parser.add_argument("--precision", default="f32", choices=["f32", "bf16", "int8"])
    parser.add_argument("--threads", type=int, required=True)
    parsed = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[variable] = str(parsed.threads)
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    return parsed


def rows(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def passages(path):
    """The query and the passages of a file to rerank."""
    all_rows = rows(path)
    return all_rows[0]["anchor"], [row["positive"] for row in all_rows]


def peak_bytes():
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def serve(round_of_work, **about):
    """Warms up with one round, then a round for every `go`. `round_of_work` gives (tokens, more fields for the answer)."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer):
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    _, more = round_of_work()
    say({"ready": True, **about, **more})
    for line in sys.stdin:
        word = line.strip()
        if word == "quit":
            break
        if word != "go":
            sys.exit(f"{word!r}: not understood; a line is go or quit")
        start = time.perf_counter()
        tokens, more = round_of_work()
        seconds = time.perf_counter() - start
        say({"seconds": seconds, "tokens": tokens, "peak_bytes": peak_bytes(), **more})


def first(embeddings):
    """What the ready line tells of the embeddings, so that all engines can be seen to compute the same."""
    return {"first": [round(float(value), 6) for value in embeddings[0][:4]]}
