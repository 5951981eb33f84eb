"""A verdict in words: whether the head is worth it, beside what needs no training.

Differences of Recall@1 with intervals over classes, found by drawing the classes anew. Derived in
docs/appendix-closed-forms-in-use.md.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS, SEED = 1000, 0
PLAIN = {
    "raw": "the untouched features",
    "whitened": "whitened components",
    "lda": "linear discriminants",
}


class Interval(NamedTuple):
    """A number and where 95 of 100 lie when classes are drawn anew, all in points of 100."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1f} ({self.low:.1f} .. {self.high:.1f})"


def over_classes(values: NDArray, labels: NDArray) -> Interval:
    """Return 100 times the mean of values (Q,) and its interval over the classes (Q,). (M8).

    With a single class there is nothing to draw anew, and the interval is its mean. Source: the
    percentile bootstrap of Efron 1979, with classes as the units.
    """
    _, of, n = np.unique(labels, return_inverse=True, return_counts=True)
    sums = np.bincount(of, weights=np.asarray(values, float))
    rng, means = np.random.default_rng(SEED), np.empty(DRAWS)
    for draw in range(DRAWS):
        drawn = rng.integers(len(n), size=len(n))
        means[draw] = sums[drawn].sum() / n[drawn].sum()
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(*(100 * x for x in (sums.sum() / n.sum(), low, high)))


def verdict(head: NDArray, others: Mapping[str, NDArray], labels: NDArray) -> str:
    """Say in words how a head does beside what needs no training.

    head and each of `others` (Q,) are whether the nearest image of each query is right, labels
    (Q,) their classes. The advice follows the best of the others: use it where the head is below
    and the interval is too; the head where it is above and the interval is too; else no matter.
    """
    gains = {name: over_classes(head * 1.0 - hit, labels) for name, hit in others.items()}
    best = max(others, key=lambda name: others[name].mean())
    beside = "; ".join(f"{_apart(gain)} {PLAIN[name]}" for name, gain in gains.items())
    found = f"the head finds {over_classes(head, labels)} of 100; in points, {beside}"
    return f"{found}\n{_advice(gains[best], best)}"


def _apart(gain: Interval) -> str:
    side = "below" if gain.value < 0 else "above"
    return f"{abs(gain.value):.1f} {side}"


def _advice(gain: Interval, best: str) -> str:
    if gain.high < 0:
        how = {
            "raw": "use those, or more dimensions (--embedding)",
            "whitened": "use those: --start whiten --epochs 0",
            "lda": "use those: --start lda --epochs 0",
        }[best]
        return f"the head is {-gain.value:.1f} points below {PLAIN[best]}: {how}"
    if gain.low > 0:
        return f"the head is worth it: {gain} points above {PLAIN[best]}, the best of the others"
    return f"no clear difference to {PLAIN[best]}: {gain} points, which may as well be 0"
