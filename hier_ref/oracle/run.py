"""Ask a candidate: run it safely, and say in one word what kind of answer came back.

A candidate is a callable that takes a `Case` and returns a mapping of stages, some at least.
The arrays of the case have the dtype that is asked for, and are copies: nothing a candidate does
to them can reach the reference.
"""

import contextlib
import signal
import threading
import warnings
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from hier_ref.oracle.case import Case
from hier_ref.oracle.form import DTYPES
from hier_ref.oracle.stages import INTEGER, NEEDS
from hier_ref.oracle.suite import arrays_of, sha256

Stages = dict[str, NDArray]
Candidate = Callable[[Case], Mapping[str, NDArray]]


class Answer(NamedTuple):
    """What a candidate gave for one case: stages, or the reason why there are none."""

    stages: Stages
    trouble: str = ""
    notes: tuple[str, ...] = ()

    def wide(self) -> Stages:
        """Return the stages in float64, indices as integers and marks as booleans."""
        return {
            name: value.astype(int if name.startswith("lca_") else bool)
            if name in INTEGER
            else value.astype(np.float64)
            for name, value in self.stages.items()
        }


class Timeout(Exception):
    """The candidate did not answer in time."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the block after some seconds; 0, another thread or another system: no limit."""
    here = threading.current_thread() is threading.main_thread()
    if not (seconds and here and hasattr(signal, "setitimer")):
        yield
        return

    def stop(*_: object) -> NoReturn:
        raise Timeout

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def check_dtypes(dtypes: Iterable[str]) -> None:
    """Raise ValueError where one is asked that no suite has budgets for."""
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise ValueError(f"dtype {dtype!r}: expected one of {', '.join(DTYPES)}")


def ask(
    candidate: Candidate,
    case: Case,
    dtype: str,
    seconds: float = 60.0,
    asked: Container[str] = NEEDS,
) -> Answer:
    """Run a candidate on one case in one dtype; never raises for what the candidate does.

    asked: the stages that are looked at.
    """
    question = case.astype(dtype)
    before = _hashes(question)
    try:
        with warnings.catch_warnings(), time_limit(seconds):
            warnings.simplefilter("ignore")  # whoever asks: a warning is not an answer
            given = candidate(question)
    except Timeout:
        return Answer({}, f"no answer within {seconds:g} s")
    except (Exception, SystemExit) as error:  # whatever a candidate raises is an answer to report
        return Answer({}, f"raises {type(error).__name__}: {' '.join(str(error).split())[:200]}")
    changed = [name for name, now in _hashes(question).items() if now != before[name]]
    if changed:
        return Answer({}, f"changes its input {changed[0]}")
    return _read(given, case, dtype, asked)


def _hashes(case: Case) -> dict[str, str]:
    return {name: sha256(array) for name, array in arrays_of(case).items()}


def _read(given: object, case: Case, dtype: str, asked: Container[str]) -> Answer:
    """Turn what a candidate returned into arrays; say what is unusable."""
    if not isinstance(given, Mapping):
        return Answer({}, f"returns {type(given).__name__}, expected a mapping of stages")
    if not any(name in NEEDS for name in given):
        return Answer({}, f"returns no known stage (found {', '.join(map(str, given)) or 'none'})")
    stages, notes = {}, []
    for name, value in given.items():
        if name not in NEEDS:
            if not str(name).startswith("triplets_"):
                notes.append(f"unknown stage {name!r} ignored")
            continue
        if name not in asked:
            continue
        try:
            array = np.asarray(value)
        except Exception as error:
            return Answer({}, f"stage {name} is no array ({type(error).__name__})")
        if array.dtype.kind not in "fiub":
            return Answer({}, f"stage {name} has dtype {array.dtype}, expected numbers")
        if array.dtype.kind == "f" and array.dtype.itemsize < np.dtype(dtype).itemsize:
            notes.append(f"stage {name} is {array.dtype}, asked in {dtype}")
        trouble = _trouble(name, array, case)
        if trouble:
            return Answer({}, trouble)
        stages[name] = array
    return Answer(stages, "", tuple(dict.fromkeys(notes)))


def _trouble(name: str, array: NDArray, case: Case) -> str:
    expected = _shape(name, case)
    if array.shape != expected:
        return f"stage {name} has shape {array.shape}, expected {expected}"
    bad = np.argwhere(~np.isfinite(array))
    return f"stage {name} is {array[tuple(bad[0])]} at {bad[0].tolist()}" if len(bad) else ""


def _shape(name: str, case: Case) -> tuple[int, ...]:
    (b, dim), p = case.x.shape, len(case.proxies)
    if name.startswith(("lca_", "hinge_")):
        return (len(case.draws.level(name.rpartition("_")[2])[0]),)
    sizes = {"z": (b, dim), "x": (b, dim), "l": (p, dim), "proxies": (p, dim)}
    sizes |= {"zz": (b, b), "zl": (b, p), "ll": (p, p), "data": (b, b), "proxy": (p, p)}
    return () if name.startswith("loss") else sizes[name.rpartition("_")[2]]
