"""Compares packages of Python that embed texts, in one run: see `python_peer.py`. Rounds alternate, so that other load on
the machine affects all alike. Then whole processes: the command `maana encode`, and a program that does the same with the
package.

    python bench/peers/compare_python.py --model FOLDER --texts FILE [--exported FOLDER] [--rounds 7] [--threads 2]

Prints tables in Markdown. `--exported` is the folder that `export.py` wrote, without which fastembed is left out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = """
import sys, json, numpy
from maana import SentenceTransformer
texts = [json.loads(line)["positive"] for line in open(sys.argv[2], encoding="utf-8")]
numpy.save(sys.argv[3], SentenceTransformer(sys.argv[1]).encode(texts))
"""


class Peer:
    """A process that has loaded its engine and waits for its turn."""

    def __init__(self, engine, options):
        flags = ["--model", options.model, "--texts", options.texts, "--threads", str(options.threads)]
        flags += ["--exported", options.exported] if options.exported else []
        command = [sys.executable, os.path.join(HERE, "python_peer.py"), engine, *flags]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.engine, self.seconds, self.memory = engine, [], 0
        self.process = subprocess.Popen(command, **pipes)
        self.first = self.answer()["first"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.engine} ended with the code {self.process.wait()}")
        return json.loads(line)

    def round(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        answer = self.answer()
        self.texts, self.memory = answer["tokens"], answer["peak_bytes"]
        self.seconds.append(answer["seconds"])


def whole(commands, rounds):
    """Return the seconds of each command, in alternating rounds."""
    seconds = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", required=True, help="JSON lines with `positive`")
    parser.add_argument("--exported")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    os.environ["MAANA_THREADS"] = str(options.threads)

    engines = ["maana", "sentence-transformers", *(["fastembed"] if options.exported else []), "kjarni"]
    peers = [Peer(engine, options) for engine in engines]
    for _ in range(options.rounds):
        for peer in peers:
            peer.round()
    print("| package | texts a second | times as long as maana | peak memory, MB | first numbers |")
    print("|---|---:|---:|---:|---|")
    ours = statistics.median(peers[0].seconds)
    for peer in peers:
        median = statistics.median(peer.seconds)
        cells = [peer.engine, f"{peer.texts / median:.0f}", f"{median / ours:.2f}", f"{peer.memory / 1e6:.0f}", str(peer.first)]
        print("| " + " | ".join(cells) + " |")
        peer.process.stdin.write("quit\n")
        peer.process.stdin.close()
        peer.process.wait()

    with tempfile.TemporaryDirectory() as folder:
        flags = [options.model, "--input", options.texts, "--column", "positive", "--output", os.path.join(folder, "a.npy")]
        commands = {
            "maana encode": [sys.executable, "-m", "maana", "encode", *flags],
            "the package": [sys.executable, "-c", PROGRAM, options.model, options.texts, os.path.join(folder, "b.npy")],
        }
        seconds = whole(commands, options.rounds)
    command, package = (statistics.median(seconds[name]) for name in commands)
    print(f"\nWhole process, {peers[0].texts} texts: maana encode {command:.2f} s, the package {package:.2f} s ", end="")
    print(f"({(package / command - 1) * 100:+.1f} %)")
    hello = f"from maana import SentenceTransformer; SentenceTransformer({options.model!r}).encode('Habari')"
    starts = whole({"start": [sys.executable, "-c", hello], "import": [sys.executable, "-c", "import maana"]}, options.rounds)
    bare = statistics.median(whole({"bare": [sys.executable, "-c", "pass"]}, options.rounds)["bare"])
    print(f"Start to first embedding {statistics.median(starts['start']):.2f} s; ", end="")
    print(f"import {(statistics.median(starts['import']) - bare) * 1000:.0f} ms")


if __name__ == "__main__":
    main()
