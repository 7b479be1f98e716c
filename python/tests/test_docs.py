"""The examples of docs/python.md print what the page says."""

from __future__ import annotations

import contextlib
import io
import re

import pytest

from conftest import ROOT

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)


def test_every_example_of_the_page_prints_what_it_says(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert len(BLOCKS) >= 3
    names: dict[str, object] = {}
    for block in BLOCKS:
        expected = [line[2:] for line in block.splitlines() if line.startswith("# ")]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, "docs/python.md", "exec"), names)
        assert printed.getvalue().splitlines() == expected


@pytest.mark.parametrize("module", ["langchain", "llama_index", "haystack", "sklearn", "mteb", "bertopic", "keybert"])
def test_the_page_names_every_integration(module):
    assert f"maana.{module}." in (ROOT / "docs" / "python.md").read_text()
    assert (ROOT / "python" / "maana" / f"{module}.py").is_file()
