"""The released code's draws of triplets, from the seed of its global generator.

The package itself draws with `hier_ref.triplets`; this is for whoever holds a seed of the
authors' code and wants the very triplets that it saw.
"""

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray


def replay_triplets(rs: RandomState, mutual: NDArray, per_anchor: int) -> NDArray:
    """Draw triplets as the released code does: anchor by anchor, two calls each. (C10).

    mutual (N, N) boolean -> (T, 3) integers (i, j, k): anchors with at least two mutual
    neighbours; j among these, then k among all others, i itself included. `rs` is
    numpy.random.RandomState(seed), used for level "data" first and level "proxy" next.
    """
    rows = [np.zeros((0, 3), int)]
    for i in np.flatnonzero(mutual.sum(1) >= 2):
        j = rs.choice(np.flatnonzero(mutual[i]), per_anchor)
        k = rs.choice(np.flatnonzero(~mutual[i]), per_anchor)
        rows.append(np.stack([np.full(per_anchor, i), j, k], axis=1))
    return np.concatenate(rows)
