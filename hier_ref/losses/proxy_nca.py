"""ProxyNCA++, and what the released HIER code runs under that name. See docs/9-losses.md."""

from dataclasses import dataclass

import autograd.numpy as np
from numpy.typing import ArrayLike, NDArray

from hier_ref.losses.base import Params, check_batch
from hier_ref.losses.parts import (
    cosine_vjp,
    log_one_plus_sum_exp,
    log_one_plus_sum_exp_vjp,
    one_hot,
)
from hier_ref.losses.proxy_anchor import ProxyAnchor
from hier_ref.losses.softmax import NormSoftmax


@dataclass(frozen=True)
class ProxyNCA(NormSoftmax):
    """ProxyNCA++: cross-entropy over squared distances between unit vectors. (L12).

    |u - p|^2 = 2 - 2 cos, so it is `NormSoftmax` at half the temperature.
    Source: Teh, DeVries, Taylor, ECCV 2020, with their temperature.
    """

    temperature: float = 1 / 9

    @property
    def scale(self) -> float:
        """Slope of the logits in the cosine. (L12)."""
        return 2 / self.temperature


@dataclass(frozen=True)
class ReleasedProxyNCA(ProxyAnchor):
    """Proxy-Anchor's sums taken for each image over the proxies, not the reverse. (L13).

    The released HIER code calls this PNCA. Derived in docs/9-losses.md.
    """

    def value(self, z: NDArray, labels: ArrayLike, params: Params, c: float) -> float:
        """Loss of a batch. (L13).

        (B, D), (B,), class_proxies (C, D) -> scalar. Raises as `one_hot`.
        """
        check_batch(z, params, c)
        pull, push = self._logits(z, params)
        own = one_hot(labels, pull.shape)
        terms = log_one_plus_sum_exp(pull.T, own.T) + log_one_plus_sum_exp(push.T, ~own.T)
        return np.sum(terms / len(own))

    def grad(
        self, z: NDArray, labels: ArrayLike, params: Params, c: float
    ) -> tuple[float, NDArray, Params]:
        """Loss and its gradient with respect to z (B, D) and the class proxies (C, D). (L13')."""
        check_batch(z, params, c)
        pull, push = self._logits(z, params)
        own, share = one_hot(labels, pull.shape), 1 / len(z)
        g_pull = log_one_plus_sum_exp_vjp(share, pull.T, own.T).T
        g_push = log_one_plus_sum_exp_vjp(share, push.T, ~own.T).T
        g_cosine = self.alpha * (g_push - g_pull)
        grad_z, grad_proxies = cosine_vjp(g_cosine, z, params["class_proxies"])
        loss = float(self.value(z, labels, params, c))
        return loss, grad_z, {"class_proxies": grad_proxies}
