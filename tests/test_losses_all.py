"""What holds for every metric loss: gradients, odd batches, precision, stability, refusals."""

import numpy as np
import pytest
from autograd import make_vjp
from checks import check_vjp, limit, relative
from loss_cases import ODD, C, batch, cases, operation, points

from hier_ref.losses import LOSSES

CASES = pytest.mark.parametrize(("name", "c"), cases())


def witness(loss, z, labels, params, c):
    """Gradients by autograd, z first."""
    value, _ = operation(loss, labels, params, c)
    args = (z, *params.values())
    return [make_vjp(value, at)(*args)[0](1.0) for at in range(len(args))]


@CASES
def test_explicit_gradients_are_those_of_autograd_on_200_random_batches(name, c):
    loss, rng, moving = LOSSES[name], np.random.default_rng(1), 0
    for seed in range(200):
        n_classes, dim = rng.integers(2, 7), rng.integers(2, 9)
        labels = [0, 0, 1, *rng.integers(n_classes, size=rng.integers(9))]  # a pair and another
        z, labels, params = batch(loss, seed, labels, n_classes, dim=dim, c=c)
        value, grad_z, grads = loss.grad(z, labels, params, c)
        assert type(value) is float and value == float(loss.value(z, labels, params, c)) >= 0
        got, want = [grad_z, *grads.values()], witness(loss, z, labels, params, c)
        size = max(np.max(np.abs(w)) for w in want)
        for grad, right in zip(got, want, strict=True):
            assert np.max(np.abs(grad - right)) <= limit("autograd") * size
        moving += size > 0
    assert moving >= 180  # few triplets may all be in order


def gap_of_hinges(z, labels, margin):
    """How far the hinge nearest to 0 is from it: over all triplets, by loops."""
    u = z / np.linalg.norm(z, axis=1, keepdims=True)
    q = np.sum((u[:, None] - u) ** 2, axis=2)
    n = range(len(z))
    return min(
        abs(q[i, j] - q[i, k] + margin)
        for i in n
        for j in n
        for k in n
        if i != j and labels[i] == labels[j] != labels[k]
    )


@CASES
@pytest.mark.parametrize("seed", [0, 1, 3])
def test_explicit_gradients_agree_with_central_differences(name, c, seed):
    loss, step = LOSSES[name], 1e-5
    z, labels, params = batch(loss, seed, labels=[0, 1, 0, 2, 2, 2, 4], c=c)
    if name == "TRIPLET":  # no hinge may cross 0 on the way
        assert gap_of_hinges(z, labels, loss.margin) > 16 * step / np.min(np.linalg.norm(z, axis=1))
    value, vjp = operation(loss, labels, params, c)
    check_vjp(value, vjp, z, *params.values(), rng=np.random.default_rng(2), step=step)


@CASES
@pytest.mark.parametrize("odd", ODD)
def test_odd_batches_have_a_finite_loss_and_the_gradient_of_autograd(name, c, odd):
    loss, (labels, n_classes) = LOSSES[name], ODD[odd]
    z, labels, params = batch(loss, 3, labels=labels, n_classes=n_classes, c=c)
    value, grad_z, grads = loss.grad(z, labels, params, c)
    assert np.isfinite(value)
    for got, want in zip(
        [grad_z, *grads.values()], witness(loss, z, labels, params, c), strict=True
    ):
        assert relative(got, want) <= limit("autograd")


@CASES
@pytest.mark.parametrize("labels", [[0, 1, 0, 2, 2, 1, 3], [1]])
def test_float32_gives_float32_of_the_float64_result(name, c, labels):
    loss = LOSSES[name]
    z, labels, params = batch(loss, 4, labels=labels, c=c, dtype=np.float32)
    wide = {key: p.astype(np.float64) for key, p in params.items()}
    value, grad_z, grads = loss.grad(z, labels, params, c)
    want, want_z, want_grads = loss.grad(z.astype(np.float64), labels, wide, c)
    assert loss.value(z, labels, params, c).dtype == np.float32
    assert abs(value - want) <= limit("float32_grad") * abs(want)
    for got, right in [(grad_z, want_z), *((grads[key], want_grads[key]) for key in grads)]:
        assert got.dtype == np.float32 and right.dtype == np.float64
        assert relative(got, right) <= limit("float32_grad")


@CASES
def test_repeated_images_share_one_gradient(name, c):
    loss = LOSSES[name]
    z, labels, params = batch(loss, 5, labels=[0, 0, 1, 1, 2, 3], c=c)
    z[1] = z[0]
    grad_z = loss.grad(z, labels, params, c)[1]
    assert np.any(grad_z[0])
    assert relative(grad_z[1], grad_z[0]) <= limit("autograd")
    assert relative(grad_z, witness(loss, z, labels, params, c)[0]) <= limit("autograd")


@CASES
def test_the_order_of_the_images_does_not_matter(name, c):
    loss, order = LOSSES[name], np.random.default_rng(6).permutation(8)
    z, labels, params = batch(loss, 6, labels=[0, 0, 1, 1, 2, 2, 3, 3], c=c)
    value, grad_z, _ = loss.grad(z, labels, params, c)
    again, grad_again, _ = loss.grad(z[order], labels[order], params, c)
    assert relative(again, value) <= limit("autograd")
    assert relative(grad_again, grad_z[order]) <= limit("autograd")


@CASES
def test_a_rotation_turns_the_gradient_along(name, c):
    loss, rng = LOSSES[name], np.random.default_rng(7)
    z, labels, params = batch(loss, 7, labels=[0, 0, 1, 1, 2, 2, 3], c=c)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    value, grad_z, _ = loss.grad(z, labels, params, c)
    turned = {key: p @ turn for key, p in params.items()}
    again, grad_again, _ = loss.grad(z @ turn, labels, turned, c)
    assert relative(again, value) <= limit("autograd")
    assert relative(grad_again, grad_z @ turn) <= limit("autograd")


@CASES
def test_the_loss_falls_when_following_its_gradient(name, c):
    loss, step = LOSSES[name], 1e-6
    z, labels, params = batch(loss, 8, labels=[0, 0, 1, 1, 2, 2, 3], c=c)
    before, grad_z, grads = loss.grad(z, labels, params, c)
    moved = {key: p - step * grads[key] for key, p in params.items()}
    slope = sum(np.sum(g**2) for g in [grad_z, *grads.values()])
    assert slope > 0
    after = loss.value(z - step * grad_z, labels, moved, c)
    assert 0.9 * step * slope < before - after < 1.1 * step * slope


@pytest.mark.parametrize("name", [name for name, c in cases() if name not in ("MS_HYP", "HYP")])
@pytest.mark.parametrize(("dtype", "power"), [(np.float32, 37), (np.float64, 300)])
def test_losses_of_directions_survive_all_lengths(name, dtype, power):
    loss = LOSSES[name]
    z, labels, params = batch(loss, 9, labels=[0, 0, 1, 2], dtype=dtype)
    want = loss.value(z, labels, params, C)
    for factor in (10.0**power, 10.0**-power):
        scaled = (z.astype(np.float64) * factor).astype(dtype)
        value, grad_z, grads = loss.grad(scaled, labels, params, C)
        assert abs(value - want) <= 1e3 * np.finfo(dtype).eps * abs(want)
        assert all(np.all(np.isfinite(g)) for g in grads.values())
        if factor > 1:
            assert np.all(np.isfinite(grad_z))  # the slope at length 1e-300 is beyond all numbers


@pytest.mark.parametrize("name", ["MS_HYP", "HYP"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_on_the_ball_survive_its_boundary(name, dtype):
    loss, rng = LOSSES[name], np.random.default_rng(10)
    z = points(rng, 6, 5, c=C)
    z *= (1 - 10 * np.finfo(dtype).eps) / np.linalg.norm(z, axis=1, keepdims=True) / np.sqrt(C)
    z[0] = 0
    value, grad_z, _ = loss.grad(z.astype(dtype), [0, 0, 1, 1, 2, 2], {}, C)
    assert value > 0 and np.all(np.isfinite(grad_z))


@CASES
def test_K30_of_zero_images_every_loss_is_defined(name, c):
    loss = LOSSES[name]
    z, labels, params = batch(loss, 11, labels=[0, 0, 1, 2], c=c)
    z[:2] = 0
    value, grad_z, grads = loss.grad(z, labels, params, c)
    for got, want in zip(
        [grad_z, *grads.values()], witness(loss, z, labels, params, c), strict=True
    ):
        assert relative(got, want) <= limit("autograd")
    assert np.isfinite(value)


@CASES
def test_K32_of_an_empty_batch_is_refused(name, c):
    """Holds (K32)."""
    loss = LOSSES[name]
    params = loss.init(np.random.default_rng(12), 3, 6)
    for method in (loss.value, loss.grad):
        with pytest.raises(ValueError, match="empty batch: expected at least one image"):
            method(np.zeros((0, 6)), np.zeros(0, int), params, c)


@CASES
def test_another_number_of_labels_is_refused(name, c):
    loss = LOSSES[name]
    z, _, params = batch(loss, 13, n=3, c=c)
    for method in (loss.value, loss.grad):
        with pytest.raises(ValueError, match=r"labels of shape \(2,\): expected \(3,\)"):
            method(z, [0, 1], params, c)


@pytest.mark.parametrize("name", ["PA", "PNCA", "PNCA_RELEASED", "SOFTTRIPLE", "NORMSOFTMAX"])
@pytest.mark.parametrize("label", [-1, 5, 0.5])
def test_a_label_without_a_proxy_is_refused(name, label):
    loss = LOSSES[name]
    z, _, params = batch(loss, 14, n=2)
    for method in (loss.value, loss.grad):
        with pytest.raises(ValueError, match=f"label {label}: expected 0 to 4"):
            method(z, [0, label], params, C)


@pytest.mark.parametrize("name", ["MS", "MS_HYP", "HYP", "TRIPLET"])
def test_losses_between_images_take_any_labels_and_no_parameters(name):
    loss = LOSSES[name]
    z, labels, params = batch(loss, 15, labels=[0, 0, 1, 1, 2])
    assert params == {}
    want = loss.value(z, labels, {}, C)
    assert want > 0
    assert loss.value(z, np.array([-7, -7, 10**12, 10**12, 3]), {}, C) == want


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in ("MS_HYP", "HYP")])
def test_losses_of_directions_are_the_same_for_every_curvature(name):
    loss = LOSSES[name]
    z, labels, params = batch(loss, 16)
    assert len({float(loss.value(z, labels, params, c)) for c in (0.0, 0.1, 4.0)}) == 1


@pytest.mark.parametrize("name", LOSSES)
def test_parameters_are_a_function_of_the_generator(name):
    first, again = (LOSSES[name].init(np.random.default_rng(17), 4, 3) for _ in "ab")
    assert first.keys() == again.keys()
    for key, p in first.items():
        assert p.dtype == np.float64 and p.tobytes() == again[key].tobytes()
