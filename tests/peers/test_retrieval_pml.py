"""Recall@K, R-precision and MAP@R beside pytorch-metric-learning (cosine), and Recall@K beside a
sort in torch of geoopt's distances.
"""

import geoopt
import numpy as np
import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN

from hier_ref.poincare import to_ball
from hier_ref.retrieval.recall import MISS, rank_gallery, recall_at_k


def scene(seed, size=400, dim=16):
    """Clustered vectors with labels, every class at least twice: PML leaves lone queries out."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(size) % 40)
    return rng.standard_normal((40, dim))[labels] + 1.5 * rng.standard_normal((size, dim)), labels


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("own_gallery", [True, False])
def test_precision_at_1_of_pytorch_metric_learning(seed, own_gallery):
    x, labels = scene(seed)
    query, gallery = (
        (slice(None), slice(None)) if own_gallery else (slice(0, 150), slice(150, None))
    )
    calculator = AccuracyCalculator(
        include=("precision_at_1",),
        k=1,
        device=torch.device("cpu"),
        knn_func=CustomKNN(CosineSimilarity()),
    )
    theirs = calculator.get_accuracy(
        torch.from_numpy(x[query]),
        torch.from_numpy(labels[query]),
        torch.from_numpy(x[gallery]),
        torch.from_numpy(labels[gallery]),
        ref_includes_query=own_gallery,
    )["precision_at_1"]
    ours = recall_at_k(x[query], labels[query], x[gallery], labels[gallery], [1], 0, own_gallery)
    assert ours[1] == theirs
    assert 0.1 < theirs < 0.95


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("c", [0.1, 1.0])
@pytest.mark.parametrize("exclude_self", [True, False])
def test_recall_of_topk_over_geoopt_distances(seed, c, exclude_self):
    x, labels = scene(seed)
    z = to_ball(x, c, 2.3)
    points, classes = torch.from_numpy(z), torch.from_numpy(labels)
    d = geoopt.PoincareBall(c=c).dist(points[:, None], points[None])
    if exclude_self:
        d.fill_diagonal_(torch.inf)
    correct = classes[d.topk(10, largest=False).indices] == classes[:, None]
    theirs = {k: correct[:, :k].any(dim=1).double().mean().item() for k in (1, 2, 4, 10)}
    assert recall_at_k(z, labels, z, labels, (1, 2, 4, 10), c, exclude_self) == theirs


# R-precision and MAP@R

METRICS = ("r_precision", "mean_average_precision_at_r")


def accuracy(x, labels, y, gallery_labels, own_gallery, knn=None):
    """Both measures of pytorch-metric-learning; by cosine, or with the neighbours of `knn`."""
    calculator = AccuracyCalculator(
        include=METRICS,
        k="max_bin_count",
        device=torch.device("cpu"),
        knn_func=knn or CustomKNN(CosineSimilarity()),
    )
    sets = (torch.from_numpy(np.asarray(a)) for a in (x, labels, y, gallery_labels))
    found = calculator.get_accuracy(*sets, ref_includes_query=own_gallery)
    return [found[name] for name in METRICS]


def means(found):
    """Ours over the queries that have a correct item: the others are left out there."""
    there = found.rank < MISS
    return [float(a[there].mean()) for a in (found.r_precision, found.average_precision)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("own_gallery", [True, False])
@pytest.mark.parametrize("classes", [3, 40, 150])
def test_r_precision_and_map_at_r_of_random_data(seed, own_gallery, classes):
    x, _ = scene(seed)
    labels = np.random.default_rng(seed).integers(0, classes, 400)  # some stand alone
    parts = (
        (x, labels, x, labels) if own_gallery else (x[:150], labels[:150], x[150:], labels[150:])
    )
    theirs = accuracy(*parts, own_gallery)
    ours = means(rank_gallery(*parts, 0, own_gallery))
    np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=0)
    assert 0 < theirs[1] <= theirs[0] < 1


def tied(seed):
    """Copies of six directions; seen from each, no two others are at the same angle."""
    rng = np.random.default_rng(seed)
    angles = np.radians([0, 5, 15, 35, 75, 155])
    place = rng.integers(0, len(angles), 60)
    labels = (place + (rng.uniform(size=60) < 0.5) * rng.integers(0, 6, 60)) % 6
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)[place], labels


@pytest.mark.parametrize("seed", range(10))
def test_r_precision_and_map_at_r_of_ties_in_the_order_that_we_state(seed):
    """Given the same order of the neighbours, wrong ones first among equals, they agree."""
    x, labels = tied(seed)
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    d = np.round(1 - u @ u.T, 12)
    np.fill_diagonal(d, -1)  # the query itself comes first, and is left out there
    correct = labels[:, None] == labels
    for against, agree in ((correct, True), (~correct, False)):
        order = np.array([np.lexsort((last, row)) for last, row in zip(against, d, strict=True)])

        def knn(query, k, reference, ref_includes_query, order=order):
            places = torch.from_numpy(order[:, ref_includes_query:][:, :k].copy())
            return torch.zeros(places.shape), places

        theirs = accuracy(x, labels, x, labels, True, knn)
        ours = means(rank_gallery(x, labels, x, labels, 0, True))
        if agree:
            np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=0)
        else:  # right ones first: the other end
            assert ours[0] < theirs[0] and ours[1] < theirs[1]


@pytest.mark.parametrize("seed", range(10))
def test_r_precision_and_map_at_r_of_ties_in_their_own_order_are_no_lower(seed):
    x, labels = tied(seed)
    theirs = accuracy(x, labels, x, labels, True)
    ours = means(rank_gallery(x, labels, x, labels, 0, True))
    assert ours[0] <= theirs[0] and ours[1] <= theirs[1]


@pytest.mark.parametrize("bits", [6, 16, 48])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_r_precision_and_map_at_r_of_codes_in_the_order_that_we_state(bits, dtype):
    """Rows of ±1 tie without being equal; theirs, given the order of whole numbers, are ours."""
    x, labels = scene(bits, dim=bits)
    signs = np.where(x > 0, 1, -1)
    apart = -signs @ signs.T
    np.fill_diagonal(apart, -bits - 1)  # the query itself comes first, and is left out there
    order = np.argsort(2 * apart + (labels[:, None] == labels), axis=1, kind="stable")

    def knn(query, k, reference, ref_includes_query):
        places = torch.from_numpy(order[:, ref_includes_query:][:, :k].copy())
        return torch.zeros(places.shape), places

    codes = signs.astype(dtype)
    ours = means(rank_gallery(codes, labels, codes, labels, 0, True))
    theirs = accuracy(codes, labels, codes, labels, True, knn)
    np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=0)
    by_chance = accuracy(codes, labels, codes, labels, True)
    assert ours[0] < by_chance[0] and ours[1] < by_chance[1]
