"""The examples of all pages run, and print what the pages say.

A block behind the comment ``<!-- needs: LIBRARY -->`` is skipped where the library is not installed,
one behind ``<!-- server -->`` runs against a server.
"""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import subprocess
import sys
from dataclasses import dataclass

import pytest

from conftest import ROOT, TINY
from maana import SentenceTransformer
from maana.models import Dense, Pooling, Transformer

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"(?:<!-- (?P<note>[^\n]*?) -->\n\n?)?```python\n(?P<code>.*?)```", re.DOTALL)


@dataclass
class Example:
    """A block of code with the line of the page at which it begins."""

    page: str
    line: int
    code: str
    needs: str | None
    server: bool

    def run(self, names: dict[str, object], address: str = "") -> None:
        expected = [line[2:] for line in self.code.splitlines() if line.startswith("# ")]
        code = "\n" * (self.line - 1) + self.code.replace("localhost:8080", address)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, self.page, "exec"), names)
        assert printed.getvalue().splitlines() == expected


def examples_of(page) -> list[Example]:
    text = page.read_text()
    found = []
    for block in BLOCK.finditer(text):
        note = block["note"] or ""
        line = text[: block.start("code")].count("\n") + 1
        needs = re.search(r"needs: (\S+)", note)
        found.append(Example(page.name, line, block["code"], needs and needs[1], "server" in note))
    return found


EXAMPLES = {page.name: examples_of(page) for page in PAGES}


@pytest.mark.parametrize("page", [name for name, examples in EXAMPLES.items() if any(not each.server for each in examples)])
def test_every_example_of_the_page_prints_what_it_says(monkeypatch, tmp_path, page):
    # The pages name files of the repository, and the result of the first run.
    for name in ("golden", "recipes"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "runs" / "first").mkdir(parents=True)
    (tmp_path / "runs" / "first" / "model").symlink_to(TINY)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for example in EXAMPLES[page]:
        if not example.server:
            if example.needs:
                pytest.importorskip(example.needs)
            example.run(names)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Return the address of a server of a model whose embeddings may be cut to 128 columns."""
    folder = tmp_path_factory.mktemp("server") / "model"
    SentenceTransformer(modules=[Transformer(TINY), Pooling(64, "cls"), Dense(64, 256)]).save_pretrained(folder)
    (folder / "README.md").write_text('"matryoshka_dims": [256, 128]')
    command = [sys.executable, "-m", "maana", "serve", f"MODEL={folder}", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = iter(process.stdout.readline, "")
            yield next(found[1] for line in lines if (found := re.search(r"http://([\w.:]+)", line)))
        finally:
            process.kill()


@pytest.mark.parametrize("example", [each for found in EXAMPLES.values() for each in found if each.server], ids=str)
def test_every_example_of_a_client_is_answered(server, example):
    pytest.importorskip(example.needs)
    example.run({}, server)


def test_no_page_is_forgotten():
    assert {"README.md", "python.md", "scale.md", "serving.md"} <= {name for name, found in EXAMPLES.items() if found}


@pytest.mark.parametrize("module", ["langchain", "llama_index", "haystack", "sklearn", "mteb", "bertopic", "keybert"])
def test_the_page_names_every_integration(module):
    assert f"maana.{module}." in (ROOT / "docs" / "python.md").read_text()
    assert (ROOT / "python" / "maana" / f"{module}.py").is_file()


def test_the_tables_of_scale_are_computed_from_the_measurements():
    tables = runpy.run_path(str(ROOT / "bench" / "scale.py"))["tables"](30, 0.04, 1000)
    assert tables in (ROOT / "docs" / "scale.md").read_text(), "run python3 bench/scale.py --write"
