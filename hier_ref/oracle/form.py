"""The form of case.json: one hash over the whole of it, and every value within its domain.

A file that was damaged after it was written has another hash. One that somebody else wrote, hash
included, is read only if each value is what case.schema.json says. Described in docs/13-oracle.md.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from hier_ref.oracle.case import Case
from hier_ref.oracle.stages import NEEDS

SCHEMA = 1
LARGEST = 1e30  # of the numbers in arrays: far within float32
WHOLE = "whole"  # the key of the hash
NUMBERS = {"c": 0.0, "clip_radius": 0.0, "tau": 0.0, "margin": -math.inf}  # each above this
HEX = re.compile(r"-?(0x[01]\.[0-9a-f]+p[+-][0-9]{1,4}|inf)")
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")
DTYPES = ("float64", "float32")


class SuiteError(ValueError):
    """A case file is not what it says it is: one line that names it."""


def seal(text: dict) -> dict:
    """Return a text with the SHA-256 of all that it says, whatever the order of its keys."""
    said = json.dumps({k: v for k, v in text.items() if k != WHOLE}, sort_keys=True)
    return text | {WHOLE: hashlib.sha256(said.encode()).hexdigest()}


def parse(data: bytes) -> dict:
    """Return the object that some bytes of JSON are; ValueError for everything else."""
    try:
        text = json.loads(data.decode("utf-8"), parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(text, dict):
        raise ValueError(f"{type(text).__name__} for an object")
    return text


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


class Form:
    """Read values by their keys; SuiteError with the source and the key for a wrong one."""

    def __init__(self, source: str, text: dict):
        """Take the name of the file and what it says."""
        self.source, self.text = source, text

    def refuse(self, key: str, found: object, expected: str) -> NoReturn:
        """Say in one line what is wrong."""
        shown = found if isinstance(found, str) else ascii(found)
        said = f"{key}: found {shown:.60}, expected {expected}"
        raise SuiteError(f"{self.source}: not a case of schema {SCHEMA} ({said})")

    def get(self, key: str, kind: type, expected: str, fits: Callable = lambda value: True) -> Any:
        """Return the value of a key, of one type, if it fits."""
        if key not in self.text:
            self.refuse(key, "nothing", expected)
        return self.fit(key, self.text[key], kind, expected, fits)

    def fit(
        self, key: str, value: Any, kind: type, expected: str, fits: Callable = lambda value: True
    ) -> Any:
        """Return a value of one type, if it fits."""
        if type(value) is not kind or not fits(value):
            self.refuse(key, value, expected)
        return value

    def number(self, key: str, value: Any, expected: str, fits: Callable) -> float:
        """Return the number that a hex float is, if it fits."""
        self.fit(key, value, str, "a hex float", HEX.fullmatch)
        try:
            number = float.fromhex(value)
        except OverflowError:
            number = math.inf if value[0] != "-" else -math.inf
        return number if fits(number) else self.refuse(key, value, expected)

    def sealed(self) -> None:
        """Refuse a text that says something else than when its hash was taken."""
        if self.text.get(WHOLE) != seal(self.text)[WHOLE]:
            self.refuse(WHOLE, "another SHA-256", "that of all that the file says; it was changed")


def parameters(form: Form) -> dict[str, float]:
    """Return the numbers of the loss."""
    found = form.get("parameters", dict, "an object", lambda value: value.keys() == NUMBERS.keys())
    table = {}
    for name, least in NUMBERS.items():
        table[name] = form.number(name, found[name], f"a finite number above {least}", _is_finite)
        if not table[name] > least:
            form.refuse(name, found[name], f"a finite number above {least}")
    return table


def _is_finite(number: float) -> bool:
    return abs(number) < math.inf


def budgets(form: Form) -> dict[str, dict[str, float]]:
    """Return by dtype and stage how far a right answer may be off."""
    table = {}
    for dtype, stages in form.get("budgets", dict, "an object").items():
        form.fit("budgets", dtype, str, " or ".join(DTYPES), DTYPES.__contains__)
        form.fit(f"budgets.{dtype}", stages, dict, "an object")
        for stage in stages:
            form.fit(f"budgets.{dtype}", stage, str, "stages", NEEDS.__contains__)
        table[dtype] = {
            stage: form.number(f"budgets.{dtype}.{stage}", b, "0 or more, below 1", _is_part)
            for stage, b in stages.items()
        }
    return table


def _is_part(number: float) -> bool:
    return 0 <= number < 1


def described(form: Form) -> dict:
    """Return what a text says of a case beside its arrays, numbers and budgets."""
    margins = form.get("margins", dict, "an object")
    orders = [form.fit("swaps", o, list, "lists") for o in form.get("swaps", list, "a list")]
    for n in (n for order in orders for n in order):
        form.fit("swaps", n, int, "orders of the proxies", lambda n: n >= 0)
    flags = form.get("flags", list, "a list")
    return {
        "id": form.get("id", str, "a name of a-z, 0-9, . and -", NAME.fullmatch),
        "reason": form.get("reason", str, "a text", str.strip),
        "neighbours": form.get("neighbours", int, "0 .. 2^31", lambda k: 0 <= k < 2**31),
        "flags": tuple(form.fit("flags", flag, str, "words") for flag in flags),
        "margins": tuple((n, form.number(n, v, "0 or more", _is_far)) for n, v in margins.items()),
        "swaps": tuple(map(tuple, orders)),
    }


def _is_far(number: float) -> bool:
    return number >= 0


def check_arrays(form: Form, case: Case) -> None:
    """Refuse a case whose arrays do not fit together."""
    (b, dim), p = _shape(form, case, "x", 2), len(case.proxies)
    expected: dict[str, tuple] = {"x": (b, dim), "proxies": (p, dim), "labels": (b,)}
    whole = {"labels": None, "triplets_data": b, "triplets_proxy": p}
    arrays: dict[str, NDArray] = {name: getattr(case, name) for name in expected}
    for level in ("data", "proxy"):
        arrays[f"triplets_{level}"] = getattr(case, f"triplets_{level}")
        t = _shape(form, case, f"triplets_{level}", 2)[0]
        expected[f"triplets_{level}"] = (t, 3)
        for n, noise in enumerate(getattr(case, f"gumbel_{level}")):
            arrays[f"gumbel_{level}[{n}]"], expected[f"gumbel_{level}[{n}]"] = noise, (t, p)
    for name, array in arrays.items():
        if array.shape != expected[name] or (name in ("x", "proxies") and not array.size):
            form.refuse(name, f"shape {array.shape}", f"{expected[name]}, not empty")
        _check_values(form, name, array, name in whole, whole.get(name))
    if any(sorted(order) != list(range(p)) for order in case.swaps):
        form.refuse("swaps", "other orders", f"orders of {p} proxies")


def _shape(form: Form, case: Case, name: str, ndim: int) -> tuple[int, ...]:
    shape = np.shape(getattr(case, name))
    return shape if len(shape) == ndim else form.refuse(name, f"shape {shape}", f"{ndim} axes")


def _check_values(form: Form, name: str, array: NDArray, whole: bool, most: int | None) -> None:
    if array.dtype not in ((np.int64,) if whole else (np.float32, np.float64)):
        form.refuse(name, f"dtype {array.dtype}", "int64" if whole else "float32 or float64")
    if not whole and not (np.abs(array) < LARGEST).all():
        form.refuse(name, "numbers that are not finite or too large", f"below {LARGEST:g}")
    if most is not None and array.size and not 0 <= array.min() <= array.max() < most:
        form.refuse(name, f"{array.min()} .. {array.max()}", f"indices within 0 .. {most - 1}")


def same_keys(form: Form, expected: Mapping) -> None:
    """Refuse a text that says less or more than another."""
    for key in sorted(expected.keys() ^ form.text.keys()):
        there = key in form.text
        form.refuse(key, "this key" if there else "nothing", "no such key" if there else "a value")
