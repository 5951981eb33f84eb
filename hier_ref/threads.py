"""Work in pieces on several cores, the results in the order of the pieces.

NumPy lets other threads run while it computes, so threads of Python are enough. Which piece comes
from which thread changes nothing: the same bytes for any number of them.
"""

import ctypes
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from threading import Lock
from typing import Any, TypeVar

import numpy as np

from hier_ref.ranges import whole

Item = TypeVar("Item")
Result = TypeVar("Result")
_asked: list[int] = []


def use_threads(count: int) -> None:
    """Work with so many threads from now on, at least 1; ValueError otherwise."""
    _asked[:] = [whole("threads", count, 1)]


def threads() -> int:
    """Return how many threads work: as asked for, else one for each core that is free to use.

    These are the cores that the process may run on, or OMP_NUM_THREADS if that is less.
    """
    if _asked:
        return _asked[0]
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdecimal() and int(limit) else cores


def pieces(size: int, width: int, most: int) -> Iterator[slice]:
    """Cut range(size) into slices of at least 1 that hold about `most` numbers, `width` an item."""
    step = max(1, most // max(width, 1))
    return (slice(start, min(start + step, size)) for start in range(0, size, step))


def in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the result of each item, in their order, while threads work on the next ones.

    What fails raises where its result would come, and what has not begun by then is not begun.
    NumPy's error state is that of the caller.
    """
    count, state = threads(), np.geterr()

    def shielded(item: Item) -> Result:
        with np.errstate(**state):
            return work(item)

    if count == 1:
        yield from map(work, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(count) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(shielded, item))
                if len(waiting) > 2 * count:  # few results wait, so memory stays small
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # after a failure, an interrupt, or where nobody takes the rest
            for future in waiting:
                future.cancel()


class _Blas:
    """How many steps are under way, and how many threads BLAS had before the first of them."""

    lock, steps, before = Lock(), 0, 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let NumPy's products run on the calling thread, where its BLAS is an OpenBLAS.

    Its own threads would wait for the next product without giving up their core, beside ours; and
    sums would depend on how many they are. Any other BLAS is left as it is. The number belongs to
    the process: of several steps at once the first takes the threads and the last gives them back.
    """
    library, name = _openblas()
    if library is None:
        yield
        return
    with _Blas.lock:
        if not _Blas.steps:
            _Blas.before = library[name.format("get")]()
            library[name.format("set")](1)
        _Blas.steps += 1
    try:
        yield
    finally:
        with _Blas.lock:
            _Blas.steps -= 1
            if not _Blas.steps:
                library[name.format("set")](_Blas.before)


@cache
def _openblas() -> tuple[Any, str]:
    """Return the library that NumPy multiplies with and how it names its functions, or None."""
    library = ctypes.CDLL(import_module("numpy.linalg._umath_linalg").__file__)  # and what it needs
    for name in (
        "scipy_openblas_{}_num_threads64_",
        "openblas_{}_num_threads64_",
        "scipy_openblas_{}_num_threads",
        "openblas_{}_num_threads",
    ):
        if hasattr(library, name.format("set")):
            return library, name
    return None, ""
