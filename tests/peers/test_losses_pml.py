"""Metric losses beside those of pytorch-metric-learning, each in its own precision.

It adds small constants (to sums, before logarithms) and clips, so that the limit is 1e-6 of the
largest entry, in float64. Proxy-Anchor is in test_torch_parts.py.
"""

import numpy as np
import pytest
import torch
from checks import relative
from loss_cases import points
from pytorch_metric_learning import distances
from pytorch_metric_learning import losses as theirs

from hier_ref.losses import (
    MultiSimilarity,
    NormSoftmax,
    PairSoftmax,
    ProxyNCA,
    SoftTriple,
    Triplet,
)

PRECISION = 1e-6
SEEDS = range(100)


def tensor(array):
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def assert_same(loss, peer, z, labels, params=None, theirs_of=None, c=0.1, factor=1.0):
    """Compare values and gradients; `theirs_of` lays our one parameter out as theirs."""
    params, x = params or {}, tensor(z)
    if params:
        (name, ours), (parameter,) = *params.items(), peer.parameters()
        parameter.data = torch.tensor(theirs_of(ours))
    want = peer(x, torch.tensor(labels))
    want.backward()
    value, grad_z, grads = loss.grad(z, labels, params, c)
    assert relative(factor * value, want.detach().numpy()) <= PRECISION
    assert relative(factor * grad_z, x.grad.numpy()) <= PRECISION
    if params:
        assert relative(theirs_of(grads[name]), parameter.grad.numpy()) <= PRECISION


def batch(seed, classes=2):
    """Ball points of a random size, at least one pair and two classes, and the rng."""
    rng = np.random.default_rng(seed)
    n_classes, dim = rng.integers(classes, 20), rng.integers(2, 32)
    labels = np.array([0, 0, 1, *rng.integers(n_classes, size=rng.integers(30))])
    return rng, points(rng, len(labels), dim), labels, n_classes


@pytest.mark.parametrize("seed", SEEDS)
def test_multi_similarity(seed):
    rng, z, labels, _ = batch(seed)
    alpha, beta, base = rng.choice([1.0, 2.0, 5.0]), rng.choice([10.0, 50.0]), rng.uniform(0, 1)
    peer = theirs.MultiSimilarityLoss(alpha, beta, base)
    assert_same(MultiSimilarity(alpha, beta, base), peer, z, labels)


@pytest.mark.parametrize("seed", SEEDS)
def test_norm_softmax(seed):
    rng, z, labels, n_classes = batch(seed)
    loss = NormSoftmax(rng.choice([0.05, 0.5]))
    peer = theirs.NormalizedSoftmaxLoss(n_classes, z.shape[1], loss.temperature)
    assert_same(loss, peer, z, labels, loss.init(rng, n_classes, z.shape[1]), np.transpose)


@pytest.mark.parametrize("seed", SEEDS)
def test_proxy_nca(seed):
    rng, z, labels, n_classes = batch(seed)
    loss = ProxyNCA(rng.choice([1 / 9, 1.0]))
    peer = theirs.ProxyNCALoss(n_classes, z.shape[1], softmax_scale=1 / loss.temperature)
    assert_same(loss, peer, z, labels, loss.init(rng, n_classes, z.shape[1]), np.array)


@pytest.mark.parametrize("seed", SEEDS)
def test_soft_triple(seed):
    rng, z, labels, n_classes = batch(seed)
    loss = SoftTriple(int(rng.integers(1, 11)), gamma=rng.choice([0.1, 1.0]))
    n, dim = loss.centres, z.shape[1]
    peer = theirs.SoftTripleLoss(n_classes, dim, n, loss.scale, loss.gamma, loss.margin)

    def columns(rows):
        return rows.reshape(-1, dim).T

    assert_same(loss, peer, z, labels, loss.init(rng, n_classes, dim), columns)


@pytest.mark.parametrize("seed", SEEDS)
def test_triplet(seed):
    rng, z, labels, _ = batch(seed)
    margin = rng.choice([0.2, 1.0])
    peer = theirs.TripletMarginLoss(margin, distance=distances.LpDistance(power=2))
    assert_same(Triplet(margin), peer, z, labels)


@pytest.mark.parametrize("peer", [theirs.SupConLoss, theirs.NTXentLoss])
@pytest.mark.parametrize("seed", SEEDS)
def test_pair_softmax_on_the_sphere_is_half_of_theirs_for_pairs(seed, peer):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(rng.integers(2, 20)), 2))
    z, tau = points(rng, len(labels), int(rng.integers(2, 32)), c=0), rng.choice([0.07, 0.2])
    distance = distances.DotProductSimilarity(normalize_embeddings=False)
    assert_same(PairSoftmax(tau), peer(tau, distance=distance), z, labels, c=0.0, factor=2.0)
