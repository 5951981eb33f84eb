"""Chapter 4: ancestors, hinges, the loss at both levels and its gradient."""

import dataclasses
import tracemalloc

import mpmath
import numpy as np
import pytest
from autograd import elementwise_grad, grad
from cases import make_inputs, mine
from checks import central_difference, check_vjp, exact, limit, norm_eps, relative

from hier_ref import hier
from hier_ref.convention import EXACT
from hier_ref.hier import (
    ball_points,
    ball_points_vjp,
    block_hinges,
    choice_weights,
    choice_weights_vjp,
    hier_grad,
    hier_loss,
    hier_stages,
    level_loss,
    level_stages,
)
from hier_ref.pairwise import pairwise_distance
from hier_ref.surrogates import pick, riemannian
from hier_ref.triplets import Draws

NONE = np.zeros((0, 3), int)
SCALED = dataclasses.replace(EXACT, riemannian_gradient=True)


def loops(d, triplets, gumbel, tau=0.1, margin=0.1):
    """The loss of one level as the method is told: one triplet, one proxy at a time."""
    total = 0.0
    for (i, j, k), g_pair, g_triple in zip(triplets, *gumbel, strict=True):
        proxies = range(d.shape[1])
        pair = max(proxies, key=lambda p: -max(d[i, p], d[j, p]) / tau + g_pair[p])
        triple = max(proxies, key=lambda p: -max(d[i, p], d[j, p], d[k, p]) / tau + g_triple[p])
        if pair != triple:
            total += max(0, d[i, pair] - d[i, triple] + margin)
            total += max(0, d[j, pair] - d[j, triple] + margin)
            total += max(0, d[k, triple] - d[k, pair] + margin)
    return total / max(1, len(triplets))


def softmax_rows(logits):
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def relaxation(d, d0, triplets, gumbel, tau=0.1, margin=0.1):
    """A smooth function of d whose derivative at d0 is the straight-through gradient.

    Every hard distance d[a, p*] becomes d[a, p*] + sum_p (w_p(d) - w_p(d0)) d0[a, p]: the choice
    p*, the mask and the frozen values come from d0.
    """
    members = triplets.T

    def far(d, n):
        return np.max([d[member] for member in members[:n]], axis=0)

    w, w0 = (
        [softmax_rows(-far(e, n) / tau + g) for n, g in zip((2, 3), gumbel, strict=True)]
        for e in (d, d0)
    )
    chosen = [weights.argmax(1) for weights in w0]

    def distance(a, which):
        hard = d[members[a], chosen[which]]
        return hard + np.sum((w[which] - w0[which]) * d0[members[a]], axis=1)

    inside = [
        distance(0, 0) - distance(0, 1),
        distance(1, 0) - distance(1, 1),
        distance(2, 1) - distance(2, 0),
    ]
    hinges = sum(np.maximum(0, h + margin) for h in inside)
    return np.mean(hinges * (chosen[0] != chosen[1]))


# --- (H1) the choice


def test_weights_H1_equal_softmax_of_gumbel_logits_in_mpmath(rng):
    far, gumbel, tau = 5 * rng.random((6, 9)), rng.gumbel(size=(6, 9)), 0.1
    w = choice_weights(far, np.exp(-gumbel), tau)
    for got, d, g in zip(w, exact(far), exact(gumbel), strict=True):
        e = [mpmath.exp(-a / mpmath.mpf(tau) + b) for a, b in zip(d, g, strict=True)]
        # The exponent (d_min - d)/tau reaches 50, and its rounding is multiplied by it.
        assert norm_eps(got, [a / sum(e) for a in e]) <= limit("choice_eps")


def test_weights_H1_do_not_underflow_far_from_every_proxy():
    w = choice_weights(np.array([[5e3, 5e3 + 0.1]], np.float32), np.ones((1, 2), np.float32), 0.1)
    assert (
        w.dtype == np.float32 and relative(w, np.array([[1, np.exp(-1)]]) / (1 + np.exp(-1))) < 0.01
    )


def test_weights_H1_gradient(rng):
    arrival = rng.standard_exponential((5, 7))

    def f(far):
        return choice_weights(far, arrival, 0.3)

    def vjp(g, far):
        return choice_weights_vjp(g, choice_weights(far, arrival, 0.3), 0.3)

    check_vjp(f, vjp, rng.random((5, 7)), rng=rng)


def test_weights_H1_gradient_of_a_constant_cotangent_is_zero(rng):
    w = choice_weights(rng.random((4, 6)), rng.standard_exponential((4, 6)), 0.1)
    assert np.abs(choice_weights_vjp(np.ones((4, 6)), w, 0.1)).max() < 1e-14


# --- (H2) straight-through


def test_pick_H2_reads_the_chosen_column(rng):
    d = rng.random((3, 4))
    assert (pick(d, d, np.array([2, 0, 3])) == d[[0, 1, 2], [2, 0, 3]]).all()


def test_pick_H2_gradient_reaches_every_weight_and_the_chosen_distance(rng):
    w, d, chosen = rng.random((2, 3)), rng.random((2, 3)), np.array([1, 2])
    assert (elementwise_grad(lambda w: pick(w, d, chosen))(w) == d).all()
    assert (elementwise_grad(lambda d: pick(w, d, chosen))(d) == [[0, 1, 0], [0, 0, 1]]).all()


# --- (H3), (H4) one level


def level_case(seed, level="data"):
    x, proxies, draws = make_inputs(seed)
    points = x if level == "data" else proxies
    d = pairwise_distance(*(ball_points(a, 0.1, 2.3) for a in (points, proxies)), 0.1)
    return d, draws


def test_hinges_H3_by_hand():
    # The pair's ancestor is proxy 0, the triple's proxy 1: noise leaves no doubt.
    d = np.array([[1.0, 2.0], [1.5, 1.8], [4.0, 3.95]])
    sure = np.array([[1e-9, 1.0]]), np.array([[1.0, 1e-9]])
    block = block_hinges(d, np.array([[0, 1, 2]]), *sure, tau=1.0, margin=0.5)
    # i: 1 - 2 + .5 < 0; j: 1.5 - 1.8 + .5 = .2; k: 3.95 - 4 + .5 = .45
    assert (block.lca_pair, block.lca_triple) == (0, 1)
    assert block.hinge == pytest.approx([0.65], rel=1e-15)
    assert block.active.tolist() == [[False, True, True]]


@pytest.mark.parametrize("level", ["data", "proxy"])
@pytest.mark.parametrize("seed", range(5))
def test_level_H4_equals_the_loops(level, seed):
    d, draws = level_case(seed, level)
    triplets, gumbel = draws.level(level)
    assert level_loss(d, draws, level, 0.1, 0.1) == pytest.approx(
        loops(d, triplets, gumbel), rel=1e-14
    )


@pytest.mark.parametrize("level", ["data", "proxy"])
@pytest.mark.parametrize("seed", range(5))
def test_level_H4_gradient_is_that_of_the_relaxation(level, seed, rng):
    d, draws = level_case(seed, level)
    triplets, gumbel = draws.level(level)
    grad_d = level_stages(d, draws, level, 0.1, 0.1)["grad_d"]
    for _ in range(3):
        direction = rng.standard_normal(d.shape)
        direction /= np.linalg.norm(direction)
        want = central_difference(
            lambda moved: relaxation(moved, d, triplets, gumbel), d, direction, 1e-4
        )
        assert abs(np.sum(grad_d * direction) - want) <= limit("difference") * np.linalg.norm(
            grad_d
        )


@pytest.mark.parametrize("level", ["data", "proxy"])
def test_level_H3_gradient_equals_autograd(level):
    d, draws = level_case(7, level)
    want = grad(level_loss)(d, draws, level, 0.1, 0.1)
    assert relative(level_stages(d, draws, level, 0.1, 0.1)["grad_d"], want) <= limit("autograd")


def test_level_H3_gradient_with_choices_fixed_is_the_difference_of_the_hard_loss(rng):
    # Noise that leaves no doubt fixes the choice: w is one-hot, the straight-through part 0.
    d, draws = level_case(3)
    winners = rng.integers(0, 12, (2, len(draws.triplets_data)))
    fixed = dataclasses.replace(draws, gumbel_data=tuple(1e3 * np.eye(12)[winners]))
    grad_d = level_stages(d, fixed, "data", 0.1, 0.1)["grad_d"]
    direction = rng.standard_normal(d.shape)
    direction /= np.linalg.norm(direction)
    want = central_difference(lambda m: level_loss(m, fixed, "data", 0.1, 0.1), d, direction, 1e-5)
    assert abs(np.sum(grad_d * direction) - want) <= limit("difference") * np.linalg.norm(grad_d)


def test_level_H4_ignores_a_shift_of_all_distances():
    d, draws = level_case(2)
    shifted = level_loss(d + 3.0, draws, "data", 0.1, 0.1)
    assert shifted == pytest.approx(level_loss(d, draws, "data", 0.1, 0.1), rel=1e-12)
    grad_d = level_stages(d, draws, "data", 0.1, 0.1)["grad_d"]
    assert abs(grad_d.sum()) <= 1e-13 * np.abs(grad_d).sum()


def test_hinge_K24_at_exactly_zero_has_no_slope():
    d = np.array([[1.0, 1.5], [1.0, 1.5], [1.0, 3.0]])
    sure = np.array([[1e-9, 1.0]]), np.array([[1.0, 1e-9]])
    block = block_hinges(d, np.array([[0, 1, 2]]), *sure, tau=1.0, margin=0.5)
    assert block.active.tolist() == [[False, False, True]] and block.hinge == [2.5]


def test_mask_K25_one_ancestor_for_both_counts_nothing():
    d = np.array([[1.0, 9.0], [1.0, 9.0], [1.0, 9.0]])
    draws = Draws(np.array([[0, 1, 2]]), NONE, (np.zeros((1, 2)),) * 2)
    stages = level_stages(d, draws, "data", 0.1, 0.1)
    assert stages["loss"] == 0 and not stages["grad_d"].any()


def test_far_K26_ties_share_the_slope_of_the_maximum():
    # Rows 0 and 1 are equal, so every maximum ties; their gradients must be equal too.
    d = np.array([[1.0, 1.2], [1.0, 1.2], [1.1, 0.9]])
    draws = Draws(np.array([[0, 1, 2]]), NONE, (np.array([[2.0, 0.0]]), np.array([[0.0, 2.0]])))
    grad_d = level_stages(d, draws, "data", 1.0, 0.5)["grad_d"]
    assert (grad_d[0] == grad_d[1]).all() and grad_d.all()
    # What the two share is what a single farthest member would have had whole.
    apart = d + [[1e-9], [0], [0]]
    whole = level_stages(apart, draws, "data", 1.0, 0.5)["grad_d"]
    np.testing.assert_allclose(grad_d[:2].sum(0), whole[:2].sum(0), rtol=1e-7)
    want = grad(level_loss)(d, draws, "data", 1.0, 0.5)
    assert relative(grad_d, want) <= limit("autograd")


def test_pick_K23_equal_weights_choose_the_first_proxy():
    d = np.ones((3, 4))
    block = block_hinges(d, np.array([[0, 1, 2]]), np.ones((1, 4)), np.ones((1, 4)), 0.1, 0.1)
    assert block.lca_pair == [0] and block.lca_triple == [0]


@pytest.mark.parametrize("level", ["data", "proxy"])
def test_level_K27_without_triplets_is_zero_with_zero_gradient(level):
    stages = level_stages(np.ones((3, 2)), Draws(NONE, NONE), level, 0.1, 0.1)
    assert stages["loss"] == 0 and not stages["grad_d"].any() and stages["hinge"].shape == (0,)


# --- (H5), (H7) tangent inputs and the Riemannian scaling


@pytest.mark.parametrize("size", [0.5, 5.0])  # inside and outside the clip radius
def test_ball_points_H5_gradient(size, rng):
    x = size * rng.standard_normal((6, 4))
    check_vjp(
        lambda x: ball_points(x, 0.1, 2.3), lambda g, x: ball_points_vjp(g, x, 0.1, 2.3), x, rng=rng
    )


def test_riemannian_H7_changes_nothing_forwards(rng):
    z = 0.3 * rng.standard_normal((4, 3))
    assert (riemannian(z, 0.5) == z).all()


def test_riemannian_H7_gradient_is_the_inverse_metric(rng):
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
    x, proxies, draws = make_inputs(seed, size=3.0)  # some rows beyond the clip radius
    loss, grad_x, grad_proxies = hier_grad(x, proxies, draws, convention)
    assert loss == pytest.approx(hier_loss(x, proxies, draws, convention), rel=1e-14)
    for argument, got in ((0, grad_x), (1, grad_proxies)):
        want = grad(hier_loss, argument)(x, proxies, draws, convention)
        assert relative(got, want) <= limit("autograd")


def test_loss_H6_gradient_by_central_differences_of_the_relaxation(rng):
    x, proxies, draws = make_inputs(4)

    def ball(a):
        return ball_points(a, 0.1, 2.3)

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
    monkeypatch.setattr(hier, "BLOCK", 7)
    for got, want in zip(hier_grad(x, proxies, draws), whole, strict=True):
        assert relative(got, want) < 1e-13


# --- odd inputs: each a defined loss and finite gradients


def finite(x, proxies, draws):
    results = [hier_grad(x, proxies, draws, convention) for convention in (EXACT, SCALED)]
    assert all(np.isfinite(part).all() for result in results for part in result)
    return results[0]


def test_odd_K27_no_mutual_neighbour(rng):
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
