"""A hierarchy that is known: planted in the ball, to see whether it can be read again."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hier_ref.poincare import expmap, gap
from hier_ref.tree.structure import NONE, Tree, join


class Planted(NamedTuple):
    """Points and proxies of a known tree."""

    z: NDArray  # (N, D) points
    l: NDArray  # (P, D) the true ancestors, the root first
    tree: Tree
    columns: NDArray  # (N, L) true groups, finest first; without the root's


def plant(
    rng: np.random.Generator,
    branching: tuple[int, ...] = (4, 4, 4),
    per_class: int = 8,
    dim: int = 16,
    step: float = 2.0,
    spread: float = 1.0,
    noise: float = 0.0,
    c: float = 1.0,
) -> Planted:
    """Grow a tree of geodesic steps from the origin. (Y9).

    Each node has `branching[level]` children, `step` away in random directions; each node of
    the last level has `per_class` points at distance `spread`. Then all points and proxies are
    moved, in random directions, by lengths of mean square `noise`².
    """
    l, parents, last = [np.zeros((1, dim))], [np.array([NONE])], np.zeros(1, int)
    for children in branching:
        above = np.repeat(last, children)
        last = sum(map(len, parents)) + np.arange(len(above))
        l.append(_steps(rng, np.concatenate(l)[above], step, c))
        parents.append(above)
    of_proxies, proxies = np.concatenate(parents), np.concatenate(l)
    of_points = np.repeat(last, per_class)
    z = _steps(rng, proxies[of_points], spread, c)
    z, proxies = (_moved(rng, x, noise, c) for x in (z, proxies))
    columns = [of_points]
    while len(columns) < len(branching):
        columns.append(of_proxies[columns[-1]])
    return Planted(z, proxies, join(of_points, of_proxies), np.stack(columns, axis=1))


def _steps(rng: np.random.Generator, x: NDArray, length: float, c: float) -> NDArray:
    """Step from every row by a hyperbolic length in a random direction."""
    u = rng.standard_normal(x.shape)
    return _along(x, length * u / np.linalg.norm(u, axis=1, keepdims=True), c)


def _moved(rng: np.random.Generator, x: NDArray, noise: float, c: float) -> NDArray:
    return _along(x, noise * rng.standard_normal(x.shape) / np.sqrt(x.shape[1]), c)


def _along(x: NDArray, u: NDArray, c: float) -> NDArray:
    """Follow geodesics; |u| is hyperbolic length, which at x is 2/gap times the Euclidean."""
    return expmap(x, u * gap(x, c)[:, None] / 2, c)
