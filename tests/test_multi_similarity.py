"""Multi-similarity by cosine and on the ball: mpmath, laws, gradients, odd batches."""

import numpy as np
import pytest
from checks import check_vjp, limit, norm_eps
from loss_cases import C, batch, operation
from loss_reference import cosines, mean_off_diagonal, minus_distances, multi_similarity

from hier_ref.losses import LOSSES, HyperbolicMultiSimilarity, MultiSimilarity

LABELS = [0, 1, 0, 2, 2, 2, 4]


@pytest.mark.parametrize("alpha, beta, base", [(2.0, 50.0, 0.5), (1.0, 1.0, 0.0)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_multi_similarity_L8_agrees_with_mpmath(alpha, beta, base, dtype):
    """Holds (L8)."""
    loss = MultiSimilarity(alpha, beta, base)
    for seed in range(3):
        z, labels, _ = batch(loss, seed, LABELS, dtype=dtype)
        got, want = (
            loss.value(z, labels, {}, C),
            multi_similarity(cosines(z, z), labels, alpha, beta, base),
        )
        assert got.dtype == dtype
        assert norm_eps(np.array([got]), [want]) <= limit("loss_eps")


def test_multi_similarity_L8_by_hand():
    # Two equal images of class 0, one of class 1 at right angles.
    z = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    got = MultiSimilarity(alpha=2.0, beta=4.0, base=0.5).value(z, [0, 0, 1], {}, C)
    pull, push = np.log1p(np.exp(-1.0)) / 2, np.log1p(np.exp(-2.0)) / 4
    alone = np.log1p(2 * np.exp(-2.0)) / 4
    assert np.isclose(got, (2 * (pull + push) + alone) / 3, rtol=1e-15)


def test_multi_similarity_L8_gradient():
    z, labels, _ = batch(LOSSES["MS"], 1, LABELS)
    value, vjp = operation(LOSSES["MS"], labels, ())
    check_vjp(value, vjp, z, rng=np.random.default_rng(1), step=1e-4)


@pytest.mark.parametrize("c", [C, 0.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hyperbolic_multi_similarity_L9_agrees_with_mpmath(c, dtype):
    for seed in range(3):
        z, labels, _ = batch(LOSSES["MS_HYP"], seed, LABELS, c=c, dtype=dtype)
        got, s = LOSSES["MS_HYP"].value(z, labels, {}, c), minus_distances(z, c)
        want = multi_similarity(s, labels, 1, 5, mean_off_diagonal(s))
        assert got.dtype == dtype
        assert norm_eps(np.array([got]), [want]) <= limit("loss_eps")


def test_hyperbolic_multi_similarity_L9_by_hand():
    # Along a diameter distances add up: 0, 1 and 3 from the origin, so 1, 3 and 2 between pairs.
    z = np.tanh(np.sqrt(C) * np.array([[0.0], [1.0], [3.0]]) / 2) / np.sqrt(C)
    got = HyperbolicMultiSimilarity(alpha=2.0, beta=3.0).value(z, [0, 0, 1], {}, C)
    pull = np.log1p(np.exp(-2.0 * (2 - 1))) / 2  # the mean distance is 2
    push = [np.exp(-3.0 * (3 - 2)), np.exp(-3.0 * (2 - 2))]
    want = (2 * pull + (np.log1p(push[0]) + np.log1p(push[1]) + np.log1p(sum(push))) / 3) / 3
    assert np.isclose(got, want, rtol=1e-14)


@pytest.mark.parametrize("c", [C, 0.0])
def test_hyperbolic_multi_similarity_L9_gradient_includes_that_of_the_base(c):
    z, labels, _ = batch(LOSSES["MS_HYP"], 2, LABELS, c=c)
    value, vjp = operation(LOSSES["MS_HYP"], labels, (), c)
    check_vjp(value, vjp, z, rng=np.random.default_rng(2), step=1e-4)


@pytest.mark.parametrize("c", [C, 0.0])
def test_hyperbolic_multi_similarity_K33_of_one_image_is_zero_with_gradient_zero(c):
    """Holds (K33)."""
    value, grad_z, _ = LOSSES["MS_HYP"].grad(np.array([[0.1, 0.2]]), [3], {}, c)
    assert value == 0 and not grad_z.any()


@pytest.mark.parametrize("name", ["MS", "MS_HYP"])
def test_multi_similarity_K31_without_positives_only_pushes(name):
    # Equal images, so that every hinge of the negative part is the same.
    loss, z = LOSSES[name], np.tile([[0.3, 0.4]], (4, 1))
    over = 0.5 if name == "MS" else 0.0  # cosine 1 less 0.5; distances and their mean are 0
    want = np.log1p(3 * np.exp(loss.beta * over)) / loss.beta
    assert np.isclose(loss.value(z, [0, 1, 2, 3], {}, C), want, rtol=1e-15)


@pytest.mark.parametrize("name", ["MS", "MS_HYP"])
def test_multi_similarity_K31_of_one_class_only_pulls(name):
    loss, z = LOSSES[name], np.tile([[0.3, 0.4]], (4, 1))
    over = 0.5 if name == "MS" else 0.0
    want = np.log1p(3 * np.exp(-loss.alpha * over)) / loss.alpha
    assert np.isclose(loss.value(z, [7, 7, 7, 7], {}, C), want, rtol=1e-15)


def test_hyperbolic_multi_similarity_K10_of_equal_points_has_a_finite_gradient():
    z = np.array([[0.3, 0.4], [0.3, 0.4], [0.0, 0.1]])
    grad_z = LOSSES["MS_HYP"].grad(z, [0, 0, 1], {}, C)[1]
    assert np.array_equal(grad_z[0], grad_z[1]) and np.all(np.isfinite(grad_z)) and grad_z.any()
