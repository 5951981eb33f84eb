"""Pairwise cross-entropy: find the partner among all others.

Derived in docs/appendix-more-losses.md.
"""

from dataclasses import dataclass

import autograd.numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from hier_ref import pairwise
from hier_ref.losses.base import HyperParameters, Params, check_batch
from hier_ref.losses.parts import cross_entropy, cross_entropy_vjp, same_class
from hier_ref.losses.similarity import Ball, closeness, closeness_vjp


@dataclass(frozen=True)
class PairSoftmax(HyperParameters):
    """Cross-entropy of each image's partner against two views of the batch: "Hyp". (L16).

    For c = 0 inner products take the place of -d. `ball` is where distances come from. Holds
    P x B numbers, P the ordered pairs of one class. Without a pair the loss is 0 (K34).
    Source: Ermolov et al., CVPR 2022, their temperature; the released HIER code for batches of
    more than two images per class. Derived in docs/appendix-more-losses.md.
    """

    tau: float = 0.2
    ball: Ball = pairwise

    def init(self, rng: Generator, n_classes: int, dim: int) -> Params:
        """No parameters."""
        return {}

    def value(self, z: NDArray, labels: ArrayLike, params: Params, c: float) -> float:
        """Loss of a batch. (L16).

        (B, D), (B,) -> scalar. Raises as `same_class`; ValueError for z outside the ball (K2).
        """
        check_batch(z, params, c)
        *pairs, count = partners(labels, len(z))
        return np.sum(cross_entropy(closeness(z, c, self.ball) / self.tau, *pairs) / count)

    def grad(
        self, z: NDArray, labels: ArrayLike, params: Params, c: float
    ) -> tuple[float, NDArray, Params]:
        """Loss and its gradient with respect to z (B, D). (L16')."""
        check_batch(z, params, c)
        *pairs, count = partners(labels, len(z))
        s = closeness(z, c, self.ball) / self.tau
        g_s = cross_entropy_vjp(1 / count, s, *pairs) / self.tau
        loss = float(np.sum(cross_entropy(s, *pairs) / count))
        return loss, closeness_vjp(g_s, z, c, self.ball), {}


def partners(labels: ArrayLike, n_images: int) -> tuple[NDArray, NDArray, NDArray, int]:
    """Ordered pairs (i, j) of one class, whom j competes with for i, and the pairs with i = j too.

    (B,) -> (P,), (P,), (P, B) boolean, integer. The v-th image of each class is of view v (K38);
    the competitors are the images of the views of i and j, without i and j.
    """
    positive, _ = same_class(labels, n_images)
    view = np.sum(np.tril(positive), axis=1)
    i, j = np.nonzero(positive)
    rest = (view == view[i][:, None]) | (view == view[j][:, None])
    rest[np.arange(len(i)), i] = rest[np.arange(len(i)), j] = False
    return i, j, rest, len(i) + n_images
