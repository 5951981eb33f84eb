"""The tests of the tests: wrong gradients are caught, by each witness alone, and right ones pass.

An `Operation` is a right function and gradient; `WRONG` seeds it with one fault after another.
To cover a new operation, add it to `OPERATIONS` and a few of its likely mistakes to `WRONG`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import autograd.numpy as np
import pytest
from autograd import make_vjp
from checks import check_vjp

from hier_ref import losses, pairwise, poincare
from hier_ref.losses import multi_similarity
from hier_ref.training import head

C = 0.7  # curvature: large enough that every term with c in it matters
LABELS = np.array([0, 0, 1, 3, 3, 3])  # of 5 classes; classes 2 and 4 are absent


class Operation(NamedTuple):
    """A function f(*args), its gradient vjp(g, *args), and how to draw the arguments."""

    f: Callable
    vjp: Callable
    args: Callable


def ball_points(rng, n=6, dim=3):
    """Points spread between the origin and 0.9 of the radius."""
    x = rng.standard_normal((n, dim))
    radius = rng.uniform(0.2, 0.9, (n, 1)) / np.sqrt(C)
    return radius * x / np.linalg.norm(x, axis=1, keepdims=True)


def two(rng):
    """Two arrays of ball points."""
    return ball_points(rng), ball_points(rng)


def proxy_anchor(loss=losses.ProxyAnchor()):  # noqa: B008 (frozen)
    """Proxy-Anchor and its gradient as functions of z and of the class proxies alone."""

    def value(z, class_proxies):
        return loss.value(z, LABELS, {"class_proxies": class_proxies}, C)

    def vjp(g, z, class_proxies):
        _, grad_z, grads = loss.grad(z, LABELS, {"class_proxies": class_proxies}, C)
        return g * grad_z, g * grads["class_proxies"]

    return value, vjp


def metric(loss):
    """A loss without parameters and its gradient as functions of z alone."""
    return (
        lambda z: loss.value(z, LABELS, {}, C),
        lambda g, z: g * loss.grad(z, LABELS, {}, C)[1],
        lambda rng: (ball_points(rng),),
    )


def with_parameters(loss, name, *shape):
    """A loss with one array of parameters and its gradient as functions of both arrays."""

    def vjp(g, z, p):
        _, grad_z, grads = loss.grad(z, LABELS, {name: p}, C)
        return g * grad_z, g * grads[name]

    return (
        lambda z, p: loss.value(z, LABELS, {name: p}, C),
        vjp,
        lambda rng: (ball_points(rng), rng.standard_normal(shape)),
    )


# Sharper ones, the defaults, would need shorter steps in the central differences.
SOFTMAX = losses.NormSoftmax(temperature=0.5)
RELEASED_NCA = losses.ReleasedProxyNCA(alpha=4.0)
SOFT_TRIPLE = losses.SoftTriple(centres=2, scale=4.0, gamma=0.5)
MS, MS_HYP = losses.MultiSimilarity(2.0, 5.0), losses.HyperbolicMultiSimilarity(1.0, 2.0)
HYP = losses.PairSoftmax(tau=1.0)
TRIPLET = losses.Triplet(margin=4.5)  # every triplet counts: no hinge crosses 0


OPERATIONS = {
    "product": Operation(
        lambda x, y: x * y,
        lambda g, x, y: (g * y, g * x),
        lambda rng: (rng.standard_normal(4), rng.standard_normal(4)),
    ),
    "distance": Operation(
        lambda x, y: poincare.distance(x, y, C),
        lambda g, x, y: poincare.distance_vjp(g, x, y, C),
        two,
    ),
    "mobius_add": Operation(
        lambda x, y: poincare.mobius_add(x, y, C),
        lambda g, x, y: poincare.mobius_add_vjp(g, x, y, C),
        two,
    ),
    "expmap0": Operation(
        lambda u: poincare.expmap0(u, C),
        lambda g, u: poincare.expmap0_vjp(g, u, C),
        lambda rng: (rng.standard_normal((6, 3)),),
    ),
    "pairwise_distance": Operation(
        lambda x, y: pairwise.pairwise_distance(x, y, C),
        lambda g, x, y: pairwise.pairwise_distance_vjp(g, x, y, C),
        two,
    ),
    "layer_norm": Operation(
        head.layer_norm, head.layer_norm_vjp, lambda rng: (rng.standard_normal((4, 7)),)
    ),
    "linear": Operation(
        head.linear,
        head.linear_vjp,
        # A square weight: with another, its transpose would not even have the right shape.
        lambda rng: tuple(rng.standard_normal(shape) for shape in [(4, 5), (5, 5), (5,)]),
    ),
    "proxy_anchor": Operation(
        *proxy_anchor(), lambda rng: (rng.standard_normal((6, 4)), rng.standard_normal((5, 4)))
    ),
    "norm_softmax": Operation(*with_parameters(SOFTMAX, "class_proxies", 5, 3)),
    "released_proxy_nca": Operation(*with_parameters(RELEASED_NCA, "class_proxies", 5, 3)),
    "soft_triple": Operation(*with_parameters(SOFT_TRIPLE, "class_centres", 5, 2, 3)),
    "multi_similarity": Operation(*metric(MS)),
    "hyperbolic_multi_similarity": Operation(*metric(MS_HYP)),
    "pair_softmax": Operation(*metric(HYP)),
    "triplet": Operation(*metric(TRIPLET)),
}


# Faults that fit every operation. Each takes the right gradients, a tuple, and spoils them.


def scaled(factor, position=None):
    """Multiply every gradient, or the one at `position`."""
    return lambda grads, g, *args: tuple(
        grad * factor if position in (None, at) else grad for at, grad in enumerate(grads)
    )


def swapped(grads, g, *args):
    """Give each argument the gradient of the other."""
    return grads[::-1]


def one_entry(grads, g, *args):
    """Spoil the largest entry of the last gradient by 0.05 %."""
    spoilt = grads[-1].copy()
    spoilt.flat[np.argmax(np.abs(spoilt))] *= 1.0005
    return (*grads[:-1], spoilt)


def shifted_rows(grads, g, *args):
    """Give row i the gradient of row i - 1."""
    return (np.roll(grads[0], 1, axis=0), *grads[1:])


def not_a_number(grads, g, *args):
    """Make one entry NaN."""
    spoilt = grads[0].copy()
    spoilt.flat[0] = np.nan
    return (spoilt, *grads[1:])


# Faults of one operation: the mistakes that its derivation invites.


def without_gap_distance(grads, g, x, y):
    """Treat the gaps as constants: 2/sqrt(q (a b + c q)) (x - y) alone."""
    q = np.sum((x - y) ** 2, axis=1, keepdims=True)
    a, b = (1 - C * np.sum(p**2, axis=1, keepdims=True) for p in (x, y))
    slope = 2 * g[:, None] * (x - y) / np.sqrt(q * (a * b + C * q))
    return slope, -slope


def without_gap_pairwise(grads, g, x, y):
    """Treat the gaps as constants, in the matrix."""
    pairs = [without_gap_distance(None, g[:, j], x, y[j][None])[0] for j in range(len(y))]
    return sum(pairs), -np.stack([pair.sum(0) for pair in pairs])


def transposed_pairwise(grads, g, x, y):
    """Read the cotangent with its indices exchanged."""
    return pairwise.pairwise_distance_vjp(g.T.copy(), x, y, C)


def fixed_denominator(grads, g, x, y):
    """Differentiate only the numerator of the textbook form of Möbius addition."""
    x_sq, xy, y_sq = (np.sum(p, axis=1, keepdims=True) for p in (x * x, x * y, y * y))
    below = 1 + 2 * C * xy + C**2 * x_sq * y_sq

    def numerator(x, y):
        x_sq, xy, y_sq = (np.sum(p, axis=1, keepdims=True) for p in (x * x, x * y, y * y))
        return (1 + 2 * C * xy + C * y_sq) * x + (1 - C * x_sq) * y

    return tuple(make_vjp(numerator, at)(x, y)[0](g / below) for at in (0, 1))


def scale_alone(grads, g, u):
    """Treat tanh(zeta)/zeta as a constant."""
    zeta = np.sqrt(C) * np.linalg.norm(u, axis=1, keepdims=True)
    return (np.tanh(zeta) / zeta * g,)


def unchanged_mean(grads, g, f):
    """Forget that the mean of a row moves with its entries."""
    return (grads[0] + np.mean(g, axis=1, keepdims=True) / f.std(axis=1, keepdims=True),)


def unchanged_spread(grads, g, f):
    """Forget that the standard deviation of a row moves with its entries."""
    return ((g - np.mean(g, axis=1, keepdims=True)) / f.std(axis=1, keepdims=True),)


def positive_part(z, p, alpha=32.0, margin=0.1):
    """Proxy-Anchor's positive part, before its division by the classes present."""
    z, p = (x / np.sqrt(np.sum(x**2, axis=1, keepdims=True)) for x in (z, p))
    own = LABELS[:, None] == np.arange(len(p))
    exponents = np.where(own, -alpha * (z @ p.T - margin), -np.inf)
    return np.sum(np.log1p(np.sum(np.exp(exponents), axis=0)))


def only_positive(grads, g, z, p):
    """Drop the negative part: 3 of the classes are present."""
    return tuple(make_vjp(positive_part, at)(z, p)[0](g / 3) for at in (0, 1))


def undivided(grads, g, z, p):
    """Forget to divide the positive part by the classes present."""
    more = (make_vjp(positive_part, at)(z, p)[0](g * 2 / 3) for at in (0, 1))
    return tuple(grad + rest for grad, rest in zip(grads, more, strict=True))


def other_margin(grads, g, z, p):
    """Use 0.11 for the margin 0.1."""
    return proxy_anchor(losses.ProxyAnchor(margin=0.11))[1](g, z, p)


def other_proxies(loss, name, **changes):
    """Use another value of a hyper-parameter."""
    vjp = with_parameters(replace(loss, **changes), name)[1]
    return lambda grads, g, *args: vjp(g, *args)


def other(loss, **changes):
    """Use another value of a hyper-parameter, in a loss without parameters."""
    vjp = metric(replace(loss, **changes))[1]
    return lambda grads, g, z: (vjp(g, z),)


def constant_base(grads, g, z):
    """Treat the base, the mean of all similarities, as a constant."""
    off = ~np.eye(len(z), dtype=bool)
    s = -pairwise.pairwise_distance(z, z, C)
    base = np.sum(s * off) / off.sum()
    alpha, beta = MS_HYP.alpha, MS_HYP.beta
    g_s = multi_similarity.multi_similarity_vjp(g, s - base, LABELS, alpha, beta)
    return (sum(pairwise.pairwise_distance_vjp(-g_s, z, z, C)),)


def only_as_anchor(loss, between):
    """Let the gradient reach an image as the one that looks, not as one looked at."""

    def value(z, w):
        same = LABELS[:, None] == LABELS
        s = between(z, w)
        return loss(s, same & ~np.eye(len(same), dtype=bool), ~same)

    return lambda grads, g, z: (make_vjp(value, 0)(z, z)[0](g),)


def hinges_by_loops(s, positive, negative):
    """The mean of all hinges of TRIPLET, written out."""
    terms = [
        TRIPLET.margin + 2 * (s[i, k] - s[i, j])
        for i, j in np.argwhere(positive)
        for k in np.flatnonzero(negative[i])
    ]
    return sum(terms) / len(terms)


def pulls_and_pushes(s, positive, negative):
    """Both parts of MS, written out with plain exponentials, one row per anchor."""
    pull = np.log(1 + np.sum(np.where(positive, np.exp(-2 * (s - 0.5)), 0), axis=1)) / 2
    return np.mean(pull + np.log(1 + np.sum(np.where(negative, np.exp(5 * (s - 0.5)), 0), 1)) / 5)


def partners_by_loops(s, positive, negative):
    """HYP written out: LABELS has views 0, 1 for class 0, 0 for class 1, 0, 1, 2 for class 3."""
    view = [0, 1, 0, 0, 1, 2]
    terms = []
    for i, j in np.argwhere(positive):
        rivals = [m for m in range(6) if m != i and view[m] in (view[i], view[j])]
        terms.append(np.log(sum(np.exp(s[i, m]) for m in rivals)) - s[i, j])
    return sum(terms) / (len(terms) + 6)


def fixed_weights(grads, g, z, centres):
    """Treat the weights of the centres as constants."""
    gamma, rows = SOFT_TRIPLE.gamma, centres.reshape(-1, 3)
    s = losses.cosine(z, rows).reshape(6, 5, 2)
    w = np.exp(s / gamma) / np.sum(np.exp(s / gamma), axis=2, keepdims=True)

    def value(z, rows):
        classes = np.sum(w * np.reshape(losses.cosine(z, rows), (6, 5, 2)), axis=2)
        own = LABELS[:, None] == np.arange(5)
        logits = SOFT_TRIPLE.scale * (classes - SOFT_TRIPLE.margin * own)
        whole = np.log(np.sum(np.exp(logits), axis=1))
        return np.mean(whole - np.sum(own * logits, axis=1))

    grad_z, grad_rows = (make_vjp(value, at)(z, rows)[0](g) for at in (0, 1))
    return grad_z, grad_rows.reshape(centres.shape)


def minus_distance(z, w):
    """-d, the similarity of HYP at tau = 1."""
    return -pairwise.pairwise_distance(z, w, C)


WRONG = [
    *((name, scaled(1.001)) for name in OPERATIONS),
    *((name, scaled(1.0005)) for name in OPERATIONS),
    *((name, scaled(-1)) for name in OPERATIONS),
    *((name, one_entry) for name in OPERATIONS),
    *((name, not_a_number) for name in OPERATIONS),
    *((name, scaled(0)) for name in OPERATIONS),
    *((name, scaled(-1, position=1)) for name in ("distance", "mobius_add", "pairwise_distance")),
    *((name, swapped) for name in ("product", "distance", "mobius_add", "pairwise_distance")),
    *((name, shifted_rows) for name in OPERATIONS),
    ("distance", without_gap_distance),
    ("mobius_add", fixed_denominator),
    ("expmap0", scale_alone),
    ("pairwise_distance", without_gap_pairwise),
    ("pairwise_distance", transposed_pairwise),
    ("layer_norm", unchanged_mean),
    ("layer_norm", unchanged_spread),
    ("linear", lambda grads, g, f, weight, bias: (g @ weight.T, *grads[1:])),
    ("linear", lambda grads, g, f, weight, bias: (grads[0], grads[1].T, grads[2])),
    ("linear", lambda grads, g, f, weight, bias: (*grads[:2], np.mean(g, axis=0))),
    ("proxy_anchor", only_positive),
    ("proxy_anchor", undivided),
    ("proxy_anchor", other_margin),
    ("norm_softmax", other_proxies(SOFTMAX, "class_proxies", temperature=0.505)),
    ("released_proxy_nca", other_proxies(RELEASED_NCA, "class_proxies", margin=0.11)),
    ("soft_triple", other_proxies(SOFT_TRIPLE, "class_centres", margin=0.02)),
    ("soft_triple", fixed_weights),
    ("multi_similarity", other(MS, base=0.51)),
    ("multi_similarity", only_as_anchor(pulls_and_pushes, losses.cosine)),
    ("hyperbolic_multi_similarity", constant_base),
    ("hyperbolic_multi_similarity", other(MS_HYP, beta=2.02)),
    ("pair_softmax", other(HYP, tau=1.01)),
    ("pair_softmax", only_as_anchor(partners_by_loops, minus_distance)),
    ("triplet", other(TRIPLET, margin=0.2)),
    ("triplet", only_as_anchor(hinges_by_loops, losses.cosine)),
]


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_right_gradient_passes(name, rng):
    operation = OPERATIONS[name]
    check_vjp(operation.f, operation.vjp, *operation.args(rng), rng=rng)


@pytest.mark.parametrize(
    ("witness", "other"), [("autograd", "difference"), ("central difference", "autograd")]
)
@pytest.mark.parametrize(("name", "fault"), WRONG)
def test_a_wrong_gradient_is_caught_by_each_witness_alone(name, fault, witness, other, rng):
    operation = OPERATIONS[name]

    def wrong(g, *args):
        grads = operation.vjp(g, *args)
        return fault(grads if isinstance(grads, tuple) else (grads,), g, *args)

    with pytest.raises(AssertionError, match=f"argument [0-2]: {witness}"):
        check_vjp(operation.f, wrong, *operation.args(rng), rng=rng, **{other: np.inf})


@pytest.mark.parametrize(
    "vjp", [lambda g, x, y: g * y, lambda g, x, y: (g * y, g * x, g), lambda g, x, y: (g[:1], g)]
)
def test_a_gradient_of_another_number_or_shape_is_caught(vjp, rng):
    operation = OPERATIONS["product"]
    with pytest.raises(AssertionError):
        check_vjp(operation.f, vjp, *operation.args(rng), rng=rng)


@pytest.mark.parametrize(
    ("loss", "between", "written_out"),
    [
        (MS, losses.cosine, pulls_and_pushes),
        (HYP, minus_distance, partners_by_loops),
        (TRIPLET, losses.cosine, hinges_by_loops),
    ],
)
def test_faults_of_losses_start_from_the_right_loss(loss, between, written_out, rng):
    z = ball_points(rng)
    same = LABELS[:, None] == LABELS
    got = written_out(between(z, z), same & ~np.eye(6, dtype=bool), ~same)
    assert np.isclose(got, loss.value(z, LABELS, {}, C), rtol=1e-13)
