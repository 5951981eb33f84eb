"""Small features files around class centres, and the commands in-process: what a user would do."""

import contextlib
import io
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hier_ref.command import run_command

N_CLASSES, PER_CLASS, N_FEATURES = 16, 6, 12
# What the tests count on is said here, so that better defaults do not break them.
SIZES = {"batch": 24, "embedding": 8, "proxies": 12, "triplets": 3, "neighbours": 5}
SIZES |= {"epochs": 4, "eval_every": 2, "hier_weight": 0.5, "warmup_epochs": 1}
SIZES |= {"lr_head": 1e-3, "lr_proxies": 1e-3, "lr_loss": 1e-1, "weight_decay": 1e-4}
SIZES |= {"loss": "PA", "start": "random", "retrieval": "ball", "validate": 0}
SIZES |= {"c": 0.1, "clip": 2.3, "tau": 0.1, "margin": 0.1, "seed": 0, "schedule": "cosine"}


def clustered(seed=0, spread=1.0):
    """Arrays of a valid file: 16 classes of 6 images, two classes to a group."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(N_CLASSES), PER_CLASS)
    centres = rng.standard_normal((N_CLASSES, N_FEATURES))
    noise = spread * rng.standard_normal((len(labels), N_FEATURES))
    return {
        "features": (centres[labels] + noise).astype(np.float32),
        "labels": labels,
        "levels": labels[:, None] // 2,
        "level_names": np.array(["pair"]),
    }


def save(path, seed=0, **changes):
    """Write them, some replaced or dropped where None: an .npz, or a folder without a suffix."""
    content = {key: a for key, a in (clustered(seed) | changes).items() if a is not None}
    if path.suffix:
        np.savez(path, **content)
        return str(path)
    path.mkdir()
    for key, array in content.items():
        np.save(path / f"{key}.npy", array)
    return str(path)


def words(**options):
    """Options as words of a command line: epochs=3 becomes --epochs 3, refit=False --no-refit."""
    found = []
    for name, value in options.items():
        name = name.replace("_", "-")
        if isinstance(value, bool):
            found.append(f"--{name}" if value else f"--no-{name}")
        else:
            found += [f"--{name}", *map(str, np.atleast_1d(value))]
    return found


class Ended(NamedTuple):
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


def call(main, *argv, stderr=None, pictures=False):
    """Call a command as its own process would, without the cost of one, or of pictures."""
    out, err, before = io.StringIO(), stderr or io.StringIO(), sys.argv
    plain = ["--no-pictures"] if main.__module__ == "hier_ref.train" and not pictures else []
    sys.argv = ["command", *map(str, argv), *plain]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            run_command(main)
        code = 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = before
    return Ended(code, out.getvalue(), err.getvalue())


def files(folder):
    """The bytes of every file below a folder, by its path there."""
    root = Path(folder)
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
