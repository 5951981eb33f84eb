"""The short part of what `fuzz.py` and `kills.py` try by name, and that they can fail."""

import fuzz
import kills
import numpy as np
import pytest

from hier_ref.features import contract as features
from hier_ref.runs import seals


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_damage_is_refused_or_without_effect(kind):
    ends = fuzz.fuzz(kind, 40, seed=1)
    assert sum(ends.values()) == 40
    assert ends["refused"] > 20


def test_kills_lose_nothing():
    done, chains = kills.kills(6, seed=1)
    assert done >= 6 and chains >= 1


# ---- The harness sees what it is made for


def test_damage_that_passes_is_seen(monkeypatch):
    monkeypatch.setattr(seals, "digest", lambda features: "the same")
    monkeypatch.setattr("hier_ref.runs.folder.digest", lambda features: "the same")
    monkeypatch.setattr("hier_ref.runs.prepare.digest", lambda features: "the same")
    with pytest.raises(AssertionError):
        fuzz.fuzz("runs", 80, seed=1)


def test_a_traceback_is_seen(monkeypatch):
    def broken(found):
        raise KeyError("no such key")

    checks = (*features.VALUE_CHECKS, broken)
    monkeypatch.setattr(features, "VALUE_CHECKS", checks)
    with pytest.raises(KeyError):
        fuzz.fuzz("features", 1)


def test_a_hang_is_seen():
    with pytest.raises(fuzz.Hang), fuzz.deadline(1):
        while True:
            np.ones(1)
