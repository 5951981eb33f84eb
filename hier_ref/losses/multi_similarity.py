"""Multi-similarity, by cosine and on the ball. Derived in docs/9-losses.md."""

from dataclasses import dataclass

import autograd.numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from hier_ref import pairwise
from hier_ref.losses.base import HyperParameters, Params, check_batch
from hier_ref.losses.parts import (
    cosine,
    cosine_vjp,
    log_one_plus_sum_exp,
    log_one_plus_sum_exp_vjp,
    same_class,
)
from hier_ref.losses.similarity import Ball, closeness, closeness_vjp
from hier_ref.ranges import number


def multi_similarity(s: NDArray, labels: ArrayLike, alpha: float, beta: float) -> float:
    """Soft maxima of -s over images of one class and of s over all others, per image. (L8).

    (B, B) similarities less the base, (B,) -> scalar, the mean over images. A part without any
    image is 0 (K31). Raises as `same_class`; ValueError unless alpha and beta are positive.
    """
    number("alpha", alpha)
    number("beta", beta)
    positive, negative = same_class(labels, len(s))
    pull = log_one_plus_sum_exp(-alpha * s, positive) / alpha
    return np.sum((pull + log_one_plus_sum_exp(beta * s, negative) / beta) / len(s))


def multi_similarity_vjp(
    g: float, s: NDArray, labels: ArrayLike, alpha: float, beta: float
) -> NDArray:
    """Gradient of `multi_similarity` with respect to s. (L8').

    scalar, (B, B), (B,) -> (B, B).
    """
    positive, negative = same_class(labels, len(s))
    w_pull = log_one_plus_sum_exp_vjp(g / len(s), -alpha * s, positive)
    return log_one_plus_sum_exp_vjp(g / len(s), beta * s, negative) - w_pull


@dataclass(frozen=True)
class MultiSimilarity(HyperParameters):
    """Multi-similarity by cosine, over all pairs of the batch: no mining. (L8).

    It sees directions only: c has no effect.
    Source: Wang, Han, Huang, Dong, Scott, CVPR 2019, base for their lambda.
    """

    alpha: float = 2.0
    beta: float = 50.0
    base: float = 0.5

    def init(self, rng: Generator, n_classes: int, dim: int) -> Params:
        """No parameters."""
        return {}

    def value(self, z: NDArray, labels: ArrayLike, params: Params, c: float) -> float:
        """Loss of a batch. (L8).

        (B, D), (B,) -> scalar. Raises as `same_class`.
        """
        check_batch(z, params, c)
        return multi_similarity(cosine(z, z) - self.base, labels, self.alpha, self.beta)

    def grad(
        self, z: NDArray, labels: ArrayLike, params: Params, c: float
    ) -> tuple[float, NDArray, Params]:
        """Loss and its gradient with respect to z (B, D). (L8')."""
        check_batch(z, params, c)
        s = cosine(z, z) - self.base
        g_s = multi_similarity_vjp(1.0, s, labels, self.alpha, self.beta)
        as_row, as_column = cosine_vjp(g_s, z, z)
        return float(multi_similarity(s, labels, self.alpha, self.beta)), as_row + as_column, {}


def centred(s: NDArray) -> NDArray:
    """Subtract the mean of all entries off the diagonal. (L9).

    (B, B) -> (B, B). One image has no such entry: nothing is subtracted (K33).
    """
    off = ~np.eye(len(s), dtype=bool)
    return s - np.sum(np.where(off, s, 0) / max(1, int(off.sum())))


def centred_vjp(g: NDArray, s: NDArray) -> NDArray:
    """Gradient of `centred`. (L9').

    (B, B), (B, B) -> (B, B).
    """
    off = ~np.eye(len(s), dtype=bool)
    return np.where(off, g - np.sum(g) / max(1, int(off.sum())), g)


@dataclass(frozen=True)
class HyperbolicMultiSimilarity(HyperParameters):
    """Multi-similarity of -d on the ball, the base being the mean over all pairs. (L9).

    For c = 0 inner products take the place of -d. `ball` is where distances come from.
    Source: the released HIER code; derived in docs/9-losses.md.
    """

    alpha: float = 1.0
    beta: float = 5.0
    ball: Ball = pairwise

    def init(self, rng: Generator, n_classes: int, dim: int) -> Params:
        """No parameters."""
        return {}

    def value(self, z: NDArray, labels: ArrayLike, params: Params, c: float) -> float:
        """Loss of a batch. (L9).

        (B, D), (B,) -> scalar. Raises as `same_class`; ValueError for z outside the ball (K2).
        """
        check_batch(z, params, c)
        s = centred(closeness(z, c, self.ball))
        return multi_similarity(s, labels, self.alpha, self.beta)

    def grad(
        self, z: NDArray, labels: ArrayLike, params: Params, c: float
    ) -> tuple[float, NDArray, Params]:
        """Loss and its gradient with respect to z (B, D). (L9')."""
        check_batch(z, params, c)
        logits = closeness(z, c, self.ball)
        s = centred(logits)
        g_s = multi_similarity_vjp(1.0, s, labels, self.alpha, self.beta)
        grad_z = closeness_vjp(centred_vjp(g_s, logits), z, c, self.ball)
        return float(multi_similarity(s, labels, self.alpha, self.beta)), grad_z, {}
