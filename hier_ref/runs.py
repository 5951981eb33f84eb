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
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise RunError(f"{path}: expected arrays written by a run ({error})") from None
    except Exception as error:  # zipfile and zlib name their own errors for damaged bytes
        raise RunError(f"{path}: damaged ({error})") from None


def digest(features: Features) -> str:
    """Return the SHA-256 of what training and evaluation read: features, labels, split."""
    sha = hashlib.sha256()
    for array in (features.features, features.labels, features.split):
        sha.update(f"{array.dtype.str} {array.shape}".encode())
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

    def metrics(self, up_to: int | None = None) -> list[dict]:
        """Return the evaluations written so far, those of later epochs than `up_to` left out."""
        path = self.folder / METRICS
        lines = path.read_text().splitlines() if path.exists() else []
        rows = [json.loads(line) for line in lines]
        return [row for row in rows if up_to is None or row["epoch"] <= up_to]

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
        return Run(Path(folder), Config(**config), features["path"]), features["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: expected the configuration of a run ({error})") from None
