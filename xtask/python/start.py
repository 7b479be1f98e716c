"""Measures how long an import of the package and a first embedding take, and fails above the bounds.

python start.py; each time is the least of ten processes. The embedding is that of all-MiniLM-L6-v2, if
it is in the cache.
"""

import subprocess
import sys

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
EMBED = f"maana.SentenceTransformer({MODEL!r}, local_files_only=True).encode('Habari')"


def seconds(work):
    """Return the seconds from before the import to after the work, or None if the model is missing."""
    script = f"import time; start = time.perf_counter(); import maana; {work}; print(time.perf_counter() - start)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if "FileNotFoundError" in done.stderr:
        return None
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


for name, work, bound in [("import", "pass", 0.1), ("first embedding", EMBED, 0.5)]:
    times = [seconds(work) for _ in range(10)]
    if None in times:
        print(f"skipped: {name}, because {MODEL} is not in the cache")
        continue
    print(f"{name}: {min(times):.3f} s (bound {bound} s)")
    assert min(times) < bound, f"{name} takes {min(times):.3f} s"
