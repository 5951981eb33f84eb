"""Work in pieces on several cores, the results in the order of the pieces.

NumPy lets other threads run while it computes, so threads of Python are enough. Which piece comes
from which thread changes nothing: the same bytes for any number of them.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

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
