"""Embeddings of many files of Parquet, one output file for each input file. A file appears whole or
not at all, so that a run which was interrupted continues with those that are missing."""

from __future__ import annotations

import glob
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import _maana
from .batches import BatchEmbedder

__all__ = ["Shard", "embed_shard", "pending", "write_shard"]

#: File of the output folder with the settings of its shards.
SETTINGS = "_maana.json"


@dataclass(frozen=True)
class Shard:
    """An input file and its output file."""

    source: str
    target: str


def pending(inputs: str | Sequence[str], output: str, embedder: BatchEmbedder) -> list[Shard]:
    """Return the shards that the output folder lacks, which is created.

    Args:
        inputs: A folder of Parquet files, a file, or several.
        output: Folder of the output files, which have the names of the input files.
        embedder: The embedder. The folder records its model and settings.

    Raises:
        FileNotFoundError: If there are no input files.
        ValueError: If two files have the same name, a file would be its own output, or the folder
            holds embeddings of another model or other settings.
    """
    sources = _files(inputs)
    names = [os.path.basename(source) for source in sources]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"several input files have the name {twice[0]!r}; give them names of their own")
    shards = [Shard(source, os.path.join(output, name)) for source, name in zip(sources, names)]
    for shard in shards:
        if os.path.realpath(shard.source) == os.path.realpath(shard.target):
            raise ValueError(f"{shard.source} would be its own output; name another folder for the output")
    begin(output, embedder)
    return [shard for shard in shards if not os.path.exists(shard.target)]


def begin(output: str, embedder: BatchEmbedder, **further: Any) -> None:
    """Create an output folder, or check that it is of the same model and settings."""
    os.makedirs(output, exist_ok=True)
    settings = {
        "model": embedder.opened().fingerprint(),
        "column": embedder.column,
        "output": embedder.output,
        "prompt": embedder.opened()._resolve_prompt(embedder.prompt, embedder.prompt_name),
        "task": embedder.task,
        "dimension": embedder.dimension(),
        "normalize_embeddings": embedder.normalize_embeddings,
        "precision": embedder.precision,
        "max_seq_length": embedder.opened().max_seq_length,
        **further,
    }
    path = os.path.join(output, SETTINGS)
    if not os.path.exists(path):
        _maana.write_lines(path, [json.dumps(settings, indent=1)])
    elif (found := json.loads(Path(path).read_text())) != settings:
        different = sorted(key for key in {*found, *settings} if found.get(key) != settings.get(key))
        raise ValueError(
            f"{output} holds embeddings with other settings: {', '.join(different)}; name another folder, or remove it"
        )


def embed_shard(embedder: BatchEmbedder, shard: Shard, rows: int = 8192) -> int:
    """Embed a file, some rows at a time, and return the number of its rows."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(shard.source) as file:
        return write_shard(shard.target, map(embedder, _tables(file.iter_batches(rows), file.schema_arrow)))


def write_shard(target: str, tables: Iterator[Any]) -> int:
    """Write tables to a file, of which at least one must exist, and return the number of rows."""
    import pyarrow.parquet

    part, count, writer = _part(target), 0, None
    try:
        for table in tables:
            writer = writer or pyarrow.parquet.ParquetWriter(part, table.schema)
            writer.write_table(table)
            count += table.num_rows
        if writer is None:
            raise ValueError(f"{target}: there are no rows and no columns")
        writer.close()
        _finish(part, target)
    finally:
        Path(part).unlink(missing_ok=True)
    _remove_parts(target)
    return count


def _tables(batches: Iterator[Any], schema: Any) -> Iterator[Any]:
    """Yield batches as tables, one without rows if there are none."""
    import pyarrow

    empty = True
    for batch in batches:
        empty = False
        yield pyarrow.Table.from_batches([batch])
    if empty:
        yield schema.empty_table()


def _files(inputs: str | Sequence[str]) -> list[str]:
    """Return the Parquet files that are meant, in the order of their names."""
    given = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    found: list[str] = []
    for path in map(os.fspath, given):
        inside = sorted(Path(path).glob("*.parquet")) if os.path.isdir(path) else [Path(path)]
        found += [str(file.absolute()) for file in inside]
    missing = [file for file in found if not os.path.isfile(file)]
    if missing or not found:
        raise FileNotFoundError(f"{missing[0] if missing else given}: there is no Parquet file")
    return found


def _part(target: str) -> str:
    """Return the name of a file under way, which no two attempts share."""
    folder, name = os.path.split(target)
    return os.path.join(folder, f".{name}.{uuid.uuid4().hex}")


def _finish(part: str, target: str) -> None:
    """Give a complete file its name, unless another attempt was faster and removed it."""
    try:
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, target)
    except FileNotFoundError:
        if not os.path.exists(target):
            raise


def _remove_parts(target: str) -> None:
    """Remove what workers left that died while they wrote this file."""
    folder, name = os.path.split(target)
    for left in Path(folder).glob(f".{glob.escape(name)}.*"):
        left.unlink(missing_ok=True)
