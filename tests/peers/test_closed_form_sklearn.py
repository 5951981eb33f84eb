"""Closed forms beside scikit-learn's: the same distances, and the same ranks by cosine."""

import numpy as np
import pytest
from checks import limit, relative
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from hier_ref.baselines.closed_form import fit_lda, fit_pca, fit_whitening
from hier_ref.features.contract import default_features, read_features
from hier_ref.retrieval.recall import rank_gallery
from hier_ref.training.head import layer_norm

WIDTH = 24
EMOJI = read_features(default_features())
ROWS = np.flatnonzero(EMOJI.labels < 80)
LABELS, F = EMOJI.labels[ROWS], layer_norm(EMOJI.features[ROWS].astype(float))[:, :120]


def same_embedding(x, y):
    """Equal up to turns, mirrors and one scale: the Gram matrices are multiples."""
    gram, other = x @ x.T, y @ y.T
    assert relative(gram / np.trace(gram), other / np.trace(other)) <= limit("invariance")
    one, two = (rank_gallery(z, LABELS, z, LABELS, 0.0, True).rank for z in (x, y))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("whiten", [False, True])
def test_principal_components_are_those_of_sklearn(whiten):
    fit = fit_whitening if whiten else fit_pca
    weight, bias = fit(F, WIDTH, np.asarray)
    peer = PCA(WIDTH, whiten=whiten, svd_solver="full").fit(F)
    assert subspace_angles(weight.T, peer.components_.T).max() < limit("invariance")
    same_embedding(F @ weight.T + bias, peer.transform(F))


@pytest.mark.parametrize("shrinkage", [0.01, 0.2, 0.5, 0.9])
def test_discriminants_are_those_of_sklearn(shrinkage):
    weight, bias = fit_lda(F, LABELS, WIDTH, shrinkage, np.asarray)
    peer = LinearDiscriminantAnalysis("eigen", shrinkage=shrinkage, n_components=WIDTH)
    found = peer.fit(F, LABELS).transform(F)  # this solver does not centre
    same_embedding(F @ weight.T + bias, found - found.mean(axis=0))
