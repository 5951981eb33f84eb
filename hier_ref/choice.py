"""How an ancestor is chosen: the rule of a level, and the race of the proxies.

Chapters: docs/3-triplets.md, docs/4-hier.md.
"""

from dataclasses import dataclass

import autograd.numpy as np
import numpy as onp
from autograd.tracer import getval
from numpy.typing import DTypeLike, NDArray

from hier_ref.convention import EXACT, Convention
from hier_ref.ranges import number


@dataclass(frozen=True)
class Rule:
    """How the triplets of a level are judged; ValueError unless tau > 0 and margin >= 0."""

    tau: float = 0.1
    margin: float = 0.1
    convention: Convention = EXACT

    def __post_init__(self) -> None:
        """Refuse what no level can be judged by."""
        self.check(np.float64)

    def weights(self, far: NDArray, arrival: NDArray) -> NDArray:
        """Return the soft choice at this temperature: (T, P), (T, P) -> (T, P).

        A method, so that the oracle can try the same rule with a softmax that rounds elsewhere.
        """
        return choice_weights(far, arrival, self.tau)

    def check(self, dtype: DTypeLike) -> None:
        """Refuse numbers that would be 0 or infinite in the dtype of the distances."""
        number("tau", self.tau, dtype=dtype)
        number("margin", self.margin, zero=True, dtype=dtype)


RULE = Rule()


def rates(far: NDArray, tau: float) -> NDArray:
    """Return how fast each proxy runs, exp((min far - far)/tau): (T, P) -> (T, P)."""
    with onp.errstate(over="ignore"):  # a tau far below all differences: exp(-inf) is right
        return np.exp((np.min(far, axis=1, keepdims=True) - far) / tau)


def choice_weights(far: NDArray, arrival: NDArray, tau: float) -> NDArray:
    """Soft choice of the nearest proxy under noise, as a race. (H1).

    far (T, P) is the distance of each proxy to the farthest member of the set, arrival (T, P)
    Exp(1) noise, tau > 0 the temperature -> (T, P), rows summing to 1. The largest weight is
    the hard choice (T6). Equals softmax(-far/tau + Gumbel noise); it is p with the probability
    softmax(-far/tau)_p (T7). ValueError for another tau and for
    arrival times that are 0, negative or NaN.
    Source: derived in docs/3 and 4.
    """
    number("tau", tau)
    if not np.min(getval(arrival), initial=1) > 0:
        raise ValueError(f"arrival times from {np.min(arrival):.3g}: expected numbers above 0")
    w = rates(far, tau) / arrival
    return w / np.sum(w, axis=1, keepdims=True)


def choice_weights_vjp(g: NDArray, w: NDArray, tau: float) -> NDArray:
    """Gradient of `choice_weights` to `far`: (T, P) cotangent, (T, P) weights -> (T, P). (H1')."""
    number("tau", tau)
    out = onp.einsum("tp,tp->t", w, g)[:, None] - g
    out *= w
    out /= tau
    return out


def farther(d: NDArray, other: NDArray, rule: Rule) -> NDArray:
    """Return the larger of two distances, by which a set is far from a proxy. (T5).

    (T, P), (T, P) -> (T, P). autograd splits the slope of a tie, `where` does not.
    """
    if rule.convention.max_tie == "split":
        return np.maximum(d, other)
    return np.where(d >= other if rule.convention.max_tie == "first" else d > other, d, other)


def farther_vjp(g: NDArray, d: NDArray, other: NDArray, rule: Rule) -> NDArray:
    """Return what of the gradient g of `farther` goes to d, any shape; the rest goes to other.

    Half of it at a tie or, all or nothing, what the convention says (K26).
    """
    if rule.convention.max_tie == "first":
        return g * (d >= other)
    part = g * (d > other)
    if rule.convention.max_tie == "split":
        ties = onp.flatnonzero(d == other)
        part.reshape(-1)[ties] = g.reshape(-1)[ties] * g.dtype.type(0.5)
    return part


def among(members: NDArray, n: int) -> NDArray:
    """Mark each row's members among n proxies: (T, M) indices -> (T, n) boolean."""
    return (members[:, :, None] == onp.arange(n)).any(1)
