"""Embeddings on Spark (needs ``pyspark`` and ``pyarrow``)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import pyarrow
import pyarrow.parquet
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.types import ArrayType, FloatType, StructType

from .batches import BatchEmbedder
from .shards import begin, write_shard

__all__ = ["add_embeddings", "write_parquet"]

Batches = Iterator[pyarrow.RecordBatch]


def add_embeddings(frame: DataFrame, model: str, column: str = "text", **settings: Any) -> DataFrame:
    """Return a frame with a column of embeddings, ``array<float>``, computed by ``mapInArrow``.

    Args:
        frame: A frame with a column of texts.
        model: A folder or a name, which every executor must be able to open.
        column: Column with the texts.
        **settings: Further settings of `BatchEmbedder`. ``threads`` is 1 by default, as Spark runs a
            worker for each core.
    """
    embedder = BatchEmbedder(model, column, **{"threads": 1, **settings})

    def embed(batches: Batches) -> Batches:
        for batch in batches:
            found = embedder(pyarrow.Table.from_batches([batch]))
            place = found.schema.get_field_index(embedder.output)
            lists = found.column(place).cast(pyarrow.list_(pyarrow.float32()))
            yield from found.set_column(place, embedder.output, lists).to_batches()

    fields = [field for field in frame.schema.fields if field.name != embedder.output]
    placed = StructType([*fields]).add(embedder.output, ArrayType(FloatType(), containsNull=False))
    if len(fields) < len(frame.schema.fields):
        frame = frame.drop(embedder.output)
    return frame.mapInArrow(embed, placed)


def write_parquet(frame: DataFrame, output: str, model: str, column: str = "text", **settings: Any) -> int:
    """Embed a frame and write Parquet with ``FixedSizeList<float>``: one file for each partition.

    Spark's own writer has lists of variable length only, so that the workers write the files. A file
    appears when it is complete, also if its task is repeated. Partitions whose file exists are not
    computed again, so that the same call continues an interrupted run, provided that the frame has
    the same partitions, as a frame that is read from the same files has.

    Args:
        frame: A frame with a column of texts.
        output: Folder of the output, which all executors can write.
        model: A folder or a name, which every executor must be able to open.
        column: Column with the texts.
        **settings: Further settings of `BatchEmbedder`, as for `add_embeddings`.

    Returns:
        The number of rows of the output.

    Raises:
        ValueError: If the folder holds embeddings with other settings or partitions.
    """
    embedder = BatchEmbedder(model, column, **{"threads": 1, **settings})
    folder = os.path.abspath(output)
    begin(folder, embedder, partitions=frame.rdd.getNumPartitions())
    done = frame.mapInArrow(_writer(embedder, folder), "rows long")
    return sum(row.rows for row in done.collect())


def _writer(embedder: BatchEmbedder, folder: str) -> Callable[[Batches], Batches]:
    """Return a function that writes the batches of a partition and yields their number of rows."""

    def write(batches: Batches) -> Batches:
        context = TaskContext.get()
        assert context is not None, "it is called in a task"
        target = os.path.join(folder, f"part-{context.partitionId():05}.parquet")
        if os.path.exists(target):
            rows = pyarrow.parquet.read_metadata(target).num_rows
        else:
            first = next(batches, None)
            tables = (embedder(pyarrow.Table.from_batches([batch])) for batch in chain([first], batches))
            rows = write_shard(target, tables) if first is not None else 0
        yield pyarrow.RecordBatch.from_pydict({"rows": [rows]})

    return write
