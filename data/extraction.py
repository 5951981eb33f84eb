"""Images to features in batches that are kept: an interrupted extraction goes on where it stopped.

Chapter: docs/8-features.md.
"""

import hashlib
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
from backbone import Backbone
from images import centre, decode, normalise
from listing import Listing
from numpy.lib.format import open_memmap

from hier_ref.features.contract import CONTRACT, VALUE_CHECKS, Features, half_split
from hier_ref.files import read_arrays, write_bytes


class Extraction(NamedTuple):
    """What is extracted, how, and where to; the same extraction writes the same bytes."""

    out: Path
    listing: Listing
    backbone: Backbone
    batch: int
    dtype: str

    @property
    def work(self) -> Path:
        """The folder of the finished batches."""
        return beside(self.out, "work")

    def begin(self) -> None:
        """Make the work folder, or go on in it; ValueError if it is of another extraction."""
        job, path = self.job(), self.work / "job.json"
        self.work.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_bytes(path, (json.dumps(job, indent=2) + "\n").encode())
        try:
            begun = dict(json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: expected what was begun here ({error})") from None
        for key in {**job, **begun}:
            if job.get(key) != begun.get(key):
                raise ValueError(
                    f"{self.work}: begun with {key} {begun.get(key)}, found {job.get(key)}; "
                    "give the same command again, or remove that folder"
                )

    def job(self) -> dict:
        """Return everything that the features depend on."""
        root, (_, *content) = self.listing.root, self.listing
        sizes = [(root / path).stat().st_size for path in self.listing.paths]
        images = hashlib.sha256(json.dumps([content, sizes]).encode()).hexdigest()
        options = {"batch": self.batch, "dtype": self.dtype, "pillow": PIL.__version__}
        return self.backbone.identity | options | {"images": images}

    def batches(self) -> dict[Path, range]:
        """Return the rows of each batch, by the file that holds it when it is finished."""
        n = len(self.listing.paths)
        starts = range(0, n, self.batch)
        return {self.work / f"{i:08d}.npz": range(i, min(i + self.batch, n)) for i in starts}

    def embed(self, rows: range) -> dict[str, np.ndarray]:
        """Return features of the rows that can be read, and the reasons for those that cannot."""
        paths = [self.listing.paths[row] for row in rows]
        with ThreadPoolExecutor() as pool:  # Pillow decodes outside of Python's lock
            opened = list(pool.map(self._open, paths))
        good = [i for i, each in enumerate(opened) if not isinstance(each, str)]
        bad = [i for i, each in enumerate(opened) if isinstance(each, str)]
        features = np.zeros((0, 0), self.dtype)
        if good:
            features = self._features([opened[i] for i in good], [paths[i] for i in good])
        found = {"features": features, "rows": rows[0] + np.array(good, np.int64)}
        reasons = np.array([opened[i] for i in bad], np.str_)
        return found | {"unreadable": rows[0] + np.array(bad, np.int64), "reasons": reasons}

    def _open(self, path: str):
        data = (self.listing.root / path).read_bytes()  # a lost disk ends the run, as it should
        try:
            return centre(decode(data), self.backbone.crop)
        except Exception as error:  # Pillow promises no list for damaged bytes
            return f"{type(error).__name__}: {error}"

    def _features(self, images: list, paths: list[str]) -> np.ndarray:
        features = self.backbone.embed(normalise(images, self.backbone.mean, self.backbone.std))
        if features.ndim != 2 or len(features) != len(images):
            raise ValueError(f"the backbone returned {features.shape}, expected ({len(images)}, F)")
        with np.errstate(over="ignore"):  # told below
            features = features.astype(self.dtype)
        bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
        if len(bad):
            found = f"{paths[bad[0]]}: the backbone returned numbers that are not finite"
            raise ValueError(f"{found} in {self.dtype}, expected finite ones")
        return features

    def finish(self) -> list[dict[str, str]]:
        """Write the features file, and return the images that are not in it, with reasons."""
        files, paths = list(self.batches()), self.listing.paths
        unreadable = [
            {"path": paths[row], "reason": str(reason)}
            for part in map(read_arrays, files)
            for row, reason in zip(part["unreadable"], part["reasons"], strict=True)
        ]
        write_lines(beside(self.out, "unreadable.jsonl"), unreadable)
        rows = np.concatenate([part["rows"] for part in map(read_arrays, files)])
        if not len(rows):
            raise ValueError(f"{self.listing.root}: found no image that can be read")
        arrays = {"features": self._joined(files, len(rows))} | self.listing.arrays(rows)
        check(arrays, self.out)
        temporary = self.work / f"whole{self.out.suffix}"
        write_features(temporary, arrays)
        os.replace(temporary, self.out)
        shutil.rmtree(self.work)
        return unreadable

    def _joined(self, files: list[Path], n: int) -> np.ndarray:
        """Return the features of all batches as one array on disk, which may exceed memory."""
        parts = (part for each in files if len(part := read_arrays(each)["features"]))
        joined, start = None, 0
        for part in parts:
            if joined is None:
                shape = (n, part.shape[1])
                joined = open_memmap(self.work / "features.npy", "w+", part.dtype, shape)
            joined[start : start + len(part)] = part
            start += len(part)
        return joined


def beside(out: Path, ending: str) -> Path:
    """Return the name of what lies next to OUT."""
    return out.with_name(f"{out.name}.{ending}")


def check(arrays: dict[str, np.ndarray], source: Path) -> None:
    """Refuse, as training would, what cannot be trained on or searched in."""
    content = dict.fromkeys(CONTRACT) | arrays
    if content["split"] is None:
        content["split"] = half_split(content["labels"])
    for value_check in VALUE_CHECKS:
        value_check(Features(**content, source=str(source)))


def write_lines(path: Path, rows: list[dict[str, str]]) -> None:
    """Write one JSON object per line; no file where there is nothing to tell."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if rows:
        write_bytes(path, lines.encode())
    else:
        path.unlink(missing_ok=True)


def write_features(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz, or a folder of .npy where the path has no suffix."""
    if path.suffix:
        np.savez(path, **arrays)
        return
    shutil.rmtree(path, ignore_errors=True)  # what an interrupted command has left
    path.mkdir()
    for key, array in arrays.items():
        np.save(path / f"{key}.npy", array)
