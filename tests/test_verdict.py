"""Verdicts: intervals over classes by laws, and words that say what the numbers do."""

import numpy as np
import pytest

from hier_ref.baselines.verdict import over_classes, verdict

LABELS = np.repeat(np.arange(100), 10)


def hits(rng, share, spread=0.0):
    """Hits (1000,) of 100 classes, each with a chance of its own."""
    chance = np.clip(share + spread * rng.standard_normal(100), 0, 1)
    return rng.random(1000) < np.repeat(chance, 10)


def test_interval_M8_holds_the_mean_in_points(rng):
    """Holds (M8)."""
    values = hits(rng, 0.6)
    found = over_classes(values, LABELS)
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(100 * values.mean(), rel=1e-14)


def test_interval_M8_is_as_wide_as_the_normal_law_says():
    # Independent hits: the standard error of a share p of n is √(p(1-p)/n).
    widths = []
    for seed in range(20):
        found = over_classes(hits(np.random.default_rng(seed), 0.5), LABELS)
        widths.append(found.high - found.low)
    want = 100 * 2 * 1.96 * np.sqrt(0.25 / 1000)
    assert np.mean(widths) == pytest.approx(want, rel=0.1)


def test_interval_M8_is_wider_where_classes_differ():
    alike, apart = (
        over_classes(hits(np.random.default_rng(1), 0.5, spread), LABELS) for spread in (0, 0.3)
    )
    assert apart.high - apart.low > 1.5 * (alike.high - alike.low)


def test_interval_M8_covers_the_truth_as_often_as_it_says():
    inside = 0
    for seed in range(200):
        found = over_classes(hits(np.random.default_rng(seed), 0.5, 0.2), LABELS)
        inside += found.low <= 50 <= found.high
    assert 180 <= inside <= 199  # 95 of 100, give or take four standard deviations


def test_interval_M8_weighs_classes_by_their_images():
    labels = np.array([0, 0, 0, 1])
    assert over_classes(np.array([1, 1, 1, 0]), labels).value == 75


def test_interval_M8_of_one_class_is_its_mean():
    found = over_classes(np.array([1, 0, 1, 1]), np.zeros(4, int))
    assert tuple(found) == (75, 75, 75)


def test_interval_M8_is_the_same_each_time():
    one, other = (over_classes(hits(np.random.default_rng(0), 0.5), LABELS) for _ in range(2))
    assert one == other


@pytest.mark.parametrize(
    ("head", "raw", "lda", "words"),
    [
        (0.9, 0.5, 0.6, "the head is worth it: "),
        (0.3, 0.8, 0.6, "points below the untouched features: use those, or more dimensions"),
        (0.3, 0.5, 0.8, "below linear discriminants: use those: --start lda --epochs 0"),
        (0.6, 0.4, 0.6, "no clear difference to linear discriminants"),
    ],
)
def test_the_advice_follows_the_best_of_the_others(head, raw, lda, words):
    rng = np.random.default_rng(0)
    others = {"raw": hits(rng, raw), "lda": hits(rng, lda)}
    told = verdict(hits(rng, head), others, LABELS)
    assert words in told.splitlines()[1], told


def test_the_numbers_are_those_of_the_hits():
    head, raw = np.arange(1000) % 2 == 0, np.arange(1000) % 4 == 0
    told = verdict(head, {"raw": raw}, LABELS)
    assert told.startswith("the head finds 50.0 (")
    assert "25.0 above the untouched features" in told
