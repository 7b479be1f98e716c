"""Models and texts of the tests."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from maana import SentenceTransformer

ROOT = Path(__file__).resolve().parents[2]
TINY = str(ROOT / "golden" / "tiny-bert")

# Shells let programs in the background ignore this signal, and the programs of tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def model() -> SentenceTransformer:
    """Return a BERT model of two layers."""
    return SentenceTransformer(TINY)


@pytest.fixture(scope="session")
def golden() -> list[dict[str, Any]]:
    """Return texts and their embeddings by the reference."""
    return json.loads((ROOT / "golden" / "tiny_encode.json").read_text())["rows"]


@pytest.fixture(scope="session")
def minilm() -> SentenceTransformer:
    """Return all-MiniLM-L6-v2, where it is in the cache."""
    try:
        return SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2", local_files_only=True)
    except OSError as error:
        pytest.skip(f"all-MiniLM-L6-v2 is not in the cache: {error}")
