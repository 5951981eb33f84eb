"""The head: mpmath values, invariances, and gradients by autograd and differences."""

import mpmath
import numpy as np
import pytest
from autograd import elementwise_grad
from autograd.scipy.special import erfc
from checks import check_vjp, exact, limit, norm_eps, relative

from hier_ref.training.head import (
    ACTIVATIONS,
    gelu,
    gelu_vjp,
    head_forward,
    head_vjp,
    init_head,
    layer_norm,
    layer_norm_vjp,
    linear,
    linear_vjp,
    mlp,
    normal_cdf,
    relu,
    relu_vjp,
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
    """Holds (N1')."""
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
    """Holds (N2)."""
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
    """Holds (N2')."""
    rng = np.random.default_rng(8)
    f, weight, bias = (rng.standard_normal(s) for s in [(5, 7), (3, 7), 3])
    check_vjp(linear, linear_vjp, f, weight, bias, rng=rng)


@pytest.mark.parametrize("n_features, dim", [(20, 5), (8, 8), (4, 9), (1, 1)])
def test_init_head_N3_rows_or_columns_are_orthonormal_times_scale(n_features, dim):
    """Holds (N3)."""
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
    """Holds (N4)."""
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
    """Holds (N4')."""
    rng = np.random.default_rng(16)
    f, params = rng.standard_normal((5, 8)), init_head(rng, 8, 3)

    def forward(weight, bias):
        return head_forward(f, {"weight": weight, "bias": bias})

    def vjp(g, weight, bias):
        grads = head_vjp(g, f, {"weight": weight, "bias": bias})
        return grads["weight"], grads["bias"]

    assert head_vjp(np.ones((5, 3)), f, params).keys() == params.keys()
    check_vjp(forward, vjp, params["weight"], params["bias"], rng=rng)


# ---- GELU and ReLU


def mp_gelu(x):
    return x * mpmath.ncdf(x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-3, 1.0, 3.0, 100.0])
def test_gelu_N5_agrees_with_mpmath(size, dtype):
    """Holds (N5)."""
    x = (size * np.random.default_rng(20).standard_normal((8, 16))).astype(dtype)
    got = gelu(x)
    assert got.dtype == dtype
    for row, want in zip(got, exact(x), strict=True):
        assert norm_eps(row, [mp_gelu(a) for a in want]) <= limit("loss_eps")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gelu_N5_keeps_its_digits_in_the_lower_tail(dtype):
    """By 1 + erf nothing would be left; by erfc the argument's rounding counts x^2 times."""
    for x in np.linspace(-12, -1, 23).astype(dtype):
        got, want = gelu(np.array([x])), mp_gelu(exact(x))
        assert norm_eps(got, [want]) <= 4 + float(x) ** 2


def test_gelu_N5_by_hand_and_at_its_ends():
    phi_of_1 = 0.8413447460685429  # from a table of the normal distribution
    got = gelu(np.array([0.0, 1.0, -1.0, 50.0, -50.0, 1e300]))
    want = [0, phi_of_1, phi_of_1 - 1, 50, 0, 1e300]
    assert np.allclose(got, want, rtol=1e-15, atol=0)


def test_gelu_N5_of_opposite_numbers_differs_by_the_number():
    # x Φ(x) - (-x) Φ(-x) = x (Φ(x) + Φ(-x)) = x
    x = np.linspace(-6, 6, 49)
    assert np.allclose(gelu(x) - gelu(-x), x, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("size", [1e-3, 1.0, 5.0])
def test_gelu_N5_gradient(size):
    rng = np.random.default_rng(21)
    check_vjp(gelu, gelu_vjp, size * rng.standard_normal((4, 9)), rng=rng, step=1e-3)


def test_gelu_N5_gradient_agrees_with_mpmath_and_keeps_dtype():
    for dtype in (np.float32, np.float64):
        x = (2 * np.random.default_rng(22).standard_normal(40)).astype(dtype)
        got = gelu_vjp(np.ones_like(x), x)
        want = [mpmath.ncdf(a) + a * mpmath.npdf(a) for a in exact(x)]
        assert got.dtype == dtype
        assert norm_eps(got, want) <= limit("loss_eps")


def test_the_derivative_of_the_normal_distribution_is_right_for_autograd():
    """(N5'): as mpmath has it, and as autograd finds it by its own rule for erfc."""
    x = np.linspace(-30, 30, 121)
    got = elementwise_grad(normal_cdf)(x)
    by_rule = elementwise_grad(lambda x: erfc(-x / np.sqrt(2)) / 2)(x)
    for value, other, at in zip(got, by_rule, exact(x), strict=True):
        assert norm_eps([value], [mpmath.npdf(at)]) <= 4 + at**2
        assert norm_eps([other], [mpmath.npdf(at)]) <= 4 + at**2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_relu_N6_by_hand(dtype):
    """Holds (N6)."""
    x = np.array([-2, -1e-30, 0, 1e-30, 3], dtype)
    got = relu(x)
    assert np.array_equal(got, np.array([0, 0, 0, 1e-30, 3], dtype)) and got.dtype == dtype


def test_relu_N6_is_positively_homogeneous_and_keeps_NaN():
    x = np.random.default_rng(23).standard_normal(50)
    assert np.array_equal(relu(4 * x), 4 * relu(x))
    assert np.array_equal(relu(x) - relu(-x), x)
    assert np.isnan(relu(np.array([np.nan]))).all()


def test_relu_N6_gradient():
    """Holds (N6')."""
    rng = np.random.default_rng(24)
    x = rng.choice([-1.0, 1.0], (4, 9)) * rng.uniform(0.1, 2, (4, 9))  # away from 0
    check_vjp(relu, relu_vjp, x, rng=rng)


def test_relu_K44_has_slope_0_at_0():
    """Holds (K44)."""
    x = np.array([0.0, -0.0, 1e-300, -1e-300])
    assert np.array_equal(relu_vjp(np.full(4, 3.0), x), [0, 0, 3, 0])


# ---- The MLP

FORMS = [(name, norm) for name in ACTIVATIONS for norm in (False, True)]


def mlp_params(rng, dtype=np.float64):
    """Weights of 8 -> 6 -> 3 with biases that are not 0."""
    params = init_head(rng, 8, 6, 3, scale=0.5, dtype=dtype)
    return {n: (p + 0.3 * rng.standard_normal(p.shape)).astype(dtype) for n, p in params.items()}


def test_mlp_N7_by_hand():
    # [1, 3] is normed to (-n, n), n = 1/sqrt(1 + 1e-5); hidden (2n + 1, -2n, n - 2): one is on
    """Holds (N7)."""
    n = 1 / np.sqrt(1.00001)
    params = {
        "hidden_weight": np.array([[-1.0, 1.0], [1.0, -1.0], [0.0, 1.0]]),
        "hidden_bias": np.array([1.0, 0.0, -2.0]),
        "weight": np.array([[3.0, 5.0, 7.0]]),
        "bias": np.array([0.25]),
    }
    got = head_forward(np.array([[1.0, 3.0]]), params, mlp("relu"))
    assert np.allclose(got, 3 * (2 * n + 1) + 0.25, rtol=1e-15, atol=0)
    # normed once more, (h, 0, 0) becomes (2, -1, -1)/sqrt(2) but for eps: 3 * 2 - 5 - 7 = -6
    normed = head_forward(np.array([[1.0, 3.0]]), params, mlp("relu", norm=True))
    assert np.allclose(normed, -6 / np.sqrt(2) + 0.25, rtol=1e-5, atol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("norm", [False, True])
def test_mlp_N7_agrees_with_mpmath(norm, dtype):
    rng = np.random.default_rng(25)
    params, f = mlp_params(rng, dtype), rng.standard_normal((4, 8)).astype(dtype)
    got, p = (
        head_forward(f, params, mlp("gelu", norm)),
        {name: exact(value) for name, value in params.items()},
    )
    assert got.dtype == dtype

    def mp_linear(x, weight, bias):
        return [mpmath.fdot(w, x) + b for w, b in zip(weight, bias, strict=True)]

    for row, x in zip(got, exact(f), strict=True):
        hidden = mp_linear(mp_layer_norm(x), p["hidden_weight"], p["hidden_bias"])
        bent = [mp_gelu(h) for h in hidden]
        want = mp_linear(mp_layer_norm(bent) if norm else bent, p["weight"], p["bias"])
        assert norm_eps(row, want) <= limit("mlp_eps")


def test_mlp_N7_with_units_far_above_0_is_linear():
    rng = np.random.default_rng(26)
    params, f = mlp_params(rng), rng.standard_normal((5, 8))
    params["hidden_bias"] += 100.0
    n = layer_norm(f)
    weight = params["weight"] @ params["hidden_weight"]
    bias = params["weight"] @ params["hidden_bias"] + params["bias"]
    for name in ACTIVATIONS:
        assert relative(head_forward(f, params, mlp(name)), linear(n, weight, bias)) <= 1e-14


@pytest.mark.parametrize("activation, norm", FORMS)
def test_mlp_N7_gradient(activation, norm):
    """Holds (N7')."""
    rng = np.random.default_rng(27)
    params, f, layers = mlp_params(rng), rng.standard_normal((5, 8)), mlp(activation, norm)
    names = list(params)

    def forward(*values):
        return head_forward(f, dict(zip(names, values, strict=True)), layers)

    def vjp(g, *values):
        grads = head_vjp(g, f, dict(zip(names, values, strict=True)), layers)
        return tuple(grads[name] for name in names)

    assert head_vjp(np.ones((5, 3)), f, params, layers).keys() == params.keys()
    check_vjp(forward, vjp, *params.values(), rng=rng, step=1e-4)


@pytest.mark.parametrize("activation, norm", FORMS)
def test_mlp_N7_gradient_keeps_float32(activation, norm):
    rng = np.random.default_rng(28)
    params, layers = mlp_params(rng, np.float32), mlp(activation, norm)
    f, g = (rng.standard_normal(shape).astype(np.float32) for shape in ((5, 8), (5, 3)))
    grads = head_vjp(g, f, params, layers)
    assert {grad.dtype for grad in grads.values()} == {np.dtype(np.float32)}
    wide = head_vjp(*(a.astype(float) for a in (g, f)), exactly(params), layers)
    for name, grad in grads.items():
        assert relative(grad, wide[name]) <= 1e-5


def exactly(params):
    return {name: value.astype(float) for name, value in params.items()}


def test_mlp_K44_without_any_unit_on_gives_the_bias_and_no_gradient_below_it():
    rng = np.random.default_rng(29)
    params, f = mlp_params(rng), rng.standard_normal((5, 8))
    params["hidden_bias"] -= 100.0
    for norm in (False, True):  # all units 0 is a constant row, normed to 0 (K40)
        assert np.array_equal(head_forward(f, params, mlp("relu", norm)), [params["bias"]] * 5)
        grads = head_vjp(np.ones((5, 3)), f, params, mlp("relu", norm))
        assert not any(grads[name].any() for name in grads if name != "bias")
        assert np.array_equal(grads["bias"], [5.0] * 3)


def test_init_head_N3_of_an_mlp_scales_the_last_weight_alone():
    params = init_head(np.random.default_rng(30), 8, 6, 3, scale=0.1)
    shapes = {name: value.shape for name, value in params.items()}
    assert shapes == {
        "hidden_weight": (6, 8),
        "hidden_bias": (6,),
        "weight": (3, 6),
        "bias": (3,),
    }
    for name, size in (("hidden_weight", 1.0), ("weight", 0.01)):
        gram = params[name] @ params[name].T
        assert np.allclose(gram, size * np.eye(len(gram)), rtol=0, atol=1e-14)


def test_init_head_refuses_a_hidden_layer_of_width_0():
    with pytest.raises(ValueError, match="from 5 to 0 to 3 numbers"):
        init_head(np.random.default_rng(0), 5, 0, 3)
