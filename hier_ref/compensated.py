"""Sums of squares that know what rounding took from them ("double-double" arithmetic).

Used for the gap 1 - c|x|^2 alone, where everything but the last digits cancels. Every step is a
difference or a product of arrays, so autograd can follow it; the lost parts have gradient 0.
Derivation: docs/appendix-compensated-arithmetic.md.
"""

from typing import Any

import autograd.numpy as np
from numpy import ndarray

SPLIT = 2.0**27 + 1.0  # cuts a float64 of 53 bits into halves whose products are exact


def _halves(x: Any) -> tuple[Any, Any]:
    """Return high + low = x, arrays or numbers as x is, each of at most 26 bits (Veltkamp)."""
    high = SPLIT * x - (SPLIT * x - x)
    return high, x - high


def product(x: ndarray | float, y: ndarray) -> tuple[ndarray, ndarray]:
    """Return p + e = x y exactly, p being the rounded product (Dekker)  (B11).

    Shapes: (..., D), (..., D) -> (..., D), (..., D), x also a number. Domain: results below 1e300.
    """
    p = x * y
    (x_high, x_low), (y_high, y_low) = _halves(x), _halves(y)
    return p, ((x_high * y_high - p) + x_high * y_low + x_low * y_high) + x_low * y_low


def two_sum(x: ndarray, y: ndarray) -> tuple[ndarray, ndarray]:
    """Return s + e = x + y exactly, s being the rounded sum (Knuth)  (B12).

    Shapes: (..., D), (..., D) -> (..., D), (..., D).
    """
    s = x + y
    v = s - x
    return s, (x - (s - v)) + (y - v)


def total(terms: ndarray) -> tuple[ndarray, ndarray]:
    """Return the sum over the last axis and what rounding took from it, by a tree of two_sum.

    Shapes: (..., D) -> (...,), (...,).
    """
    lost = np.zeros(terms.shape[:-1])
    while terms.shape[-1] > 1:
        half = terms.shape[-1] // 2
        s, e = two_sum(terms[..., :half], terms[..., half : 2 * half])
        lost = lost + np.sum(e, axis=-1)
        terms = np.concatenate([s, terms[..., 2 * half :]], axis=-1)
    return terms[..., 0], lost
