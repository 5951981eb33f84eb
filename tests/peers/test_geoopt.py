"""The ball beside geoopt's, in float64, in the interior, where its formulas keep their digits.

geoopt evaluates the textbook forms, clamps norms at 1e-15 and keeps points 1e-5 from the boundary
in float64, so points here stay within 0.9 of the radius. One of its results then carries some tens
of roundings amplified by 1/gap²: the row "autograd" bounds both sides. Gradients of theirs come
from torch.
"""

import geoopt
import pytest
import torch
from ball_reference import points
from checks import limit, relative

from hier_ref import poincare
from hier_ref.pairwise import pairwise_distance, pairwise_distance_vjp

OPERATIONS = {  # our name -> theirs, and which of points and tangents it takes
    "distance": ("dist", "points"),
    "mobius_add": ("mobius_add", "points"),
    "logmap": ("logmap", "points"),
    "expmap": ("expmap", "tangent"),
    "expmap0": ("expmap0", "single"),
    "logmap0": ("logmap0", "single"),
    "conformal_factor": ("lambda_x", "single"),
}


def ball(c):
    """Return geoopt's ball with its curvature in float64."""
    return geoopt.PoincareBall(c=torch.tensor(c, dtype=torch.float64))


def assert_close(got, theirs):
    """Compare relative to the largest entry."""
    assert relative(got, theirs.detach().numpy()) <= limit("autograd")


@pytest.mark.parametrize("c", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("dim", [2, 128])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_and_gradients(name, dim, c, rng):
    theirs, takes = OPERATIONS[name]
    x, y = (points(rng, rng.uniform(0.1, 0.9, 20), dim, c) for _ in range(2))
    args = {"points": (x, y), "tangent": (x, y * poincare.gap(x, c)[:, None]), "single": (x,)}[
        takes
    ]
    inputs = [torch.tensor(arg, requires_grad=True) for arg in args]
    want = getattr(ball(c), theirs)(*inputs)
    got = getattr(poincare, name)(*args, c)
    assert_close(got, want)
    g = rng.standard_normal(got.shape)
    grads = getattr(poincare, f"{name}_vjp")(g, *args, c)
    want.backward(torch.tensor(g))
    for mine, leaf in zip(grads if len(args) == 2 else (grads,), inputs, strict=True):
        assert_close(mine, leaf.grad)


@pytest.mark.parametrize("c", [0.1, 1.0])
def test_distance_matrix_and_gradient(c, rng):
    x, y = (points(rng, rng.uniform(0.1, 0.9, n), 32, c) for n in (30, 40))
    inputs = [torch.tensor(arg, requires_grad=True) for arg in (x, y)]
    want = ball(c).dist(inputs[0][:, None], inputs[1])
    g = rng.standard_normal((30, 40))
    want.backward(torch.tensor(g))
    assert_close(pairwise_distance(x, y, c), want)
    for mine, leaf in zip(pairwise_distance_vjp(g, x, y, c), inputs, strict=True):
        assert_close(mine, leaf.grad)
