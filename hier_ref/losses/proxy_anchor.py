"""Proxy-Anchor: each class proxy looks at the whole batch. Derived in docs/5-proxy-anchor.md."""

from dataclasses import dataclass

import autograd.numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from hier_ref.losses.base import HyperParameters, Params, check_batch
from hier_ref.losses.parts import (
    class_proxies,
    cosine,
    cosine_vjp,
    log_one_plus_sum_exp,
    log_one_plus_sum_exp_vjp,
    one_hot,
)


@dataclass(frozen=True)
class ProxyAnchor(HyperParameters):
    """Proxy-Anchor: each class proxy pulls its own images and pushes all others. (L4).

    It sees directions only, which the map to the ball keeps: c has no effect.
    Source: Kim, Kim, Cho, Kwak, CVPR 2020, equation 4.
    """

    alpha: float = 32.0
    margin: float = 0.1

    def init(self, rng: Generator, n_classes: int, dim: int) -> Params:
        """Draw the class proxies (C, D). (L5)."""
        return {"class_proxies": class_proxies(rng, n_classes, dim)}

    def value(self, z: NDArray, labels: ArrayLike, params: Params, c: float) -> float:
        """Loss of a batch. (L4).

        (B, D), (B,), class_proxies (C, D) -> scalar. Raises as `one_hot`.
        """
        check_batch(z, params, c)
        pull, push = self._logits(z, params)
        own = one_hot(labels, pull.shape)
        positive = log_one_plus_sum_exp(pull, own) / _classes_present(own)
        return np.sum(positive + log_one_plus_sum_exp(push, ~own) / own.shape[1])

    def grad(
        self, z: NDArray, labels: ArrayLike, params: Params, c: float
    ) -> tuple[float, NDArray, Params]:
        """Loss and its gradient with respect to z (B, D) and the class proxies (C, D). (L4')."""
        check_batch(z, params, c)
        pull, push = self._logits(z, params)
        own = one_hot(labels, pull.shape)
        g_pull = log_one_plus_sum_exp_vjp(1 / _classes_present(own), pull, own)
        g_push = log_one_plus_sum_exp_vjp(1 / own.shape[1], push, ~own)
        g_cosine = self.alpha * (g_push - g_pull)
        grad_z, grad_proxies = cosine_vjp(g_cosine, z, params["class_proxies"])
        loss = float(self.value(z, labels, params, c))
        return loss, grad_z, {"class_proxies": grad_proxies}

    def _logits(self, z: NDArray, params: Params) -> tuple[NDArray, NDArray]:
        """Exponents of the positive and of the negative part, (B, C) each."""
        s = cosine(z, params["class_proxies"])
        return -self.alpha * (s - self.margin), self.alpha * (s + self.margin)


def _classes_present(own: NDArray) -> int:
    return int(np.sum(np.any(own, axis=0)))
