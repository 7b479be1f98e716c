"""The examples in the docstrings of the installed package `sentence_transformers`, and what stands in
for the models and data sets that they fetch."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conftest import ROOT, TINY

#: Folders of the package whose examples concern texts.
PARTS = ("base", "cross_encoder", "sentence_transformer", "util")
#: Words of examples of other things than embeddings and scores of texts.
ELSEWHERE = re.compile(r"SparseEncoder|MultiVector|onnx|openvino|PIL|\.jpe?g|import torch\.distributed")
ROWS = 48
CROSS = str(ROOT / "golden" / "cross" / "bert")


def examples(package: Path) -> dict[str, list[str]]:
    """Return the examples of the package by the class or function that they are about, and its folder."""
    found: dict[str, list[str]] = {}
    for path in sorted(file for part in PARTS for file in (package / part).rglob("*.py")):
        for owner, text in _docstrings(ast.parse(path.read_text(encoding="utf-8")), ""):
            if codes := [code for code in _blocks(text) if not ELSEWHERE.search(code)]:
                found[f"{path.relative_to(package).parts[0]}.{owner}"] = codes
    return found


def _docstrings(node: ast.AST, owner: str) -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.ClassDef, ast.FunctionDef)):
            name = f"{owner}.{child.name}".strip(".")
            if text := ast.get_docstring(child):
                yield name.removesuffix(".__init__"), text
            yield from _docstrings(child, name)


def _blocks(text: str) -> Iterator[str]:
    """Yield the literal blocks of a docstring that are programs, and the sessions of one without."""
    lines = text.split("\n")
    if ">>>" in text and "::" not in text:
        yield _without_prompts(text)
    for place, line in enumerate(lines):
        if not re.search(r"(\.\. code-block:: ?python|^(?!\s*\.\.).*::)\s*$", line):
            continue
        indent = len(line) - len(line.lstrip())
        block = []
        for each in lines[place + 1 :]:
            if each.strip() and len(each) - len(each.lstrip()) <= indent:
                break
            block.append(each)
        code = _without_prompts(textwrap.dedent("\n".join(block)).strip())
        if re.search(r"import |\w\(", code) and _is_program(code):
            yield code


def _without_prompts(code: str) -> str:
    """Return the inputs of a session."""
    if ">>>" not in code:
        return code
    lines = [line.strip() for line in code.split("\n")]
    return "\n".join(line[4:] for line in lines if line.startswith((">>> ", "... ")))


def _is_program(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


class Models:
    """Local models in the place of those of the hub, by what programs do with them."""

    def __init__(self, folder: Path) -> None:
        from maana import SentenceTransformer
        from maana.models import Dense, Pooling, StaticEmbedding, Transformer

        self.wide, self.static = str(folder / "wide"), str(folder / "static")
        chain = [Transformer(TINY), Pooling(64, "mean"), Dense(64, 768)]
        SentenceTransformer(modules=chain).save_pretrained(self.wide)
        table = StaticEmbedding(SentenceTransformer(TINY).tokenizer, embedding_dim=768)
        SentenceTransformer(modules=[table]).save_pretrained(self.static)

    def of_texts(self, name: str) -> str:
        return self.static if re.search("static|potion", name) else self.wide

    def of_pairs(self, name: str) -> str:
        if "nli" in name:
            return str(ROOT / "golden" / "cross" / "bert-classes")
        return CROSS if "cross-encoder/" in name or "reranker" in name else TINY

    def encoder(self, name: str) -> str:
        return TINY

    def use(self, monkeypatch: Any) -> None:
        """Make classes open these models for names that are no folders."""
        from maana import CrossEncoder, SentenceTransformer
        from maana.models import StaticEmbedding, Transformer

        for kind, choose in (
            (SentenceTransformer, self.of_texts),
            (CrossEncoder, self.of_pairs),
            (Transformer, self.encoder),
        ):
            monkeypatch.setattr(kind, "__init__", _opening(kind.__init__, choose))
        for name, choose in (("from_model2vec", self.of_texts), ("from_distillation", self.encoder)):
            load = getattr(StaticEmbedding, name).__func__
            monkeypatch.setattr(StaticEmbedding, name, classmethod(_opening(load, choose)))


def _opening(function: Any, choose: Any) -> Any:
    def open_local(self: Any, name: Any = None, *arguments: Any, **keywords: Any) -> Any:
        known = name is None or Path(str(name)).exists()
        return function(self, name if known else choose(str(name)), *arguments, **keywords)

    return open_local


#: Columns of the data sets that the examples load, by the end of their names.
_COLUMNS = {
    "all-nli/pair-class": ("premise", "hypothesis", "label"),
    "all-nli/triplet": ("anchor", "positive", "negative"),
    "ms-marco-en-bge/documents": ("document_id", "text"),
    "ms-marco-en-bge/queries": ("query_id", "text"),
    "ms-marco-en-bge/train": ("query_id", "positive_id", "negative_id", "document_ids", "scores"),
    "ms_marco/v1.1": ("query", "passages"),
    "natural-questions": ("query", "answer"),
    "parallel-sentences-news-commentary/en-nl": ("english", "non_english"),
    "quora-duplicates-mining/duplicates": ("qid1", "qid2"),
    "quora-duplicates-mining/questions": ("qid", "question"),
    "quora-duplicates/pair-class": ("sentence1", "sentence2", "label"),
    "stsb": ("sentence1", "sentence2", "score"),
    "touche2020-v3/corpus": ("_id", "title", "text"),
    "touche2020-v3/default": ("query-id", "corpus-id", "score"),
    "touche2020-v3/queries": ("_id", "text"),
}
#: Columns of the subsets of NanoBEIR.
_NANO = {
    "bm25": ("query-id", "corpus-ids"),
    "corpus": ("_id", "text"),
    "qrels": ("query-id", "corpus-id"),
    "queries": ("_id", "text"),
}


def load_dataset(name: str, subset: str | None = None, split: str | None = None, streaming: bool = False) -> Any:
    """Return a few rows with the columns of a data set of the hub."""
    from datasets import Dataset

    path = f"{name}/{subset}" if subset else name
    columns = _NANO.get(subset or "") if "NanoBEIR" in name else None
    columns = columns or next(columns for end, columns in _COLUMNS.items() if path.endswith(end))
    rows = Dataset.from_dict({column: [_value(column, row) for row in range(ROWS)] for column in columns})
    return rows.to_iterable_dataset() if streaming else rows


def _value(column: str, row: int) -> Any:
    if column == "label":
        return row % 2
    if column == "score":
        return row % 6 / 5
    if column == "scores":
        return [1.0 - place / 32 for place in range(32)]
    if column in ("document_ids", "corpus-ids"):
        return [str((row + place) % ROWS) for place in range(32)]
    if column == "qid2":
        return str((row + 1) % ROWS)
    if column == "passages":
        return {"is_selected": [1, 0, 0], "passage_text": [f"passage {row} {place}" for place in range(3)]}
    return str(row) if "id" in column else f"{column} {row} about {row % 7}"
