"""Train and evaluate on features that are larger than memory need be.

python tests/benchmarks/out_of_core.py [--gigabytes 6] [--columns 1024] [--folder /tmp] [OPTION ...]
writes a folder of .npy of so many gigabytes of float16, half of whose classes would train were it
not for the split: all but 10,000 rows train. It trains on it, `OPTION ...` being options of the
training, evaluates the run, prints the seconds of both and the peak of the memory that each process
held, mapped pages included, and removes the folder. Without options it takes one epoch in batches
of 1,440 without HIER, from a random start and without held-out classes: what is left that walks
through all rows is the check of the features, the closed forms beside which the run is judged, and
the epoch.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from sop_size import measured

TEST, OF_CLASS, CHUNK = 10_000, 60, 2**24
LIMIT = 1.5  # GiB
QUICK = "--epochs 1 --hier-weight 0 --validate 0 --start random --batch 1440".split()


def write(folder, gigabytes, columns):
    """Write features around the centres of their classes, block by block; return the rows."""
    rows = int(gigabytes * 1e9 / (2 * columns))
    labels = np.arange(rows) // OF_CLASS
    folder.mkdir()
    np.save(folder / "labels.npy", labels)
    np.save(folder / "split.npy", np.where(labels < labels[-TEST], "train", "test"))
    features = np.lib.format.open_memmap(folder / "features.npy", "w+", np.float16, (rows, columns))
    step = CHUNK // columns
    for start in range(0, rows, step):
        part = labels[start : start + step]
        first, of = np.unique(part, return_inverse=True)
        centres = [np.random.default_rng([0, n]).standard_normal(columns) for n in first]
        noise = np.random.default_rng([1, start]).standard_normal(
            (len(part), columns), dtype=np.float32
        )
        features[start : start + step] = np.float32(centres)[of] + 2 * noise
    features.flush()
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=6)
    parser.add_argument("--columns", type=int, default=1024)
    parser.add_argument("--folder", type=Path, help="where there is room for it")
    args, options = parser.parse_known_args()
    options = options or QUICK
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path, run = Path(folder) / "features", Path(folder) / "run"
        rows = write(path, args.gigabytes, args.columns)
        print(f"{rows} rows of {args.columns} numbers, {args.gigabytes:g} GB", flush=True)
        peaks = []
        for words in (
            ("hier_ref.train", "--features", path, "--out", run, "--no-pictures", *options),
            ("hier_ref.evaluate", "--run", run),
        ):
            seconds, memory = measured(*words)
            peaks.append(memory)
            print(f"{words[0]}: {seconds:.0f} s, {memory:.2f} GiB", flush=True)
    if max(peaks) > LIMIT:
        sys.exit(f"found {max(peaks):.2f} GiB, expected at most {LIMIT}")
