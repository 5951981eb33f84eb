"""A step beside an older commit's: python tests/benchmarks/step_against.py COMMIT [REPEATS].

180 images of 90 classes, 256 features, 128 dimensions, 512 proxies, 20 neighbours, 50 triplets per
anchor, float32; the same triplets in both. The commit is checked out beside this one for as long as
it takes. Four processes, old and new with one thread and with two, take steps in turn, so that a
busy moment meets all of them. Printed: median milliseconds, the median of the paired ratios old/new
with their quartiles, and by how much the memory of each process grows at most.

A step with the loops of commit 382b233 was measured beside the authors' code, same triplets:
17.7 times as fast on one thread and 11.9 times on two, but 4.8 and 5.2 times where glibc kept their
code's freed memory (MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_ raised): most of the larger
numbers is gigabytes of temporaries that are mapped anew. A later step stands to their code as these
numbers times what is printed here for that commit: 2.3 on one thread and 2.6 on two when it was
last run (medians of 11). Their code has not been run beside it again.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import resource, sys, time
import numpy as np
try:
    from hier_ref.training.config import Config
except ImportError:
    from hier_ref.config import Config
from hier_ref.training import batch_gradient, init_params
try:
    from hier_ref.threads import use_threads
    use_threads(int(sys.argv[1]))
except ImportError:
    pass
sizes = dict(batch=180, proxies=512, embedding=128, neighbours=20, triplets=50)
config = Config(loss="PA", dtype="float32", **sizes)
rng, labels = np.random.default_rng(0), np.arange(180) % 90
f = rng.standard_normal((90, 256))[labels] + rng.standard_normal((180, 256))
params, f = init_params(config, 256, 90), f.astype("float32")
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
for line in sys.stdin:
    start = time.perf_counter()
    batch_gradient(params, f, labels, np.random.default_rng(0), config)
    print(time.perf_counter() - start, peak() - before, flush=True)
"""


def worker(checkout: Path, threads: int) -> subprocess.Popen:
    """Start a process that takes a step for each line it reads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    variables = os.environ | dict.fromkeys(names, str(threads)) | {"PYTHONPATH": str(checkout)}
    command = [sys.executable, "-c", WORKER, str(threads)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    return subprocess.Popen(command, env=variables, cwd=checkout, **pipes)


def step(process: subprocess.Popen) -> tuple[float, float]:
    """Let a process take one step; return its seconds and MiB."""
    process.stdin.write("\n")
    seconds, mib = map(float, process.stdout.readline().split())
    return seconds, mib


def measure(old: Path, repeats: int) -> None:
    """Print the comparison."""
    processes = {
        (name, n): worker(at, n) for n in (1, 2) for name, at in (("old", old), ("new", ROOT))
    }
    found = {key: [] for key in processes}
    for turn in range(repeats + 1):
        for key, process in processes.items():
            result = step(process)
            if turn:  # the first step of a process still fetches code and memory
                found[key].append(result)
    for process in processes.values():
        process.stdin.close()
        process.wait()
    for n in (1, 2):
        (before, grown_before), (now, grown_now) = (
            np.array(found[name, n]).T for name in ("old", "new")
        )
        low, ratio, high = np.percentile(before / now, [25, 50, 75])
        medians = f"{1e3 * np.median(before):.0f} -> {1e3 * np.median(now):.0f} ms"
        print(
            f"{n} thread{'s' * (n > 1)}: {medians}, {ratio:.2f} times as fast "
            f"({low:.2f} to {high:.2f}); memory grows by "
            f"{grown_before.max():.0f} -> {grown_now.max():.0f} MiB"
        )


def main(commit: str, repeats: int) -> None:
    """Compare with a commit, checked out in a folder that is removed again."""
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder, "old")
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(old), commit], check=True)
        try:
            measure(old, repeats)
        finally:
            subprocess.run([*git, "remove", "--force", str(old)], check=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 15)
