"""Ties of retrieval, exactly: beside whole numbers and fractions, in any order, type and block."""

from fractions import Fraction

import numpy as np
import pytest
from checks import limit
from hypothesis import given, settings
from hypothesis import strategies as st

from hier_ref.features.contract import default_features, read_features
from hier_ref.poincare import gap
from hier_ref.retrieval import block, exact_keys, keys, nearest, search
from hier_ref.retrieval import recall as retrieval
from hier_ref.retrieval.keys import Points
from hier_ref.retrieval.recall import MISS, first_hit_rank, rank_gallery, recall_from_ranks

TYPES = [np.float32, np.float64]


def fraction_key(x, y, c):
    """What orders the gallery as the distance does, in fractions: q/b, or minus cos |cos| |x|²."""
    xy, yy = sum(a * b for a, b in zip(x, y, strict=True)), sum(b * b for b in y)
    if c:
        return (sum(a * a for a in x) - 2 * xy + yy) / (1 - c * yy)
    return -xy * abs(xy) / yy if yy else Fraction(0)


def by_fractions(query, query_labels, gallery, gallery_labels, c, exclude_self):
    """Rank, ties, R-precision and average precision of each query, from a sort of fractions."""
    c = Fraction(c)
    x, y = ([[Fraction(float(a)) for a in row] for row in points] for points in (query, gallery))
    rows = []
    for i, point in enumerate(x):
        items = sorted(
            (fraction_key(point, other, c), bool(gallery_labels[j] == query_labels[i]))
            for j, other in enumerate(y)
            if not (exclude_self and i == j)
        )  # among equals False, the wrong ones, come first
        hits = [right for _, right in items]
        r = sum(hits)
        if not r:
            rows.append((MISS, 0, 0.0, 0.0))
            continue
        rank, found = hits.index(True), [n for n in range(r) if hits[n]]
        ties = sum(key == items[rank][0] for key, _ in items[:rank])
        average = sum((Fraction(m + 1, n + 1) for m, n in enumerate(found)), Fraction(0)) / r
        rows.append((rank, ties, len(found) / r, float(average)))
    return [np.array(column) for column in zip(*rows, strict=True)]


def check(query, query_labels, gallery, gallery_labels, c, exclude_self):
    """The four measures, and the rank that is counted alone, are those of fractions."""
    sets = query, query_labels, gallery, gallery_labels, c, exclude_self
    want, got = by_fractions(*sets), rank_gallery(*sets)
    for measure, expected in zip(got[:3], want[:3], strict=True):
        np.testing.assert_array_equal(measure, expected)
    np.testing.assert_allclose(got[3], want[3], rtol=limit("autograd"), atol=0)
    np.testing.assert_array_equal(first_hit_rank(*sets), want[:2])
    return want


# Points with many equal distances: a generator, a size and a dimension -> points, and c.


def grid(c, step, reach):
    def draw(rng, size, dim):
        """Cells of a grid inside the ball; a few coordinates, so that many are inside."""
        z = step * rng.integers(-reach, reach + 1, (20 * size, dim))
        z *= rng.uniform(size=z.shape) < 0.5
        return z[c * (z**2).sum(axis=1) < 0.99][:size], c

    return draw


def arranged(c):
    def draw(rng, size, dim):
        """The same numbers in other places and with other signs, seen from diagonals too."""
        v = 0.3 * rng.standard_normal(dim)
        z = np.array([rng.permutation(v) * rng.choice([-1, 1]) for _ in range(size)])
        z[: size // 3] = rng.choice([-0.1, 0, 0.1], (size // 3, 1))
        return z, c

    return draw


def near(c):
    def draw(rng, size, dim):
        """A tiny grid far from the origin: only last digits tell its points apart."""
        return 0.25 + 2.0**-22 * rng.integers(-2, 3, (size, dim)), c

    return draw


def rim(rng, size, dim):
    """Corners of a cube at few distances from the boundary, down to a millionth."""
    z = rng.choice([-1, 1], (size, dim)) / np.sqrt(dim)
    return z * (1 - rng.choice([1e-6, 1e-4, 0.5], (size, 1))), 1.0


def circle(rng, size, dim):
    """Points at one distance from the origin, but for rounding, and the origin."""
    angle = rng.uniform(0, 7, size)
    z = 0.3 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    z[: size // 4] = 0
    return z, 1.0


KINDS = {
    "signs": lambda rng, size, dim: (rng.choice([-1, 1], (size, dim)), 0),
    "signs of length 1": lambda rng, size, dim: (rng.choice([-1, 1], (size, dim)) / dim**0.5, 0),
    "0 and 1": lambda rng, size, dim: (rng.integers(0, 2, (size, dim)), 0),
    "0 to 3": lambda rng, size, dim: (rng.integers(0, 4, (size, dim)), 0),
    "multiples": lambda rng, size, dim: (
        rng.integers(-3, 4, (size, dim)) * rng.choice([1, 3, 5, 1000, 4097], (size, 1)),
        0,
    ),
    "bytes": lambda rng, size, dim: (
        rng.integers(-127, 128, (size, 1)) * rng.integers(-2, 3, (size, dim)),
        0,
    ),
    "tenths": lambda rng, size, dim: (0.1 * rng.integers(-3, 4, (size, dim)), 0),
    "cosines of arrangements": arranged(0),
    "arrangements": arranged(0.1),
    "grid, c = 1": grid(1.0, 1 / 8, 6),
    "grid, c = 0.1": grid(0.1, 1 / 4, 12),
    "grid, c = 0.3": grid(0.3, 1 / 2, 3),
    "grid of tenths": grid(0.1, 0.1, 9),
    "cosines near by": near(0),
    "near by": near(0.1),
    "rim": rim,
    "circle": circle,
}


def drawn(kind, seed, dtype):
    """Points of a kind, labels, and c."""
    rng = np.random.default_rng(seed)
    z, c = KINDS[kind](rng, int(rng.integers(4, 50)), int(rng.integers(1, 8)))
    return z.astype(dtype), rng.integers(0, rng.integers(2, 7), len(z)), c


# ---- Values


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_ties_K50_K54_equal_fractions(monkeypatch, kind, dtype):
    """Half of the seeds in float32 without a detour through float64, half in tiny blocks."""
    tied = 0
    for seed in range(12):
        monkeypatch.setattr(retrieval, "DEEP", seed % 2 * retrieval.LONG)
        for module, name in ((retrieval, "BLOCK"), (block, "PART"), (exact_keys, "BLOCK")):
            monkeypatch.setattr(module, name, [30, 2**16][seed // 2 % 2])
        z, labels, c = drawn(kind, seed, dtype)
        half = len(z) // 2
        tied += check(z, labels, z, labels, c, True)[1].sum()
        tied += check(z[:half], labels[:half], z[half:], labels[half:], c, False)[1].sum()
    assert tied > 10


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_order_of_the_nearest_tells_is_what_counts_and_closer_keys_find(
    monkeypatch, kind, dtype
):
    """Bytes of all measures, for a sample of keys that tells where they end, and that misleads."""
    tell, left, shown = search.Search._tell, [], 0

    def all_left(self, level, part):
        return [np.arange(len(part.queries))] * 2

    def told(*arguments):
        left.extend(tell(*arguments))
        return left[-2:]

    for seed in range(6):
        rng = np.random.default_rng(seed)
        z, c = KINDS[kind](rng, 120, int(rng.integers(2, 9)))
        fine = np.arange(120) % 40
        sets = z.astype(dtype), np.stack([fine, fine // 4, fine // 20], axis=1)
        monkeypatch.setattr(search.Search, "_tell", all_left)
        want = rank_gallery(*sets, *sets, c, True)
        monkeypatch.setattr(search, "MORE", [32, 1][seed % 2])
        monkeypatch.setattr(nearest, "SAMPLE", [1000, 3, 1][seed % 3])
        monkeypatch.setattr(search.Search, "_tell", told)
        for a, b in zip(rank_gallery(*sets, *sets, c, True), want, strict=True):
            assert a.tobytes() == b.tobytes()
        shown += 6 * len(z)
    shown -= sum(map(len, left))
    assert shown > 100


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", ["signs", "0 and 1", "0 to 3", "multiples"])
def test_ties_K50_of_codes_equal_fractions_without_their_own_keys_R9(monkeypatch, kind, dtype):
    monkeypatch.setattr(keys, "_codes", lambda x, y: None)
    test_ties_K50_K54_equal_fractions(monkeypatch, kind, dtype)


@settings(max_examples=150, deadline=None)
@given(
    items=st.lists(
        st.tuples(st.lists(st.integers(-3, 3), min_size=3, max_size=3), st.integers(0, 2)),
        min_size=2,
        max_size=15,
    ),
    scale=st.sampled_from([1, 0.1, 1 / 3, 0.25, 2.0**-20]),
    c=st.sampled_from([0, 0.01, 0.09, 1 / 3]),
    dtype=st.sampled_from(TYPES),
)
def test_order_R8_K57_of_any_grid_equals_fractions(items, scale, c, dtype):
    """Holds (R8) (K57)."""
    points, labels = zip(*items, strict=True)
    z = (scale * np.array(points) * (0.3 if c else 1)).astype(dtype)
    check(z, np.array(labels), z, np.array(labels), c, True)


def sign_measures(signs, labels):
    """Recall@1 and @8 and MAP@R by cosine of rows of ±1, each its own query, in whole numbers."""
    size = len(labels)
    whole = signs.astype(np.float64)  # whole numbers, and a product that BLAS knows
    apart = signs.shape[1] - (whole @ whole.T).astype(int)  # twice the signs that differ
    np.fill_diagonal(apart, 2**30)
    correct = labels[:, None] == labels
    np.fill_diagonal(correct, False)
    ranks, averages = np.full(size, MISS), np.zeros(size)
    for i in np.flatnonzero(correct.any(axis=1)):
        hit = np.sort(2 * apart[i] + correct[i]) % 2 == 1  # wrong first among equals
        ranks[i] = hit.argmax()
        hit = hit[: correct[i].sum()]
        averages[i] = np.sum(np.cumsum(hit)[hit] / (1 + np.flatnonzero(hit))) / len(hit)
    return [100 * np.mean(ranks < 1), 100 * np.mean(ranks < 8), 100 * np.mean(averages)]


@pytest.mark.parametrize(
    "bits, table",
    [
        (32, (17.39, 44.32, 7.39)),
        (64, (32.37, 60.99, 14.15)),
        (128, (43.53, 70.85, 20.21)),
        (320, (50.70, 77.69, 25.62)),
    ],
)
def test_ties_K50_K54_of_the_signs_of_real_features(bits, table):
    """A hash of the test half; the table is of exact numbers, in whole arithmetic below."""
    part = read_features(default_features()).part("test")
    features = part.features.astype(np.float64)
    signs = np.where(features - features.mean(axis=0) > 0, 1, -1)[:, :bits]
    want = sign_measures(signs, part.labels)
    assert tuple(np.round(want, 2)) == table
    for codes in (signs.astype(np.float32), signs.astype(np.float64), signs / np.sqrt(bits)):
        found = rank_gallery(codes, part.labels, codes, part.labels, 0, True)
        recall = recall_from_ranks(found.rank, (1, 8))
        got = [100 * recall[1], 100 * recall[8], 100 * found.average_precision.mean()]
        np.testing.assert_allclose(got, want, rtol=limit("autograd"), atol=0)


# ---- Laws


@pytest.mark.parametrize("kind", KINDS)
def test_order_R8_follows_a_permutation_of_queries_and_gallery(kind):
    for seed in range(20, 25):
        z, labels, c = drawn(kind, seed, np.float32)
        half, rng = len(z) // 2, np.random.default_rng(seed)
        p, s = rng.permutation(half), half + rng.permutation(len(z) - half)
        want = rank_gallery(z[:half], labels[:half], z[half:], labels[half:], c, False)
        got = rank_gallery(z[p], labels[p], z[s], labels[s], c, False)
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(a, b[p])


@pytest.mark.parametrize("c", [0, 0.1])
def test_order_R8_is_that_of_the_values_whatever_their_type(monkeypatch, c):
    """Continuous points of float32, ranked as such and as float64."""
    rng = np.random.default_rng(30)
    labels = rng.integers(0, 2, 1500)
    z = (0.5 * rng.standard_normal((3, 2))[labels] + 0.3 * rng.standard_normal((1500, 2))) / 2
    z = z.astype(np.float32)
    levels = np.stack([np.arange(1500) // 3, labels], axis=1)
    monkeypatch.setattr(retrieval, "DEEP", 0)
    got = rank_gallery(z, levels, z, levels, c, True)
    wide = z.astype(np.float64)
    for a, b in zip(got, rank_gallery(wide, levels, wide, levels, c, True), strict=True):
        np.testing.assert_array_equal(a, b)
    gaps = gap(wide, c) if c else None
    plain, better = (Points(a, a, c, gaps).first(slice(0, 1500)) for a in (z, wide))
    different = np.argsort(plain, axis=1) != np.argsort(better, axis=1)
    assert different.any(), "else the test could not fail"


@pytest.mark.parametrize("c", [0, 0.1])
def test_order_R8_does_not_depend_on_how_keys_are_rounded(monkeypatch, c):
    """Whatever an error within the bound (R6) does to them, one by one."""
    exactly, rng = Points.first, np.random.default_rng(31)

    def rounded(self, rows):
        key = exactly(self, rows)
        key += rng.uniform(-0.3, 0.3, key.shape) * self.error[rows, None]
        key[:, self.again] = key[:, self.copies[self.again]]
        return key

    kind = "tenths" if c == 0 else "grid, c = 0.1"
    z, labels, _ = drawn(kind, 0, np.float64)
    monkeypatch.setattr(keys, "_codes", lambda x, y: None)
    want = rank_gallery(z, labels, z, labels, c, True)
    monkeypatch.setattr(Points, "first", rounded)
    for _ in range(10):
        for a, b in zip(rank_gallery(z, labels, z, labels, c, True), want, strict=True):
            np.testing.assert_array_equal(a, b)


# ---- Kinks


def test_rows_and_their_multiples_K50_tie_for_cosine():
    v = np.random.default_rng(32).integers(-9, 10, (6, 5)).astype(np.float32)
    y = np.concatenate([v, 3 * v, 10 * v])
    for label in range(18):
        ranks, ties = first_hit_rank(v[:1], [label], y, np.arange(18), 0, False)
        assert ties[0] >= 2
        assert ranks[0] == by_fractions(v[:1], [label], y, np.arange(18), 0, False)[0]


def test_curvature_K57_is_the_number_that_is_stored():
    """q/b is 1/(1 - 5c) and 2/1: equal if c were a tenth, and no float is."""
    x, y = np.array([[1.0, 1.0]]), np.array([[1.0, 2.0], [0.0, 0.0]])
    below = np.nextafter(0.1, 0)
    assert below < Fraction(1, 10) < 0.1
    for c, want in [(0.1, [1, 0]), (below, [0, 1])]:
        for label in (0, 1):
            ranks, ties = first_hit_rank(x, [label], y, [0, 1], c, False)
            assert (ranks[0], ties[0]) == (want[label], 0)


@pytest.mark.parametrize("c", [0, 1.0])
def test_keys_K57_that_differ_beyond_30_digits_tie(c):
    """A gap of 1 - 10⁻⁴⁰, an angle of 10⁻⁴⁰: no pair of float64 tells them from none."""
    y = np.array([[1e-20, 0], [0, 0]]) if c else np.array([[1, 1e-40], [1, 0]])
    x = np.array([[0.5e-20, 0]]) if c else np.array([[1, 1.0]])
    assert by_fractions(x, [1], y, [0, 1], c, False)[1][0] == 0
    for label in (0, 1):
        ranks, ties = first_hit_rank(x, [label], y, [0, 1], c, False)
        assert (ranks[0], ties[0]) == (1, 1)


def test_chain_K57_of_keys_within_a_width_is_one_tie(monkeypatch):
    """A coarse last rung: 0.1, 0.2 and 0.3 are each within its width of the next, 0.9 is not."""
    monkeypatch.setattr(exact_keys, "UNIT", 3e-3)
    monkeypatch.setattr(Points, "width", lambda self, queries: np.full(len(self.x), 0.3)[queries])
    y = np.sqrt([[0.10], [0.12], [0.14], [0.9]])
    x, labels = np.zeros((1, 1)), np.arange(4)
    got = [first_hit_rank(x, [n], y, labels, 1e-9, False) for n in labels]
    assert [int(ranks[0]) for ranks, _ in got] == [2, 2, 2, 3]
    assert [int(ties[0]) for _, ties in got] == [2, 2, 2, 0]


@pytest.mark.parametrize("places", [1, 2, 5])
@pytest.mark.parametrize("c", [0, 0.1])
def test_ties_K50_of_a_network_with_few_outputs(places, c):
    """Hundreds of copies of each: the counts are those of places."""
    rng = np.random.default_rng(33)
    at = np.arange(600) % places
    labels = rng.integers(0, 3, 600)
    z = rng.standard_normal((places, 4))[at] / 8
    found = rank_gallery(z, labels, z, labels, c, True)
    there = at[:, None] == at
    np.fill_diagonal(there, False)
    wrong = (there & (labels[:, None] != labels)).sum(axis=1)
    np.testing.assert_array_equal(found.ties, wrong)
    np.testing.assert_array_equal(found.rank, wrong)


def test_numbers_of_more_than_64_bits_are_refused():
    for dtype in ("g", "G", "D"):
        if np.dtype(dtype).itemsize > 8:
            with pytest.raises(ValueError, match="expected numbers of at most 64 bits"):
                first_hit_rank(np.ones((2, 2), dtype), [0, 1], np.ones((2, 2)), [0, 1], 0, True)


@pytest.mark.parametrize("scale", [2.0**-80, 2.0**60, 2.0**400])
def test_balls_of_any_size_rank_alike(scale):
    z, labels, c = drawn("grid, c = 1", 3, np.float64)
    want = rank_gallery(z, labels, z, labels, c, True)
    got = rank_gallery(z * scale, labels, z * scale, labels, c / scale**2, True)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)


def test_points_that_are_tiny_in_their_ball_rank_as_in_flat_space():
    z, labels, _ = drawn("grid, c = 1", 3, np.float64)
    flat = rank_gallery(z, labels, z, labels, 1e-60, True)
    tiny = z * 2.0**-700
    for a, b in zip(rank_gallery(tiny, labels, tiny, labels, 0.1, True), flat, strict=True):
        np.testing.assert_array_equal(a, b)
