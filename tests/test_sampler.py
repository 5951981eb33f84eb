"""The sampler: what every epoch keeps to, how often images come, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hier_ref.training.sampler import batches_per_epoch, class_batches


def epoch(labels, batch_size, per_class, seed=0):
    return list(class_batches(np.random.default_rng(seed), labels, batch_size, per_class))


@st.composite
def a_labelling(draw):
    sizes = draw(st.lists(st.integers(1, 12), min_size=1, max_size=12))
    per_class, n_groups = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    seed = draw(st.integers(0, 2**32 - 1))
    names = np.random.default_rng(seed).permutation(50)[: len(sizes)] - 7  # any integers will do
    labels = np.random.default_rng(seed).permutation(np.repeat(names, sizes))
    return labels, n_groups * per_class, per_class, seed


@settings(max_examples=150, deadline=None, derandomize=True)
@given(a_labelling())
def test_class_batches_S2_keeps_its_promises(case):
    """Holds (S2)."""
    labels, batch_size, per_class, seed = case
    groups = {k: int(np.sum(labels == k)) // per_class for k in np.unique(labels)}
    want = sum(groups.values()) * per_class // batch_size
    if want == 0:
        with pytest.raises(ValueError, match=f"batch of {batch_size}"):
            batches_per_epoch(labels, batch_size, per_class)
        return
    batches = epoch(labels, batch_size, per_class, seed)
    assert len(batches) == want == batches_per_epoch(labels, batch_size, per_class)
    seen = np.concatenate(batches)
    assert len(seen) == len(set(seen)) == want * batch_size  # no image twice in the epoch
    for batch in batches:
        assert batch.shape == (batch_size,)
        for k, count in zip(*np.unique(labels[batch], return_counts=True), strict=True):
            assert count % per_class == 0  # whole groups, so every image has its partners
            assert count // per_class <= -(-groups[k] // want)  # as even as can be


def test_class_batches_S2_holds_every_class_once_when_there_are_batches_enough():
    labels = np.repeat(np.arange(100), 58)  # as CUB's training half
    for batch in epoch(labels, 180, 2):
        classes, counts = np.unique(labels[batch], return_counts=True)
        assert len(classes) == 90 and set(counts) == {2}


def test_class_batches_S2_of_fewer_classes_than_a_batch_asks_for_fills_it_evenly():
    # 50 classes, 90 groups in a batch: every class comes once or twice, with other images
    labels = np.repeat(np.arange(50), 36)
    batches = epoch(labels, 180, 2)
    assert len(batches) == 10
    for batch in batches:
        assert len(set(batch)) == 180
        assert set(np.bincount(labels[batch])) == {2, 4}


def test_batches_per_epoch_S1_by_hand():
    # classes of 5, 4 and 1 images: 2 + 2 + 0 groups of two, 4 groups in batches of 2 groups
    """Holds (S1)."""
    assert batches_per_epoch([0] * 5 + [1] * 4 + [2], 4, 2) == 2
    assert batches_per_epoch([0] * 5 + [1] * 4 + [2], 6, 2) == 1
    assert batches_per_epoch([3, 3, 3], 1, 1) == 3


def test_class_batches_S2_uses_every_image_equally_often():
    # classes of 5 and 7 images leave one out in every epoch: each image is used 4/5 or 6/7
    labels = np.repeat([0, 1, 2, 3], [5, 7, 5, 7])
    used, rng = np.zeros(len(labels)), np.random.default_rng(1)
    for _ in range(2000):
        for batch in class_batches(rng, labels, 4, 2):
            used[batch] += 1
    share = np.where(labels % 2, 6 / 7, 4 / 5)
    assert np.max(np.abs(used / 2000 - share)) <= 4 * np.sqrt(0.16 / 2000)


def test_class_batches_S2_pairs_all_images_of_a_class_and_all_classes():
    labels, together = np.repeat([0, 1, 2], 4), np.zeros((12, 12))
    rng = np.random.default_rng(2)
    for _ in range(2000):
        for batch in class_batches(rng, labels, 4, 2):
            together[np.ix_(batch, batch)] += 1
    same = labels[:, None] == labels
    inside = together[same & ~np.eye(12, dtype=bool)]
    # each image has one partner of its class per epoch, any of three equally often
    assert np.max(np.abs(inside / 2000 - 1 / 3)) <= 4 * np.sqrt(2 / 9 / 2000)
    # and two images of other classes, any of eight: variance at most 1/4
    assert np.max(np.abs(together[~same] / 2000 - 1 / 4)) <= 4 * np.sqrt(1 / 4 / 2000)


def test_class_batches_S2_is_a_function_of_the_generator():
    labels = np.repeat(np.arange(9), 6)
    first, again, other = (np.stack(epoch(labels, 6, 2, seed)) for seed in (3, 3, 4))
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_class_batches_S2_never_looks_at_the_values_of_the_labels():
    labels = np.repeat([0, 1, 2], 6)
    renamed = np.array([-5, 70, 1000])[labels]
    assert np.array_equal(epoch(labels, 4, 2), epoch(renamed, 4, 2))


def test_class_batches_K43_leaves_out_a_class_too_small_for_a_group():
    """Holds (K43)."""
    labels = np.array([0, 0, 1, 1, 2])
    for seed in range(20):
        assert 4 not in np.concatenate(epoch(labels, 4, 2, seed))


def test_class_batches_K43_lets_another_image_wait_in_each_epoch():
    waiting = {({0, 1, 2} - set(epoch([5, 5, 5], 2, 2, s)[0].tolist())).pop() for s in range(30)}
    assert waiting == {0, 1, 2}


def test_class_batches_K43_lets_another_class_wait_when_a_batch_stays_unfilled():
    labels = np.repeat([0, 1, 2], 2)  # three groups, one batch of two
    absent = [({0, 1, 2} - set(labels[epoch(labels, 4, 2, s)[0]].tolist())) for s in range(300)]
    share = np.bincount([k.pop() for k in absent], minlength=3) / 300
    assert np.max(np.abs(share - 1 / 3)) <= 4 * np.sqrt(2 / 9 / 300)


def test_class_batches_S2_brings_the_batches_in_any_order():
    # two classes of two batches each: all six orders occur, not only class after class
    labels = np.repeat([0, 1], 4)
    orders = {tuple(labels[b[0]].item() for b in epoch(labels, 2, 2, s)) for s in range(200)}
    assert len(orders) == 6


@pytest.mark.parametrize("make", [batches_per_epoch, lambda *a: class_batches(None, *a)])
@pytest.mark.parametrize(
    "batch_size, per_class, message",
    [
        (5, 2, "batch of 5 with 2 per class: expected a positive multiple"),
        (0, 2, "batch of 0 with 2 per class: expected a positive multiple"),
        (4, 0, "batch of 4 with 0 per class: expected a positive multiple"),
        (8, 2, "batch of 8 with 2 per class: expected at most 6"),
        (8, 4, "batch of 8 with 4 per class: expected at most 0"),
    ],
)
def test_class_batches_S1_refuses_at_once_what_it_cannot_fill(make, batch_size, per_class, message):
    with pytest.raises(ValueError, match=message):
        make([0, 0, 1, 1, 2, 2, 2], batch_size, per_class)
