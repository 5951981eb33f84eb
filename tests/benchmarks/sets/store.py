"""Files of the sets: packages fetched once, arrays written under a temporary name and renamed."""

import os
import subprocess
from pathlib import Path

import numpy as np


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write an .npz whole or not at all."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    np.savez_compressed(temporary, **arrays)
    os.replace(temporary, path)


def npm_archive(package: str, version: str, folder: Path) -> Path:
    """Return the archive of an npm package at a version, fetched unless it is there."""
    path = folder / f"{package.lstrip('@').replace('/', '-')}-{version}.tgz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", "--silent", f"{package}@{version}"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return path
