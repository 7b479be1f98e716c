"""Native functions and classes of `maana`. Use the classes of `maana` instead."""

from collections.abc import Callable
from os import PathLike
import numpy as np
import numpy.typing as npt

__version__: str

Floats = npt.NDArray[np.float32]

def main(arguments: list[str]) -> int: ...
def set_threads(threads: int) -> None: ...
def similarity(name: str, a: Floats, b: Floats) -> Floats: ...
def similarity_pairwise(name: str, a: Floats, b: Floats) -> Floats: ...
def search(name: str, queries: Floats, corpus: Floats, top_k: int) -> tuple[npt.NDArray[np.int64], Floats]: ...
def paraphrases(embeddings: Floats, top_k: int, max_pairs: int) -> list[tuple[float, int, int]]: ...
def hard_negatives(
    name: str,
    queries: Floats,
    corpus: Floats,
    positives: list[list[int]],
    settings: dict[str, object],
    rescore: Callable[[int, list[int]], list[float]] | None = None,
) -> list[tuple[list[tuple[int, float]], list[tuple[int, float]]]]: ...
def communities(embeddings: Floats, threshold: float, min_size: int) -> list[list[int]]: ...
def ranges(embeddings: Floats) -> Floats: ...
def quantize(
    embeddings: Floats, precision: str, ranges: Floats | None
) -> npt.NDArray[np.int8] | npt.NDArray[np.uint8]: ...

def distill_static(
    encoder: Encoder, name: str | None, texts: list[str], folder: str | PathLike[str], settings: dict[str, object]
) -> None: ...
def train(
    recipe: str,
    folder: str,
    out: str,
    resume: bool,
    observe: Callable[[str, str], bool],
    losses: list[tuple[str, str, Callable[..., tuple[float, list[Floats]]]]] = [],
    evaluator: Callable[
        [Encoder | PairEncoder, int, float], list[tuple[str, str, int, list[tuple[str, float]], str]]
    ]
    | None = None,
) -> tuple[str, str]: ...
def push(folder: str | PathLike[str], name: str, settings: dict[str, object]) -> str: ...
def trainer_settings(arguments: list[tuple[str, str]]) -> str: ...
def write_lines(path: str | PathLike[str], lines: list[str]) -> None: ...

class Encoder:
    max_seq_length: int
    dimension: int
    folder: str
    notices: list[str]
    def __init__(
        self,
        name: str,
        precision: str,
        access: dict[str, object],
    ) -> None: ...
    def encode(
        self,
        texts: list[str],
        prompt: str = "",
        dimension: int | None = None,
        normalize_embeddings: bool = False,
        progress: Callable[[int], object] | None = None,
        task: str | None = None,
    ) -> Floats: ...
    def encode_tokens(
        self, texts: list[str], prompt: str = "", task: str | None = None
    ) -> list[tuple[Floats, list[int]]]: ...
    def tokenize(self, texts: list[str], prompt: str = "") -> list[tuple[list[int], list[int]]]: ...
    def set_batch_tokens(self, tokens: int) -> None: ...
    def summary(self) -> str: ...
    def fingerprint(self) -> str: ...
    def evaluate(
        self, kind: str, path: str, dimension: int, query_prompt: str, document_prompt: str
    ) -> tuple[str, str]: ...
    def save(
        self,
        folder: str | PathLike[str],
        prompts: list[tuple[str, str]],
        default_prompt_name: str | None,
        similarity: str,
    ) -> None: ...

class PairEncoder:
    labels: list[str]
    activation: str
    has_new_head: bool
    max_length: int
    folder: str
    notices: list[str]
    def __init__(
        self, name: str, precision: str, access: dict[str, object], num_labels: int | None = None, seed: int = 42
    ) -> None: ...
    def predict(
        self,
        pairs: list[tuple[str, str]],
        prompt: str = "",
        activated: bool = True,
        progress: Callable[[int], object] | None = None,
    ) -> Floats: ...
    def rank(
        self, query: str, documents: list[str], top_k: int | None = None, prompt: str = ""
    ) -> list[tuple[int, float]]: ...
    def summary(self) -> str: ...
    def fingerprint(self) -> str: ...
    def save(self, folder: str | PathLike[str]) -> None: ...

class Store:
    def __init__(
        self,
        path: str | PathLike[str],
        encoder: Encoder,
        dimension: int | None = None,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
    ) -> None: ...
    def create(self, made_by: str, half: bool = False) -> None: ...
    def documents(self) -> int: ...
    def ids(self) -> list[str]: ...
    def add(self, documents: list[tuple[str | None, str, dict[str, str]]]) -> tuple[int, int]: ...
    def delete(self, ids: list[str]) -> tuple[int, list[str]]: ...
    def search(
        self,
        queries: list[str],
        top_k: int = 10,
        filters: list[tuple[str, str]] = [],
        hybrid: bool = False,
        recall: float | None = None,
        exact: bool = False,
        dim: int | None = None,
    ) -> list[list[tuple[str, float, str, dict[str, str]]]]: ...
    def compact(self) -> None: ...
    def build_graph(self) -> bool: ...
    def describe(self) -> str: ...
