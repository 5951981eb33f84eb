"""A run's folder on disk: whole files only, and no two configurations in one folder.

Every file is written under a temporary name and renamed, so that a killed run leaves the last
whole one. Described in docs/6-training.md.
"""

import hashlib
import io
import json
import os
import platform
from pathlib import Path
from typing import NamedTuple

import autograd
import numpy as np
import scipy

import hier_ref
from hier_ref.config import Config
from hier_ref.features import Features
from hier_ref.training import Params

HEAD, CONFIG, METRICS, CHECKPOINT = "head.npz", "config.json", "metrics.jsonl", "checkpoint.npz"


class RunError(ValueError):
    """A run folder cannot be used: one line that says which file, and what was expected."""


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file or nothing: a temporary name beside it, then a rename."""
    temporary = path.with_name(f".{path.name}.part")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_arrays(path: Path, arrays: Params) -> None:
    """Write an .npz of plain arrays; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def read_arrays(path: Path) -> Params:
    """Read an .npz of plain arrays; RunError if it is missing, damaged or holds objects."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise RunError(f"{path}: not found; a run writes it when it is finished") from None
    except Exception as error:  # zipfile and zlib name their own errors for damaged bytes
        raise RunError(f"{path}: damaged, expected arrays written by a run ({error})") from None


def read_head(folder: Path, config: Config) -> Params:
    """Read the weights that a finished run has written; RunError if they are not of `config`."""
    params = read_arrays(folder / HEAD)
    names = [f"head.{name}" for layer in config.layers for name in layer.names]
    sizes = zip(("F", *config.widths), config.widths, strict=False)
    shapes = [shape for n_in, n_out in sizes for shape in ((n_out, n_in), (n_out,))]
    expected = dict(zip(names, shapes, strict=True))
    found = {name: a.shape for name, a in params.items() if name.startswith("head.")}
    if found.keys() != expected.keys() or not all(_fits(found[n], expected[n]) for n in names):
        raise RunError(f"{folder / HEAD}: found {_listed(found)}, expected {_listed(expected)}")
    return params


def _fits(found: tuple, expected: tuple) -> bool:
    pairs = zip(found, expected, strict=False)
    return len(found) == len(expected) and all(size in (n, "F") for n, size in pairs)


def _listed(shapes: dict[str, tuple]) -> str:
    listed = (f"{name} ({', '.join(map(str, shape))})" for name, shape in shapes.items())
    return ", ".join(listed) or "no head"


def digest(features: Features) -> str:
    """Return the SHA-256 of all that training and evaluation read."""
    sha = hashlib.sha256()
    for key in ("features", "labels", "split", "levels", "level_names"):
        array = getattr(features, key)
        if array is not None:
            sha.update(f"{key} {array.dtype.str} {array.shape}".encode())
            sha.update(np.ascontiguousarray(array))
    return sha.hexdigest()


class Run(NamedTuple):
    """One run folder, its configuration and the features file it was made from."""

    folder: Path
    config: Config
    features: str

    def create(self, features_digest: str) -> None:
        """Make the folder and write config.json; RunError if it holds a run already."""
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise RunError(
                f"{self.folder}: not empty; go on with --resume, or name another folder with --out"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write_config(features_digest)
        except OSError as error:
            raise RunError(f"{self.folder}: cannot write there ({error.strerror})") from None

    def _write_config(self, features_digest: str) -> None:
        versions = {"hier_ref": hier_ref.__version__, "python": platform.python_version()}
        versions |= {module.__name__: module.__version__ for module in (np, scipy)}
        versions["autograd"] = getattr(autograd, "__version__", "unknown")
        content = {
            "config": vars(self.config),
            "features": {"path": self.features, "sha256": features_digest},
            "versions": versions,
        }
        write_bytes(self.folder / CONFIG, (json.dumps(content, indent=2) + "\n").encode())

    def evaluates(self, epoch: int) -> bool:
        """Say whether the run is evaluated after this epoch; 0 is the head as it was drawn."""
        return epoch % self.config.eval_every == 0 or epoch == self.config.epochs

    def metrics(self, finished: int) -> list[dict]:
        """Return the evaluations of the `finished` epochs; RunError if one is missing.

        Before the first checkpoint there is nothing to go on from, and no row is returned.
        """
        if not finished:
            return []
        path = self.folder / METRICS
        expected = [epoch for epoch in range(finished + 1) if self.evaluates(epoch)]
        try:
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            rows = [row for row in rows if row["epoch"] <= finished]
            if [row["epoch"] for row in rows] != expected:
                raise ValueError(f"epochs {[row['epoch'] for row in rows]}")
            return rows
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: expected evaluations of epochs {expected} ({error})") from None

    def write_metrics(self, rows: list[dict]) -> None:
        """Write one line per evaluation."""
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write_bytes(self.folder / METRICS, text.encode())


def open_run(folder: Path) -> tuple[Run, str]:
    """Read config.json of a run folder; return the run and the digest of its features."""
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise RunError(f"{path}: not found; expected the folder of a run")
    try:
        content = json.loads(path.read_text())
        config, features = content["config"], content["features"]
        unknown = set(config) ^ set(vars(Config()))
        if unknown:
            raise ValueError(f"options {', '.join(sorted(unknown))} are of another version")
        return Run(Path(folder), Config(**config), str(features["path"])), features["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: expected the configuration of a run ({error})") from None
