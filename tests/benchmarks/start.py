"""Seconds until each command has printed its help: `python tests/benchmarks/start.py [ROUNDS]`.

The least and the median of the seconds that pass, and the least that are computed, which says what
a start takes where nothing else runs; all commands in turn in each round. Beside them Python itself
and NumPy, which no command can be without.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

COMMANDS = {
    "python": ["-c", "pass"],
    "import numpy": ["-c", "import numpy"],
    "import autograd.scipy.special": ["-c", "import autograd.scipy.special"],
    **{
        f"{name} --help": ["-m", f"hier_ref.{name}", "--help"]
        for name in ("train", "evaluate", "tree", "oracle")
    },
}


def seconds(words):
    """Time one start of Python: the seconds that pass, and those that it computes."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    start, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *words], env=environment, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    computed = after.children_user + after.children_system
    return time.perf_counter() - start, computed - before.children_user - before.children_system


def main(rounds=20):
    """Print one line for each command."""
    times = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, words in COMMANDS.items():
            times[name].append(seconds(words))
    for name, found in times.items():
        passed, computed = zip(*found, strict=True)
        print(f"{name:30} {min(passed):6.3f} {median(passed):6.3f} {min(computed):6.3f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
