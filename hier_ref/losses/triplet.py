"""Triplets with a margin, all of the batch. Derived in docs/appendix-more-losses.md."""

from dataclasses import dataclass

import autograd.numpy as np
from autograd.tracer import getval
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from hier_ref.losses.base import HyperParameters, Params, check_batch
from hier_ref.losses.parts import cosine, cosine_vjp, lead, lead_vjp, same_class


@dataclass(frozen=True)
class Triplet(HyperParameters):
    """Hinges of all triplets (i, j, k) of the batch, averaged over those above 0. (L17).

    i and j are of one class, k is not; distances are squared, between points scaled to length 1.
    It sees directions only: c has no effect. No hinge above 0: the loss is 0 (K34), (K35).
    Source: Schroff, Kalenichenko, Philbin, CVPR 2015, with their margin; the mean over triplets
    that count is that of Hermans, Beyer, Leibe 2017.
    """

    margin: float = 0.2

    def init(self, rng: Generator, n_classes: int, dim: int) -> Params:
        """No parameters."""
        return {}

    def value(self, z: NDArray, labels: ArrayLike, params: Params, c: float) -> float:
        """Loss of a batch: the mean (L17) of the hinges above 0.

        (B, D), (B,) -> scalar. Raises as `same_class`.
        """
        check_batch(z, params, c)
        hinges, share, _ = self._hinges(cosine(z, z), labels)
        return np.sum(share * hinges)

    def grad(
        self, z: NDArray, labels: ArrayLike, params: Params, c: float
    ) -> tuple[float, NDArray, Params]:
        """Loss and its gradient with respect to z (B, D). (L17')."""
        check_batch(z, params, c)
        s = cosine(z, z)
        hinges, share, pairs = self._hinges(s, labels)
        as_row, as_column = cosine_vjp(lead_vjp(2 * share, s, *pairs), z, z)
        return float(np.sum(share * hinges)), as_row + as_column, {}

    def _hinges(self, s: NDArray, labels: ArrayLike) -> tuple[NDArray, NDArray, tuple]:
        """Hinges of pairs and images, (P, B); the share of each in the mean; pairs (i, j). (L17).

        A hinge at exactly 0 has no share (K36).
        """
        positive, negative = same_class(labels, len(s))
        i, j = np.nonzero(positive)
        hinges = 2 * lead(s, i, j) + self.margin
        counts = negative[i] & (getval(hinges) > 0)
        share = counts.astype(getval(s).dtype) / max(1, int(counts.sum()))
        return hinges, share, (i, j)
