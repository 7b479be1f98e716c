"""Embeddings on Ray (needs ``ray[data]``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ray
from ray.util import ActorPool

from .batches import BatchEmbedder
from .shards import Shard, embed_shard, pending

__all__ = ["Embedder", "embed_parquet"]


class Embedder(BatchEmbedder):
    """`BatchEmbedder` for ``Dataset.map_batches``, whose actors open the model once.

    Example:
        >>> dataset.map_batches(  # doctest: +SKIP
        ...     Embedder,
        ...     fn_constructor_kwargs={"model": "models/minilm", "threads": 1},
        ...     batch_format="pyarrow",
        ...     batch_size=1024,
        ...     compute=ray.data.ActorPoolStrategy(size=2),
        ... )
    """


class _Worker:
    """An actor that embeds one file after the other."""

    def __init__(self, embedder: BatchEmbedder) -> None:
        self.embedder = embedder

    def embed(self, shard: Shard) -> int:
        return embed_shard(self.embedder, shard)


def embed_parquet(
    inputs: str | Sequence[str],
    output: str,
    model: str,
    column: str = "text",
    *,
    workers: int | None = None,
    threads: int = 1,
    **settings: Any,
) -> int:
    """Embed files of Parquet by a pool of actors: one output file for each input file.

    A file appears when it is complete. Files that exist are not computed again, so that the same
    call continues an interrupted run. When a worker dies, Ray starts another one, which repeats its
    file.

    Args:
        inputs: A folder of Parquet files, a file, or several, which all workers can read.
        output: Folder of the output, which all workers can write.
        model: A folder or a name.
        column: Column with the texts.
        workers: Number of actors. Default: as many as the cluster has room for.
        threads: CPUs and threads of an actor.
        **settings: Further settings of `BatchEmbedder`.

    Returns:
        The number of rows that this call embedded.

    Raises:
        FileNotFoundError: If there are no input files.
        ValueError: If the folder holds embeddings with other settings.
    """
    embedder = BatchEmbedder(model, column, threads=threads, **settings)
    shards = pending(inputs, output, embedder)
    if not shards:
        return 0
    if not ray.is_initialized():
        ray.init()
    room = max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
    actor = ray.remote(num_cpus=threads, max_restarts=-1, max_task_retries=-1)(_Worker)
    actors = [actor.remote(embedder) for _ in range(min(workers or room, len(shards)))]
    try:
        pool = ActorPool(actors)
        return sum(pool.map_unordered(lambda worker, shard: worker.embed.remote(shard), shards))
    finally:
        for each in actors:
            ray.kill(each)
