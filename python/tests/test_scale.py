"""Ray, Spark and Dask on this machine: many texts, several workers, one of which is killed."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from conftest import TINY
from maana.batches import BatchEmbedder

pa = pytest.importorskip("pyarrow")
import pyarrow.parquet as pq  # noqa: E402

TEXTS, FILES = 100_000, 8

#: In the environment of all processes that these tests start.
MARK = uuid.uuid4().hex


@pytest.fixture(scope="module", autouse=True)
def environment():
    """Let workers find the package, wherever they run, and be found."""
    changed = {
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path if path),
        "PYSPARK_PYTHON": sys.executable,
        "MAANA_TEST_MARK": MARK,
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    yield
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Write the texts to files of Parquet."""
    folder = tmp_path_factory.mktemp("inputs")
    ids = np.arange(TEXTS)
    for number, part in enumerate(np.array_split(ids, FILES)):
        texts = [f"neno {row % 977} la {row}" for row in part]
        pq.write_table(pa.table({"id": part, "text": texts}), folder / f"{number:02}.parquet", row_group_size=5000)
    return folder


@pytest.fixture(scope="module")
def expected(inputs, tmp_path_factory):
    """Return what the command line writes for the same texts: `(texts, dimension)`."""
    folder = tmp_path_factory.mktemp("expected")
    pq.write_table(pq.read_table(inputs), folder / "all.parquet")
    command = [sys.executable, "-m", "maana", "encode", TINY, "--input", str(folder / "all.parquet"), "--column", "text"]
    subprocess.run([*command, "--output", str(folder / "embeddings.npy")], check=True, capture_output=True)
    return np.load(folder / "embeddings.npy")


def embeddings_of(table, name="embedding"):
    """Return the embeddings of a table in the order of its ids, each of which comes once."""
    kind = table.schema.field(name).type
    assert kind == pa.list_(pa.float32(), kind.list_size), kind
    ids = table["id"].to_numpy()
    assert len(ids) == len(np.unique(ids)) == TEXTS
    rows = table[name].combine_chunks().flatten().to_numpy().reshape(TEXTS, -1)
    return rows[np.argsort(ids)]


def processes(word):
    """Return the processes of these tests whose command line contains a word, with their parents."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if word in (path / "cmdline").read_text() and MARK in (path / "environ").read_text(errors="replace"):
                status = (path / "stat").read_text()
                found[int(path.name)] = int(status.rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
    return found


def kill_later(output, choose):
    """Kill a worker when the first output file exists; return the list of the killed."""
    killed = []

    def wait():
        for _ in range(6000):
            if list(Path(output).glob("*.parquet")) and (pids := choose()):
                os.kill(pids[0], signal.SIGKILL)
                killed.append(pids[0])
                return
            time.sleep(0.01)

    thread = threading.Thread(target=wait)
    thread.start()
    return killed, thread


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray")
    # Two for the actors, and two for the tasks that read.
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=200_000_000)
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def spark():
    sql = pytest.importorskip("pyspark.sql")
    try:
        builder = sql.SparkSession.builder.master("local[2,4]").config("spark.ui.enabled", "false")
        session = builder.config("spark.sql.files.maxPartitionBytes", "200000").getOrCreate()
    except Exception as error:
        pytest.skip(f"Spark does not start; it needs Java: {error}")
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


def test_ray_embeds_every_row_once_though_a_worker_is_killed(ray, inputs, expected, tmp_path):
    from maana.ray import embed_parquet

    killed, thread = kill_later(tmp_path, lambda: list(processes("ray::_Worker")))
    assert embed_parquet(inputs, tmp_path, TINY, workers=2) == TEXTS
    thread.join()
    assert len(killed) == 1
    assert np.array_equal(embeddings_of(pq.read_table(tmp_path)), expected)
    assert not list(tmp_path.glob(".*")), "the part of the killed worker is removed"

    assert embed_parquet(inputs, tmp_path, TINY, workers=2) == 0, "everything is there"
    missing = sorted(tmp_path.glob("*.parquet"))[3]
    content = missing.read_bytes()
    missing.unlink()
    assert embed_parquet(inputs, tmp_path, TINY, workers=2) == TEXTS // FILES
    assert missing.read_bytes() == content
    with pytest.raises(ValueError, match="dimension"):
        embed_parquet(inputs, tmp_path, TINY, truncate_dim=8)


def test_ray_data_maps_batches(ray, inputs, expected, tmp_path):
    from maana.ray import Embedder

    dataset = ray.data.read_parquet(str(inputs)).limit(4000)
    mapped = dataset.map_batches(
        Embedder,
        fn_constructor_kwargs={"model": TINY, "threads": 1, "batch_tokens": 512},
        batch_format="pyarrow",
        batch_size=700,
        compute=ray.data.ActorPoolStrategy(size=2),
    )
    rows = mapped.take_all()
    assert len(rows) == 4000
    assert all(np.array_equal(np.asarray(row["embedding"]), expected[row["id"]]) for row in rows)


def test_spark_embeds_every_row_once_though_a_worker_is_killed(spark, inputs, expected, tmp_path):
    from maana.spark import write_parquet

    def workers():
        daemons = processes("pyspark.daemon")
        return [pid for pid, parent in daemons.items() if parent in daemons]

    frame = spark.read.parquet(str(inputs))
    assert frame.rdd.getNumPartitions() > 3
    killed, thread = kill_later(tmp_path, workers)
    assert write_parquet(frame, str(tmp_path), TINY) == TEXTS
    thread.join()
    assert len(killed) == 1
    assert np.array_equal(embeddings_of(pq.read_table(tmp_path)), expected)
    assert write_parquet(frame, str(tmp_path), TINY) == TEXTS, "everything is there"
    with pytest.raises(ValueError, match="partitions"):
        write_parquet(frame.repartition(2), str(tmp_path), TINY)


def test_spark_adds_a_column(spark, inputs, expected):
    from maana.spark import add_embeddings

    frame = add_embeddings(spark.read.parquet(str(inputs)).filter("id < 300"), TINY, prompt="")
    assert frame.dtypes[-1] == ("embedding", "array<float>")
    rows = frame.collect()
    assert sorted(row.id for row in rows) == list(range(300))
    assert all(np.array_equal(np.array(row.embedding, np.float32), expected[row.id]) for row in rows)


def test_dask_maps_partitions(inputs, expected):
    frames = pytest.importorskip("dask.dataframe")
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with distributed.Client(cluster):
            frame = frames.read_parquet(str(inputs)).partitions[:2]
            meta = frame._meta.assign(embedding=object())
            found = frame.map_partitions(BatchEmbedder(TINY, threads=1), meta=meta).compute()
    assert np.array_equal(np.stack(found["embedding"]), expected[found["id"]]) and len(found) == TEXTS // FILES * 2


def test_batches_of_every_kind_get_a_column(model):
    texts = ["Habari", "Good morning", ""]
    expected = model.encode(texts, truncate_dim=16)
    embedder = pickle.loads(pickle.dumps(BatchEmbedder(TINY, "body", "vector", truncate_dim=16, batch_tokens=3)))
    table = pa.table({"body": texts, "vector": [0, 0, 0]})
    for batch in (table, table.to_batches()[0]):
        found = embedder(batch)
        assert found.schema.names == ["body", "vector"]
        assert np.array_equal(np.stack(found.column("vector").to_pylist()), expected)
    assert np.array_equal(embedder({"body": np.array(texts)})["vector"], expected)
    frame = pytest.importorskip("pandas").DataFrame({"body": texts})
    assert np.array_equal(np.stack(embedder(frame)["vector"]), expected)
    assert embedder(table.slice(0, 0)).column("vector").type == pa.list_(pa.float32(), 16)
    embedder.opened().truncate_dim = 8
    assert embedder.dimension() == 16 and embedder(table.slice(0, 0)).schema == embedder(table).schema
    embedder.opened().truncate_dim = None
    for batch in (table.select(["vector"]), {"other": texts}):
        with pytest.raises(KeyError, match="body"):
            embedder(batch)


def test_inputs_and_outputs_of_shards_are_checked(inputs, tmp_path):
    from maana.shards import Shard, embed_shard, pending

    embedder = BatchEmbedder(TINY)
    with pytest.raises(FileNotFoundError):
        pending(str(tmp_path), str(tmp_path / "out"), embedder)
    files = [str(inputs / "00.parquet")] * 2
    with pytest.raises(ValueError, match="00.parquet"):
        pending(files, str(tmp_path / "out"), embedder)
    with pytest.raises(ValueError, match="own output"):
        pending(str(inputs), str(inputs), embedder)
    assert not (inputs / "_maana.json").exists()
    pq.write_table(pa.table({"text": ["a", None]}), tmp_path / "null.parquet")
    with pytest.raises(TypeError, match=r"\[1\] is None"):
        embed_shard(embedder, Shard(str(tmp_path / "null.parquet"), str(tmp_path / "out.parquet")))
    assert not list(tmp_path.glob(".out*")) and not (tmp_path / "out.parquet").exists()
    (tmp_path / ".part[1].parquet.left").touch()
    assert embed_shard(embedder, Shard(files[0], str(tmp_path / "part[1].parquet"))) == TEXTS // FILES
    assert not list(tmp_path.glob(".part*")), "what another worker left is removed"
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "empty.parquet")
    assert embed_shard(embedder, Shard(str(tmp_path / "empty.parquet"), str(tmp_path / "none.parquet"))) == 0
    assert pq.read_schema(tmp_path / "none.parquet").names == ["text", "embedding"]
