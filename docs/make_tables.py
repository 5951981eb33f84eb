"""Measure how much each field of `Convention` changes; write the table of 10-conventions.md.

    python docs/make_tables.py

For each field: everything is exact but this one field, which takes the released value or, where
the released code does what is exact, its other value. A test compares the chapter with `table()`.
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hier_ref.balls import ball_of
from hier_ref.convention import EXACT, RELEASED, Convention
from hier_ref.hier import hier_stages, to_ball
from hier_ref.triplets import Draws, sample_draws

CHAPTER = Path(__file__).with_name("10-conventions.md")
MARKS = "<!-- measured by docs/make_tables.py -->\n", "<!-- end -->\n"
OTHER = {
    "curvature_dtype": "float32",
    "same_class_first": False,
    "noise_tempered": True,
    "proxy_may_be_own_ancestor": False,
    "same_lca_mask": False,
    "mean_over": "apart",
    "straight_through": False,
    "max_tie": "first",
}
REDRAWN = (
    "same_class_first",
    "neighbours_count_self",
    "min_reciprocal",
    "negative_may_be_anchor",
)


class Place(NamedTuple):
    """Where to measure: tangent inputs, their classes, and the parameters of the loss."""

    x: np.ndarray
    proxies: np.ndarray
    labels: np.ndarray
    parameters: dict
    rounding: float  # changes below this are shown as 0

    def draws(self, convention: Convention) -> Draws:
        """Draw triplets as a convention does, always from one seed."""
        c, r = self.parameters["c"], self.parameters["clip_radius"]
        distance = ball_of(convention).pairwise_distance
        z, l = (to_ball(u, c, r, convention) for u in (self.x, self.proxies))
        found = distance(z, z, c), distance(l, l, c), self.labels
        rng = np.random.default_rng(3)
        return sample_draws(rng, *found, neighbours=10, per_anchor=10, convention=convention)

    def stages(self, convention: Convention, draws: Draws) -> dict:
        """Return every stage of the loss."""
        return hier_stages(self.x, self.proxies, draws, convention, **self.parameters)


def default_place() -> Place:
    """128 dimensions, c = 0.1, clip radius 2.3: images beyond it, proxies within, as in a run."""
    rng = np.random.default_rng(1)
    labels = np.arange(60) // 2
    x = 0.25 * (0.3 * rng.standard_normal((30, 128))[labels] + rng.standard_normal((60, 128)))
    proxies = 0.9 * 2.3 / np.sqrt(128) * rng.standard_normal((64, 128))
    return Place(
        x, proxies, labels, {"c": 0.1, "clip_radius": 2.3, "tau": 0.1, "margin": 0.1}, 1e-12
    )


def boundary_place() -> Place:
    """8 dimensions, c = 1, clip radius 8: tanh(8) leaves 2e-7 of the ball's radius."""
    rng = np.random.default_rng(2)
    labels = np.arange(60) // 2
    x, proxies = rng.standard_normal((60, 8)), rng.standard_normal((64, 8))
    for u in (x, proxies):
        u *= rng.uniform(1, 10, (len(u), 1)) / np.linalg.norm(u, axis=1, keepdims=True)
    return Place(
        x, proxies, labels, {"c": 1.0, "clip_radius": 8.0, "tau": 0.1, "margin": 0.1}, 1e-8
    )


def changed(name: str) -> Convention:
    """EXACT with one field at its released value or, where it is the same, at another."""
    return dataclasses.replace(EXACT, **{name: OTHER.get(name, getattr(RELEASED, name))})


def changes(place: Place, convention: Convention, redraw: bool) -> list[float]:
    """Relative change of distances (the largest), loss, grad_x and grad_proxies (norm-wise)."""
    draws = place.draws(EXACT)
    before = place.stages(EXACT, draws)
    after = place.stages(convention, place.draws(convention) if redraw else draws)
    distance = np.max(np.abs(after["d_zl"] / before["d_zl"] - 1))
    rest = [
        np.linalg.norm(after[s] - before[s]) / np.linalg.norm(before[s])
        for s in ("loss", "grad_x", "grad_proxies")
    ]
    return [float(distance), *map(float, rest)]


def shown(value: float, rounding: float) -> str:
    """Return two digits, or 0."""
    return "0" if value < rounding else f"{value:.1e}" if value < 0.01 else f"{value:.2g}"


def table() -> str:
    """Return the table of all fields and, last, of all released choices at once."""
    places = default_place(), boundary_place()
    conventions = {f"`{f.name}`": changed(f.name) for f in dataclasses.fields(Convention)}
    lines = [
        "| only this changes | d | loss | ∇x | ∇proxies | d | loss | ∇x | ∇proxies |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, convention in (conventions | {"all of `RELEASED`": RELEASED}).items():
        redraw = name.strip("`") in REDRAWN or convention == RELEASED
        cells = [
            shown(value, place.rounding)
            for place in places
            for value in changes(place, convention, redraw)
        ]
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines) + "\n"


def split(text: str) -> tuple[str, str, str]:
    """Return what stands before, between and after the marks."""
    before, rest = text.split(MARKS[0])
    middle, after = rest.split(MARKS[1], maxsplit=1)  # shown code ends in the same mark
    return before, middle, after


if __name__ == "__main__":
    before, _, after = split(CHAPTER.read_text(encoding="utf-8"))
    CHAPTER.write_text(before + MARKS[0] + table() + MARKS[1] + after, encoding="utf-8")
