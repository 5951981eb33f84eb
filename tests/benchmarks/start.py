"""Seconds until each command has printed its help: `python tests/benchmarks/start.py [ROUNDS]`.

The least and the median, all commands in turn in each round, beside Python itself and NumPy: what
no command can be without. The least is what the machine can do, the median what it did.
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
    """Time one start of Python."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main(rounds=20):
    """Print one line for each command."""
    times = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, words in COMMANDS.items():
            times[name].append(seconds(words))
    for name, found in times.items():
        print(f"{name:30} {min(found):6.3f} s  {median(found):6.3f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
