"""The head, the optimisers and Proxy-Anchor beside torch and pytorch-metric-learning, in float64.

Both sides round differently, so the limit is `relative <= 1e-12`, the row "autograd", for values,
gradients and whole trajectories alike.
"""

import numpy as np
import pytest
import torch
from checks import limit, relative
from pytorch_metric_learning.losses import ProxyAnchorLoss

from hier_ref.losses import LOSSES, ProxyAnchor
from hier_ref.training.head import (
    head_forward,
    head_vjp,
    init_head,
    layer_norm,
    layer_norm_vjp,
    mlp,
)
from hier_ref.training.optim import (
    SGD,
    AdamW,
    clip_by_norm,
    clip_by_value,
    cosine,
    step_decay,
    warmup,
)

STEPS = 60


def tensor(array):
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def assert_same(got, want):
    want = want.detach().numpy() if isinstance(want, torch.Tensor) else want
    assert relative(got, want) <= limit("autograd")


# The head


@pytest.mark.parametrize("offset, spread", [(0, 1), (0.5, 0.3), (3, 1e-3), (0, 1e-8)])
@pytest.mark.parametrize("eps", [1e-5, 1e-2])
def test_layer_norm_and_its_gradient(offset, spread, eps):
    rng = np.random.default_rng(1)
    f = offset + spread * rng.standard_normal((6, 40))
    g = rng.standard_normal((6, 40))
    x = tensor(f)
    y = torch.nn.functional.layer_norm(x, (40,), eps=eps)
    y.backward(torch.tensor(g))
    assert_same(layer_norm(f, eps), y)
    assert_same(layer_norm_vjp(g, f, eps), x.grad)


def test_head_and_its_gradient():
    rng = np.random.default_rng(2)
    params = init_head(rng, 30, 8)
    params["bias"] = rng.standard_normal(8)
    f, g = rng.standard_normal((5, 30)), rng.standard_normal((5, 8))
    head = torch.nn.Sequential(
        torch.nn.LayerNorm(30, elementwise_affine=False), torch.nn.Linear(30, 8)
    ).double()
    head[1].load_state_dict({k: torch.tensor(v) for k, v in params.items()})
    y = head(torch.tensor(f))
    y.backward(torch.tensor(g))
    grads = head_vjp(g, f, params)
    assert_same(head_forward(f, params), y)
    assert_same(grads["weight"], head[1].weight.grad)
    assert_same(grads["bias"], head[1].bias.grad)


ACTIVATIONS = {"gelu": torch.nn.GELU, "relu": torch.nn.ReLU}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", [False, True])
def test_mlp_and_its_gradient(activation, norm):
    rng = np.random.default_rng(22)
    params = {n: p + rng.standard_normal(p.shape) for n, p in init_head(rng, 30, 20, 8).items()}
    f, g = rng.standard_normal((5, 30)), rng.standard_normal((5, 8))
    hidden, last = torch.nn.Linear(30, 20), torch.nn.Linear(20, 8)
    again = [torch.nn.LayerNorm(20, elementwise_affine=False)] if norm else []
    plain = torch.nn.LayerNorm(30, elementwise_affine=False)
    head = torch.nn.Sequential(plain, hidden, ACTIVATIONS[activation](), *again, last).double()
    theirs = {"hidden_weight": hidden.weight, "hidden_bias": hidden.bias}
    theirs |= {"weight": last.weight, "bias": last.bias}
    with torch.no_grad():
        for name, value in params.items():
            theirs[name].copy_(torch.tensor(value))
    y = head(torch.tensor(f))
    y.backward(torch.tensor(g))
    grads = head_vjp(g, f, params, mlp(activation, norm))
    assert_same(head_forward(f, params, mlp(activation, norm)), y)
    for name, value in theirs.items():
        assert_same(grads[name], value.grad)


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (5, 5)])
def test_orthogonal_start_has_the_same_singular_values(shape):
    weight = init_head(np.random.default_rng(3), shape[1], shape[0], scale=2.0)["weight"]
    theirs = torch.nn.init.orthogonal_(torch.empty(shape, dtype=torch.float64), gain=2.0)
    assert weight.shape == tuple(theirs.shape)
    assert_same(np.linalg.svd(weight, compute_uv=False), torch.linalg.svdvals(theirs))


# Optimisers: a loss whose gradient changes from step to step, followed on both sides


def start(seed):
    rng = np.random.default_rng(seed)
    params = {"weight": rng.standard_normal((4, 5)), "proxies": rng.standard_normal((3, 2))}
    grads = [
        {k: rng.standard_normal(v.shape) * 10.0 ** rng.uniform(-4, 2) for k, v in params.items()}
        for _ in range(STEPS)
    ]
    return params, grads


def follow_theirs(optimizer, tensors, grads, scheduler=None, clip=lambda parameters: None):
    for grad in grads:
        for name, parameter in tensors.items():
            parameter.grad = torch.tensor(grad[name])
        clip(tensors.values())
        optimizer.step()
        if scheduler:
            scheduler.step()


def follow_ours(optimizer, params, grads, schedule=lambda step: 1.0, clip=lambda grads: grads):
    for step, grad in enumerate(grads):
        params = optimizer.step(params, clip(grad), schedule(step))
    return params


RATES = {"weight": 1e-2, "proxies": 1.0}


def groups(tensors):
    return [{"params": [tensors[k]], "lr": lr} for k, lr in RATES.items()]


@pytest.mark.parametrize("decay", [0.0, 1e-4, 1e-1])
@pytest.mark.parametrize("betas, eps", [((0.9, 0.999), 1e-8), ((0.5, 0.9), 1e-4)])
def test_adamw_trajectory(decay, betas, eps):
    params, grads = start(4)
    tensors = {k: tensor(v) for k, v in params.items()}
    theirs = torch.optim.AdamW(groups(tensors), weight_decay=decay, betas=betas, eps=eps)
    follow_theirs(theirs, tensors, grads)
    got = follow_ours(AdamW(params, RATES, decay, betas, eps), params, grads)
    for name in params:
        assert_same(got[name], tensors[name])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_trajectory(momentum):
    params, grads = start(5)
    tensors = {k: tensor(v) for k, v in params.items()}
    theirs = torch.optim.SGD(groups(tensors), momentum=momentum, weight_decay=1e-2)
    follow_theirs(theirs, tensors, grads)
    got = follow_ours(SGD(params, RATES, 1e-2, momentum), params, grads)
    for name in params:
        assert_same(got[name], tensors[name])


SCHEDULES = {
    "cosine": (
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=STEPS),
        lambda step: cosine(step, STEPS),
    ),
    "step": (
        lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=7, gamma=0.5),
        lambda step: step_decay(step, 7, 0.5),
    ),
    "warmup": (
        # LinearLR counts the steps after the first: from 1/12 to 1 in 11 of them
        lambda o: torch.optim.lr_scheduler.LinearLR(o, start_factor=1 / 12, total_iters=11),
        lambda step: warmup(step, 12),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_adamw_trajectory_under_a_schedule(name):
    theirs_of, ours = SCHEDULES[name]
    params, grads = start(6)
    tensors = {k: tensor(v) for k, v in params.items()}
    theirs = torch.optim.AdamW(groups(tensors), weight_decay=1e-2)
    follow_theirs(theirs, tensors, grads, theirs_of(theirs))
    got = follow_ours(AdamW(params, RATES, 1e-2), params, grads, ours)
    for key in params:
        assert_same(got[key], tensors[key])


def test_adamw_trajectory_clipped_by_value():
    params, grads = start(7)
    tensors = {k: tensor(v) for k, v in params.items()}
    theirs = torch.optim.AdamW(groups(tensors), weight_decay=1e-4)
    follow_theirs(
        theirs, tensors, grads, clip=lambda p: torch.nn.utils.clip_grad_value_(list(p), 0.5)
    )
    got = follow_ours(AdamW(params, RATES), params, grads, clip=lambda g: clip_by_value(g, 0.5))
    for name in params:
        assert_same(got[name], tensors[name])


@pytest.mark.parametrize("norm, eps", [(1e-3, 0.0), (1.0, 1e-6), (1e3, 1e-6)])
def test_clip_by_norm_but_for_the_eps_of_torch(norm, eps):
    # where torch clips at all, it multiplies by limit / (norm + 1e-6)
    _, (grads, *_) = start(8)
    whole = np.sqrt(sum(np.sum(g**2) for g in grads.values()))
    grads = {k: norm / whole * g for k, g in grads.items()}
    tensors = {k: tensor(np.zeros_like(g)) for k, g in grads.items()}
    for name, parameter in tensors.items():
        parameter.grad = torch.tensor(grads[name])
    torch.nn.utils.clip_grad_norm_(tensors.values(), 1e-2)
    got = clip_by_norm(grads, 1e-2)
    for name in grads:
        assert_same(got[name], tensors[name].grad * (norm + eps) / norm)


# Proxy-Anchor


def their_proxy_anchor(z, labels, proxies, alpha, margin):
    loss = ProxyAnchorLoss(len(proxies), z.shape[1], margin=margin, alpha=alpha)
    loss.proxies.data = torch.tensor(proxies)
    x = tensor(z)
    value = loss(x, torch.tensor(labels))
    value.backward()
    return value.item(), x.grad, loss.proxies.grad


@pytest.mark.parametrize("alpha, margin", [(32.0, 0.1), (8.0, 0.0)])
@pytest.mark.parametrize("seed", range(60))
def test_proxy_anchor_and_its_gradients(seed, alpha, margin):
    rng = np.random.default_rng(seed)
    n, n_classes, dim = rng.integers(1, 40), rng.integers(2, 30), rng.integers(2, 64)
    z = 10.0 ** rng.uniform(-2, 1) * rng.standard_normal((n, dim))
    labels = rng.integers(n_classes, size=n)
    params = LOSSES["PA"].init(rng, n_classes, dim)
    value, grad_z, grads = ProxyAnchor(alpha, margin).grad(z, labels, params, 0.1)
    want = their_proxy_anchor(z, labels, params["class_proxies"], alpha, margin)
    assert_same(np.array(value), np.array(want[0]))
    assert_same(grad_z, want[1])
    assert_same(grads["class_proxies"], want[2])


def test_proxies_start_as_wide_as_torch_makes_them():
    ours = LOSSES["PA"].init(np.random.default_rng(9), 200, 500)["class_proxies"]
    torch.manual_seed(9)
    theirs = torch.nn.init.kaiming_normal_(torch.empty(200, 500), mode="fan_out").numpy()
    # the standard deviation of 100,000 numbers is known to 1 / sqrt(200,000) of itself
    assert abs(ours.std() / theirs.std() - 1) <= 4 * np.sqrt(2) / np.sqrt(200_000)
