"""Kill training at random moments, resume it, and compare every byte with a run never killed.

    python tests/kills.py --count 50

The processes are forks of this one, which has imported everything: what is killed is the run.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from synthetic import SIZES, call, files, save, words

from hier_ref.runs.folder import CONFIG, HEAD
from hier_ref.train import main as train

OPTIONS = words(**(SIZES | {"epochs": 8, "eval_every": 2}))


def forked(argv):
    """Start a command in a process of its own; return its number."""
    process = os.fork()
    if not process:
        os._exit(call(train, *argv).code)
    return process


def killed(argv, seconds):
    """Run a command for some time at most; say whether it was killed."""
    process = forked(argv)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitpid(process, os.WNOHANG)[0]:
            return False
        time.sleep(0.0005)
    os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL


def chain(rng, folder, whole, longest):
    """Start a run and kill it again and again until it ends; return how often it was killed."""
    first, again = ["--features", "f.npz", *OPTIONS, "--out", folder], ["--resume", folder]
    kills = 0
    while True:
        argv = again if Path(folder, CONFIG).exists() else first
        if not killed(argv, longest * rng.random()):
            break
        kills += 1
        left = {name for name in files(folder) if not name.endswith(".part")} if kills else set()
        assert left <= set(whole), left
    assert call(train, "--resume", folder).code == 0
    assert files(folder) == whole, f"{folder}: other bytes after {kills} kills"
    return kills


def kills(count, seed=0, say=lambda text: None):
    """Kill at least `count` times, in chains; return (kills, chains)."""
    rng, here, done, chains = np.random.default_rng(seed), os.getcwd(), 0, 0
    with tempfile.TemporaryDirectory() as root:
        os.chdir(root)
        try:
            save(Path("f.npz"))
            start = time.monotonic()
            os.waitpid(forked(["--features", "f.npz", *OPTIONS, "--out", "whole"]), 0)
            longest, whole = time.monotonic() - start, files("whole")
            assert HEAD in whole
            while done < count:
                done += chain(rng, f"run{chains}", whole, longest)
                chains += 1
                say(f"{done} of {count} kills")
        finally:
            os.chdir(here)
    return done, chains


def command():
    """Kill as often as asked and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    done, chains = kills(args.count, args.seed, print if sys.stderr.isatty() else str)
    print(f"{done} kills in {chains} chains: every file byte-identical")


if __name__ == "__main__":
    command()
