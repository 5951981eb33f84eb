"""Small inputs of the HIER loss, shared by the tests that need one."""

from typing import NamedTuple

import numpy as np

from hier_ref.convention import EXACT
from hier_ref.pairwise import pairwise_distance
from hier_ref.poincare import to_ball
from hier_ref.triplets import Draws, sample_draws


class Inputs(NamedTuple):
    x: np.ndarray
    proxies: np.ndarray
    draws: Draws


def make_inputs(
    seed=0, b=24, p=12, dim=8, size=1.0, neighbours=6, per_anchor=4, convention=EXACT, **options
):
    """Random tangent inputs and proxies with mined triplets and captured noise."""
    rng = np.random.default_rng(seed)
    x, proxies = (size * rng.standard_normal((n, dim)) / np.sqrt(dim) for n in (b, p))
    return Inputs(x, proxies, mine(rng, x, proxies, neighbours, per_anchor, convention, **options))


def mine(rng, x, proxies, neighbours=6, per_anchor=4, convention=EXACT, c=0.1, keep_noise=True):
    """Triplets and noise for given inputs; two images of each class."""
    z, l = to_ball(x, c, 2.3), to_ball(proxies, c, 2.3)
    return sample_draws(
        rng,
        pairwise_distance(z, z, c),
        pairwise_distance(l, l, c),
        np.arange(len(x)) // 2,
        neighbours=neighbours,
        per_anchor=per_anchor,
        convention=convention,
        keep_noise=keep_noise,
    )
