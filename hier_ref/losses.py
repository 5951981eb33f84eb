"""Supervised metric losses with explicit gradients: what they share, and Proxy-Anchor.

A loss is a frozen dataclass of its hyper-parameters with the three methods of `Loss`, entered in
`LOSSES`. Derived in docs/5-proxy-anchor.md.
"""

from dataclasses import dataclass
from typing import Protocol

import autograd.numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

Params = dict[str, NDArray]


class Loss(Protocol):
    """What a metric loss offers; z (B, D) are ball points of curvature -c, labels (B,) integers."""

    def init(self, rng: Generator, n_classes: int, dim: int) -> Params:
        """Draw the loss's own parameters, float64."""

    def value(self, z: NDArray, labels: ArrayLike, params: Params, c: float) -> float:
        """Return the loss; autograd can differentiate it."""

    def grad(
        self, z: NDArray, labels: ArrayLike, params: Params, c: float
    ) -> tuple[float, NDArray, Params]:
        """Return the loss and its explicit gradients with respect to z and to `params`."""


def _inverse_norm(x: NDArray) -> NDArray:
    """Divide 1 by the norm of each row, 0 for a zero row (K30); (..., D) -> (..., 1)."""
    largest = np.max(np.abs(x), axis=-1, keepdims=True)
    zero = largest == 0
    scale = np.where(zero, 1, largest)  # squares of x / scale neither overflow nor vanish
    return ~zero / (scale * np.sqrt(np.sum((x / scale) ** 2, axis=-1, keepdims=True) + zero))


def unit(x: NDArray) -> NDArray:
    """Divide each row by its norm. (L1).

    (..., D) -> (..., D). A zero row stays 0 (K30).
    """
    return x * _inverse_norm(x)


def unit_vjp(g: NDArray, x: NDArray) -> NDArray:
    """Gradient of `unit`. (L1').

    (..., D), (..., D) -> (..., D); 0 for a zero row (K30). Derived in docs/5-proxy-anchor.md.
    """
    u = unit(x)
    return _inverse_norm(x) * (g - np.sum(g * u, axis=-1, keepdims=True) * u)


def cosine(x: NDArray, y: NDArray) -> NDArray:
    """Cosine of the angle between each row of x and each row of y. (L2).

    (M, D), (N, D) -> (M, N). 0 where a row is zero (K30).
    """
    return unit(x) @ unit(y).T


def cosine_vjp(g: NDArray, x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
    """Gradient of `cosine` with respect to x and y. (L2').

    (M, N), (M, D), (N, D) -> (M, D), (N, D); 0 for a zero row (K30).
    """
    return unit_vjp(g @ unit(y), x), unit_vjp(g.T @ unit(x), y)


def log_one_plus_sum_exp(s: NDArray, mask: NDArray) -> NDArray:
    """log(1 + sum of exp(s) down each column where mask is true), never overflowing. (L3).

    (M, N), (M, N) -> (N,), M >= 1. 0 for a column without any (K31).
    """
    s = np.where(mask, s, -np.inf)
    m = np.maximum(np.max(s, axis=0), 0)
    return m + np.log1p(np.expm1(-m) + np.sum(np.exp(s - m), axis=0))


def log_one_plus_sum_exp_vjp(g: NDArray, s: NDArray, mask: NDArray) -> NDArray:
    """Gradient of `log_one_plus_sum_exp` with respect to s. (L3').

    (N,), (M, N), (M, N) -> (M, N); 0 where mask is false. Derived in docs/5-proxy-anchor.md.
    """
    return g * np.exp(np.where(mask, s, -np.inf) - log_one_plus_sum_exp(s, mask))


def one_hot(labels: ArrayLike, shape: tuple[int, int]) -> NDArray:
    """Boolean (B, C), the given shape, true where the image is of the class.

    Raises ValueError for an empty batch (K32), for a number of labels other than B and for a
    label that is not one of 0 .. C - 1.
    """
    labels, (n_images, n_classes) = np.asarray(labels), shape
    if n_images == 0:
        raise ValueError("empty batch: expected at least one image")
    if labels.shape != (n_images,):
        raise ValueError(f"labels of shape {labels.shape}: expected ({n_images},)")
    own = labels[:, None] == np.arange(n_classes)
    unknown = labels[~np.any(own, axis=1)]
    if unknown.size:
        raise ValueError(f"label {unknown[0]}: expected 0 to {n_classes - 1}")
    return own


@dataclass(frozen=True)
class ProxyAnchor:
    """Proxy-Anchor: each class proxy pulls its own images and pushes all others. (L4).

    It sees directions only, which the map to the ball keeps: c has no effect.
    Source: Kim, Kim, Cho, Kwak, CVPR 2020, equation 4.
    """

    alpha: float = 32.0
    margin: float = 0.1

    def init(self, rng: Generator, n_classes: int, dim: int) -> Params:
        """Draw the class proxies (C, D), normal with variance 2/C: Kaiming, fan-out. (L5)."""
        return {"class_proxies": rng.standard_normal((n_classes, dim)) * np.sqrt(2 / n_classes)}

    def value(self, z: NDArray, labels: ArrayLike, params: Params, c: float) -> float:
        """Loss of a batch. (L4).

        (B, D), (B,), class_proxies (C, D) -> scalar. Raises as `one_hot`.
        """
        pull, push = self._logits(z, params)
        own = one_hot(labels, pull.shape)
        positive = log_one_plus_sum_exp(pull, own) / _classes_present(own)
        return np.sum(positive + log_one_plus_sum_exp(push, ~own) / own.shape[1])

    def grad(
        self, z: NDArray, labels: ArrayLike, params: Params, c: float
    ) -> tuple[float, NDArray, Params]:
        """Loss and its gradient with respect to z (B, D) and the class proxies (C, D). (L4')."""
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


LOSSES: dict[str, Loss] = {"PA": ProxyAnchor()}
