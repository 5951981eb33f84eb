"""Which numbers a function takes: whatever else is refused in one line that names what was found.

And powers of two, by which an array can be divided without a rounding error, so that squares
neither overflow nor vanish.
"""

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
from autograd.tracer import getval
from numpy.typing import ArrayLike, DTypeLike, NDArray

MOST = 2**63 - 1  # of sizes, counts and steps: an int64


def shown(value: Any) -> str:
    """Return a value as a message can show it: in one line, cut, a huge integer by its size."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, Integral) and abs(int(value)) >= 10**20:
        return f"{'-' if value < 0 else ''}1e{math.log10(abs(value)):.0f}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def plain(value: Any) -> Any:
    """Return the Python number in an array without axes, a NumPy scalar or a box of autograd."""
    value = getval(value)
    return value.item() if isinstance(value, np.ndarray | np.generic) and not value.ndim else value


def is_real(value: Any) -> bool:
    """Say whether a value is a Python number, but for True, False and complex ones."""
    return isinstance(value, Real) and not isinstance(value, bool)


def number(
    name: str,
    value: Any,
    *,
    zero: bool = False,
    signed: bool = False,
    dtype: DTypeLike = np.float64,
) -> float:
    """Return a number above 0, or also 0, or of any sign, that `dtype` holds with all its digits.

    Raises ValueError for another, and for what is no number, True and False among it.
    """
    found = plain(value)
    real = is_real(found)
    size = abs(found) if real and signed else found
    if not real or not (0 < size < math.inf or (size == 0 and (zero or signed))):
        least = "finite" if signed else "at least 0" if zero else "more than 0"
        raise ValueError(f"{name} {shown(found)}: expected a number, {least}")
    low, high = (float(getattr(np.finfo(dtype), end)) for end in ("tiny", "max"))
    if size and not low <= size <= high:
        allowed = f"from {low:.3g} to {high:.3g}, the range of {np.dtype(dtype)}"
        raise ValueError(f"{name} {shown(found)}: expected a number {allowed}")
    return float(found)


def below_one(name: str, value: Any) -> float:
    """Return a number from 0 to below 1; ValueError for another."""
    if number(name, value, zero=True) >= 1:
        raise ValueError(f"{name} {shown(plain(value))}: expected less than 1")
    return float(value)


def whole(name: str, value: Any, least: int = 0, most: int = MOST) -> int:
    """Return an integer from `least` to `most`; ValueError for another, and for True and False."""
    found = plain(value)
    if not isinstance(found, Integral) or isinstance(found, bool) or int(found) < least:
        raise ValueError(f"{name} {shown(found)}: expected integers, at least {least}")
    if int(found) > most:
        raise ValueError(f"{name} {shown(found)}: expected integers, at most {most}")
    return int(found)


def rows(name: str, array: ArrayLike, width: int | None = None) -> None:
    """Refuse with ValueError all but finite numbers of shape (N, D), D = `width` if it is given."""
    a = np.asarray(getval(array))
    if a.ndim != 2 or (width is not None and a.shape[1] != width):
        expected = f"(N, {'D' if width is None else width})"
        raise ValueError(f"{name} {a.shape}: expected {expected}")
    if a.dtype.kind not in "fiu":
        raise ValueError(f"{name} is {a.dtype}: expected numbers")
    bad = np.flatnonzero(~np.isfinite(a).all(1))
    if len(bad):
        raise ValueError(f"{name} is not finite in row {bad[0]} ({len(bad)} such rows)")


def power(x: ArrayLike) -> NDArray:
    """Return the largest power of two that is no larger than the largest |entry| of each row.

    (..., D) -> (..., 1), a constant to autograd; 1 for a row of zeros. Divided by it, a row has a
    largest entry in [1, 2), and no digit is lost but of numbers that are nothing beside it.
    """
    largest = np.max(np.abs(getval(x)), axis=-1, keepdims=True, initial=0)
    fraction, exponent = np.frexp(largest)
    return np.ldexp(np.ones_like(fraction), np.where(fraction == 0, 0, exponent - 1))
