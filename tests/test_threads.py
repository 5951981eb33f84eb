"""Work on several threads: in order, whatever fails said where it would have come."""

import os
import threading
import time

import numpy as np
import pytest

from hier_ref import threads
from hier_ref.threads import in_order, one_blas_thread, use_threads


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


class Blas:
    """A library of BLAS that remembers how many threads it has."""

    def __init__(self, count):
        self.count = count

    def __getitem__(self, name):
        return {"a get b": lambda: self.count, "a set b": lambda n: setattr(self, "count", n)}[name]


def test_one_blas_thread_ends_with_what_it_began_with(monkeypatch):
    library = Blas(5)
    monkeypatch.setattr(threads, "_openblas", lambda: (library, "a {} b"))
    with pytest.raises(ValueError, match="within"), one_blas_thread():
        assert library.count == 1
        raise ValueError("within")
    assert library.count == 5


def test_one_blas_thread_holds_until_the_last_of_two_steps_that_overlap_ends(monkeypatch):
    library = Blas(5)
    monkeypatch.setattr(threads, "_openblas", lambda: (library, "a {} b"))
    first, second = one_blas_thread(), one_blas_thread()
    with first:
        second.__enter__()
    assert library.count == 1  # the second is still at work
    second.__exit__(None, None, None)
    assert library.count == 5


def test_one_blas_thread_leaves_another_blas_alone(monkeypatch):
    monkeypatch.setattr(threads, "_openblas", lambda: (None, ""))
    with one_blas_thread():
        np.testing.assert_array_equal(np.eye(2) @ np.eye(2), np.eye(2))


def test_openblas_is_found_where_numpy_was_built_with_it():
    library, name = threads._openblas()
    built_with = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
    assert (library is not None) == ("openblas" in built_with)
    with one_blas_thread():
        assert library is None or library[name.format("get")]() == 1
