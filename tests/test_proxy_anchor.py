"""Proxy-Anchor: equation 4 in mpmath, laws, gradients, degenerate batches."""

import mpmath
import numpy as np
import pytest
from checks import check_vjp, exact, limit, norm_eps, relative

from hier_ref.losses import LOSSES, ProxyAnchor, cosine

C = 0.1  # Proxy-Anchor ignores the curvature: test_proxy_anchor_L4_is_the_same_for_every_curvature


def batch(seed=0, n=7, n_classes=5, dim=6, dtype=np.float64):
    rng = np.random.default_rng(seed)
    z = 0.5 * rng.standard_normal((n, dim))
    labels = rng.integers(n_classes, size=n)
    params = ProxyAnchor().init(rng, n_classes, dim)
    return z.astype(dtype), labels, {k: v.astype(dtype) for k, v in params.items()}


def mp_cosine(x, y):
    return mpmath.fdot(x, y) / (mpmath.norm(x) * mpmath.norm(y))


def mp_proxy_anchor(z, labels, proxies, alpha, margin):
    """Equation 4 of the paper, sum by sum, with plain exponentials."""
    alpha, margin = mpmath.mpf(alpha), mpmath.mpf(margin)
    positive = negative = mpmath.mpf(0)
    for k, proxy in enumerate(proxies):
        own = [mp_cosine(x, proxy) for x, label in zip(z, labels, strict=True) if label == k]
        other = [mp_cosine(x, proxy) for x, label in zip(z, labels, strict=True) if label != k]
        if own:
            pull = mpmath.fsum([mpmath.exp(-alpha * (s - margin)) for s in own])
            positive += mpmath.log(1 + pull) / len(set(labels))
        push = mpmath.fsum([mpmath.exp(alpha * (s + margin)) for s in other])
        negative += mpmath.log(1 + push) / len(proxies)
    return positive + negative


@pytest.mark.parametrize("alpha, margin", [(32.0, 0.1), (1.0, 0.0), (100.0, -0.3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_proxy_anchor_L4_agrees_with_equation_4_in_mpmath(alpha, margin, dtype):
    """Holds (L4)."""
    for seed in range(3):
        z, labels, params = batch(seed, dtype=dtype)
        got = ProxyAnchor(alpha, margin).value(z, labels, params, C)
        want = mp_proxy_anchor(exact(z), labels, exact(params["class_proxies"]), alpha, margin)
        assert got.dtype == dtype
        assert norm_eps(np.array([got]), [want]) <= limit("loss_eps")


def test_proxy_anchor_L4_by_hand():
    # Two images of class 0 at its proxy; class 1 opposite, absent, class 2 at right angles.
    z = np.array([[2.0, 0.0], [1.0, 0.0]])
    params = {"class_proxies": np.array([[1.0, 0.0], [-3.0, 0.0], [0.0, 1.0]])}
    got = ProxyAnchor(alpha=2.0, margin=0.5).value(z, [0, 0], params, C)
    positive = np.log(1 + 2 * np.exp(-1.0))  # one class present
    negative = (np.log(1 + 2 * np.exp(-1.0)) + np.log(1 + 2 * np.exp(1.0))) / 3
    assert np.isclose(got, positive + negative, rtol=1e-15, atol=0)


def test_proxy_anchor_L4_tends_to_the_hinge_of_the_hardest_image():
    z, labels, params = batch(12)
    s, margin = cosine(z, params["class_proxies"]), 0.1
    own = labels[:, None] == np.arange(5)
    hardest_own = np.where(own, margin - s, 0).max(axis=0).clip(0)
    hardest_other = np.where(own, 0, margin + s).max(axis=0).clip(0)
    want = hardest_own.sum() / len(set(labels)) + hardest_other.sum() / 5
    got = ProxyAnchor(1e7, margin).value(z, labels, params, C) / 1e7
    assert np.isclose(got, want, rtol=0, atol=1e-6)  # at most log(1 + B) / alpha for each part


def test_proxy_anchor_L4_forgets_lengths_order_and_rotation():
    z, labels, params = batch(13)
    proxies = params["class_proxies"]
    rng = np.random.default_rng(14)
    want = LOSSES["PA"].value(z, labels, params, C)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    order = rng.permutation(len(z))
    for z_, labels_, proxies_ in [
        (z * rng.uniform(0.1, 10, (7, 1)), labels, proxies * rng.uniform(0.1, 10, (5, 1))),
        (z[order], labels[order], proxies),
        (z @ turn, labels, proxies @ turn),
    ]:
        got = LOSSES["PA"].value(z_, labels_, {"class_proxies": proxies_}, C)
        assert np.isclose(got, want, rtol=1e-13, atol=0)


def test_proxy_anchor_L4_is_the_same_for_every_curvature():
    z, labels, params = batch(15)
    values = {float(LOSSES["PA"].value(z, labels, params, c)) for c in (0.01, 0.1, 4.0)}
    assert len(values) == 1


def check_gradient(loss, z, labels, params):
    value, grad_z, grad_params = loss.grad(z, labels, params, C)
    assert isinstance(value, float)
    assert value == float(loss.value(z, labels, params, C))
    assert grad_params.keys() == params.keys()

    def vjp(g, z, proxies):
        _, grad_z, grads = loss.grad(z, labels, {"class_proxies": proxies}, C)
        return g * grad_z, g * grads["class_proxies"]

    check_vjp(
        lambda z, proxies: loss.value(z, labels, {"class_proxies": proxies}, C),
        vjp,
        z,
        params["class_proxies"],
        rng=np.random.default_rng(16),
        step=1e-4,  # the loss bends at the scale 1/alpha
    )


@pytest.mark.parametrize("seed", range(4))
def test_proxy_anchor_L4_gradient(seed):
    """Holds (L4')."""
    check_gradient(LOSSES["PA"], *batch(seed))


@pytest.mark.parametrize(
    "labels, n_classes",
    [
        pytest.param([2, 2, 2, 2], 5, id="one class"),
        pytest.param([1], 5, id="one image"),
        pytest.param([0, 0, 0], 1, id="a single proxy: nothing to push"),
        pytest.param([0, 1, 2, 3], 30, id="most classes absent"),
    ],
)
def test_proxy_anchor_L4_gradient_of_odd_batches(labels, n_classes):
    z, _, params = batch(17, n=len(labels), n_classes=n_classes)
    check_gradient(LOSSES["PA"], z, np.array(labels), params)


def test_proxy_anchor_L4_gradient_of_repeated_images_is_shared():
    z, labels, params = batch(18)
    z[1], labels[1] = z[0], labels[0]
    check_gradient(LOSSES["PA"], z, labels, params)
    grad_z = LOSSES["PA"].grad(z, labels, params, C)[1]
    assert np.array_equal(grad_z[0], grad_z[1])


def test_proxy_anchor_L4_gradient_is_at_right_angles_to_every_row():
    z, labels, params = batch(19)
    _, grad_z, grads = LOSSES["PA"].grad(z, labels, params, C)
    for grad, rows in [(grad_z, z), (grads["class_proxies"], params["class_proxies"])]:
        assert np.max(np.abs(np.sum(grad * rows, axis=1))) <= 1e-12


def test_proxy_anchor_L4_gradient_in_float32_is_the_float64_one_rounded():
    z, labels, params = batch(20, dtype=np.float32)
    wide = {k: v.astype(np.float64) for k, v in params.items()}
    got = LOSSES["PA"].grad(z, labels, params, C)
    _, want_z, want_grads = LOSSES["PA"].grad(z.astype(np.float64), labels, wide, C)
    for found, witness in [
        (got[1], want_z),
        (got[2]["class_proxies"], want_grads["class_proxies"]),
    ]:
        assert found.dtype == np.float32 and witness.dtype == np.float64
        assert relative(found, witness) <= limit("float32_grad")


def test_proxy_anchor_L4_falls_when_following_its_gradient():
    z, labels, params = batch(21)
    before, grad_z, grads = LOSSES["PA"].grad(z, labels, params, C)
    moved = {"class_proxies": params["class_proxies"] - 1e-5 * grads["class_proxies"]}
    after = LOSSES["PA"].value(z - 1e-5 * grad_z, labels, moved, C)
    slope = np.sum(grad_z**2) + np.sum(grads["class_proxies"] ** 2)
    assert 0.9 * 1e-5 * slope < before - after < 1.1e-5 * slope


def test_proxy_anchor_L4_survives_a_huge_alpha():
    z, labels, params = batch(22, dtype=np.float32)
    value, grad_z, grads = ProxyAnchor(alpha=1e6).grad(z, labels, params, C)
    assert np.isfinite(value) and np.all(np.isfinite(grad_z))
    assert np.all(np.isfinite(grads["class_proxies"]))


def test_proxy_anchor_K30_of_a_zero_image_counts_with_cosine_zero():
    z, labels, params = batch(23)
    z[2] = 0
    value, grad_z, grads = LOSSES["PA"].grad(z, labels, params, C)
    want = proxy_anchor_by_loops(z, labels, params["class_proxies"])
    assert np.isclose(value, want, rtol=1e-13, atol=0)
    assert not grad_z[2].any()
    assert np.all(np.isfinite(grad_z)) and np.all(np.isfinite(grads["class_proxies"]))


def proxy_anchor_by_loops(z, labels, proxies):
    """Equation 4 by loops, with the cosine of a zero row put in as 0."""
    total = 0.0
    for k, p in enumerate(proxies):
        s = [x @ p / (np.linalg.norm(x) * np.linalg.norm(p)) if x.any() else 0.0 for x in z]
        own = [np.exp(-32 * (a - 0.1)) for a, y in zip(s, labels, strict=True) if y == k]
        other = [np.exp(32 * (a + 0.1)) for a, y in zip(s, labels, strict=True) if y != k]
        total += np.log(1 + sum(own)) / len(set(labels)) + np.log(1 + sum(other)) / len(proxies)
    return total


def test_proxy_anchor_K31_an_absent_class_only_pushes():
    # The proxy of an absent class opposite to all images: nothing to pull, hardly any push.
    z, params = np.array([[1.0, 0.0]]), {"class_proxies": np.array([[1.0, 0.0], [-1.0, 0.0]])}
    got = LOSSES["PA"].value(z, [0], params, C)
    want = np.log1p(np.exp(-32 * 0.9)) + np.log1p(np.exp(-32 * 0.9)) / 2
    assert np.isclose(got, want, rtol=1e-13, atol=0)


def test_proxy_anchor_K32_of_an_empty_batch_is_refused():
    _, _, params = batch()
    for method in (LOSSES["PA"].value, LOSSES["PA"].grad):
        with pytest.raises(ValueError, match="empty batch: expected at least one image"):
            method(np.zeros((0, 6)), np.zeros(0, int), params, C)


@pytest.mark.parametrize("label", [-1, 5, 0.5])
def test_proxy_anchor_refuses_a_label_that_has_no_proxy(label):
    z, _, params = batch(n=2)
    for method in (LOSSES["PA"].value, LOSSES["PA"].grad):
        with pytest.raises(ValueError, match=f"label {label}: expected 0 to 4"):
            method(z, [0, label], params, C)


def test_proxy_anchor_refuses_another_number_of_labels():
    z, _, params = batch(n=3)
    with pytest.raises(ValueError, match=r"labels of shape \(1,\): expected \(3,\)"):
        LOSSES["PA"].value(z, [0], params, C)


def test_proxy_anchor_L5_starts_with_kaiming_fan_out():
    """Holds (L5)."""
    proxies = LOSSES["PA"].init(np.random.default_rng(24), 50, 400)["class_proxies"]
    assert proxies.shape == (50, 400) and proxies.dtype == np.float64
    # 20,000 numbers: mean and variance are known to 4 standard deviations
    assert abs(proxies.mean()) <= 4 * np.sqrt(2 / 50 / 20000)
    assert abs(proxies.var() / (2 / 50) - 1) <= 4 * np.sqrt(2 / 20000)


def test_proxy_anchor_L5_is_a_function_of_the_generator():
    first, again = (LOSSES["PA"].init(np.random.default_rng(25), 4, 3) for _ in "ab")
    assert first["class_proxies"].tobytes() == again["class_proxies"].tobytes()
