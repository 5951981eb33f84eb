"""Pairwise cross-entropy: mpmath view by view, laws, the gradient, unequal classes."""

import numpy as np
import pytest
from checks import check_vjp, limit, norm_eps
from loss_cases import C, batch, operation, points
from loss_reference import minus_distances, pair_softmax

from hier_ref.losses import LOSSES, PairSoftmax
from hier_ref.losses.pair_softmax import partners


@pytest.mark.parametrize("views", [2, 3, 4])
@pytest.mark.parametrize("c", [C, 0.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pair_softmax_L16_agrees_with_the_sum_over_views_in_mpmath(views, c, dtype):
    """Holds (L16)."""
    rng = np.random.default_rng(views)
    labels = rng.permutation(np.repeat([5, 1, 8], views))
    z = points(rng, len(labels), 4, c).astype(dtype)
    got = LOSSES["HYP"].value(z, labels, {}, c)
    classes = [list(np.flatnonzero(labels == label)) for label in (5, 1, 8)]
    want = pair_softmax(minus_distances(z, c), classes, 0.2)
    assert got.dtype == dtype
    assert norm_eps(np.array([got]), [want]) <= limit("loss_eps")


def test_pair_softmax_L16_by_hand():
    # Both classes at the origin and at 1 along a diameter; all others at distance 0, 1, 1.
    z = np.tanh(np.sqrt(C) * np.array([[0.0], [1.0], [0.0], [1.0]]) / 2) / np.sqrt(C)
    got = PairSoftmax(tau=0.5).value(z, [0, 0, 1, 1], {}, C)
    # each image: partner at 1 against one at 0 and one at 1; 4 pairs of 8, i = j counted
    assert np.isclose(got, 4 / 8 * np.log(np.exp(2.0) + 2), rtol=1e-14)


def test_pair_softmax_L16_of_equal_images_is_the_logarithm_of_the_candidates():
    z = np.tile([[0.3, 0.4]], (8, 1))
    got = LOSSES["HYP"].value(z, np.repeat(range(4), 2), {}, C)
    assert np.isclose(got, np.log(7) / 2, rtol=1e-15)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 2, 2]])
@pytest.mark.parametrize("c", [C, 0.0])
def test_pair_softmax_L16_gradient(labels, c):
    """Holds (L16')."""
    z, labels, _ = batch(LOSSES["HYP"], 1, labels, c=c)
    value, vjp = operation(LOSSES["HYP"], labels, (), c)
    check_vjp(value, vjp, z, rng=np.random.default_rng(1), step=1e-4)


@pytest.mark.parametrize("labels", [[0, 1, 2], [4]], ids=["three classes", "one image"])
def test_pair_softmax_K34_without_a_pair_is_zero_with_gradient_zero(labels):
    """Holds (K34)."""
    z, labels, _ = batch(LOSSES["HYP"], 2, labels)
    value, grad_z, _ = LOSSES["HYP"].grad(z, labels, {}, C)
    assert value == 0 and grad_z.shape == z.shape and not grad_z.any()


def test_pair_softmax_K35_of_two_images_of_one_class_is_zero_with_gradient_zero():
    # Nobody competes with the partner.
    """Holds (K35)."""
    z, labels, _ = batch(LOSSES["HYP"], 3, [1, 1])
    value, grad_z, _ = LOSSES["HYP"].grad(z, labels, {}, C)
    assert value == 0 and not grad_z.any()


def test_pair_softmax_K38_numbers_views_by_appearance_in_unequal_classes():
    """Holds (K38)."""
    i, j, rest, count = partners([0, 1, 0, 0], 4)
    assert list(zip(i, j, strict=True)) == [(0, 2), (0, 3), (2, 0), (2, 3), (3, 0), (3, 2)]
    # image 1 is a first view as image 0 is; it competes wherever a first view takes part
    assert np.array_equal(rest[:, 1], [True, True, True, False, True, False])
    assert not rest[:, [0, 2, 3]].any()  # in each pair only its own class has those views
    assert count == 3 * 3 + 1 * 1


def test_pair_softmax_K38_of_unequal_classes_by_hand():
    # Equal images: each pair counts log(1 + number of rivals), here 1 for four pairs of six.
    z = np.tile([[0.1, 0.2]], (4, 1))
    assert np.isclose(LOSSES["HYP"].value(z, [0, 1, 0, 0], {}, C), 4 * np.log(2) / 10, rtol=1e-15)
