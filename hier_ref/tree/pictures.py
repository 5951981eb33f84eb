"""The pictures of a run: its tree in the Poincaré disk, its training, its retrieval."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hier_ref.draw import draw_curves, draw_disk, draw_retrieval, save_image
from hier_ref.pairwise import pairwise_distance
from hier_ref.runs.folder import open_run
from hier_ref.tree.material import Material
from hier_ref.tree.structure import PROXY, Tree

QUERIES, NEAREST = 8, 10


class History(NamedTuple):
    """The evaluations of a run, and the scores of what needs no training, by name."""

    rows: list[dict]
    beside: dict[str, dict]


def finished_metrics(folder: Path) -> History:
    """Return what a finished run has written of its training."""
    run = open_run(folder)
    return History(run.metrics(), run.result()["baselines"])


def save_pictures(folder: Path, tree: Tree, run: Material, metrics: History) -> list[Path]:
    """Write disk.png, curves.png and retrieval.png; return their paths."""
    disk_path = _save(folder / "disk.png", disk(tree, run))
    return [disk_path, *save_curves(folder, metrics), *save_retrieval(folder, run)]


def save_curves(folder: Path, metrics: History) -> list[Path]:
    """Write curves.png."""
    picture = draw_curves(metrics.rows, "Training, and retrieval", metrics.beside)
    return [_save(folder / "curves.png", picture)]


def save_retrieval(folder: Path, run: Material) -> list[Path]:
    """Write retrieval.png."""
    return [_save(folder / "retrieval.png", retrieval(run))]


def _save(path: Path, picture: Image.Image) -> Path:
    save_image(path, picture)
    return path


def disk(tree: Tree, run: Material) -> Image.Image:
    """Draw the tree, its points coloured by the coarsest level there is."""
    group, level = run.columns[:, -1], run.column_names[-1]
    used = int(np.sum(tree.kind == PROXY))
    return draw_disk(
        tree,
        groups=group,
        group_names=run.value_names[-1],
        names=run.shown,
        paths=run.part.paths,
        title=f"{tree.n_points} unseen images under {used} proxies",
        caption=f"colour: {level}; beside a large branch one of its images, and how many of all "
        f"are of its commonest {level}",
    )


def retrieval(run: Material) -> Image.Image:
    """Draw some queries, evenly spread over the rows, each with what is nearest to it."""
    queries = np.unique(np.linspace(0, len(run.z) - 1, QUERIES).astype(int))
    nearest = nearest_rows(run, queries, min(NEAREST, len(run.z) - 1))
    return draw_retrieval(
        queries,
        nearest,
        run.part.labels,
        names=run.shown,
        paths=run.part.paths,
        title="Retrieval: a query, and the images nearest to it in the ball",
    )


def nearest_rows(run: Material, queries: NDArray, k: int) -> NDArray:
    """(Q,) rows -> (Q, k): the rows nearest to each, itself left out; ties by row."""
    d = pairwise_distance(run.z[queries], run.z, run.c)
    d[np.arange(len(queries)), queries] = np.inf
    return np.argsort(d, axis=1, kind="stable")[:, :k]
