"""Normalised softmax: classification by cosine. Derived in docs/9-losses.md."""

from dataclasses import dataclass

import autograd.numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from hier_ref.losses.base import HyperParameters, Params, check_batch
from hier_ref.losses.parts import (
    class_proxies,
    cosine,
    cosine_vjp,
    cross_entropy,
    cross_entropy_vjp,
    one_hot,
)


@dataclass(frozen=True)
class NormSoftmax(HyperParameters):
    """Normalised softmax: cross-entropy over the cosines with all class proxies. (L11).

    It sees directions only: c has no effect. With a single class it is 0 (K37).
    Source: Zhai, Wu, BMVC 2019, with their temperature.
    """

    temperature: float = 0.05

    @property
    def scale(self) -> float:
        """Slope of the logits in the cosine."""
        return 1 / self.temperature

    def init(self, rng: Generator, n_classes: int, dim: int) -> Params:
        """Draw the class proxies (C, D). (L5)."""
        return {"class_proxies": class_proxies(rng, n_classes, dim)}

    def value(self, z: NDArray, labels: ArrayLike, params: Params, c: float) -> float:
        """Loss of a batch. (L11).

        (B, D), (B,), class_proxies (C, D) -> scalar. Raises as `one_hot`.
        """
        check_batch(z, params, c)
        return mean_cross_entropy(self.scale * cosine(z, params["class_proxies"]), labels)

    def grad(
        self, z: NDArray, labels: ArrayLike, params: Params, c: float
    ) -> tuple[float, NDArray, Params]:
        """Loss and its gradient with respect to z (B, D) and the class proxies (C, D). (L11')."""
        check_batch(z, params, c)
        logits = self.scale * cosine(z, params["class_proxies"])
        g_cosine = self.scale * mean_cross_entropy_vjp(1.0, logits, labels)
        grad_z, grad_proxies = cosine_vjp(g_cosine, z, params["class_proxies"])
        return float(mean_cross_entropy(logits, labels)), grad_z, {"class_proxies": grad_proxies}


def mean_cross_entropy(logits: NDArray, labels: ArrayLike) -> float:
    """Cross-entropy with the class of each image against all others, mean of the batch. (L11).

    (B, C), (B,) -> scalar. Raises as `one_hot`.
    """
    own, i = one_hot(labels, logits.shape), np.arange(len(logits))
    return np.sum(cross_entropy(logits, i, np.asarray(labels), ~own) / len(i))


def mean_cross_entropy_vjp(g: float, logits: NDArray, labels: ArrayLike) -> NDArray:
    """Gradient of `mean_cross_entropy` with respect to the logits. (L11').

    scalar, (B, C), (B,) -> (B, C).
    """
    own, i = one_hot(labels, logits.shape), np.arange(len(logits))
    return cross_entropy_vjp(g / len(i), logits, i, np.asarray(labels), ~own)
