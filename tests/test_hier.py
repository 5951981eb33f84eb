"""Chapter 4: the loss at both levels and its gradient; odd inputs; memory."""

import dataclasses
import tracemalloc
from functools import partial

import numpy as np
import pytest
from autograd import elementwise_grad, grad
from cases import make_inputs, mine
from checks import central_difference, check_vjp, limit, relative
from level_reference import loops, relaxation

from hier_ref import threads, triplets
from hier_ref.convention import EXACT
from hier_ref.hier import (
    hier_grad,
    hier_loss,
    hier_stages,
    to_ball,
    to_ball_vjp,
)
from hier_ref.pairwise import pairwise_distance
from hier_ref.surrogates import riemannian
from hier_ref.triplets import Draws

NONE = np.zeros((0, 3), int)
SCALED = dataclasses.replace(EXACT, riemannian_gradient=True)


# --- (H5), (H7) tangent inputs and the Riemannian scaling


@pytest.mark.parametrize("size", [0.5, 5.0])  # inside and outside the clip radius
def test_to_ball_H5_gradient(size, rng):
    """Holds (H5) (H5')."""
    x = size * rng.standard_normal((6, 4))
    check_vjp(lambda x: to_ball(x, 0.1, 2.3), lambda g, x: to_ball_vjp(g, x, 0.1, 2.3), x, rng=rng)


def test_riemannian_H7_changes_nothing_forwards(rng):
    """Holds (H7)."""
    z = 0.3 * rng.standard_normal((4, 3))
    assert (riemannian(z, 0.5) == z).all()


def test_riemannian_H7_gradient_is_the_inverse_metric(rng):
    """Holds (H7')."""
    z, g = 0.3 * rng.standard_normal((4, 3)), rng.standard_normal((4, 3))
    scaled = elementwise_grad(lambda z: np.sum(g * riemannian(z, 0.5)))(z)
    inverse_metric = ((1 - 0.5 * np.sum(z * z, axis=1, keepdims=True)) / 2) ** 2
    np.testing.assert_allclose(scaled, g * inverse_metric, rtol=1e-14)


def test_riemannian_H7_gradient_at_the_origin_is_a_quarter():
    assert (elementwise_grad(lambda z: 8 * riemannian(z, 1.0))(np.zeros((1, 2))) == 2).all()


# --- (H6) the whole loss


@pytest.mark.parametrize("convention", [EXACT, SCALED])
@pytest.mark.parametrize("seed", range(3))
def test_loss_H6_gradient_equals_autograd(convention, seed):
    """Holds (H6')."""
    x, proxies, draws = make_inputs(seed, size=3.0)  # some rows beyond the clip radius
    loss, grad_x, grad_proxies = hier_grad(x, proxies, draws, convention)
    assert loss == pytest.approx(hier_loss(x, proxies, draws, convention), rel=1e-14)
    for argument, got in ((0, grad_x), (1, grad_proxies)):
        want = grad(hier_loss, argument)(x, proxies, draws, convention)
        assert relative(got, want) <= limit("autograd")


def test_loss_H6_gradient_by_central_differences_of_the_relaxation(rng):
    x, proxies, draws = make_inputs(4)

    def ball(a):
        return to_ball(a, 0.1, 2.3)

    d_zl0 = pairwise_distance(ball(x), ball(proxies), 0.1)
    d_ll0 = pairwise_distance(ball(proxies), ball(proxies), 0.1)

    def relaxed(x, proxies):
        d_zl = pairwise_distance(ball(x), ball(proxies), 0.1)
        d_ll = pairwise_distance(ball(proxies), ball(proxies), 0.1)
        data = relaxation(d_zl, d_zl0, draws.triplets_data, draws.gumbel_data)
        return data + relaxation(d_ll, d_ll0, draws.triplets_proxy, draws.gumbel_proxy)

    assert relaxed(x, proxies) == pytest.approx(hier_loss(x, proxies, draws), rel=1e-13)
    _, *grads = hier_grad(x, proxies, draws)
    for argument, got in enumerate(grads):
        direction = rng.standard_normal(got.shape)
        direction /= np.linalg.norm(direction)

        def moved(value, argument=argument):
            return relaxed(*(value if argument == a else (x, proxies)[a] for a in (0, 1)))

        want = central_difference(moved, (x, proxies)[argument], direction, 1e-4)
        assert abs(np.sum(got * direction) - want) <= limit("difference") * np.linalg.norm(got)


def test_loss_H6_is_the_loops_over_both_levels():
    """Holds (H6)."""
    x, proxies, draws = make_inputs(9)
    s = hier_stages(x, proxies, draws)
    data = loops(s["d_zl"], draws.triplets_data, draws.gumbel_data)
    proxy = loops(s["d_ll"], draws.triplets_proxy, draws.gumbel_proxy)
    assert s["loss"] == pytest.approx(data + proxy, rel=1e-14)
    assert data > 0 and proxy > 0


def test_loss_H6_turns_with_the_inputs(rng):
    x, proxies, draws = make_inputs(1)
    turn = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    loss, grad_x, grad_proxies = hier_grad(x, proxies, draws)
    turned, turned_x, turned_proxies = hier_grad(x @ turn, proxies @ turn, draws)
    assert turned == pytest.approx(loss, rel=1e-12)
    assert relative(turned_x, grad_x @ turn) < 1e-11
    assert relative(turned_proxies, grad_proxies @ turn) < 1e-11


def test_loss_H6_does_not_depend_on_the_order_of_the_proxies(rng):
    x, proxies, draws = make_inputs(1)
    order = rng.permutation(len(proxies))
    moved = Draws(
        draws.triplets_data,
        np.argsort(order)[draws.triplets_proxy],
        *(tuple(g[:, order] for g in noise) for noise in (draws.gumbel_data, draws.gumbel_proxy)),
    )
    assert hier_loss(x, proxies[order], moved) == pytest.approx(
        hier_loss(x, proxies, draws), rel=1e-13
    )


def test_loss_H6_gradient_has_the_dtype_of_the_input_and_the_value_of_float64():
    x, proxies, draws = make_inputs(5)
    small = hier_grad(x.astype(np.float32), proxies.astype(np.float32), draws)
    for got, want in zip(small, hier_grad(x, proxies, draws), strict=True):
        assert got.dtype == np.float32 and relative(got, want) < 1e-4


def test_stages_hold_every_documented_name():
    names = "z l d_zz d_zl d_ll loss grad_d_zl grad_d_ll grad_z grad_l grad_x grad_proxies".split()
    for level in ("data", "proxy"):
        names += [f"{s}_{level}" for s in ("triplets", "lca_pair", "lca_triple", "hinge", "loss")]
    assert set(hier_stages(*make_inputs())) == set(names)


def test_blocks_do_not_change_the_result(monkeypatch):
    x, proxies, draws = make_inputs(6)
    whole = hier_grad(x, proxies, draws)
    monkeypatch.setattr(triplets, "BLOCK", 7)
    for got, want in zip(hier_grad(x, proxies, draws), whole, strict=True):
        assert relative(got, want) < 1e-13


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint64])
def test_triplets_of_any_integers_give_the_same(dtype, rng):
    """200 points and 30 proxies: products of their numbers do not fit into 8 or 16 bits."""
    most = min(200, np.iinfo(dtype).max)
    x, proxies = rng.standard_normal((200, 4)), rng.standard_normal((30, 4))
    draws = [rng.integers(0, n, (400, 3)) for n in (most, 30)]
    want = hier_grad(x, proxies, Draws(*draws, seed=9), margin=1.0)
    got = hier_grad(x, proxies, Draws(*(t.astype(dtype) for t in draws), seed=9), margin=1.0)
    for one, other in zip(got, want, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_threads_gives_the_same_bytes(count, dtype, monkeypatch, rng):
    """Some twenty blocks at each level, the last one short; noise from the seed."""
    x, proxies = (rng.standard_normal((n, 4)).astype(dtype) for n in (40, 30))
    draws = [rng.integers(0, n, (5000 + n, 3)) for n in (40, 30)]
    monkeypatch.setattr(triplets, "BLOCK", triplets.STREAM)
    call = partial(hier_stages, x, proxies, Draws(*draws, seed=9), margin=1.0)
    monkeypatch.setattr(threads, "_asked", [1])
    alone = call()
    threads.use_threads(count)
    for name, stage in call().items():
        assert np.asarray(stage).tobytes() == np.asarray(alone[name]).tobytes(), name


# --- odd inputs: each a defined loss and finite gradients


def finite(x, proxies, draws):
    results = [hier_grad(x, proxies, draws, convention) for convention in (EXACT, SCALED)]
    assert all(np.isfinite(part).all() for result in results for part in result)
    return results[0]


def test_odd_K27_no_mutual_neighbour(rng):
    """Holds (K27)."""
    x, proxies, _ = make_inputs()
    loss, grad_x, grad_proxies = finite(x, proxies, mine(rng, x, proxies, neighbours=0))
    assert loss == 0 and not grad_x.any() and not grad_proxies.any()


def test_odd_one_proxy_is_every_ancestor(rng):
    x, proxies, draws = make_inputs(p=1)
    assert len(draws.triplets_data) and not len(draws.triplets_proxy)
    assert finite(x, proxies, draws)[0] == 0


def test_odd_two_points(rng):
    x, proxies, _ = make_inputs(b=2)
    draws = mine(rng, x, proxies, neighbours=6)
    assert len(draws.triplets_data) == 0  # the only other point is a positive: no negative
    assert finite(x, proxies, draws)[0] > 0  # level "proxy" remains


def test_odd_K21_more_neighbours_than_points(rng):
    """Holds (K21)."""
    x, proxies, _ = make_inputs()
    draws = mine(rng, x, proxies, neighbours=24)
    assert len(draws.triplets_data) == len(draws.triplets_proxy) == 0
    assert finite(x, proxies, draws)[0] == 0


def test_odd_repeated_points(rng):
    x, proxies, _ = make_inputs()
    x[:5], proxies[:4] = x[0], proxies[0]
    assert finite(x, proxies, mine(rng, x, proxies))[0] > 0


def test_odd_point_on_a_proxy_and_points_at_the_origin(rng):
    x, proxies, _ = make_inputs()
    x[0], x[1], proxies[1] = proxies[0], 0, 0
    assert finite(x, proxies, mine(rng, x, proxies))[0] > 0


def test_odd_all_points_equal_leave_no_negative(rng):
    _, proxies, _ = make_inputs()
    x = np.ones((24, 8))
    draws = mine(rng, x, proxies, neighbours=6)
    # Same-class points tie at rank 1, all others tie after them: everyone is near everyone.
    assert len(draws.triplets_data) == 0
    finite(x, proxies, draws)


def test_odd_all_proxies_equal_give_hinges_of_one_margin_each(rng):
    x, _, _ = make_inputs()
    proxies = np.ones((12, 8))
    draws = mine(rng, x, proxies)
    s = hier_stages(x, proxies, draws)
    apart = s["lca_pair_data"] != s["lca_triple_data"]
    assert s["loss_data"] == pytest.approx(0.3 * apart.mean(), rel=1e-12) and apart.any()
    finite(x, proxies, draws)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_odd_values_that_are_not_finite_are_refused_by_row(value):
    x, proxies, draws = make_inputs()
    x[3, 2] = value
    with pytest.raises(ValueError, match=r"x is not finite in row 3 \(1 such rows\)"):
        hier_loss(x, proxies, draws)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x, p, d: (x[:, :3], p, d), r"x \(24, 3\) and proxies \(12, 8\)"),
        (lambda x, p, d: (x[0], p, d), r"expected \(B, D\) and \(P, D\)"),
        (lambda x, p, d: (x, p[:0], d), "no proxies"),
        (lambda x, p, d: (x[:5], p, d), r"triplets_data has indices outside 0..4"),
        (lambda x, p, d: (x, p, Draws(NONE, NONE[:, :2])), r"triplets_proxy \(0, 2\)"),
        (
            lambda x, p, d: (x, p, dataclasses.replace(d, gumbel_data=d.gumbel_proxy)),
            r"gumbel_data \(\d+, 12\): expected",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        hier_grad(*change(*make_inputs()))


def test_memory_does_not_grow_with_triplets_times_proxies(rng):
    x, proxies = rng.standard_normal((180, 128)), rng.standard_normal((512, 128))
    tracemalloc.start()
    draws = mine(rng, x, proxies, neighbours=20, per_anchor=50, keep_noise=False)
    hier_grad(x, proxies, draws)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    n_noise = 2 * 512 * (len(draws.triplets_data) + len(draws.triplets_proxy))
    assert 8 * n_noise > 200e6  # the noise alone would not fit into the limit below
    assert peak < 100e6
