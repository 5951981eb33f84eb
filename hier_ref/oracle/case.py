"""Case: one question to an implementation; `reference`: the answer, stage by stage."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hier_ref.convention import EXACT, Convention
from hier_ref.hier import hier_stages
from hier_ref.triplets import Draws, drawable, mutual_neighbours

Noise = tuple[NDArray, NDArray]


@dataclass(frozen=True)
class Case:
    """Inputs of the HIER loss with all randomness captured, and why the case exists.

    x (B, D) and proxies (P, D) are tangent vectors, labels (B,) integers; triplets_* (T, 3) are
    rows (i, j, k); gumbel_* are (pair, triple), each (T, P). `reason`, `flags` and `margins` say
    what the case is for and how far it is from the nearest tie; they do not enter the answer.
    """

    x: NDArray
    labels: NDArray
    proxies: NDArray
    triplets_data: NDArray
    triplets_proxy: NDArray
    gumbel_data: Noise
    gumbel_proxy: Noise
    c: float = 0.1
    clip_radius: float = 2.3
    tau: float = 0.1
    margin: float = 0.1
    neighbours: int = 0
    id: str = ""
    reason: str = ""
    flags: tuple[str, ...] = ()
    margins: tuple[tuple[str, float], ...] = ()
    swaps: tuple[tuple[int, ...], ...] = ()

    @property
    def draws(self) -> Draws:
        """The captured randomness as the loss takes it."""
        data, proxy = (np.asarray(t, int) for t in (self.triplets_data, self.triplets_proxy))
        return Draws(data, proxy, (*self.gumbel_data,), (*self.gumbel_proxy,))

    @property
    def parameters(self) -> dict[str, float]:
        """The numbers of the loss by the names that `hier_loss` gives them."""
        names = ("c", "clip_radius", "tau", "margin")
        return {name: float(getattr(self, name)) for name in names}

    def astype(self, dtype: DTypeLike) -> "Case":
        """Return the case with its float arrays in another dtype, all arrays as fresh copies."""
        noise: dict[str, Any] = {
            name: tuple(np.array(g, dtype=dtype) for g in getattr(self, name))
            for name in ("gumbel_data", "gumbel_proxy")
        }
        floats: dict[str, Any] = {
            name: np.array(getattr(self, name), dtype=dtype) for name in ("x", "proxies")
        }
        names = ("labels", "triplets_data", "triplets_proxy")
        others: dict[str, Any] = {name: np.array(getattr(self, name)) for name in names}
        return replace(self, **floats, **others, **noise)


def reference(
    case: Case, convention: Convention = EXACT, dtype: DTypeLike | None = None
) -> dict[str, NDArray]:
    """Return every stage of the loss of one case, forwards and backwards, by name.

    Computed in `dtype` (float32 or float64; default: the dtype of case.x). The names are those
    of `hier_ref.hier.hier_stages`, and where the case asks for the mining positives_s and
    negatives_s (N, N) boolean. Raises ValueError for inputs that do not fit.
    """
    dtype = np.dtype(dtype or np.result_type(case.x, np.float32))
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype {dtype}: expected float32 or float64")
    x, proxies = (np.asarray(a, dtype=dtype) for a in (case.x, case.proxies))
    if np.shape(case.labels) != x.shape[:1]:
        raise ValueError(f"labels of shape {np.shape(case.labels)}: expected ({len(x)},)")
    stages = hier_stages(x, proxies, case.draws, convention, **case.parameters)
    if case.neighbours:
        for level, d in (("data", stages["d_zz"]), ("proxy", stages["d_ll"])):
            marks = mining(d, level, case, convention)
            stages[f"positives_{level}"], stages[f"negatives_{level}"] = marks
    return stages


def mining(d: NDArray, level: str, case: Case, convention: Convention) -> tuple[NDArray, NDArray]:
    """Mark who may be drawn at one level from its distances d (N, N): positives, negatives."""
    labels = case.labels if level == "data" else None
    return drawable(mutual_neighbours(d, case.neighbours, labels, convention), convention)


def answers(case: Case, convention: Convention = EXACT) -> list[dict[str, NDArray]]:
    """Return all right answers in float64, that of the convention first.

    There are more than one where exact ties are the point: one for each order in `case.swaps`.
    """
    case = case.astype(np.float64)
    swapped = [_unswap(reference(_swap(case, s), convention), np.array(s)) for s in case.swaps]
    return [reference(case, convention), *swapped]


def pooled(case: Case, stage: str, value: NDArray) -> NDArray:
    """Average (B, D) gradients over equal points, if the case has the flag "max_tie".

    Equal points tie in every maximum of their distances, and its slope may be shared in any way,
    another for each triplet and proxy: what they get together is all that is determined (K90).
    """
    if "max_tie" not in case.flags or stage not in ("grad_d_zl", "grad_z", "grad_x"):
        return value
    _, first, group = np.unique(case.x, axis=0, return_index=True, return_inverse=True)
    same = np.equal.outer(first[group.ravel()], first[group.ravel()])
    return same / same.sum(1, keepdims=True) @ np.asarray(value, dtype=np.float64)


def _swap(case: Case, order: tuple[int, ...]) -> Case:
    at = np.array(order)

    def moved(noise: Noise) -> Noise:
        return noise[0][:, at], noise[1][:, at]

    return replace(
        case,
        proxies=case.proxies[at],
        triplets_proxy=np.argsort(at)[case.triplets_proxy],
        gumbel_data=moved(case.gumbel_data),
        gumbel_proxy=moved(case.gumbel_proxy),
    )


def _unswap(stages: dict[str, NDArray], order: NDArray) -> dict[str, NDArray]:
    """Name the proxies of an answer as they were before `_swap`."""
    back = np.argsort(order)
    for name, value in stages.items():
        if name.startswith("lca_") or name == "triplets_proxy":
            stages[name] = order[value]
        elif name in ("l", "grad_l", "grad_proxies"):
            stages[name] = value[back]
        elif name in ("d_zl", "grad_d_zl"):
            stages[name] = value[:, back]
        elif name in ("d_ll", "grad_d_ll", "positives_proxy", "negatives_proxy"):
            stages[name] = value[back][:, back]
    return stages
