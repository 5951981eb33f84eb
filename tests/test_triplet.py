"""Triplets with a margin: mpmath over all triplets, laws, the gradient, kinks."""

import numpy as np
import pytest
from checks import check_vjp, limit, norm_eps
from loss_cases import C, batch, operation
from loss_reference import cosines, triplets

from hier_ref.losses import LOSSES, Triplet

LABELS = [0, 1, 0, 2, 2, 2, 4]


@pytest.mark.parametrize("margin", [0.2, 1.0, 0.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_triplet_L17_agrees_with_all_triplets_in_mpmath(margin, dtype):
    """Holds (L17)."""
    for seed in range(3):
        z, labels, _ = batch(Triplet(margin), seed, LABELS, dtype=dtype)
        got = Triplet(margin).value(z, labels, {}, C)
        q = [[2 - 2 * s for s in row] for row in cosines(z, z)]
        assert got.dtype == dtype
        assert norm_eps(np.array([got]), [triplets(q, labels, margin)]) <= limit("loss_eps")


def test_triplet_L17_by_hand():
    # Images at 0, 90 and 180 degrees; squared distances 2 and 2 to the middle, 4 across.
    z = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    # anchor 0: 2 - 4 + 0.2 < 0, does not count; anchor 1: 2 - 2 + 0.2
    assert np.isclose(LOSSES["TRIPLET"].value(z, [0, 0, 1], {}, C), 0.2, rtol=1e-14)
    assert np.isclose(Triplet(3.0).value(z, [0, 0, 1], {}, C), (1.0 + 3.0) / 2, rtol=1e-14)


@pytest.mark.parametrize("margin", [0.2, 4.5])
def test_triplet_L17_gradient(margin):
    """Holds (L17')."""
    z, labels, _ = batch(Triplet(margin), 1, LABELS)
    value, vjp = operation(Triplet(margin), labels, ())
    check_vjp(value, vjp, z, rng=np.random.default_rng(1), step=1e-5)


def test_triplet_L17_with_a_huge_margin_depends_on_means_alone():
    # All hinges count: the margin plus the mean of 2 (s_ik - s_ij) over all triplets.
    z, labels, _ = batch(Triplet(), 2, [0, 0, 1, 1])
    s = z @ z.T / np.outer(*[np.linalg.norm(z, axis=1)] * 2)
    want = 100 + 2 * (s[:2, 2:].mean() - (s[0, 1] + s[2, 3]) / 2)
    assert np.isclose(Triplet(100.0).value(z, labels, {}, C), want, rtol=1e-14)


@pytest.mark.parametrize("labels", [[0, 1, 2], [4]], ids=["three classes", "one image"])
def test_triplet_K34_without_a_pair_is_zero_with_gradient_zero(labels):
    z, labels, _ = batch(Triplet(), 3, labels)
    value, grad_z, _ = LOSSES["TRIPLET"].grad(z, labels, {}, C)
    assert value == 0 and not grad_z.any()


def test_triplet_K35_of_one_class_is_zero_with_gradient_zero():
    z, labels, _ = batch(Triplet(), 4, [2, 2, 2])
    value, grad_z, _ = LOSSES["TRIPLET"].grad(z, labels, {}, C)
    assert value == 0 and not grad_z.any()


def test_triplet_K36_a_hinge_at_exactly_zero_does_not_count():
    # Squared distances 0 to the partner, 2 to the other: the hinge is margin - 2.
    """Holds (K36)."""
    z = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    value, grad_z, _ = Triplet(2.0).grad(z, [0, 0, 1], {}, C)
    assert value == 0 and not grad_z.any()
    value, grad_z, _ = Triplet(2.25).grad(z, [0, 0, 1], {}, C)
    assert value == 0.25 and grad_z.any()


def test_triplet_K36_hinges_at_zero_are_left_out_of_the_mean():
    # Anchor 0: 0 - 2 + 2 = 0; anchors 1 and 2 see the partner at 0 and others at 2 and 0.
    z = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert Triplet(2.0).value(z, [0, 0, 1, 2], {}, C) == 2.0
