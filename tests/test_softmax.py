"""Normalised softmax: mpmath, hand values, the gradient, absent classes."""

import mpmath
import numpy as np
import pytest
from checks import check_vjp, limit, norm_eps
from loss_cases import C, batch, operation
from loss_reference import cosines, mean_cross_entropy

from hier_ref.losses import LOSSES, NormSoftmax


@pytest.mark.parametrize("temperature", [0.05, 1.0, 0.001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norm_softmax_L11_agrees_with_mpmath(temperature, dtype):
    """Holds (L11)."""
    loss = NormSoftmax(temperature)
    for seed in range(3):
        z, labels, params = batch(loss, seed, dtype=dtype)
        got = loss.value(z, labels, params, C)
        logits = mpmath.matrix(cosines(z, params["class_proxies"])) / mpmath.mpf(temperature)
        want = mean_cross_entropy(logits.tolist(), labels)
        assert got.dtype == dtype
        assert norm_eps(np.array([got]), [want]) <= limit("loss_eps")


def test_norm_softmax_L11_by_hand():
    # At its proxy, the others at right angles: 1 / (1 + 2 exp(-20)) is the share of the own class.
    z, params = np.array([[3.0, 0.0, 0.0]]), {"class_proxies": 7 * np.eye(3)}
    assert np.isclose(LOSSES["NORMSOFTMAX"].value(z, [0], params, C), np.log1p(2 * np.exp(-20.0)))


def test_norm_softmax_L11_of_equal_proxies_is_the_logarithm_of_their_number():
    z, labels, params = batch(LOSSES["NORMSOFTMAX"], 1)
    params["class_proxies"][:] = params["class_proxies"][0]
    assert np.isclose(LOSSES["NORMSOFTMAX"].value(z, labels, params, C), np.log(5), rtol=1e-14)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_norm_softmax_L11_gradient(temperature):
    """Holds (L11')."""
    loss = NormSoftmax(temperature)
    z, labels, params = batch(loss, 2)
    value, vjp = operation(loss, labels, params)
    check_vjp(value, vjp, z, *params.values(), rng=np.random.default_rng(2), step=1e-4)


def test_norm_softmax_K37_of_a_single_class_is_zero_with_gradient_zero():
    loss = LOSSES["NORMSOFTMAX"]
    z, labels, params = batch(loss, 3, labels=[0, 0], n_classes=1)
    value, grad_z, grads = loss.grad(z, labels, params, C)
    assert value == 0 and not grad_z.any() and not grads["class_proxies"].any()


def test_norm_softmax_K37_an_absent_class_is_pushed_away():
    z, params = np.array([[1.0, 0.0]]), {"class_proxies": np.array([[0.0, 1.0], [1.0, 1.0]])}
    _, _, grads = LOSSES["NORMSOFTMAX"].grad(z, [0], params, C)
    assert grads["class_proxies"][1] @ [1.0, -1.0] > 0  # the way to z raises the loss
