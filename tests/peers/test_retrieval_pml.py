"""Recall@K beside pytorch-metric-learning (cosine) and a sort in torch of geoopt's distances."""

import geoopt
import numpy as np
import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN

from hier_ref.poincare import to_ball
from hier_ref.retrieval import recall_at_k


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
