"""Threads, processes, signals and pickles."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from conftest import TINY
from maana import SentenceTransformer

TEXTS = [f"neno la {number}" for number in range(40)]


def test_a_pickled_model_gives_the_same_bits(model):
    model = SentenceTransformer(TINY, prompts={"query": "swali: "}, truncate_dim=8)
    model.max_seq_length = 12
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.encode_query(TEXTS), model.encode_query(TEXTS))
    assert again.max_seq_length == 12


def test_a_forked_process_has_threads_of_its_own(model):
    expected = model.encode(TEXTS)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(model.encode(TEXTS), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_several_threads_share_a_model(model):
    expected = model.encode(TEXTS)
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: model.encode(TEXTS), range(12)):
            assert np.array_equal(found, expected)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pools_of_processes(model, method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        parts = pool.map(model.encode, [TEXTS[:20], TEXTS[20:]])
    assert np.array_equal(np.concatenate(parts), model.encode(TEXTS))


def test_joblib(model):
    joblib = pytest.importorskip("joblib")
    parts = joblib.Parallel(n_jobs=2)(joblib.delayed(model.encode)(part) for part in (TEXTS[:20], TEXTS[20:]))
    assert np.array_equal(np.concatenate(parts), model.encode(TEXTS))


def test_ctrl_c_ends_long_work_within_a_second():
    script = (
        "import sys; from maana import SentenceTransformer\n"
        f"model = SentenceTransformer({TINY!r})\n"
        "print('ready', flush=True)\n"
        "try:\n    model.encode(['neno ' * 100] * 1_000_000)\n"
        "except KeyboardInterrupt:\n    print('stopped', flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert process.stdout.readline() == "stopped\n"
    process.wait()
    assert time.monotonic() - began < 3, "a second on an idle machine"


def test_threads_are_set_by_the_environment():
    script = f"from maana import SentenceTransformer; print(SentenceTransformer({TINY!r}).encode('a').sum())"
    outputs = set()
    for threads in ("1", "3"):
        environment = {**os.environ, "MAANA_THREADS": threads}
        outputs.add(subprocess.check_output([sys.executable, "-c", script], env=environment, text=True))
    assert len(outputs) == 1
    environment = {**os.environ, "MAANA_THREADS": "many"}
    process = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert "MAANA_THREADS" in process.stderr and "ValueError" in process.stderr
