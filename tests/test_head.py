"""The head: mpmath values, invariances, and gradients by autograd and differences."""

import mpmath
import numpy as np
import pytest
from checks import check_vjp, exact, limit, norm_eps

from hier_ref.head import (
    head_forward,
    head_vjp,
    init_head,
    layer_norm,
    layer_norm_vjp,
    linear,
    linear_vjp,
)

REGIMES = {  # (offset, spread): rows offset + spread * normal
    "typical": (0.0, 1.0),
    "features after a ReLU": (0.5, 0.3),
    "far from the origin": (1e6, 1.0),
    "nearly constant": (3.0, 1e-3),
    "spread far below eps": (0.0, 1e-8),
    "large": (0.0, 1e6),
}


def rows(rng, regime, n, n_features, dtype=np.float64):
    offset, spread = REGIMES[regime]
    return (offset + spread * rng.standard_normal((n, n_features))).astype(dtype)


def mp_layer_norm(row, eps=1e-5):
    mean = mpmath.fsum(row) / len(row)
    variance = mpmath.fsum([(a - mean) ** 2 for a in row]) / len(row)
    return [(a - mean) / mpmath.sqrt(variance + mpmath.mpf(eps)) for a in row]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("regime", REGIMES)
def test_layer_norm_N1_agrees_with_mpmath(regime, dtype):
    rng = np.random.default_rng(1)
    for n_features in (2, 5, 64):
        f = rows(rng, regime, 4, n_features, dtype)
        got = layer_norm(f)
        assert got.dtype == dtype
        for row, want in zip(got, exact(f), strict=True):
            assert norm_eps(row, mp_layer_norm(want)) <= limit("loss_eps")


def test_layer_norm_N1_of_a_row_by_hand():
    # mean 2, deviations -1 and 1, variance 1: with eps = 3 the divisor is 2
    assert np.array_equal(layer_norm(np.array([[1.0, 3.0]]), eps=3.0), [[-0.5, 0.5]])


def test_layer_norm_N1_forgets_shift_and_nearly_scale():
    f = np.random.default_rng(2).standard_normal((3, 32))
    assert np.array_equal(layer_norm(f + 0.0), layer_norm(f))
    assert np.allclose(layer_norm(f + 5.0), layer_norm(f), rtol=0, atol=limit("autograd"))
    # scaling by k is scaling eps by 1/k^2
    assert np.allclose(layer_norm(8 * f, 64e-5), layer_norm(f, 1e-5), rtol=1e-15, atol=0)


def test_layer_norm_N1_has_mean_zero_and_variance_below_one_by_eps():
    f = np.random.default_rng(3).standard_normal((5, 40))
    got, variance = layer_norm(f), np.var(f, axis=1)
    assert np.max(np.abs(got.mean(axis=1))) <= 1e-16
    assert np.allclose(np.var(got, axis=1), variance / (variance + 1e-5), rtol=1e-14, atol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("constant", [0.0, 0.1, -1e4, 1e30])
def test_layer_norm_K40_of_a_constant_row_is_exactly_zero(constant, dtype):
    for n_features in (1, 3, 7, 1000):
        got = layer_norm(np.full((2, n_features), constant, dtype))
        assert not got.any()


def test_layer_norm_K40_gradient_of_a_constant_row_is_centring_over_root_eps():
    g = np.array([[1.0, 2.0, 6.0]])
    got = layer_norm_vjp(g, np.full((1, 3), 0.1), 1e-4)
    assert np.allclose(got, [[-200.0, -100.0, 300.0]], rtol=1e-14, atol=0)


def test_layer_norm_K40_gradient_of_a_single_feature_is_zero():
    assert not layer_norm_vjp(np.ones((3, 1)), np.arange(3.0)[:, None]).any()


@pytest.mark.parametrize("regime", ["typical", "features after a ReLU", "nearly constant"])
def test_layer_norm_N1_gradient(regime):
    rng = np.random.default_rng(4)
    f = rows(rng, regime, 3, 12)
    step = 1e-3 * REGIMES[regime][1]
    check_vjp(layer_norm, layer_norm_vjp, f, rng=rng, step=step)


def test_layer_norm_N1_gradient_at_a_constant_row():
    rng = np.random.default_rng(5)
    check_vjp(layer_norm, layer_norm_vjp, np.full((2, 6), 0.3), rng=rng, step=1e-5)


def test_layer_norm_N1_gradient_sums_to_zero_and_keeps_float32():
    rng = np.random.default_rng(6)
    f, g = rng.standard_normal((2, 4, 50))
    grad = layer_norm_vjp(g, f)
    assert np.max(np.abs(grad.sum(axis=1))) <= 1e-14 * np.max(np.abs(grad))
    assert layer_norm_vjp(g.astype(np.float32), f.astype(np.float32)).dtype == np.float32


def test_linear_N2_of_a_row_by_hand():
    weight = np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 1.0]])
    got = linear(np.array([[10.0, 1.0]]), weight, np.array([0.5, 0.0, -1.0]))
    assert np.array_equal(got, [[12.5, -1.0, 30.0]])


def test_linear_N2_is_affine_in_the_features():
    rng = np.random.default_rng(7)
    f, h = rng.standard_normal((2, 5, 6))
    weight, bias = rng.standard_normal((4, 6)), rng.standard_normal(4)
    middle = linear((f + h) / 2, weight, bias)
    ends = (linear(f, weight, bias) + linear(h, weight, bias)) / 2
    assert np.allclose(middle, ends, rtol=0, atol=limit("autograd"))


def test_linear_N2_gradient():
    rng = np.random.default_rng(8)
    f, weight, bias = (rng.standard_normal(s) for s in [(5, 7), (3, 7), 3])
    check_vjp(linear, linear_vjp, f, weight, bias, rng=rng)


@pytest.mark.parametrize("n_features, dim", [(20, 5), (8, 8), (4, 9), (1, 1)])
def test_init_head_N3_rows_or_columns_are_orthonormal_times_scale(n_features, dim):
    params = init_head(np.random.default_rng(9), n_features, dim, scale=3.0)
    weight = params["weight"]
    assert weight.shape == (dim, n_features) and not params["bias"].any()
    gram = weight @ weight.T if dim <= n_features else weight.T @ weight
    assert np.max(np.abs(gram / 9 - np.eye(len(gram)))) <= 1e-14


def test_init_head_N3_keeps_the_length_of_what_it_sees():
    params = init_head(np.random.default_rng(10), 6, 6)
    f = np.random.default_rng(11).standard_normal((4, 6))
    assert np.allclose(
        np.linalg.norm(linear(f, **params), axis=1), np.linalg.norm(f, axis=1), rtol=1e-14
    )


def test_init_head_N3_draws_both_orientations_equally_often():
    # A 1 x 1 orthogonal matrix is +1 or -1; without the sign rule QR would always give one.
    rng = np.random.default_rng(12)
    positive = sum(float(init_head(rng, 1, 1)["weight"][0, 0]) > 0 for _ in range(400))
    assert 160 <= positive <= 240  # four standard deviations of Binomial(400, 1/2)


def test_init_head_N3_is_a_function_of_the_generator_and_has_the_dtype_asked_for():
    first, again = (init_head(np.random.default_rng(13), 9, 4, dtype=np.float32) for _ in "ab")
    assert first["weight"].tobytes() == again["weight"].tobytes()
    assert first["weight"].dtype == first["bias"].dtype == np.float32


def test_init_head_refuses_a_size_below_one():
    with pytest.raises(ValueError, match="from 5 to 0 numbers"):
        init_head(np.random.default_rng(0), 5, 0)


def test_head_forward_N4_is_the_linear_layer_of_the_normed_row_by_hand():
    # [1, 3] has variance 1, so it is normed to -/+ 1/sqrt(1 + 1e-5)
    params = {"weight": np.array([[1.0, 3.0]]), "bias": np.array([0.25])}
    got = head_forward(np.array([[1.0, 3.0]]), params)
    assert np.allclose(got, 0.25 + 2 / np.sqrt(1.00001), rtol=1e-15, atol=0)


def test_head_forward_N4_starts_at_the_length_of_a_normed_row():
    rng = np.random.default_rng(14)
    f = rng.standard_normal((6, 16))
    x = head_forward(f, init_head(rng, 16, 16))
    assert np.allclose(np.linalg.norm(x, axis=1), 4, rtol=1e-4)  # sqrt(F), less eps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_head_N4_keeps_dtype(dtype):
    rng = np.random.default_rng(15)
    params = init_head(rng, 6, 3, dtype=dtype)
    f, g = rng.standard_normal((4, 6)).astype(dtype), rng.standard_normal((4, 3)).astype(dtype)
    assert head_forward(f, params).dtype == dtype
    assert {grad.dtype for grad in head_vjp(g, f, params).values()} == {np.dtype(dtype)}


def test_head_N4_gradient():
    rng = np.random.default_rng(16)
    f, params = rng.standard_normal((5, 8)), init_head(rng, 8, 3)

    def forward(weight, bias):
        return head_forward(f, {"weight": weight, "bias": bias})

    def vjp(g, weight, bias):
        grads = head_vjp(g, f, {"weight": weight, "bias": bias})
        return grads["weight"], grads["bias"]

    assert head_vjp(np.ones((5, 3)), f, params).keys() == params.keys()
    check_vjp(forward, vjp, params["weight"], params["bias"], rng=rng)
