"""SoftTriple: mpmath, limits, the gradient."""

import numpy as np
import pytest
from checks import check_vjp, limit, norm_eps
from loss_cases import C, batch, operation
from loss_reference import cosines, soft_triple

from hier_ref.losses import LOSSES, NormSoftmax, SoftTriple


@pytest.mark.parametrize("scale, gamma, margin", [(20.0, 0.1, 0.01), (1.0, 1.0, 0.5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_soft_triple_L15_agrees_with_mpmath(scale, gamma, margin, dtype):
    """Holds (L15)."""
    loss = SoftTriple(3, scale, gamma, margin)
    for seed in range(3):
        z, labels, params = batch(loss, seed, dtype=dtype)
        got = loss.value(z, labels, params, C)
        s = cosines(z, params["class_centres"].reshape(15, 6))
        s = [[row[3 * k : 3 * k + 3] for k in range(5)] for row in s]
        want = soft_triple(s, labels, scale, gamma, margin)
        assert got.dtype == dtype
        # the weights in each cosine have exponents of up to 2/gamma
        assert norm_eps(np.array([got]), [want]) <= limit("loss_eps")


def test_soft_triple_L15_by_hand():
    # One centre at the image and one opposite: weights e and 1/e; the other class at right angles.
    z = np.array([[1.0, 0.0]])
    params = {"class_centres": np.array([[[2.0, 0.0], [-1.0, 0.0]], [[0.0, 1.0], [0.0, -3.0]]])}
    got = SoftTriple(2, scale=3.0, gamma=1.0, margin=0.25).value(z, [0], params, C)
    assert np.isclose(got, np.log1p(np.exp(-3 * (np.tanh(1.0) - 0.25))), rtol=1e-15)


def test_soft_triple_L15_with_one_centre_is_normalised_softmax():
    loss = SoftTriple(centres=1, scale=7.0, margin=0.0)
    z, labels, params = batch(loss, 1)
    want = NormSoftmax(1 / 7).value(z, labels, {"class_proxies": params["class_centres"][:, 0]}, C)
    assert np.isclose(loss.value(z, labels, params, C), want, rtol=1e-14)


def test_soft_triple_L15_gradient():
    """Holds (L15')."""
    loss = SoftTriple(centres=3)
    z, labels, params = batch(loss, 2)
    value, vjp = operation(loss, labels, params)
    check_vjp(value, vjp, z, *params.values(), rng=np.random.default_rng(2), step=1e-4)


def test_soft_triple_K37_of_a_single_class_is_zero_with_gradient_zero():
    """Holds (K37)."""
    loss = LOSSES["SOFTTRIPLE"]
    z, labels, params = batch(loss, 3, labels=[0, 0], n_classes=1)
    value, grad_z, grads = loss.grad(z, labels, params, C)
    assert value == 0 and not grad_z.any() and not grads["class_centres"].any()


def test_soft_triple_starts_with_ten_centres_per_class_L5():
    centres = LOSSES["SOFTTRIPLE"].init(np.random.default_rng(4), 50, 40)["class_centres"]
    assert centres.shape == (50, 10, 40)
    # 20,000 numbers: the variance is known to 4 standard deviations
    assert abs(centres.var() / (2 / 50) - 1) <= 4 * np.sqrt(2 / 20000)
