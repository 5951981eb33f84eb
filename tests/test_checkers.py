"""The tests of the tests: wrong gradients are caught, by each witness alone, and right ones pass.

An `Operation` is a right function and gradient; `WRONG` seeds it with one fault after another.
To cover a new operation, add it to `OPERATIONS` and a few of its likely mistakes to `WRONG`.
"""

from collections.abc import Callable
from typing import NamedTuple

import autograd.numpy as np
import pytest
from autograd import make_vjp
from checks import check_vjp

from hier_ref import head, losses, pairwise, poincare

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
