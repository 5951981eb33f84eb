"""The head: LayerNorm, then a linear layer, from backbone features to tangent vectors.

Each operation is directly followed by its gradient; derived in docs/6-training.md.
"""

import autograd.numpy as np
from numpy.random import Generator
from numpy.typing import DTypeLike, NDArray

Params = dict[str, NDArray]


def init_head(
    rng: Generator, n_features: int, dim: int, scale: float = 1.0, dtype: DTypeLike = np.float64
) -> Params:
    """Draw the weights of a new head: orthonormal rows times `scale`, and a zero bias. (N3).

    weight (dim, F), bias (dim,). With dim > F the columns are orthonormal instead. The draw is
    uniform over such matrices. Raises ValueError for a size below 1. Source: the HIER authors'
    released code starts so; the draw is derived in docs/6-training.md.
    """
    if min(n_features, dim) < 1:
        raise ValueError(f"head from {n_features} to {dim} numbers: expected at least 1 of each")
    q, r = np.linalg.qr(rng.standard_normal((max(n_features, dim), min(n_features, dim))))
    q = q * np.sign(np.diag(r))  # without it QR's own sign rule would skew the draw
    weight = q if dim > n_features else q.T
    return {"weight": (scale * weight).astype(dtype), "bias": np.zeros(dim, dtype)}


def _centred(f: NDArray) -> NDArray:
    """Return f less its row mean; the second pass takes off what rounding left of the mean."""
    f = f - np.mean(f, axis=-1, keepdims=True)
    return f - np.mean(f, axis=-1, keepdims=True)


def _spread(centred: NDArray, eps: float) -> NDArray:
    """Return the standard deviation of centred rows, eps added to the variance, (..., 1)."""
    return np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + eps)


def layer_norm(f: NDArray, eps: float = 1e-5) -> NDArray:
    """Centre each row and divide it by its standard deviation. (N1), without affine part.

    (..., F) -> (..., F); domain eps > 0. A constant row becomes exactly 0 (K40).
    Source: Ba, Kiros, Hinton 2016, mean and deviation of equation 3; no gain and bias.
    """
    centred = _centred(f)
    return centred / _spread(centred, eps)


def layer_norm_vjp(g: NDArray, f: NDArray, eps: float = 1e-5) -> NDArray:
    """Gradient of `layer_norm`. (N1').

    (..., F), (..., F) -> (..., F). Finite everywhere, 1/sqrt(eps) steep at a constant row (K40).
    Derived in docs/6-training.md.
    """
    centred = _centred(f)
    s = _spread(centred, eps)
    n = centred / s
    return (_centred(g) - n * np.mean(g * n, axis=-1, keepdims=True)) / s


def linear(f: NDArray, weight: NDArray, bias: NDArray) -> NDArray:
    """Multiply each row by the weight and add the bias. (N2).

    (B, F), (D, F), (D,) -> (B, D).
    """
    return f @ weight.T + bias


def linear_vjp(
    g: NDArray, f: NDArray, weight: NDArray, bias: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Gradient of `linear` with respect to f, weight and bias. (N2').

    (B, D), (B, F), (D, F), (D,) -> (B, F), (D, F), (D,). Derived in docs/6-training.md.
    """
    return g @ weight, g.T @ f, np.sum(g, axis=0)


def head_forward(f: NDArray, params: Params) -> NDArray:
    """Map features to tangent vectors: `linear` of `layer_norm`. (N4).

    (B, F) -> (B, D). Source: the HIER authors' released code.
    """
    return linear(layer_norm(f), params["weight"], params["bias"])


def head_vjp(g: NDArray, f: NDArray, params: Params) -> Params:
    """Gradient of `head_forward` with respect to its parameters. (N4').

    (B, D), (B, F) -> dict with the keys of `params`. The features are data: no gradient for them.
    """
    _, weight, bias = linear_vjp(g, layer_norm(f), params["weight"], params["bias"])
    return {"weight": weight, "bias": bias}
