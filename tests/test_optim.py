"""Optimisers: closed forms in mpmath, laws, resuming, refusals."""

import mpmath
import numpy as np
import pytest
from checks import exact, limit, norm_eps

from hier_ref.training.optim import SGD, AdamW, cosine


def problem(seed=0, steps=6, dtype=np.float64):
    """Parameters of two shapes and a gradient of each for every step."""
    rng = np.random.default_rng(seed)
    shapes = {"weight": (3, 4), "bias": (3,)}
    params = {k: rng.standard_normal(s).astype(dtype) for k, s in shapes.items()}
    grads = [
        {k: rng.standard_normal(s).astype(dtype) for k, s in shapes.items()} for _ in range(steps)
    ]
    return params, grads


def follow(optimizer, params, grads, scales=None):
    for grad, scale in zip(grads, scales or [1.0] * len(grads), strict=True):
        params = optimizer.step(params, grad, scale)
    return params


def mp_adamw(start, grads, rates, decay, beta1, beta2, eps):
    """The closed form: both means as explicit sums over the past, in place of recursions."""
    beta1, beta2, x = mpmath.mpf(beta1), mpmath.mpf(beta2), start
    for t, rate in enumerate(rates, start=1):
        past = range(1, t + 1)
        m = mpmath.fsum([beta1 ** (t - i) * grads[i - 1] for i in past])
        v = mpmath.fsum([beta2 ** (t - i) * grads[i - 1] ** 2 for i in past])
        m_hat = m / mpmath.fsum([beta1 ** (t - i) for i in past])
        v_hat = v / mpmath.fsum([beta2 ** (t - i) for i in past])
        x = x - rate * decay * x - rate * m_hat / (mpmath.sqrt(v_hat) + mpmath.mpf(eps))
    return x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adamw_O1_O2_O3_agree_with_the_closed_form_in_mpmath(dtype):
    """Holds (O1) (O2) (O3)."""
    params, grads = problem(1, steps=8, dtype=dtype)
    scales = [0.25, 0.5, 1.0, 1.0, 1.0, 0.5, 0.25, 0.125]
    rates = {"weight": 0.0625, "bias": 0.5}  # powers of two: exact in every dtype
    optimizer = AdamW(params, rates, weight_decay=0.125, betas=(0.75, 0.875))
    got = follow(optimizer, params, grads, scales)
    for name, start in params.items():
        assert got[name].dtype == dtype
        past = list(zip(*[exact(g[name].ravel()) for g in grads], strict=True))
        steps = [rates[name] * s for s in scales]
        want = [
            mp_adamw(x, g, steps, 0.125, 0.75, 0.875, 1e-8)
            for x, g in zip(exact(start.ravel()), past, strict=True)
        ]
        assert norm_eps(got[name].ravel(), want) <= limit("trajectory_eps")


def test_adamw_O3_first_step_by_hand():
    # m_hat = g = 3, sqrt(v_hat) = 3, eps = 1: 10 - 0.5 * 0.1 * 10 - 0.5 * 3 / 4
    params = {"x": np.array([10.0])}
    optimizer = AdamW(params, 0.5, weight_decay=0.1, eps=1.0)
    got = optimizer.step(params, {"x": np.array([3.0])})
    assert np.allclose(got["x"], 9.125, rtol=1e-15, atol=0)


def test_adamw_O3_first_step_is_the_rate_times_the_sign_of_the_gradient():
    params, (grads, *_) = problem(2)
    got = AdamW(params, 0.01, weight_decay=0.0).step(params, grads)
    for name in params:
        size = np.abs(grads[name])
        move = 0.01 * np.sign(grads[name]) * size / (size + 1e-8)
        assert np.allclose(params[name] - got[name], move, rtol=0, atol=1e-15)


def test_adamw_O2_a_constant_gradient_moves_equally_far_at_every_step():
    params, (grads, *_) = problem(3)
    got = follow(AdamW(params, 0.01, weight_decay=0.0), params, [grads] * 50)
    for name in params:
        size = np.abs(grads[name])
        move = 50 * 0.01 * np.sign(grads[name]) * size / (size + 1e-8)
        assert np.allclose(params[name] - got[name], move, rtol=1e-13, atol=0)


def test_adamw_O1_forgets_the_scale_of_the_gradients_but_for_eps():
    params, grads = problem(4)
    larger = [{k: 1024 * g for k, g in grad.items()} for grad in grads]
    got = follow(AdamW(params, 0.01, eps=1024e-8), params, larger)
    want = follow(AdamW(params, 0.01, eps=1e-8), params, grads)
    assert all(np.array_equal(got[k], want[k]) for k in params)


def test_adamw_O3_decay_alone_is_geometric():
    params, _ = problem(5)
    nothing = {k: np.zeros_like(p) for k, p in params.items()}
    got = follow(AdamW(params, 0.5, weight_decay=0.125), params, [nothing] * 10)
    for name in params:
        assert np.allclose(got[name], params[name] * (1 - 1 / 16) ** 10, rtol=1e-14, atol=0)


def test_adamw_O3_decay_is_decoupled_from_the_gradient():
    params, (grads, *_) = problem(6)
    with_decay = AdamW(params, 0.01, weight_decay=0.5).step(params, grads)
    without = AdamW(params, 0.01, weight_decay=0.0).step(params, grads)
    for name in params:
        assert np.allclose(without[name] - with_decay[name], 0.005 * params[name], atol=1e-15)


def test_adamw_K41_stays_where_every_gradient_was_zero():
    """Holds (K41)."""
    params, _ = problem(7)
    nothing = {k: np.zeros_like(p) for k, p in params.items()}
    got = follow(AdamW(params, 0.5, weight_decay=0.0), params, [nothing] * 3)
    assert all(np.array_equal(got[k], params[k]) for k in params)


def test_adamw_O3_finds_the_minimum_of_a_quadratic():
    params = {"x": np.array([3.0, -2.0])}
    optimizer = AdamW(params, 0.1, weight_decay=0.0)
    for step in range(400):
        params = optimizer.step(params, {"x": params["x"] - 1.0}, cosine(step, 400))
    assert np.max(np.abs(params["x"] - 1.0)) <= 1e-3


def test_sgd_O4_agrees_with_the_closed_form_of_a_constant_gradient():
    # u_t = g (1 - mu^t) / (1 - mu), so x_t = x_0 - lr g sum over t
    """Holds (O4)."""
    params = {"x": np.array([1.0, -4.0])}
    g = np.array([0.5, 2.0])
    got = follow(SGD(params, 0.125, weight_decay=0.0, momentum=0.75), params, [{"x": g}] * 9)
    travelled = sum((1 - 0.75**t) / (1 - 0.75) for t in range(1, 10))
    assert np.allclose(got["x"], params["x"] - 0.125 * travelled * g, rtol=1e-14, atol=0)


def test_sgd_O4_without_momentum_is_plain_descent_and_decay_is_part_of_the_gradient():
    params, grads = problem(8, steps=1)
    got = SGD(params, 0.1, weight_decay=0.5, momentum=0.0).step(params, grads[0])
    for name, x in params.items():
        assert np.allclose(got[name], x - 0.1 * (grads[0][name] + 0.5 * x), rtol=0, atol=1e-15)


def test_sgd_O4_second_step_by_hand():
    # gradients 1 and 2, momentum 1/2: velocities 1 and 5/2
    params = {"x": np.array([0.0])}
    got = follow(
        SGD(params, 1.0, weight_decay=0.0, momentum=0.5),
        params,
        [{"x": np.array([1.0])}, {"x": np.array([2.0])}],
    )
    assert np.array_equal(got["x"], [-3.5])


@pytest.mark.parametrize("kind", [AdamW, SGD])
class TestEveryOptimizer:
    def test_resuming_gives_the_same_bytes(self, kind):
        params, grads = problem(9, dtype=np.float32)
        whole = follow(kind(params, 0.01), params, grads)
        first = kind(params, 0.01)
        middle = follow(first, params, grads[:3])
        saved = {k: np.array(v) for k, v in first.state().items()}
        follow(first, middle, grads[3:])  # going on must not reach into what was saved
        second = kind(middle, 0.01)
        second.load(saved)
        resumed = follow(second, middle, grads[3:])
        assert all(resumed[k].tobytes() == whole[k].tobytes() for k in params)
        assert all(v.tobytes() == first.state()[k].tobytes() for k, v in second.state().items())

    def test_a_state_is_not_changed_by_later_steps(self, kind):
        params, grads = problem(10)
        optimizer = kind(params, 0.01)
        params = optimizer.step(params, grads[0])
        state = optimizer.state()
        before = {k: v.tobytes() for k, v in state.items()}
        optimizer.step(params, grads[1])
        assert before == {k: v.tobytes() for k, v in state.items()}

    def test_a_step_changes_neither_parameters_nor_gradients(self, kind):
        params, grads = problem(11)
        before = (
            {k: v.copy() for k, v in params.items()},
            {k: v.copy() for k, v in grads[0].items()},
        )
        kind(params, 0.1).step(params, grads[0])
        for arrays, copies in [(params, before[0]), (grads[0], before[1])]:
            assert all(np.array_equal(arrays[k], copies[k]) for k in arrays)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_keeps_dtype_whatever_the_type_of_the_factors(self, kind, dtype):
        params, grads = problem(12, dtype=dtype)
        optimizer = kind(params, np.float64(0.1))
        got = optimizer.step(params, grads[0], np.float64(0.5))
        assert {v.dtype for v in got.values()} == {np.dtype(dtype)}
        memory = {v.dtype for k, v in optimizer.state().items() if k != "step"}
        assert memory == {np.dtype(dtype)}

    def test_scale_multiplies_every_rate(self, kind):
        params, grads = problem(13)
        scaled = kind(params, {"weight": 0.5, "bias": 0.25}).step(params, grads[0], scale=0.5)
        plain = kind(params, {"weight": 0.25, "bias": 0.125}).step(params, grads[0])
        assert all(np.array_equal(scaled[k], plain[k]) for k in params)

    def test_a_rate_per_parameter_moves_each_by_its_own(self, kind):
        params, grads = problem(14)
        got = kind(params, {"weight": 0.0, "bias": 0.1}).step(params, grads[0])
        alone = kind({"bias": params["bias"]}, 0.1).step(
            {"bias": params["bias"]}, {"bias": grads[0]["bias"]}
        )
        assert np.array_equal(got["weight"], params["weight"])
        assert np.array_equal(got["bias"], alone["bias"])

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_refuses_a_gradient_that_is_not_finite_and_stays_as_it_was(self, kind, bad):
        params, grads = problem(15)
        optimizer = kind(params, 0.1)
        optimizer.step(params, grads[0])
        before = {k: v.tobytes() for k, v in optimizer.state().items()}
        grads[1]["bias"][1] = bad
        with pytest.raises(ValueError, match="gradient of bias: found NaN or infinity"):
            optimizer.step(params, grads[1])
        assert before == {k: v.tobytes() for k, v in optimizer.state().items()}

    def test_refuses_names_that_do_not_match(self, kind):
        params, grads = problem(16)
        with pytest.raises(ValueError, match=r"learning rates named \['bias'\]: expected \['bias'"):
            kind(params, {"bias": 0.1})
        optimizer = kind(params, 0.1)
        with pytest.raises(ValueError, match="gradients named"):
            optimizer.step(params, {"bias": grads[0]["bias"]})
        with pytest.raises(ValueError, match="parameters named"):
            optimizer.step({"bias": params["bias"]}, grads[0])

    def test_refuses_a_state_of_other_parameters(self, kind):
        params, _ = problem(17)
        optimizer = kind(params, 0.1)
        with pytest.raises(ValueError, match="optimiser state named"):
            optimizer.load({"step": np.array(3)})
        narrow = kind({k: v.astype(np.float32) for k, v in params.items()}, 0.1).state()
        with pytest.raises(ValueError, match=r"found float32 \(3, 4\), expected float64 \(3, 4\)"):
            optimizer.load(narrow)
