"""Work on several threads: in order, whatever fails said where it would have come."""

import os
import threading
import time

import numpy as np
import pytest

from hier_ref import threads
from hier_ref.threads import in_order, use_threads


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch):
    monkeypatch.setattr(threads, "_asked", [])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(count):
    use_threads(count)

    def slow_first(item):
        time.sleep(0.02 / (1 + item))
        return item, threading.current_thread().name

    found = list(in_order(slow_first, range(12)))
    assert [item for item, _ in found] == list(range(12))
    assert len({name for _, name in found}) <= count


def test_of_nothing_comes_nothing():
    for count in (1, 3):
        use_threads(count)
        assert list(in_order(str, [])) == []


@pytest.mark.parametrize("count", [1, 3])
def test_a_failure_comes_in_the_place_of_its_result(count):
    use_threads(count)
    found = []
    with pytest.raises(ZeroDivisionError):
        for result in in_order(lambda item: 1 / (item - 3), range(9)):
            found.append(result)
    assert found == [-1 / 3, -1 / 2, -1]


@pytest.mark.parametrize("count", [1, 3])
def test_few_results_wait(count):
    """Whoever takes results slowly does not make all of them pile up."""
    use_threads(count)
    begun = []
    results = in_order(begun.append, range(100))
    next(results)
    time.sleep(0.05)
    assert len(begun) <= 2 * count + 2


def test_after_a_failure_nothing_more_is_begun():
    use_threads(1 + 1)
    begun = []

    def work(item):
        begun.append(item)
        time.sleep(0.02)
        return 1 / item

    with pytest.raises(ZeroDivisionError):
        list(in_order(work, [0] + [1] * 50))
    assert len(begun) <= 4


def test_numpys_error_state_is_the_callers():
    use_threads(2)
    with np.errstate(divide="ignore"):
        assert list(in_order(lambda a: a / np.zeros(1), [np.ones(1)] * 3)) == [np.inf] * 3
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        list(in_order(lambda a: a / np.zeros(1), [np.ones(1)] * 3))


def test_threads_are_the_cores_or_fewer_by_the_environment(monkeypatch):
    cores = threads.threads()
    assert 1 <= cores <= os.cpu_count()
    for text, want in {"1": 1, "999": cores, "0": cores, "many": cores, "": cores}.items():
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert threads.threads() == want
    use_threads(4)
    assert threads.threads() == 4


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2"])
def test_other_numbers_of_threads_are_refused(count):
    with pytest.raises(ValueError, match="^threads .*: expected integers"):
        use_threads(count)
    assert threads._asked == []
