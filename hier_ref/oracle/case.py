"""Case: one question to an implementation; `reference`: the answer, stage by stage."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hier_ref.convention import EXACT, Convention
from hier_ref.hier import hier_stages
from hier_ref.triplets import Draws

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
    id: str = ""
    reason: str = ""
    flags: tuple[str, ...] = ()
    margins: tuple[tuple[str, float], ...] = ()

    @property
    def draws(self) -> Draws:
        """The captured randomness as the loss takes it."""
        triplets = (np.asarray(t, dtype=int) for t in (self.triplets_data, self.triplets_proxy))
        return Draws(*triplets, tuple(self.gumbel_data), tuple(self.gumbel_proxy))

    @property
    def parameters(self) -> dict[str, float]:
        """The numbers of the loss by the names that `hier_loss` gives them."""
        names = ("c", "clip_radius", "tau", "margin")
        return {name: float(getattr(self, name)) for name in names}


def reference(case: Case, convention: Convention = EXACT, dtype=None) -> dict[str, NDArray]:
    """Return every stage of the loss of one case, forwards and backwards, by name.

    Computed in `dtype` (float32 or float64; default: the dtype of case.x). The names are those
    of `hier_ref.hier.hier_stages`. Raises ValueError for inputs that do not fit.
    """
    dtype = np.dtype(dtype or np.result_type(case.x, np.float32))
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype {dtype}: expected float32 or float64")
    x, proxies = (np.asarray(a, dtype=dtype) for a in (case.x, case.proxies))
    if np.shape(case.labels) != x.shape[:1]:
        raise ValueError(f"labels of shape {np.shape(case.labels)}: expected ({len(x)},)")
    return hier_stages(x, proxies, case.draws, convention, **case.parameters)
