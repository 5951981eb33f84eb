"""Closed forms: hand values, mpmath, laws of covariances, the best map known beforehand, kinks."""

import tracemalloc

import mpmath
import numpy as np
import pytest
from checks import exact, limit, relative
from scipy.linalg import eigh, subspace_angles
from scipy.stats import multivariate_normal

from hier_ref.baselines import closed_form
from hier_ref.baselines.closed_form import (
    SHRINKAGES,
    UNJUDGED,
    Moments,
    choose_shrinkage,
    fit_lda,
    fit_pca,
    fit_whitening,
    lda,
    moments,
    pca,
    shrunk,
    whitening,
)
from hier_ref.retrieval.recall import recall_at_k
from hier_ref.training.head import head_forward, layer_norm

EPS = np.finfo(float).eps
AS_IS = np.asarray
each_fit = pytest.mark.parametrize(
    "fit",
    [
        lambda f, y, width: fit_pca(f, width),
        lambda f, y, width: fit_whitening(f, width),
        lambda f, y, width: fit_lda(f, y, width, 0.2),
    ],
    ids=["pca", "whitening", "lda"],
)


def mixing(rng, size):
    """An invertible map, of condition 16."""
    one, other = np.linalg.qr(rng.standard_normal((2, size, size)))[0]
    return one * np.geomspace(0.25, 4, size) @ other


def scene(rng, classes=12, images=5, size=6, offset=0.0):
    """Rows in classes of unequal spread by column, and their labels, shuffled and not 0 .. C-1."""
    labels = rng.permutation(np.repeat(3 * np.arange(classes) + 2, images))
    centres = 2 * rng.standard_normal((3 * classes + 2, size))
    noise = rng.standard_normal((len(labels), size)) @ mixing(rng, size)
    return centres[labels] + noise + offset, labels


def recall(z, labels):
    return recall_at_k(z, labels, z, labels, [1], 0.0, True)[1]


def close(got, want, row="closed_form"):
    assert relative(got, want) <= limit(row)


# ---- Moments


def test_moments_M1_by_hand():
    """Holds (M1)."""
    f = np.array([[5.0, 3.0], [0.0, 0.0], [5.0, 5.0], [2.0, 0.0]])
    found = moments(f, [9, 7, 9, 7], norm=AS_IS)
    assert found.mean.tolist() == [3, 2]
    assert found.within.tolist() == [[0.5, 0], [0, 0.5]]
    assert found.between.tolist() == [[4, 4], [4, 4]]
    assert found.total.tolist() == [[4.5, 4], [4, 4.5]]


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_moments_M1_against_mpmath(rng, offset):
    f, labels = scene(rng, classes=3, images=4, size=3, offset=offset)
    rows = mpmath.matrix(exact(f))
    mean = [mpmath.fsum(rows[:, k]) / len(f) for k in range(3)]
    means = {
        y: [mpmath.fsum(rows[int(i), k] for i in np.flatnonzero(labels == y)) / 4 for k in range(3)]
        for y in set(labels.tolist())
    }

    def outer(vectors):
        sums = [[mpmath.fsum(v[j] * v[k] for v in vectors) for k in range(3)] for j in range(3)]
        return np.array(sums, float) / len(f)

    own = [means[y] for y in labels.tolist()]
    within = outer([[rows[i, k] - own[i][k] for k in range(3)] for i in range(len(f))])
    between = outer([[m[k] - mean[k] for k in range(3)] for m in own])
    found = moments(f, labels, norm=AS_IS)
    close(found.within, within, "moments")
    close(found.between, between, "moments")


def test_moments_M1_add_up_to_the_covariance(rng):
    f, labels = scene(rng)
    close(moments(f, labels, norm=AS_IS).total, np.cov(f.T, bias=True))


@pytest.mark.parametrize("block", [1, 6, 40, 10**6])
def test_moments_M1_do_not_depend_on_blocks(rng, monkeypatch, block):
    """One row, a part of a class, several classes, everything at a time."""
    f, labels = scene(rng)
    labels[labels > 20] = 20  # one class is larger than most blocks
    want = moments(f, labels, norm=AS_IS)
    monkeypatch.setattr(closed_form, "BLOCK", block)
    for got, wanted in zip(moments(f, labels, norm=AS_IS), want, strict=True):
        close(got, wanted)


def test_moments_M1_of_chosen_rows_are_those_of_a_copy(rng):
    f, labels = scene(rng)
    rows = rng.permutation(len(f))[:30]
    got, want = moments(f, labels, rows), moments(f[rows], labels[rows])
    for one, other in zip(got, want, strict=True):
        np.testing.assert_array_equal(one, other)


def test_moments_M1_see_the_normed_rows(rng):
    f, labels = scene(rng)
    for got, want in zip(
        moments(f, labels), moments(layer_norm(f), labels, None, AS_IS), strict=True
    ):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_moments_M1_of_features_on_disk(rng, tmp_path, dtype):
    f, labels = scene(rng)
    np.save(tmp_path / "f.npy", f.astype(dtype))
    mapped = np.load(tmp_path / "f.npy", mmap_mode="r")
    got, want = moments(mapped, labels), moments(f.astype(dtype).astype(float), labels)
    for one, other in zip(got, want, strict=True):
        assert one.dtype == np.float64
        np.testing.assert_array_equal(one, other)


def test_memory_does_not_grow_with_classes(rng):
    """20,000 classes: a matrix of them would take 3.2 GB, this 20 MB beside the features."""
    labels = np.repeat(np.arange(20_000), 2)
    f = rng.standard_normal((len(labels), 4))
    tracemalloc.start()
    choose_shrinkage(f, labels, 2, rng, shrinkages=(0.1,))
    fit_lda(f, labels, 2, 0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6


@pytest.mark.parametrize(
    ("f", "labels", "rows"),
    [
        (np.ones(3), np.zeros(3), None),
        (np.ones((3, 2)), np.zeros(2), None),
        (np.ones((3, 2)), np.zeros((3, 1)), None),
        (np.ones((0, 2)), np.zeros(0), None),
        (np.ones((3, 0)), np.zeros(3), None),
        (np.ones((3, 2)), np.zeros(3), np.array([], int)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(f, labels, rows):
    with pytest.raises(ValueError, match=r"expected \(N, F\), \(N,\) and at least one row"):
        moments(f, labels, rows)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_numbers_without_a_square_are_refused(rng, value):
    f, labels = scene(rng)
    f[3, 2] = value
    with pytest.raises(ValueError, match="found NaN, infinity or squares beyond float64"):
        moments(f, labels, norm=AS_IS)


# ---- Without labels

# Two directions (3, 4)/5 and (4, -3)/5 with variances 50 and 12.5, around (1, 1).
CROSS = np.array([[6.0, 8.0], [-6.0, -8.0], [4.0, -3.0], [-4.0, 3.0]]) + 1


def test_pca_M2_by_hand():
    """Holds (M2)."""
    weight, bias = fit_pca(CROSS, 2, AS_IS)
    np.testing.assert_allclose(weight, [[0.6, 0.8], [0.8, -0.6]], rtol=8 * EPS)
    np.testing.assert_allclose(bias, [-1.4, -0.2], rtol=16 * EPS)


def test_pca_M2_keeps_the_most_variance_of_any_projection(rng):
    f, labels = scene(rng)
    weight, bias = fit_pca(f, 3, AS_IS)
    close(weight @ weight.T, np.eye(3))
    kept = np.mean(np.sum((f @ weight.T + bias) ** 2, axis=1))
    values = np.linalg.svd(f - f.mean(axis=0), compute_uv=False)
    close(kept, np.sum(values[:3] ** 2) / len(f))
    for _ in range(20):
        other = np.linalg.qr(rng.standard_normal((6, 3)))[0]
        assert np.mean(np.sum(((f - f.mean(axis=0)) @ other) ** 2, axis=1)) < kept


def test_whitening_M3_by_hand():
    """Holds (M3)."""
    weight, _ = fit_whitening(CROSS, 2, AS_IS)
    scaled = [[0.6 / 50**0.5, 0.8 / 50**0.5], [0.8 / 12.5**0.5, -0.6 / 12.5**0.5]]
    np.testing.assert_allclose(weight, scaled, rtol=8 * EPS)


@pytest.mark.parametrize("width", [1, 4, 6])
def test_whitening_M3_leaves_the_identity(rng, width):
    f, _ = scene(rng, offset=1e3)
    weight, bias = fit_whitening(f, width, AS_IS)
    x = f @ weight.T + bias
    close(np.cov(x.T, bias=True).reshape(width, width), np.eye(width))
    assert np.abs(x.mean(axis=0)).max() < 1e-9


# ---- Discriminants


def test_shrunk_M4_by_hand():
    """Holds (M4)."""
    got = shrunk(np.array([[1.0, 2.0], [2.0, 5.0]]), 0.25)
    assert got.tolist() == [[0.75 + 0.75, 1.5], [1.5, 3.75 + 0.75]]


@pytest.mark.parametrize("shrinkage", [0.0, 0.2, 0.9, 1 - EPS])
def test_shrunk_M4_keeps_trace_and_axes_and_draws_eigenvalues_together(rng, shrinkage):
    a = np.cov(rng.standard_normal((6, 20)))
    values, axes = np.linalg.eigh(a)
    got = axes.T @ shrunk(a, shrinkage) @ axes
    close(np.trace(got), np.trace(a))
    close(got, np.diag((1 - shrinkage) * values + shrinkage * values.mean()))


@pytest.mark.parametrize("shrinkage", [-1e-9, 1.0, 2.0, np.nan, np.inf])
def test_other_shrinkages_are_refused(shrinkage):
    with pytest.raises(ValueError, match="expected at least 0 and less than 1"):
        shrunk(np.eye(2), shrinkage)


def test_lda_M5_by_hand():
    """B = diag(2, 6, 1), W = diag(1, 4, 1): ratios 2, 3/2, 1. Means and signs go along."""
    found = Moments(np.array([1.0, 2.0, 3.0]), np.diag([1.0, 4, 1]), np.diag([2.0, 6, 1]))
    weight, bias = lda(found, 2, 0.0)
    np.testing.assert_allclose(weight, [[1, 0, 0], [0, 0.5, 0]], atol=64 * EPS)
    np.testing.assert_allclose(bias, [-1, -1], rtol=64 * EPS)
    # s = 1/2: W = diag(1.5, 3, 1.5), B = diag(2.5, 4.5, 2): ratios 5/3, 3/2, 4/3.
    weight, _ = lda(found, 3, 0.5)
    np.testing.assert_allclose(weight, np.diag([1.5, 3, 1.5]) ** 0.5 / [1.5, 3, 1.5], rtol=8 * EPS)


@pytest.mark.parametrize("shrinkage", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("width", [2, 6])
def test_lda_M5_diagonalises_both(rng, shrinkage, width):
    f, labels = scene(rng)
    found = moments(f, labels, norm=AS_IS)
    weight, _ = lda(found, width, shrinkage)
    close(weight @ shrunk(found.within, shrinkage) @ weight.T, np.eye(width))
    strength = weight @ shrunk(found.between, shrinkage) @ weight.T
    close(strength, np.diag(np.diag(strength)))
    # The ratio of no direction beyond the first `width` exceeds theirs.
    want = np.linalg.eigvals(
        np.linalg.solve(shrunk(found.within, shrinkage), shrunk(found.between, shrinkage))
    )
    close(np.diag(strength), np.sort(want.real)[::-1][:width])


def test_lda_M5_is_invariant_under_linear_maps(rng):
    """All distances, and so all ranks, are what they were when features are mixed and moved."""
    f, labels = scene(rng)
    moved = f @ mixing(rng, 6) + rng.standard_normal(6)
    (w, b), (v, c) = (fit_lda(each, labels, 3, 0.0, AS_IS) for each in (f, moved))
    x, y = f @ w.T + b, moved @ v.T + c
    close(y @ y.T, x @ x.T, "invariance")


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 0.9])
def test_all_fits_turn_with_the_features(rng, shrinkage):
    f, labels = scene(rng)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    one, other = (moments(each, labels, norm=AS_IS) for each in (f, f @ turn.T))
    maps = lambda m: (pca(m, 3), whitening(m, 3), lda(m, 3, shrinkage))  # noqa: E731
    for (w, b), (v, c) in zip(maps(one), maps(other), strict=True):
        x, y = f @ w.T + b, f @ turn.T @ v.T + c
        close(y @ y.T, x @ x.T, "invariance")


def test_lda_M5_does_not_depend_on_the_order_of_images(rng):
    f, labels = scene(rng)
    order = rng.permutation(len(f))
    for one, other in zip(
        fit_lda(f, labels, 3, 0.1), fit_lda(f[order], labels[order], 3, 0.1), strict=True
    ):
        close(one, other)


def test_the_sum_of_log_ratios_M5_is_that_of_normal_densities(rng):
    """(M5): in the coordinates of LDA with all directions, the best score of two images."""
    f, labels = scene(rng)
    found = moments(f, labels, norm=AS_IS)
    weight, bias = lda(found, 6, 0.0)
    strength = np.diag(weight @ found.between @ weight.T)
    pair = np.block([[found.total, found.between], [found.between, found.total]])
    alone = np.block([[found.total, 0 * found.total], [0 * found.total, found.total]])
    one, other = f[:20], f[20:40]
    want = [
        multivariate_normal(np.tile(found.mean, 2), cov).logpdf(np.hstack([one, other]))
        for cov in (pair, alone)
    ]
    x, y = one @ weight.T + bias, other @ weight.T + bias
    cross = strength / (1 + 2 * strength)
    own = strength**2 / (2 * (1 + strength) * (1 + 2 * strength))
    constant = np.sum(np.log((1 + strength) / np.sqrt(1 + 2 * strength)))
    got = (x * y) @ cross - (x**2 + y**2) @ own + constant
    close(got, want[0] - want[1], "invariance")


def nuisance(rng, classes, images, size=20, inner=4):
    """Classes differ in `inner` directions, by as much as the images of each scatter there.

    Elsewhere all images scatter ten times as far. Returned with the best directions, W⁻¹B's.
    """
    basis = np.linalg.qr(np.random.default_rng(5).standard_normal((size, size)))[0]
    labels = np.repeat(np.arange(classes), images)
    scatter = np.where(np.arange(size) < inner, 0.3, 10.0)
    centres = np.zeros((classes, size))
    centres[:, :inner] = rng.standard_normal((classes, inner))
    return (centres[labels] + scatter * rng.standard_normal((len(labels), size))) @ basis.T, labels


def test_lda_M5_finds_the_known_best_map_under_nuisance(rng):
    f, labels = nuisance(rng, 200, 10)
    best = np.linalg.qr(np.random.default_rng(5).standard_normal((20, 20)))[0][:, :4]
    weight, bias = fit_lda(f, labels, 4, 0.0, AS_IS)
    assert np.degrees(subspace_angles(weight.T, best).max()) < 1
    unseen, names = nuisance(rng, 200, 10)
    principal, centre = fit_pca(f, 4, AS_IS)
    assert recall(unseen @ principal.T + centre, names) < 0.1
    assert abs(recall(unseen @ weight.T + bias, names) - recall(unseen @ best, names)) < 0.02


def test_shrinking_M4_between_helps_few_classes(rng):
    """Three classes span two directions; the next classes differ in all of four."""
    f, labels = nuisance(rng, 3, 40)
    unseen, names = nuisance(rng, 100, 10)
    found = moments(f, labels, norm=AS_IS)
    _, axes = eigh(found.between, shrunk(found.within, 0.01), subset_by_index=[18, 19])
    weight, bias = lda(found, 4, 0.01)
    assert recall(unseen @ weight.T + bias, names) > 4 * recall(unseen @ axes, names)


@each_fit
def test_a_fit_is_a_head(rng, fit):
    """LayerNorm, weight and bias: the training images have mean 0 after it."""
    f, labels = scene(rng, classes=40)
    weight, bias = fit(f, labels, 3)
    x = head_forward(f, {"weight": weight, "bias": bias})
    assert x.shape == (200, 3)
    assert np.abs(x.mean(axis=0)).max() < 64 * EPS * np.abs(x).max()
    np.testing.assert_allclose(x, layer_norm(f) @ weight.T + bias)


@each_fit
def test_same_input_same_bytes(rng, fit):
    f, labels = scene(rng)
    one, other = fit(f, labels, 4), fit(f.copy(), labels.copy(), 4)
    assert [a.tobytes() for a in one] == [a.tobytes() for a in other]


# ---- The choice of the shrinkage


def watch(monkeypatch, scores):
    """Let `choose_shrinkage` see given scores; return what it learns from and judges by."""
    seen, given = {"judged": []}, iter(scores)

    def counted(f, labels, rows, norm):
        seen["learnt"] = labels[rows]
        return moments(f, labels, rows, norm)

    def judged(z, labels):
        seen["judged"].append(labels)
        return next(given)

    monkeypatch.setattr(closed_form, "moments", counted)
    monkeypatch.setattr(closed_form, "_map_at_r", judged)
    return seen


def test_choice_M6_is_the_first_best_among_held_out_classes(rng, monkeypatch):
    """Holds (M6)."""
    f, labels = scene(rng, classes=20)
    seen = watch(monkeypatch, [0.1, 0.5, 0.2, 0.5])
    assert choose_shrinkage(f, labels, 3, rng, shrinkages=(0.1, 0.2, 0.3, 0.4)) == 0.2
    learnt, judged = set(seen["learnt"].tolist()), set(seen["judged"][0].tolist())
    assert len(judged) == 5 and not learnt & judged
    assert learnt | judged == set(labels.tolist())
    assert len(seen["learnt"]) + len(seen["judged"][0]) == len(labels)


def test_choice_M6_is_made_by_map_at_r():
    """Two held-out pairs on a line: the middle of three maps finds all, the others half."""
    z = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    assert closed_form._map_at_r(z, np.array([0, 0, 1, 1])) == 1
    assert closed_form._map_at_r(z, np.array([0, 1, 0, 1])) == 0


def test_choice_M6_follows_the_generator_alone(rng, monkeypatch):
    f, labels = scene(rng, classes=40)
    drawn = []
    for seed in (0, 0, 1):
        seen = watch(monkeypatch, [0.0] * len(SHRINKAGES))
        choose_shrinkage(f, labels, 3, np.random.default_rng(seed))
        drawn.append(seen["judged"][0].tolist())
        monkeypatch.undo()
    assert drawn[0] == drawn[1] != drawn[2]


def test_choice_M6_shrinks_more_with_fewer_images(rng):
    """40 directions: 60 images leave W a guess, 4,000 make it known."""
    few = nuisance(rng, 30, 2, size=40)
    many = nuisance(rng, 100, 40, size=40)
    chosen = [choose_shrinkage(*each, 4, rng, AS_IS) for each in (few, many)]
    assert chosen[0] > chosen[1]


def test_choice_M6_among_wide_features_is_that_of_their_components(rng, monkeypatch):
    """Where the features beyond WIDE components are 0, nothing is lost; the map has all of F."""
    f, labels = scene(rng, classes=24)
    turn = np.linalg.qr(rng.standard_normal((40, 6)))[0]
    wide = f @ turn.T
    seen = []
    monkeypatch.setattr(closed_form, "_map_at_r", lambda z, labels: seen.append(z @ z.T) or 0.0)
    for most in (1024, 6):
        monkeypatch.setattr(closed_form, "WIDE", most)
        choose_shrinkage(wide, labels, 3, np.random.default_rng(0), AS_IS)
    for one, other in zip(*np.split(np.array(seen), 2), strict=True):
        close(one, other, "invariance")


def test_choice_M6_judges_by_a_bounded_number_of_images(rng, monkeypatch):
    monkeypatch.setattr(closed_form, "HELD_ROWS", 30)
    monkeypatch.setattr(closed_form, "CLASS_ROWS", 10)
    f, labels = scene(rng, classes=40, images=25)
    seen = watch(monkeypatch, [0.0] * len(SHRINKAGES))
    choose_shrinkage(f, labels, 3, rng)
    counts = np.unique(seen["judged"][0], return_counts=True)[1]
    assert counts.tolist() == [10, 10, 10]
    assert len(seen["learnt"]) == 37 * 25


# ---- Kinks


@pytest.mark.parametrize("images", [1, 2])
def test_within_singular_K60_is_shrunk_above_rounding(rng, images):
    """More features than images; and LayerNorm's own direction, in which nothing varies (K60)."""
    f, labels = scene(rng, classes=4, images=2, size=30)
    weight, bias = fit_lda(f, labels, 8, 0.0)
    assert np.isfinite(weight).all()
    found = moments(f, labels)
    floor = 30**2 * EPS * np.trace(found.within) / 30
    np.testing.assert_allclose(np.linalg.eigvalsh(shrunk(found.within, 0.0))[0], floor, rtol=0.1)


@each_fit
def test_constant_columns_K61_are_no_trouble(rng, fit):
    """Holds (K61)."""
    f, labels = scene(rng)
    f = np.hstack([f, np.zeros((len(f), 3))])
    weight, bias = fit(f, labels, 5)
    assert np.isfinite(weight).all() and np.isfinite(bias).all()


def test_whitening_without_variance_K61_is_0(rng):
    f = np.hstack([rng.standard_normal((20, 2)), np.full((20, 2), 7.0)])
    weight, bias = fit_whitening(f, 4, AS_IS)
    assert (weight[2:] == 0).all() and (bias[2:] == 0).all()
    assert (np.abs(weight[:2]).max(axis=1) > 0.1).all()
    few = rng.standard_normal((3, 5))  # three images span two directions
    assert (fit_whitening(few, 5, AS_IS)[0] != 0).any(axis=1).tolist() == [True] * 2 + [False] * 3


def test_no_spread_within_K62_gives_principal_components_of_the_means(rng):
    """Equal images of each class, and classes of one image each (K62)."""
    f, labels = rng.standard_normal((7, 4)), np.arange(7)
    want = fit_pca(f, 3, AS_IS)[0]
    for rows, names in ((f, labels), (np.tile(f, (2, 1)), np.tile(labels, 2))):
        weight, _ = fit_lda(rows, names, 3, 0.2, AS_IS)
        close(weight / np.linalg.norm(weight, axis=1, keepdims=True), want)


def test_no_difference_between_K62_gives_the_least_spread_within(rng):
    """One class: the direction in which its images differ least comes first."""
    f = rng.standard_normal((50, 3)) * [3.0, 1.0, 2.0]
    weight, _ = fit_lda(f, np.zeros(50, int), 3, 0.0, AS_IS)
    assert np.abs(weight).argmax(axis=1).tolist() == [1, 2, 0]


@each_fit
def test_equal_images_K62_become_0(fit):
    weight, bias = fit(np.tile([1.0, 2.0, 5.0], (4, 1)), np.array([0, 0, 1, 1]), 2)
    x = head_forward(np.array([[1.0, 2.0, 5.0]]), {"weight": weight, "bias": bias})
    assert np.abs(x).max() < 64 * EPS * max(1, np.abs(weight).max())


@each_fit
def test_more_rows_than_features_K63_are_0(rng, fit):
    """Holds (K63)."""
    f, labels = scene(rng)
    (weight, bias), (all_of, _) = fit(f, labels, 9), fit(f, labels, 6)
    assert weight.shape == (9, 6) and bias.shape == (9,)
    assert (weight[6:] == 0).all() and (bias[6:] == 0).all()
    np.testing.assert_array_equal(weight[:6], all_of)


@each_fit
def test_a_width_of_0_is_refused(rng, fit):
    with pytest.raises(ValueError, match="width 0: expected at least 1"):
        fit(*scene(rng), 0)


@pytest.mark.parametrize("counts", [[5, 5, 5], [9], [1, 1, 1, 1, 1, 1, 1, 1], [2, 1, 1, 1]])
def test_too_few_classes_K64_are_not_judged(rng, counts):
    """Holds (K64)."""
    labels = np.repeat(np.arange(len(counts)), counts)
    f = rng.standard_normal((len(labels), 4))
    assert choose_shrinkage(f, labels, 2, rng) == UNJUDGED


def test_four_classes_K64_are_enough(rng, monkeypatch):
    f, labels = scene(rng, classes=4)
    seen = watch(monkeypatch, [0.1, 0.2])
    assert choose_shrinkage(f, labels, 2, rng, shrinkages=(0.1, 0.2)) == 0.2
    assert len(set(seen["judged"][0].tolist())) == 2


def test_a_class_of_one_image_K65_adds_to_between_alone(rng):
    """Holds (K65)."""
    f, labels = scene(rng, classes=3)
    more, names = np.vstack([f, 100 + f[:1]]), np.append(labels, 99)
    one, other = moments(f, labels, norm=AS_IS), moments(more, names, norm=AS_IS)
    close(len(more) * other.within, len(f) * one.within)
    assert np.trace(other.between) > 10 * np.trace(one.between)


@each_fit
def test_signs_K66_make_the_largest_entry_positive(rng, fit):
    """Holds (K66)."""
    f, labels = scene(rng)
    weight, _ = fit(f, labels, 5)
    assert (weight[np.arange(5), np.abs(weight).argmax(axis=1)] > 0).all()
    turned, _ = fit(-f, labels, 5)
    close(turned, weight)


def test_equal_eigenvalues_K66_keep_distances(rng):
    """Isotropic in four directions, all kept: any basis, the same distances."""
    found = Moments(np.zeros(4), np.eye(4), 2 * np.eye(4))
    x = rng.standard_normal((9, 4))
    for weight, _ in (pca(found, 4), lda(found, 4, 0.3)):
        close(x @ weight.T @ weight @ x.T / (weight[0] @ weight[0]), x @ x.T)
