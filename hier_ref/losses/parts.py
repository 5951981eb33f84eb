"""What metric losses are made of: cosines, soft maxima, class masks, each with its gradient.

Derived in docs/5-proxy-anchor.md (L1 to L5) and docs/9-losses.md (from L6 on).
"""

import autograd.numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from hier_ref.ranges import power, whole


def _inverse_norm(x: NDArray) -> NDArray:
    """Divide 1 by the norm of each row, 0 for a zero row (K30); (..., D) -> (..., 1)."""
    largest = np.max(np.abs(x), axis=-1, keepdims=True)
    zero = largest == 0
    scale = np.where(zero, 1, largest)  # squares of x / scale neither overflow nor vanish
    return ~zero / (scale * np.sqrt(np.sum((x / scale) ** 2, axis=-1, keepdims=True) + zero))


def unit(x: NDArray) -> NDArray:
    """Divide each row by its norm. (L1).

    (..., D) -> (..., D), finite, of any length. A zero row stays 0 (K30).
    """
    x = x / power(x)  # neither the norm nor its inverse may overflow
    return x * _inverse_norm(x)


def unit_vjp(g: NDArray, x: NDArray) -> NDArray:
    """Gradient of `unit`. (L1').

    (..., D), (..., D) -> (..., D); 0 for a zero row (K30). Derived in docs/5-proxy-anchor.md.
    """
    u, size = unit(x), power(x)
    return _inverse_norm(x / size) * (g - np.sum(g * u, axis=-1, keepdims=True) * u) / size


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


def log_one_plus_sum_exp_vjp(g: NDArray | float, s: NDArray, mask: NDArray) -> NDArray:
    """Gradient of `log_one_plus_sum_exp` with respect to s. (L3').

    (N,) or a number for all, (M, N), (M, N) -> (M, N); 0 where mask is false.
    Derived in docs/5-proxy-anchor.md.
    """
    return g * np.exp(np.where(mask, s, -np.inf) - log_one_plus_sum_exp(s, mask))


def lead(s: NDArray, i: NDArray, j: NDArray) -> NDArray:
    """How far each entry of row i is above entry j of that row, s_im - s_ij. (L6).

    (M, N), (P,), (P,) -> (P, N), no pair (i, j) twice.
    """
    return s[i] - s[i, j][:, None]


def lead_vjp(g: NDArray, s: NDArray, i: NDArray, j: NDArray) -> NDArray:
    """Gradient of `lead` with respect to s. (L6').

    (P, N), (M, N), (P,), (P,) -> (M, N).
    """
    rows = (i == np.arange(len(s))[:, None]).astype(g.dtype)
    grad = rows @ g  # as a product: np.add.at over whole rows is slow
    grad[i, j] -= np.sum(g, axis=1)
    return grad


def cross_entropy(s: NDArray, i: NDArray, j: NDArray, rest: NDArray) -> NDArray:
    """-log of the share of entry j in the softmax over j and `rest`, in row i. (L7).

    (M, N), (P,), (P,), (P, N) boolean, false at j -> (P,). 0 where nothing is left (K31).
    """
    return log_one_plus_sum_exp(lead(s, i, j).T, rest.T)


def cross_entropy_vjp(
    g: NDArray | float, s: NDArray, i: NDArray, j: NDArray, rest: NDArray
) -> NDArray:
    """Gradient of `cross_entropy` with respect to s. (L7').

    (P,) or a number for all, (M, N), (P,), (P,), (P, N) -> (M, N).
    """
    return lead_vjp(log_one_plus_sum_exp_vjp(g, lead(s, i, j).T, rest.T).T, s, i, j)


def class_proxies(rng: Generator, n_classes: int, dim: int) -> NDArray:
    """Draw class proxies (C, D), normal with variance 2/C: Kaiming, fan-out. (L5).

    Raises ValueError for a number of classes or dimensions below 1.
    """
    whole("n_classes", n_classes, 1)
    whole("dim", dim, 1)
    return rng.standard_normal((n_classes, dim)) * np.sqrt(2 / n_classes)


def _checked(labels: ArrayLike, n_images: int) -> NDArray:
    found = np.asarray(labels)
    if n_images == 0:
        raise ValueError("empty batch: expected at least one image")
    if found.shape != (n_images,):
        raise ValueError(f"labels of shape {found.shape}: expected ({n_images},)")
    if found.dtype.kind not in "iuf":
        raise ValueError(f"labels are {found.dtype}: expected integers")
    return found


def _refuse_floats(labels: NDArray) -> None:
    if labels.dtype.kind == "f":  # a NaN would be a class of its own, or of none
        raise ValueError(f"labels are {labels.dtype}: expected integers")


def one_hot(labels: ArrayLike, shape: tuple[int, int]) -> NDArray:
    """Boolean (B, C), the given shape, true where the image is of the class.

    Raises ValueError for an empty batch (K32), for a number of labels other than B, for labels
    that are no integers and for one that is not in 0 .. C - 1.
    """
    labels, n_classes = _checked(labels, shape[0]), shape[1]
    own = labels[:, None] == np.arange(n_classes)
    unknown = labels[~np.any(own, axis=1)]
    if unknown.size:
        raise ValueError(f"label {unknown[0]}: expected 0 to {n_classes - 1}")
    _refuse_floats(labels)
    return own


def same_class(labels: ArrayLike, n_images: int) -> tuple[NDArray, NDArray]:
    """Boolean (B, B) twice: two different images of one class; images of different classes.

    Raises ValueError for an empty batch (K32), for a number of labels other than B and for labels
    that are no integers.
    """
    labels = _checked(labels, n_images)
    _refuse_floats(labels)
    same = labels[:, None] == labels
    return same & ~np.eye(n_images, dtype=bool), ~same
