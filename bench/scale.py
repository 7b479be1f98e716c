"""Computes the tables of docs/scale.md: time, price and size of embedding many texts, from the tokens per
second that bench/results.json has.

    python3 bench/scale.py [--tokens 30] [--price 0.04] [--cores 1000] [--write]

With --write the tables replace those of the page; otherwise they are printed.
"""

import argparse
import json
import re
import statistics
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "scale.md"
MODELS = {"minilm": ("all-MiniLM-L6-v2", 384), "bge-base": ("bge-base", 768)}
TEXTS = {"100 million": 100_000_000, "10 billion": 10_000_000_000}
BYTES = {"f32": 4.0, "f16": 2.0, "int8": 1.0, "binary": 0.125}


def rates():
    """Return tokens per second and core of each model and precision."""
    found = {}
    for comparison in json.loads((ROOT / "bench" / "results.json").read_text())["comparisons"]:
        named = re.fullmatch(r"encode-(f32|int8)-(.*)", comparison["key"])
        if named and named[2] in MODELS:
            ours = next(engine for engine in comparison["engines"] if engine["ours"])
            seconds = statistics.median(ours["seconds"])
            found[named[2], named[1]] = ours["tokens"] / seconds / comparison["threads"]
    return found


def rounded(value):
    """Return a number with two digits that matter, and a comma between thousands."""
    digits = len(str(int(value)))
    return f"{round(value, 2 - digits):,.0f}" if value >= 10 else f"{value:.2g}"


def size(count):
    """Return a number of bytes with its unit."""
    for unit in ("GB", "TB"):
        amount = count / (1e9 if unit == "GB" else 1e12)
        if amount < 1000 or unit == "TB":
            return f"{rounded(amount)} {unit}"


def tables(tokens, price, cores):
    lines = [
        f"{tokens} tokens a text, {price:.2f} a core and hour, {cores:,} cores:",
        "",
        f"| texts | model | precision | tokens a second and core | core-hours | hours on {cores:,} cores | price |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for name, texts in TEXTS.items():
        for (model, precision), rate in sorted(rates().items(), key=lambda item: (item[0][0] != "minilm", item[0][1])):
            hours = texts * tokens / rate / 3600
            cells = [name, MODELS[model][0], precision, rounded(rate), rounded(hours), rounded(hours / cores), rounded(hours * price)]
            lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| texts | columns | " + " | ".join(BYTES) + " |", "|---|---:|" + "---:|" * len(BYTES)]
    for name, texts in TEXTS.items():
        for columns in (384, 768):
            sizes = [size(texts * columns * each) for each in BYTES.values()]
            lines.append(f"| {name} | {columns} | " + " | ".join(sizes) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=30, help="mean number of tokens of a text")
    parser.add_argument("--price", type=float, default=0.04, help="price of a core for an hour")
    parser.add_argument("--cores", type=int, default=1000)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    text = tables(options.tokens, options.price, options.cores)
    if not options.write:
        print(text)
        return
    begin, end = "<!-- computed by bench/scale.py -->", "<!-- end -->"
    page = PAGE.read_text()
    before, after = page.split(begin)[0], page.split(end)[1]
    PAGE.write_text(f"{before}{begin}\n{text}\n{end}{after}")


if __name__ == "__main__":
    main()
