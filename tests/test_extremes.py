"""Extreme numbers: each public function computes right at every scale, or refuses by name.

`RIGHT` holds what can be computed, beside mpmath; `REFUSED` what cannot. Warnings are errors
here as in the whole suite, so whatever overflows on the way would fail.
"""

import dataclasses

import ball_reference
import mpmath
import numpy as np
import pytest
from ball_reference import dot
from cases import make_inputs
from checks import exact, limit, norm_eps
from synthetic import SIZES, clustered

from hier_ref import poincare
from hier_ref.hier import hier_grad, hier_loss, hier_stages, sample_draws
from hier_ref.levels import Rule, choice_weights, choice_weights_vjp, level_loss, level_stages
from hier_ref.losses import LOSSES, ProxyAnchor, SoftTriple, cosine, unit, unit_vjp
from hier_ref.losses.multi_similarity import MultiSimilarity, multi_similarity
from hier_ref.losses.pair_softmax import PairSoftmax
from hier_ref.losses.parts import class_proxies
from hier_ref.losses.soft_triple import soft_maximum
from hier_ref.losses.softmax import NormSoftmax
from hier_ref.pairwise import pairwise_distance, pairwise_distance_vjp, pairwise_sq
from hier_ref.poincare import clip_norm, distance, expmap0, gap, logmap0, mobius_add, to_ball
from hier_ref.training.batch import embed
from hier_ref.training.config import SCHEDULES, Config
from hier_ref.training.head import (
    gelu,
    gelu_vjp,
    init_head,
    layer_norm,
    layer_norm_vjp,
    relu,
)
from hier_ref.training.optim import (
    SGD,
    AdamW,
    clip_by_norm,
    clip_by_value,
    step_decay,
    warmup,
)
from hier_ref.training.optim import (
    cosine as cosine_schedule,
)
from hier_ref.training.sampler import batches_per_epoch, class_batches
from hier_ref.training.trainer import Trainer
from hier_ref.triplets import mutual_neighbours, sample_triplets

SCALES = {
    np.float64: (1e-300, 1e-160, 1e-20, 1.0, 1e20, 1e160, 2e307),
    np.float32: (1e-35, 1e-20, 1.0, 1e20, 5e37),
}
each_scale = pytest.mark.parametrize(
    ("dtype", "scale"),
    [(dtype, scale) for dtype, scales in SCALES.items() for scale in scales],
    ids=lambda value: getattr(value, "__name__", f"{value:g}" if np.isscalar(value) else None),
)


def rows(dtype, scale, n=2, dim=6):
    """Rows whose entries are up to 3 times the scale."""
    rng = np.random.default_rng(7)
    return (scale * np.clip(rng.standard_normal((n, dim)), -3, 3)).astype(dtype)


# What can be computed: (operation of the rows, the same in mpmath, row of LIMIT).


def mp_mean(x):
    return mpmath.fsum(x) / len(x)


def mp_layer_norm(x):
    h = [a - mp_mean(x) for a in x]
    s = mpmath.sqrt(mp_mean([a * a for a in h]) + mpmath.mpf(1e-5))
    return [a / s for a in h]


def mp_layer_norm_vjp(g, x):
    h = [a - mp_mean(x) for a in x]
    s = mpmath.sqrt(mp_mean([a * a for a in h]) + mpmath.mpf(1e-5))
    gn = mp_mean([a * b / s for a, b in zip(g, h, strict=True)])
    return [(a - mp_mean(g) - gn * b / s) / s for a, b in zip(g, h, strict=True)]


def mp_unit(x):
    return [a / mpmath.sqrt(dot(x, x)) for a in x]


def mp_unit_vjp(g, x):
    u, n = mp_unit(x), mpmath.sqrt(dot(x, x))
    return [(a - dot(g, u) * b) / n for a, b in zip(g, u, strict=True)]


def mp_clip(x, r):
    return [a * r for a in mp_unit(x)] if dot(x, x) > r * r else x


def mp_to_ball(x, c=0.1):
    return ball_reference.expmap0(mp_clip(x, mpmath.mpf(2.3)), c)


def mp_clip_all(x, y, r):
    """The first row, both shortened together."""
    n = mpmath.sqrt(dot(x, x) + dot(y, y))
    return [a * min(mpmath.mpf(1), r / n) for a in x]


G = np.array([0.5, -1.25, 2.0, 0.25, -0.5, 1.0])
FAR = mpmath.mpf(700)
RIGHT = {
    "layer_norm": (lambda x: layer_norm(x)[0], lambda x, y: mp_layer_norm(x), "loss_eps"),
    "layer_norm_vjp": (
        lambda x: layer_norm_vjp(np.array([G, G], x.dtype), x)[0],
        lambda x, y: mp_layer_norm_vjp(exact(G), x),
        "loss_eps",
    ),
    "unit": (lambda x: unit(x)[0], lambda x, y: mp_unit(x), "loss_eps"),
    "cosine": (
        lambda x: cosine(x, x)[0, 1:],
        lambda x, y: [dot(mp_unit(x), mp_unit(y))],
        "loss_eps",
    ),
    "clip_norm": (lambda x: clip_norm(x, 2.3)[0], lambda x, y: mp_clip(x, 2.3), "map_eps"),
    "clip_norm off": (lambda x: clip_norm(x, np.inf)[0], lambda x, y: x, "map_eps"),
    "to_ball": (lambda x: to_ball(x, 0.1, 2.3)[0], lambda x, y: mp_to_ball(x), "map_eps"),
    "expmap0": (
        lambda x: expmap0(x, 1e-20)[0],
        lambda x, y: ball_reference.expmap0(x, 1e-20),
        "map_eps",
    ),
    "clip_by_norm": (
        lambda x: clip_by_norm({"a": x[:1], "b": x[1:]}, 5.0)["a"][0],
        lambda x, y: mp_clip_all(x, y, 5),
        "loss_eps",
    ),
    "clip_by_value": (
        lambda x: clip_by_value({"a": x}, 5.0)["a"][0],
        lambda x, y: [max(-5, min(5, a)) for a in x],
        "loss_eps",
    ),
    "relu": (lambda x: relu(x)[0], lambda x, y: [max(a, 0) for a in x], "loss_eps"),
    "gelu above 0": (
        lambda x: gelu(np.abs(x[0])),
        lambda x, y: [abs(a) * mpmath.ncdf(min(abs(a), FAR)) for a in x],
        "loss_eps",
    ),
    "gelu_vjp": (
        lambda x: gelu_vjp(np.ones(6, x.dtype), np.abs(x[0])),
        lambda x, y: [
            mpmath.ncdf(min(abs(a), FAR)) + abs(a) * mpmath.npdf(min(abs(a), FAR)) for a in x
        ],
        "loss_eps",
    ),
}


@each_scale
@pytest.mark.parametrize("name", RIGHT)
def test_what_can_be_computed_is_right_at_every_scale(name, dtype, scale):
    operation, witness, row = RIGHT[name]
    x = rows(dtype, scale)
    got = operation(x)
    assert got.dtype == dtype
    assert norm_eps(got, witness(*exact(x))) <= limit(row)


def test_unit_L1_of_the_least_and_the_largest_numbers():
    """Holds (L1)."""
    for dtype in SCALES:
        least, most = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
        for size in (least, most):
            x = np.full((1, 4), size)
            assert np.array_equal(unit(x), np.full((1, 4), 0.5, dtype))
        g = np.array([[1.0, -1.0, 1.0, -1.0]], dtype)
        with np.errstate(over="ignore"):  # the slope beside the least number is beyond all numbers
            slope = unit_vjp(g, np.full((1, 4), least))
        assert np.array_equal(slope, np.inf * g)
        assert not unit_vjp(np.full((1, 4), dtype(1)), np.full((1, 4), least)).any()


def test_layer_norm_N1_at_the_ends_of_both_dtypes():
    """The three numbers 1, 2, 4 have mean 7/3 and deviation √14/3 (N1)."""
    want = (np.array([[1, 2, 4]]) - 7 / 3) / (14**0.5 / 3)
    for dtype, scale in ((np.float32, 8e37), (np.float64, 4e307), (np.float64, 2.5e159)):
        got = layer_norm((np.array([[1.0, 2.0, 4.0]]) * scale).astype(dtype))
        assert np.max(np.abs(got - want)) <= limit("loss_eps") * np.finfo(dtype).eps
    # Far below √eps a row counts as constant, by definition: x/√eps is all that is left.
    tiny = np.array([[-1e-18, 0.0, 1e-18]])
    assert np.allclose(layer_norm(tiny), tiny / 1e-5**0.5, rtol=1e-12, atol=0)


def test_layer_norm_K40_keeps_its_slope_at_a_large_constant():
    """Holds (K40)."""
    for dtype, size in ((np.float32, 1e20), (np.float32, 3e38), (np.float64, 1e300)):
        got = layer_norm_vjp(np.array([[1, 2, 6]], dtype), np.full((1, 3), size, dtype))
        assert np.allclose(got, np.array([-2, -1, 3]) / 1e-5**0.5, rtol=1e-6, atol=0)


# The ball: curvature and points of any size.

CURVATURES = (1e-270, 1e-100, 1e-12, 1.0, 1e40, 1e270)
PARTS = (1e-200, 1e-30, 0.3)  # of the radius


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("c", CURVATURES)
def test_distances_are_right_in_balls_of_every_size(c, part):
    if part / c**0.5 < 1e-300 or part / c**0.5 > 1e300:
        part = 1e-3
    x, y = rows(np.float64, part / c**0.5 / 9)
    want = ball_reference.distance(exact(x), exact(y), c)
    assert norm_eps(distance(x[None], y[None], c), [want]) <= limit("distance_ulp")
    assert norm_eps(pairwise_distance(x[None], y[None], c)[0], [want]) <= limit("pairwise_ulp")
    slope = ball_reference.distance_grad(exact(x), exact(y), c)
    one = np.ones((1, 1))
    by_pair = pairwise_distance_vjp(one, x[None], y[None], c)[0][0]
    assert norm_eps(by_pair, slope) <= limit("pairwise_grad_eps")
    assert norm_eps(poincare.distance_vjp(1.0, x, y, c)[0], slope) <= limit("distance_grad_eps")
    for op, reference in ((logmap0, ball_reference.logmap0), (expmap0, ball_reference.expmap0)):
        assert norm_eps(op(x, c), reference(exact(x), c)) <= limit("map_eps")
    sum_ = ball_reference.mobius_add(exact(x), exact(y), c)
    assert norm_eps(mobius_add(x, y, c), sum_) <= limit("map_eps")


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1.0])
@pytest.mark.parametrize("c", [1e-270, 1e-38, 0.1])
def test_pairwise_D2_distances_in_float32_do_not_vanish(c, size):
    """Holds (D2)."""
    x = rows(np.float32, size / 5, n=5)
    got = pairwise_distance(x, x, c)
    for i, j in np.argwhere(~np.eye(5, dtype=bool)):
        want = ball_reference.distance(exact(x[i]), exact(x[j]), c)
        assert norm_eps(got[i, j : j + 1], [want]) <= limit("pairwise_ulp")
    assert np.array_equal(got, got.T) and not np.diag(got).any()


def test_expmap0_B5_of_a_vector_beyond_all_numbers_lies_on_the_boundary():
    for c in (1e-20, 1.0, 1e100):
        got = expmap0(np.full((1, 4), 1.7e308), c)
        assert np.allclose(got, 0.5 / c**0.5, rtol=1e-15, atol=0)
        with pytest.raises(ValueError, match="expected above 0: a point inside the ball"):
            gap(1.0001 * got, c)


# Choices of an ancestor.


def test_weights_H1_are_one_hot_where_tau_is_far_below_all_differences():
    far, arrival = np.array([[3.0, 1.0, 2.0]]), np.ones((1, 3))
    for tau in (1e-300, 1e-5):
        w = choice_weights(far, arrival, tau)
        assert np.array_equal(w, [[0, 1, 0]])
        assert not choice_weights_vjp(np.array([[1.0, 2.0, 3.0]]), w, tau).any()
    assert np.allclose(choice_weights(far, arrival, 1e300), 1 / 3)


def test_level_H4_takes_every_tau_that_its_dtype_holds():
    """Holds (H4)."""
    x, proxies, draws = make_inputs()
    x, proxies = x.astype(np.float32), proxies.astype(np.float32)
    for tau in (2e-38, 1e30):
        assert np.isfinite(hier_loss(x, proxies, draws, tau=tau))
    with pytest.raises(ValueError, match="^tau 1e-46: expected a number from 1.18e-38"):
        hier_loss(x, proxies, draws, tau=1e-46)


# What is refused: a call, and the start of the message.

NO_NUMBER = {"0": 0, "-1": -1, "nan": np.nan, "inf": np.inf, "True": True, "'a'": "a", "None": None}
NO_SHARE = {name: value for name, value in NO_NUMBER.items() if name != "0"}
X, PROXIES, DRAWS = make_inputs()
D = np.random.default_rng(0).uniform(1, 2, (24, 12))
SQUARE = D[:12] + D[:12].T
LABELS = np.arange(12) // 2
Z = 0.1 * np.random.default_rng(1).standard_normal((12, 5))
P = {"a": np.ones(3)}


def spoiled(array, value):
    """A copy with one entry replaced."""
    copy = np.array(array, dtype=float)
    copy[2, 1] = value
    return copy


def noise(value):
    """Draws of the first level with one Gumbel number replaced."""
    pair, triple = DRAWS.gumbel_data
    return dataclasses.replace(DRAWS, gumbel_data=(spoiled(pair, value), triple))


def index(value):
    """Draws with one index replaced."""
    t = DRAWS.triplets_data.copy()
    t[2, 1] = value
    return dataclasses.replace(DRAWS, triplets_data=t)


def mined(**options):
    options = {"d_zz": SQUARE, "d_ll": SQUARE, "labels": LABELS} | options
    return sample_draws(np.random.default_rng(0), **options)


REFUSED = {}
for shown, value in NO_NUMBER.items():
    for name in ("c", "clip_radius", "tau"):
        start = "c is " if name == "c" else f"{name} {shown}: expected a number"
        for call in (hier_loss, hier_stages, hier_grad):
            REFUSED[f"{call.__name__} {name}={shown}"] = (
                lambda call=call, name=name, value=value: call(X, PROXIES, DRAWS, **{name: value}),
                start,
            )
    REFUSED |= {
        f"choice_weights tau={shown}": (
            lambda value=value: choice_weights(D, D, value),
            f"tau {shown}: expected a number",
        ),
        f"choice_weights_vjp tau={shown}": (
            lambda value=value: choice_weights_vjp(D, D, value),
            f"tau {shown}: expected a number",
        ),
        f"Rule tau={shown}": (lambda value=value: Rule(tau=value), f"tau {shown}: expected"),
        f"soft_maximum {shown}": (lambda value=value: soft_maximum(D, value), f"gamma {shown}"),
        f"multi_similarity alpha={shown}": (
            lambda value=value: multi_similarity(SQUARE, LABELS, value, 1.0),
            f"alpha {shown}: expected a number",
        ),
        f"ProxyAnchor alpha={shown}": (lambda value=value: ProxyAnchor(alpha=value), "alpha "),
        f"MultiSimilarity beta={shown}": (lambda value=value: MultiSimilarity(beta=value), "beta "),
        f"NormSoftmax {shown}": (lambda value=value: NormSoftmax(value), "temperature "),
        f"SoftTriple centres={shown}": (lambda value=value: SoftTriple(centres=value), "centres "),
        f"PairSoftmax {shown}": (lambda value=value: PairSoftmax(value), "tau "),
        f"class_proxies {shown}": (
            lambda value=value: class_proxies(np.random.default_rng(0), value, 3),
            f"n_classes {shown}: expected integers, at least 1",
        ),
        f"init_head {shown}": (
            lambda value=value: init_head(np.random.default_rng(0), 4, value),
            "head from 4 to .* numbers: expected at least 1 of each",
        ),
        f"AdamW eps={shown}": (lambda value=value: AdamW(P, 0.1, eps=value), f"eps {shown}"),
        f"per_anchor {shown}": (
            lambda value=value: mined(per_anchor=value),
            f"per_anchor {shown}: expected integers, at least 1",
        ),
        f"cosine of total {shown}": (lambda value=value: cosine_schedule(0, value), "cosine sch"),
        f"step_decay of size {shown}": (lambda value=value: step_decay(0, value, 0.1), "step sch"),
    }
    for op in (gap, expmap0, logmap0):
        REFUSED[f"{op.__name__} c={shown}"] = lambda op=op, value=value: op(Z, value), "c is "
    for call in (pairwise_distance, distance, mobius_add):
        REFUSED[f"{call.__name__} c={shown}"] = (
            lambda call=call, value=value: call(Z, Z, value),
            "c is ",
        )
for shown, value in NO_SHARE.items():
    REFUSED |= {
        f"hier margin={shown}": (
            lambda value=value: hier_loss(X, PROXIES, DRAWS, margin=value),
            f"margin {shown}: expected a number, at least 0",
        ),
        f"Rule margin={shown}": (lambda value=value: Rule(margin=value), f"margin {shown}"),
        f"lr {shown}": (lambda value=value: AdamW(P, value), f"learning rate of a {shown}: exp"),
        f"weight_decay {shown}": (lambda value=value: SGD(P, 0.1, value), f"weight_decay {shown}"),
        f"momentum {shown}": (
            lambda value=value: SGD(P, 0.1, momentum=value),
            f"momentum {shown}: expected",
        ),
        f"beta {shown}": (
            lambda value=value: AdamW(P, 0.1, betas=(0.9, value)),
            f"beta 2 {shown}: expected",
        ),
        f"scale {shown}": (
            lambda value=value: SGD(P, 0.1).step(P, P, value),
            f"scale {shown}: expected",
        ),
        f"step_decay factor={shown}": (
            lambda value=value: step_decay(1, 2, value),
            f"factor {shown}: expected",
        ),
        f"layer_norm eps={shown}": (
            lambda value=value: layer_norm(X, value),
            f"eps {shown}: expected a number, at least 0",
        ),
        f"head scale={shown}": (
            lambda value=value: init_head(np.random.default_rng(0), 4, 2, scale=value),
            f"scale {shown}: expected a number, at least 0",
        ),
        f"neighbours {shown}": (
            lambda value=value: mined(neighbours=value),
            f"neighbours {shown}: expected integers, at least 0",
        ),
        f"warmup {shown}": (lambda value=value: warmup(0, value), f"warm-up steps {shown}"),
        f"warmup of step {shown}": (lambda value=value: warmup(value, 3), f"step {shown}"),
        f"cosine of step {shown}": (lambda value=value: cosine_schedule(value, 3), f"step {shown}"),
        f"batch size {shown}": (
            lambda value=value: batches_per_epoch(LABELS, value, 2),
            f"batch size {shown}: expected integers",
        ),
        f"per class {shown}": (
            lambda value=value: class_batches(np.random.default_rng(0), LABELS, 4, value),
            f"images per class {shown}: expected integers",
        ),
    }
for shown, value in {"-1": -1, "nan": np.nan, "True": True, "'a'": "a", "None": None}.items():
    for call in (clip_norm, lambda u, r: to_ball(u, 0.1, r)):
        REFUSED[f"{call.__name__} r={shown}"] = (
            lambda call=call, value=value: call(Z, value),
            f"clip radius {shown}(.0)?: expected a number, at least 0",
        )
for value in (np.nan, np.inf, -np.inf):
    REFUSED |= {
        f"level_loss d={value}": (
            lambda value=value: level_loss(spoiled(D, value), DRAWS, "data"),
            r"d is not finite in row 2",
        ),
        f"level_stages d={value}": (
            lambda value=value: level_stages(spoiled(D, value), DRAWS, "data"),
            r"d is not finite in row 2",
        ),
        f"noise {value}": (
            lambda value=value: hier_loss(X, PROXIES, noise(value)),
            r"gumbel_data from .*: expected finite noise, above -80",
        ),
        f"to_ball {value}": (
            lambda value=value: to_ball(spoiled(Z, value), 0.1, 2.3),
            r"u\[2\]: found NaN or infinity",
        ),
        f"expmap0 {value}": (
            lambda value=value: expmap0(spoiled(Z, value), 0.1),
            r"u\[2\]: found NaN or infinity",
        ),
        f"pairwise_sq {value}": (
            lambda value=value: pairwise_sq(spoiled(Z, value), Z),
            "points up to .*: expected numbers whose squares",
        ),
        f"gradient {value}": (
            lambda value=value: AdamW({"a": Z}, 0.1).step({"a": Z}, {"a": spoiled(Z, value)}),
            "gradient of a: found NaN or infinity",
        ),
    }
    for name, loss in LOSSES.items():
        params = loss.init(np.random.default_rng(0), 6, 5)
        REFUSED[f"{name} z={value}"] = (
            lambda loss=loss, params=params, value=value: loss.value(
                spoiled(Z, value), LABELS, params, 0.1
            ),
            "z is not finite in row 2",
        )
        for key, param in params.items():
            bad = {key: np.where(param == param.max(), value, param)}
            REFUSED[f"{name} {key}={value}"] = (
                lambda loss=loss, bad=bad: loss.grad(Z, LABELS, bad, 0.1),
                f"{key} is not finite in row",
            )
ODD_BATCHES = {
    "c -1": ((Z, LABELS, -1.0), "c is -1.0, expected a positive number"),
    "c nan": ((Z, LABELS, np.nan), "c is nan, expected a positive number"),
    "c inf": ((Z, LABELS, np.inf), "c is inf, expected a positive number"),
    "one row": ((Z[0], LABELS, 0.1), r"z \(5,\): expected \(N, D\)"),
    "words": ((Z.astype(str), LABELS, 0.1), "z is <U"),
    "complex": ((Z * 1j, LABELS, 0.1), "z is complex128: expected numbers"),
    "labels of booleans": ((Z, LABELS > 2, 0.1), "labels are bool: expected integers"),
    "labels of floats": ((Z, LABELS.astype(float), 0.1), "labels are float64: expected integers"),
    "labels of words": ((Z, LABELS.astype(str), 0.1), "labels are <U21: expected integers"),
    "labels of another shape": ((Z, LABELS[:, None], 0.1), r"labels of shape \(12, 1\)"),
}
for name, loss in LOSSES.items():
    params = loss.init(np.random.default_rng(0), 6, 5)
    for case, ((z, labels, c), start) in ODD_BATCHES.items():
        for call in (loss.value, loss.grad):
            REFUSED[f"{name} {call.__name__} {case}"] = (
                lambda call=call, z=z, labels=labels, c=c, params=params: call(
                    z, labels, params, c
                ),
                start,
            )
    for key in params:
        REFUSED[f"{name} {key} too wide"] = (
            lambda loss=loss, params=params: loss.value(Z[:, :4], LABELS, params, 0.1),
            rf"{key} \(\d+, 5\): expected \(N, 4\)",
        )
REFUSED |= {
    "HYP on the sphere": (
        lambda: LOSSES["HYP"].value(Z * 1e200, LABELS, {}, 0.0),
        "z up to .* with c 0: expected points of the unit sphere",
    ),
    "index -1": (lambda: level_loss(D, index(-1), "data"), "triplets_data has indices outside"),
    "index too large": (lambda: level_stages(D, index(24), "data"), "triplets_data has indices"),
    "noise -1000": (lambda: hier_loss(X, PROXIES, noise(-1000.0)), "gumbel_data from -1e.03"),
    "distance NaN": (
        lambda: mined(d_zz=spoiled(SQUARE, np.nan)),
        "distance 2, 1 is NaN: expected numbers",
    ),
    "per_anchor 2.5": (
        lambda: sample_triplets(np.random.default_rng(0), SQUARE > 3, 2.5),
        "per_anchor 2.5: expected integers",
    ),
    "neighbours 1e400": (lambda: mutual_neighbours(SQUARE, 10**400), "neighbours 1e400: expected"),
    "pairwise_sq 1e200": (lambda: pairwise_sq(Z * 1e200, Z), "points up to .*: expected numbers"),
    "momentum 1": (lambda: SGD(P, 0.1, momentum=1.0), "momentum 1.0: expected less than 1"),
    "gradient of another shape": (
        lambda: SGD({"a": Z}, 0.1).step({"a": Z}, {"a": Z[0]}),
        r"gradient of a \(5,\): expected \(12, 5\)",
    ),
    "gradient whose square overflows": (
        lambda: AdamW({"a": np.ones(3, np.float32)}, 0.1).step(
            {"a": np.ones(3, np.float32)}, {"a": np.full(3, 1e20, np.float32)}
        ),
        r"gradient of a up to 1e\+20: expected numbers whose square is finite",
    ),
    "lr that float32 does not hold": (
        lambda: AdamW({"a": np.ones(3, np.float32)}, 1e-46),
        "learning rate of a 1e-46: expected a number from 1.18e-38",
    ),
    "limit that float32 does not hold": (
        lambda: clip_by_value({"a": np.ones(3, np.float32)}, 1e-46),
        "gradient limit 1e-46: expected a number from 1.18e-38",
    ),
    "norm that float32 does not hold": (
        lambda: clip_by_norm({"a": np.ones(3, np.float32)}, 1e39),
        r"gradient limit 1e\+39: expected a number from 1.18e-38",
    ),
    "eps that float32 does not hold": (
        lambda: AdamW({"a": np.ones(3, np.float32)}, 0.1, eps=1e-46),
        "eps 1e-46: expected a number from 1.18e-38",
    ),
    "arrival 0": (lambda: choice_weights(D, 0 * D, 0.1), "arrival times from 0: expected"),
    "arrival nan": (lambda: choice_weights(D, np.nan * D, 0.1), "arrival times from nan"),
    "labels nan": (lambda: mined(labels=np.full(12, np.nan)), "a label is NaN: expected classes"),
    "limit that is True": (lambda: clip_by_value(P, True), "gradient limit True: expected"),
    "labels with NaN": (lambda: batches_per_epoch([0.0, np.nan, 0.0], 2, 2), "labels float64"),
    "labels as a table": (lambda: batches_per_epoch([[0, 0], [1, 1]], 2, 2), "labels int64"),
    "batch of 400 digits": (lambda: batches_per_epoch(LABELS, 10**400, 2), "batch size 1e400: exp"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_computed_is_refused_by_name(name):
    call, start = REFUSED[name]
    with pytest.raises(ValueError, match=f"^({start})") as caught:
        call()
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


# Options of a run.

ODD_OPTIONS = {
    "True": True,
    "None": None,
    "text": "much",
    "long text": "x" * 1000,
    "nan": np.nan,
    "inf": np.inf,
    "-1": -1,
    "-1e400": -(10**400),
    "1e400": 10**400,
    "1e5000": 10**5000,
    "complex": 1j,
    "list": [0.5, [1]],
    "array": np.array([1.5, 2.5]),
    "empty": (),
    "dict": {},
}


YES_OR_NO = [f.name for f in dataclasses.fields(Config) if isinstance(f.default, bool)]
# True is odd for everything but an option that is yes or no.
ODD = [
    (f.name, odd)
    for f in dataclasses.fields(Config)
    for odd, value in ODD_OPTIONS.items()
    if not (f.name in YES_OR_NO and value is True)
]


@pytest.mark.parametrize(("option", "odd"), ODD)
def test_odd_options_are_refused_by_name(option, odd):
    with pytest.raises(ValueError, match=f"^{option} ") as caught:
        Config(**{option: ODD_OPTIONS[odd]})
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


FLOATS = [f.name for f in dataclasses.fields(Config) if isinstance(f.default, float)]


@pytest.mark.parametrize("value", [1e-46, 1e-39, 1e39, 1e308])
@pytest.mark.parametrize("option", FLOATS)
def test_options_that_float32_does_not_hold_are_refused(option, value):
    with pytest.raises(ValueError, match=f"^{option} .*: expected a number from 1.18e-38 to 3.4e"):
        Config(**{option: value})
    if option not in ("c", "clip", "validate"):
        Config(**{option: value}, dtype="float64")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"c": 1e-290, "dtype": "float64"}, "c is 1e-290, expected a positive number from 1e-280"),
        ({"clip": 1e-20}, "clip 1e-20: expected from 9.09e-13 to 4.61e.18, where float32 still"),
        ({"clip": 1e19, "c": 1.2e-38}, "clip 1e.19: expected from 9.09e-13 to 4.61e.18"),
        ({"recall_at": (1, True)}, "recall_at True: expected integers, at least 1"),
        ({"recall_at": ()}, r"recall_at \(\): expected integers, at least one of them"),
    ],
)
def test_options_that_go_together_badly_are_refused(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Config(**options)


SMALL = {key: value for key, value in SIZES.items() if key != "schedule"}
EXTREME_RUNS = {
    "tau": {"tau": 2e-38},
    "flat": {"c": 2e-38, "clip": 1.0},
    "steep": {"clip": 1e-9},
    "weights": {"hier_weight": 3e38},
    "rates of proxies": {"lr_proxies": 1e37, "lr_loss": 1e37, "weight_decay": 0.0},
    "long warm-up": {"warmup_epochs": 10**14},
    "all neighbours": {"neighbours": 10**14},
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", EXTREME_RUNS)
def test_runs_with_extreme_options_stay_finite(name, schedule, dtype):
    options = SMALL | {"schedule": schedule, "epochs": 1, "dtype": dtype} | EXTREME_RUNS[name]
    content = clustered()
    one = Trainer(content["features"], content["labels"], Config(**options))
    list(one.run_epoch())
    z = embed(content["features"], one.params, one.config)
    assert np.all(np.isfinite(z)) and len(np.unique(z, axis=0)) == len(z)


def trainer(features, **options):
    content = clustered()
    config = Config(**(SIZES | {"epochs": 1} | options))
    return Trainer(features(content["features"]), content["labels"], config)


@pytest.mark.parametrize(
    ("features", "options", "message"),
    [
        (
            lambda f: 1e-9 * f,
            {},
            "features with a typical spread of 1.*e-09 within a row: expected",
        ),
        (lambda f: 0 * f + 3, {}, "features with a typical spread of 0 within a row: expected"),
        (lambda f: f[:, :1], {}, "features with a typical spread of 0 within a row: expected"),
        (lambda f: f * np.float64(1e39), {}, r"features up to .*e\+39: expected at most 3.4e\+38"),
        (lambda f: f * np.float64(-1e39), {}, r"features up to .*e\+39: expected at most 3.4e\+38"),
        (lambda f: f, {"head_scale": 1e30}, "the head maps row 0 beyond what float32 can square"),
        (
            lambda f: f,
            {"head_scale": 1e300, "dtype": "float64"},
            "the head maps row 0 beyond what float64 can square",
        ),
    ],
)
def test_features_that_the_head_cannot_see_are_refused(features, options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        trainer(features, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_features_of_any_size_above_the_least_train_alike(dtype):
    """A power of two is no rounding: only eps is smaller beside larger features."""
    one = trainer(lambda f: f * np.float32(2.0**40), dtype=dtype)
    other = trainer(lambda f: f * np.float32(2.0**100), dtype=dtype)
    for each in (one, other):
        list(each.run_epoch())
    for name, param in one.params.items():
        np.testing.assert_array_equal(param, other.params[name])


def test_a_run_without_memory_says_where_and_what_to_try():
    one = trainer(lambda f: f, triplets=10**14)
    with pytest.raises(MemoryError, match="^epoch 1, batch 1: .*try fewer triplets, proxies or im"):
        list(one.run_epoch())
    assert one.epoch == 0
