"""SoftTriple: several centres for each class. Derived in docs/appendix-more-losses.md."""

from dataclasses import dataclass

import autograd.numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from hier_ref.losses.base import HyperParameters, Params, check_batch
from hier_ref.losses.parts import class_proxies, cosine, cosine_vjp, one_hot
from hier_ref.losses.softmax import mean_cross_entropy, mean_cross_entropy_vjp
from hier_ref.ranges import number


def _weights(s: NDArray, gamma: float) -> NDArray:
    number("gamma", gamma)
    e = np.exp((s - np.max(s, axis=-1, keepdims=True)) / gamma)
    return e / np.sum(e, axis=-1, keepdims=True)


def soft_maximum(s: NDArray, gamma: float) -> NDArray:
    """Mean of s with weights softmax(s/gamma), on the last axis. (L14).

    (..., K) -> (...,); ValueError unless gamma > 0. Derived in docs/appendix-more-losses.md.
    """
    return np.sum(_weights(s, gamma) * s, axis=-1)


def soft_maximum_vjp(g: NDArray, s: NDArray, gamma: float) -> NDArray:
    """Gradient of `soft_maximum`. (L14').

    (...,), (..., K) -> (..., K).
    """
    weights = _weights(s, gamma)
    above = s - np.sum(weights * s, axis=-1, keepdims=True)
    return g[..., None] * weights * (1 + above / gamma)


@dataclass(frozen=True)
class SoftTriple(HyperParameters):
    """SoftTriple: cross-entropy over classes that have several centres each. (L15).

    It sees directions only: c has no effect. The paper's penalty that merges centres is left
    out, as in the released HIER code.
    Source: Qian, Shang, Sun, Hu, Li, Jin, ICCV 2019.
    """

    centres: int = 10
    scale: float = 20.0
    gamma: float = 0.1
    margin: float = 0.01

    def init(self, rng: Generator, n_classes: int, dim: int) -> Params:
        """Draw the centres (C, K, D), all as class proxies. (L5)."""
        rows = class_proxies(rng, n_classes, self.centres * dim)
        return {"class_centres": rows.reshape(n_classes, self.centres, dim)}

    def value(self, z: NDArray, labels: ArrayLike, params: Params, c: float) -> float:
        """Loss of a batch. (L15).

        (B, D), (B,), class_centres (C, K, D) -> scalar. Raises as `one_hot`.
        """
        check_batch(z, params, c)
        return mean_cross_entropy(self._logits(self._cosines(z, params), labels), labels)

    def grad(
        self, z: NDArray, labels: ArrayLike, params: Params, c: float
    ) -> tuple[float, NDArray, Params]:
        """Loss and its gradient with respect to z (B, D) and the centres (C, K, D). (L15')."""
        check_batch(z, params, c)
        s = self._cosines(z, params)
        logits = self._logits(s, labels)
        g_classes = self.scale * mean_cross_entropy_vjp(1.0, logits, labels)
        g_cosines = soft_maximum_vjp(g_classes, s, self.gamma)
        centres = params["class_centres"]
        rows = centres.reshape(-1, centres.shape[-1])
        grad_z, grad_rows = cosine_vjp(g_cosines.reshape(len(z), -1), z, rows)
        grads = {"class_centres": grad_rows.reshape(centres.shape)}
        return float(mean_cross_entropy(logits, labels)), grad_z, grads

    def _cosines(self, z: NDArray, params: Params) -> NDArray:
        """Cosines with every centre, (B, C, K)."""
        n_classes, n_centres, dim = np.shape(params["class_centres"])
        rows = np.reshape(params["class_centres"], (-1, dim))
        return np.reshape(cosine(z, rows), (-1, n_classes, n_centres))

    def _logits(self, cosines: NDArray, labels: ArrayLike) -> NDArray:
        """Logits (B, C), the own class lowered by the margin."""
        s = soft_maximum(cosines, self.gamma)
        return self.scale * np.where(one_hot(labels, s.shape), s - self.margin, s)
