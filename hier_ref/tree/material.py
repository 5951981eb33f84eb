"""What a tree is read from and scored by: embeddings, proxies and labels of unseen rows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hier_ref.evaluate import level_names
from hier_ref.features.contract import CONTRACT, Features
from hier_ref.runs.folder import open_run
from hier_ref.training.batch import embed, to_ball_or_sphere

LIMIT = 5000  # the distances of many more rows would fill the memory


class Material(NamedTuple):
    """Rows of a features file as one run sees them."""

    z: NDArray  # (N, D) points of the ball
    l: NDArray | None  # (P, D) proxies; None for a run without HIER
    c: float
    source: Features  # the whole file
    part: Features  # the N rows of it
    rows: NDArray  # (N,) where they stand in the features file

    @property
    def proxies(self) -> NDArray:
        """(P, D) proxies, of a run that has them; ValueError for another."""
        if self.l is None:
            raise ValueError("trained without HIER, so it has no proxies to make a tree of")
        return self.l

    @property
    def columns(self) -> NDArray:
        """(N, L) the class and the coarser levels, finest first."""
        levels = [] if self.part.levels is None else [self.part.levels]
        return np.column_stack([self.part.labels, *levels])

    @property
    def column_names(self) -> list[str]:
        """What the L columns are called."""
        return ["class", *level_names(self.part)]

    @property
    def value_names(self) -> list[dict[int, str]]:
        """Name each value of each of the L columns: by the file, else by what it is or holds."""
        classes = _named(self.part.labels, self.part.class_names, lambda value, _: f"class {value}")
        found, labels = [classes], self.part.labels
        for level, column in enumerate(self.columns.T[1:]):
            given = self.part.level_values
            names = None if given is None else given[:, level]
            found.append(_named(column, names, lambda v, row: f"{v}: {classes[labels[row]]}, ..."))
        return found

    @property
    def shown(self) -> list[str]:
        """(N,) the name of what each point shows: of its class."""
        names = self.value_names[0]  # one string per class, however long, not one per row
        return [names[label] for label in self.part.labels.tolist()]

    @property
    def names(self) -> list[str]:
        """What each point shows, and its row in the file, which makes the name unique."""
        return [f"{name} [{row}]" for name, row in zip(self.shown, self.rows, strict=True)]


def _named(
    column: NDArray, names: NDArray | None, otherwise: Callable[[int, int], str]
) -> dict[int, str]:
    """Name the values of a column (N,); `otherwise` one without, by value and first row."""
    values, first = np.unique(column, return_index=True)
    pairs = zip(values.tolist(), first.tolist(), strict=True)
    return {
        v: (str(names[v]) if names is not None else "") or otherwise(v, row) for v, row in pairs
    }


def gather(
    folder: Path,
    features: Features | None = None,
    limit: int = LIMIT,
    images: Path | None = None,
) -> Material:
    """Embed the test rows of a features file, or its gallery, with the head of a run.

    features: by default those that the run was made from. Of more than `limit` rows as many are
    drawn, always the same. images: the folder that their paths are below (`image_paths`). Raises
    ValueError for a run that is not in the ball, and for features of another width.
    """
    run = open_run(folder)
    config, params = run.config, run.read_head()
    if not config.c:
        raise ValueError(f"{folder}: trained on the sphere (c 0), expected a run in the ball")
    if features is None:
        features = run.read_features()
    rows = unseen_rows(features, limit)
    per_row = [key for key, rule in CONTRACT.items() if rule.axes[0] == "N"]
    kept = {key: getattr(features, key) for key in per_row}
    part = replace(features, **{key: a[rows] for key, a in kept.items() if a is not None})
    part = replace(part, paths=image_paths(part, rows, images))
    _check_width(part, params, folder)
    z = embed(part.features, params, config).astype(float)
    l = to_ball_or_sphere(params["proxies"], config).astype(float) if "proxies" in params else None
    return Material(z, l, config.c, features, part, rows)


def unseen_rows(features: Features, limit: int) -> NDArray:
    """(K,) ascending rows to read the tree from: of the test split, or of the gallery."""
    word = "gallery" if "query" in features.split else "test"
    rows = np.flatnonzero(features.split == word)
    if len(rows) <= limit:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, limit, replace=False))


def image_paths(part: Features, rows: NDArray, images: Path | None) -> NDArray | None:
    """(N,) files of the rows (N,), below the folder `images`; None if there is nothing known.

    Without paths in the features file, row 17 is 17.png in that folder.
    """
    if images is None:
        return part.paths
    names = [f"{row}.png" for row in rows] if part.paths is None else part.paths
    return np.array([str(images / str(name)) for name in names])


def _check_width(part: Features, params: dict[str, NDArray], folder: Path) -> None:
    first = "head.hidden_weight" if "head.hidden_weight" in params else "head.weight"
    expected, found = params[first].shape[1], part.features.shape[1]
    if found != expected:
        raise ValueError(
            f"{part.source}: found {found} columns, the head of {folder} takes {expected}"
        )
