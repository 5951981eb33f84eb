"""ProxyNCA++ and its released namesake: mpmath, laws, gradients."""

import mpmath
import numpy as np
import pytest
from checks import check_vjp, limit, norm_eps
from loss_cases import C, batch, operation
from loss_reference import cosines, mean_cross_entropy

from hier_ref.losses import LOSSES, NormSoftmax, ProxyAnchor, ProxyNCA, ReleasedProxyNCA


@pytest.mark.parametrize("temperature", [1 / 9, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_proxy_nca_L12_agrees_with_squared_distances_in_mpmath(temperature, dtype):
    """Holds (L12)."""
    loss = ProxyNCA(temperature)
    for seed in range(3):
        z, labels, params = batch(loss, seed, dtype=dtype)
        got = loss.value(z, labels, params, C)
        # |u - p|^2 of unit vectors, expanded in exact arithmetic
        s = cosines(z, params["class_proxies"])
        logits = [[-(1 - 2 * a + 1) / mpmath.mpf(temperature) for a in row] for row in s]
        assert got.dtype == dtype
        error = norm_eps(np.array([got]), [mean_cross_entropy(logits, labels)])
        assert error <= limit("loss_eps")


def test_proxy_nca_L12_by_hand():
    # Squared distances 0, 2 and 4 from a unit vector to its own proxy and two others.
    z = np.array([[2.0, 0.0]])
    params = {"class_proxies": np.array([[1.0, 0.0], [0.0, 5.0], [-3.0, 0.0]])}
    want = np.log1p(np.exp(-18.0) + np.exp(-36.0))
    assert np.isclose(LOSSES["PNCA"].value(z, [0], params, C), want, rtol=1e-14)


def test_proxy_nca_L12_is_normalised_softmax_at_half_the_temperature():
    z, labels, params = batch(LOSSES["PNCA"], 1)
    want = NormSoftmax(1 / 18).value(z, labels, params, C)
    assert np.isclose(LOSSES["PNCA"].value(z, labels, params, C), want, rtol=1e-14)


def mp_released(z, labels, proxies, alpha, margin):
    """log(1 + exp) of the own class and log(1 + sum exp) of the others, for each image."""
    total = mpmath.mpf(0)
    alpha, margin = mpmath.mpf(alpha), mpmath.mpf(margin)
    for row, y in zip(cosines(z, proxies), labels, strict=True):
        total += mpmath.log(1 + mpmath.exp(-alpha * (row[y] - margin)))
        others = [mpmath.exp(alpha * (a + margin)) for k, a in enumerate(row) if k != y]
        total += mpmath.log(1 + mpmath.fsum(others))
    return total / len(z)


@pytest.mark.parametrize("alpha, margin", [(32.0, 0.1), (1.0, 0.0)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_released_proxy_nca_L13_agrees_with_mpmath(alpha, margin, dtype):
    """Holds (L13)."""
    loss = ReleasedProxyNCA(alpha, margin)
    for seed in range(3):
        z, labels, params = batch(loss, seed, dtype=dtype)
        got = loss.value(z, labels, params, C)
        want = mp_released(z, labels, params["class_proxies"], alpha, margin)
        assert got.dtype == dtype
        assert norm_eps(np.array([got]), [want]) <= limit("loss_eps")


def test_released_proxy_nca_L13_by_hand():
    z, params = np.array([[1.0, 0.0]]), {"class_proxies": np.array([[2.0, 0.0], [0.0, 1.0]])}
    got = ReleasedProxyNCA(alpha=2.0, margin=0.5).value(z, [0], params, C)
    assert np.isclose(got, np.log1p(np.exp(-1.0)) + np.log1p(np.exp(1.0)), rtol=1e-15)


def test_released_proxy_nca_L13_is_proxy_anchor_where_each_class_has_one_image():
    # Exchanging images and proxies exchanges the sums: one image per class, all classes present.
    z, labels, params = batch(LOSSES["PA"], 4, labels=[0, 1, 2, 3, 4])
    swapped = {"class_proxies": z}
    want = ProxyAnchor().value(params["class_proxies"], labels, swapped, C)
    got = LOSSES["PNCA_RELEASED"].value(z, labels, params, C)
    assert np.isclose(got, want, rtol=1e-14)


def test_released_proxy_nca_L13_gradient():
    """Holds (L13')."""
    loss = LOSSES["PNCA_RELEASED"]
    z, labels, params = batch(loss, 5)
    value, vjp = operation(loss, labels, params)
    check_vjp(value, vjp, z, *params.values(), rng=np.random.default_rng(5), step=1e-4)


def test_released_proxy_nca_K31_of_a_single_class_only_pulls():
    z, params = np.array([[1.0, 1.0]]), {"class_proxies": np.array([[1.0, 0.0]])}
    got = ReleasedProxyNCA(alpha=1.0, margin=0.0).value(z, [0], params, C)
    assert np.isclose(got, np.log1p(np.exp(-np.sqrt(0.5))), rtol=1e-15)
