"""Time and memory of a file as large as Stanford Online Products.

python tests/benchmarks/sop_size.py [OPTION ...], the options of the training, such as --epochs 2
(default: 1). The file holds 60,000 rows of 384 float32 numbers around the centres of 22,634
classes, half of which train. Printed for training and evaluation: seconds, and the peak of the
memory that the process held (Linux and macOS alone).
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROWS, COLUMNS, CLASSES = 60_000, 384, 22_634
ROOT = Path(__file__).resolve().parents[2]


def write(path):
    """Write the features, two images per class and the others at random."""
    rng = np.random.default_rng(0)
    more = rng.integers(0, CLASSES, ROWS - 2 * CLASSES)
    labels = np.sort(np.concatenate([np.arange(CLASSES), np.arange(CLASSES), more]))
    features = rng.standard_normal((CLASSES, COLUMNS), dtype=np.float32)[labels]
    features += 2 * rng.standard_normal((ROWS, COLUMNS), dtype=np.float32)
    np.savez(path, features=features, labels=labels, levels=labels[:, None] % 12)


def measured(*words):
    """Run a module of the package; return its seconds and peak memory in GiB."""
    start = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    child = subprocess.Popen([sys.executable, "-m", *map(str, words)], env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{' '.join(map(str, words))}: ended with {os.waitstatus_to_exitcode(status)}")
    unit = 1 if sys.platform == "darwin" else 2**10
    return time.perf_counter() - start, usage.ru_maxrss * unit / 2**30


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path, run = Path(folder) / "sop.npz", Path(folder) / "run"
        write(path)
        options = ["--epochs", 1, *sys.argv[1:]]
        for words in (
            ("hier_ref.train", "--features", path, "--out", run, *options),
            ("hier_ref.evaluate", "--run", run),
        ):
            seconds, memory = measured(*words)
            print(f"{words[0]}: {seconds:.0f} s, {memory:.2f} GiB", flush=True)
