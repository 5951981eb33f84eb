"""Schedules and gradient clipping: hand values, laws, limits and refusals."""

import math

import mpmath
import numpy as np
import pytest
from checks import exact, limit

from hier_ref.training.optim import (
    clip_by_norm,
    clip_by_value,
    constant,
    cosine,
    step_decay,
    warmup,
)


def some_gradients():
    rng = np.random.default_rng(1)
    return {"weight": rng.standard_normal((3, 4)), "bias": rng.standard_normal(3)}


def test_constant_is_one():
    assert {constant(step, 10) for step in (0, 5, 10, 100)} == {1.0}


def test_warmup_O5_rises_in_equal_parts_and_then_stays():
    """Holds (O5)."""
    assert [warmup(step, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert [warmup(step, 0) for step in range(2)] == [1.0, 1.0]


def test_cosine_O6_by_hand():
    """Holds (O6)."""
    got = [cosine(step, 6) for step in range(7)]
    root = math.sqrt(3) / 4
    want = [1, 0.5 + root, 0.75, 0.5, 0.25, 0.5 - root, 0]
    assert np.allclose(got, want, rtol=0, atol=2e-16)


def test_cosine_O6_falls_is_antisymmetric_and_stays_at_zero():
    factors = np.array([cosine(step, 37) for step in range(38)])
    assert np.all(np.diff(factors) < 0)
    assert np.allclose(factors + factors[::-1], 1, rtol=0, atol=2e-16)
    assert cosine(37, 37) == cosine(1000, 37) == 0.0


def test_step_decay_O7_multiplies_after_every_size_steps():
    """Holds (O7)."""
    assert [step_decay(step, 2, 0.5) for step in range(5)] == [1.0, 1.0, 0.5, 0.5, 0.25]


def test_schedules_O6_O7_refuse_a_length_of_zero():
    with pytest.raises(
        ValueError, match="cosine schedule of total 0: expected integers, at least 1"
    ):
        cosine(0, 0)
    with pytest.raises(ValueError, match="step schedule of size 0: expected integers, at least 1"):
        step_decay(0, 0, 0.5)


def test_clip_by_value_O8_by_hand():
    """Holds (O8)."""
    got = clip_by_value({"x": np.array([-5.0, -2.0, 0.5, 2.0, np.inf])}, 2.0)
    assert np.array_equal(got["x"], [-2, -2, 0.5, 2, 2])


def test_clip_by_value_O8_twice_is_once_and_keeps_dtype():
    grads = {"x": np.float32([3, -0.1])}
    once = clip_by_value(grads, 0.1)
    assert once["x"].dtype == np.float32
    assert np.array_equal(clip_by_value(once, 0.1)["x"], once["x"])


def test_clip_by_norm_O9_by_hand():
    # the norm over both arrays is sqrt(9 + 16 + 144) = 13
    """Holds (O9)."""
    got = clip_by_norm({"a": np.array([3.0, 4.0]), "b": np.array([[-12.0]])}, 6.5)
    assert np.array_equal(got["a"], [1.5, 2.0]) and np.array_equal(got["b"], [[-6.0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("power", [-30, 0, 30])
def test_clip_by_norm_O9_reaches_the_limit_and_keeps_the_direction(power, dtype):
    size = 10.0**power
    grads = some_gradients()
    grads = {k: (size * g).astype(dtype) for k, g in grads.items()}
    got = clip_by_norm(grads, size)
    flat = np.concatenate([g.ravel() for g in got.values()])
    before = np.concatenate([g.ravel() for g in grads.values()])
    assert flat.dtype == dtype
    norm = mpmath.norm(exact(flat)) / mpmath.mpf(size)
    assert abs(float(norm) - 1) <= limit("loss_eps") * np.finfo(dtype).eps
    kept = before / size / np.linalg.norm(before.astype(float) / size)
    assert np.allclose(flat / size, kept, rtol=limit("loss_eps") * np.finfo(dtype).eps, atol=0)


def test_clip_by_norm_K42_leaves_zero_and_the_limit_itself_alone():
    """Holds (K42)."""
    nothing = {"x": np.zeros(3)}
    assert np.array_equal(clip_by_norm(nothing, 1.0)["x"], np.zeros(3))
    just = {"x": np.array([3.0, 4.0])}
    assert np.array_equal(clip_by_norm(just, 5.0)["x"], just["x"])
    assert np.array_equal(clip_by_norm({"x": np.zeros(0)}, 1.0)["x"], np.zeros(0))


@pytest.mark.parametrize("clip", [clip_by_value, clip_by_norm])
@pytest.mark.parametrize("off", [None, math.inf])
def test_clipping_O8_O9_is_off_without_a_limit(clip, off):
    grads = some_gradients()
    got = clip(grads, off)
    assert all(np.array_equal(got[k], grads[k]) for k in grads)


@pytest.mark.parametrize("clip", [clip_by_value, clip_by_norm])
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_clipping_O8_O9_refuses_a_limit_that_is_not_positive(clip, bad):
    with pytest.raises(ValueError, match="gradient limit .*: expected a number, more than 0"):
        clip({"x": np.ones(1)}, bad)


def test_clip_by_norm_O9_refuses_a_gradient_without_a_norm():
    with pytest.raises(ValueError, match="gradient of x: found NaN or infinity"):
        clip_by_norm({"x": np.array([1.0, np.nan])}, 1.0)
