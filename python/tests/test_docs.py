"""The examples of the pages print what the pages say."""

from __future__ import annotations

import contextlib
import io
import re
import runpy

import pytest

from conftest import ROOT

PAGES = {"python.md": 3, "scale.md": 1}


@pytest.mark.parametrize("page", PAGES)
def test_every_example_of_the_page_prints_what_it_says(monkeypatch, page):
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    assert len(blocks) >= PAGES[page]
    names: dict[str, object] = {}
    for block in blocks:
        expected = [line[2:] for line in block.splitlines() if line.startswith("# ")]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, f"docs/{page}", "exec"), names)
        assert printed.getvalue().splitlines() == expected


@pytest.mark.parametrize("module", ["langchain", "llama_index", "haystack", "sklearn", "mteb", "bertopic", "keybert"])
def test_the_page_names_every_integration(module):
    assert f"maana.{module}." in (ROOT / "docs" / "python.md").read_text()
    assert (ROOT / "python" / "maana" / f"{module}.py").is_file()


def test_the_tables_of_scale_are_computed_from_the_measurements():
    tables = runpy.run_path(str(ROOT / "bench" / "scale.py"))["tables"](30, 0.04, 1000)
    assert tables in (ROOT / "docs" / "scale.md").read_text(), "run python3 bench/scale.py --write"
