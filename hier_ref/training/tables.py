"""What people hand to an estimator as X and y: arrays, lists, data frames; read, or refused.

Nothing here imports pandas: a data frame is known by its `columns`. Chapter: docs/6-training.md.
"""

from numbers import Real
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from hier_ref.ranges import shown

# What a class may be. A class of one kind is never equal to one of another.
KINDS = {"strings": str, "bytes": bytes, "booleans": bool | np.bool_, "numbers": Real}


def read_features(X: ArrayLike) -> NDArray:
    """Return features (N, F) as an array of finite numbers.

    Raises TypeError for a sparse matrix, ValueError for anything else that is none.
    """
    if scipy.sparse.issparse(X):
        raise TypeError(f"X is a sparse matrix {X.shape}: expected a dense one, as of X.toarray()")
    _refuse_masks("X", X)
    array = np.asarray(X, order="C")  # sums of columns round otherwise
    if array.dtype == object and all(_kind(value) == "numbers" for value in array.flat):
        array = array.astype(float)
    if array.ndim != 2 or not array.size or array.dtype.kind not in "fiu":
        dtype = str(array.dtype)[:40]  # that of a record names every field
        raise ValueError(f"X {dtype} {array.shape}: expected numbers of shape (N, F)")
    bad = np.flatnonzero(~np.isfinite(array).all(1))
    if len(bad):
        raise ValueError(f"X is not finite in row {bad[0]}: expected neither NaN nor infinity")
    return array


def column_names(X: Any) -> NDArray | None:
    """Return the column names of a data frame, (F,) strings, or None where there are none.

    Names that are no strings do not count; ValueError where only some are.
    """
    names = np.array(list(getattr(X, "columns", ())), dtype=object)
    strings = sum(isinstance(name, str) for name in names)
    if 0 < strings < len(names):
        raise ValueError(f"X has {strings} columns of {len(names)} named by strings: expected all")
    return names if strings else None


def read_classes(y: ArrayLike, n: int) -> NDArray:
    """Return the classes of n rows, (n,) integers, strings, bytes or booleans.

    Numbers without a fraction count as integers. Raises ValueError for a missing class (None, NaN
    and their kin), a number with a fraction, classes of several kinds, or a single class.
    """
    if y is None:
        raise ValueError("HierHead requires y to be passed, but the target y is None")
    _refuse_masks("y", y)
    array = np.asarray(y, dtype=object if isinstance(y, list | tuple) else None)
    if array.shape != (n,):
        raise ValueError(f"y of shape {array.shape}: expected ({n},)")
    if array.dtype == object:
        array = _of_one_kind(array)
    if array.dtype.kind not in "biufUS":
        raise ValueError(f"y is {str(array.dtype)[:40]}: expected classes, integers or strings")
    if array.dtype.kind == "f":
        bad = np.flatnonzero(~(array == np.floor(array)) | np.isinf(array))
        if len(bad):
            raise _no_class(array[bad[0]], bad[0])
    if len(np.unique(array)) < 2:
        raise ValueError("y has one class: expected two or more")
    return array


def _refuse_masks(name: str, value: Any) -> None:
    if np.ma.is_masked(value):
        raise ValueError(f"{name} has masked entries: expected all of them")


def _kind(value: Any) -> str:
    return next((name for name, kind in KINDS.items() if isinstance(value, kind)), "no class")


def _of_one_kind(y: NDArray) -> NDArray:
    """Turn an array of objects into one of their common kind."""
    kinds = [_kind(value) for value in y]
    if "no class" in kinds:
        row = kinds.index("no class")
        raise _no_class(y[row], row)
    if len(set(kinds)) > 1:
        missing = [row for row, value in enumerate(y) if value != value]  # NaN among strings
        if missing:
            raise _no_class(y[missing[0]], missing[0])
        raise ValueError(f"y holds {' and '.join(sorted(set(kinds)))}: expected one kind of class")
    return np.array(y.tolist())


def _no_class(value: Any, row: int) -> ValueError:
    return ValueError(f"y is {shown(value)} in row {row}: expected a class, an integer or a string")
