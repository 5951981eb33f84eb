"""The embedded features are what data/README.md says, and no more."""

import hashlib
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hier_ref.features.contract import CONTRACT, read_features
from hier_ref.retrieval.recall import first_hit_rank, recall_from_ranks

DATA = Path(__file__).resolve().parents[1] / "data"
FILE = DATA / "emoji.npz"
README = (DATA / "README.md").read_text()


@pytest.fixture(scope="module")
def found():
    """The arrays by key, read without the package: a pickle among them would raise."""
    with np.load(FILE, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def classes_of(labels, values):
    """The set of values that occur with each label, one set per distinct label."""
    return [set(values[labels == label].tolist()) for label in np.unique(labels)]


def images_per_class(found):
    return np.unique(found["labels"], return_counts=True)[1]


def test_file_is_small_and_is_the_one_described():
    content = FILE.read_bytes()
    assert len(content) < 6e6
    assert f"{len(content)} bytes" in README
    assert hashlib.sha256(content).hexdigest() in README


def test_file_bytes_hold_no_pickle_and_no_time_of_writing():
    with zipfile.ZipFile(FILE) as archive:
        assert archive.testzip() is None
        for member in archive.infolist():
            assert member.date_time == (1980, 1, 1, 0, 0, 0), member.filename
            with archive.open(member) as stream:
                np.lib.format.read_magic(stream)
                dtype = np.lib.format.read_array_header_1_0(stream)[2]
            assert not dtype.hasobject, member.filename


def test_keys_are_those_of_the_contract_without_paths(found):
    assert set(found) == set(CONTRACT) - {"paths"}


def test_shapes_and_types_are_those_described(found):
    for key, array in found.items():
        shape = ", ".join(map(str, array.shape)) + ("," if array.ndim == 1 else "")
        kind = "str" if array.dtype.kind == "U" else str(array.dtype)
        assert f"| `{key}` | ({shape}) {kind} |" in README


def test_package_reads_it_and_finds_the_same_numbers(found):
    read = read_features(FILE)
    for key, array in found.items():
        np.testing.assert_array_equal(getattr(read, key), array, strict=True)


def test_features_are_finite_and_no_row_occurs_twice(found):
    features = found["features"]
    assert features.dtype == np.float16 and np.isfinite(features).all()
    assert len(np.unique(features, axis=0)) == len(features)


def test_principal_components_come_in_order_and_are_centred_on_the_training_half(found):
    train = found["features"][found["split"] == "train"].astype(np.float64)
    variance = train.var(axis=0)
    # Rounding to float16 moves a number by at most 2^-11 of itself, so a mean by at most 2^-11 of
    # the mean magnitude, a variance by 2^-10 of itself, the quotient of two by 2^-9.
    assert (np.abs(train.mean(axis=0)) <= 2**-11 * np.abs(train).mean(axis=0)).all()
    assert (variance[1:] <= variance[:-1] * (1 + 2**-9)).all()


def test_principal_components_of_the_training_half_are_uncorrelated(found):
    train = found["features"][found["split"] == "train"].astype(np.float64)
    correlation = np.corrcoef(train, rowvar=False)
    np.fill_diagonal(correlation, 0)
    # Rounding turns each column by an angle of at most 2^-11, the two of a pair by 2^-10.
    assert np.abs(correlation).max() <= 2**-10


def test_labels_number_the_class_names_and_names_are_distinct(found):
    names = found["class_names"].tolist()
    np.testing.assert_array_equal(np.unique(found["labels"]), np.arange(len(names)))
    assert len(set(names)) == len(names) and all(name.strip() == name != "" for name in names)


def test_every_class_has_four_to_eight_images_as_counted(found):
    count = np.bincount(images_per_class(found), minlength=9)
    assert not count[:4].any() and len(count) == 9
    text = "{} classes have 4, {} have 5, {} have 6, {} have 7 and {}\nhave 8".format(*count[4:])
    assert text in README


def test_split_covers_the_classes_disjointly_half_and_half(found):
    halves = classes_of(found["labels"], found["split"])
    assert halves == [{"train"}, {"test"}] * (len(halves) // 2)
    for word in ("train", "test"):
        rows = found["split"] == word
        classes = len(np.unique(found["labels"][rows]))
        assert re.search(rf"`{word}`: {rows.sum()}( images)? of (the other )?{classes}\b", README)


def test_both_halves_cover_every_group_and_every_subgroup_of_two_classes(found):
    for level in found["levels"].T:
        for value in np.unique(level):
            rows = level == value
            if len(np.unique(found["labels"][rows])) > 1:
                assert set(found["split"][rows]) == {"train", "test"}


def test_levels_are_consistent_within_a_class_and_nested(found):
    subgroup, group = found["levels"].T
    for fine, coarse in ((found["labels"], subgroup), (subgroup, group)):
        assert all(len(values) == 1 for values in classes_of(fine, coarse))
    assert found["level_names"].tolist() == ["subgroup", "group"]
    counts = [len(np.unique(level)) for level in (subgroup, group)]
    assert "subgroup ({} of them) and of the group ({})".format(*counts) in README


def test_values_of_levels_have_unicodes_names_each_once(found):
    subgroup, group = found["level_values"].T.tolist()
    groups = ["Smileys & Emotion", "People & Body", "Animals & Nature", "Food & Drink"]
    groups += ["Travel & Places", "Activities", "Objects"]
    assert group == groups + [""] * 74
    assert len(set(subgroup)) == 81 and all(subgroup)

    def named(name):
        row = found["labels"].tolist().index(found["class_names"].tolist().index(name))
        return [
            found["level_values"][value, level] for level, value in enumerate(found["levels"][row])
        ]

    assert named("grinning face") == ["face-smiling", "Smileys & Emotion"]
    assert named("green apple") == ["food-fruit", "Food & Drink"]
    assert named("dog") == ["animal-mammal", "Animals & Nature"]
    assert named("locomotive") == ["transport-ground", "Travel & Places"]


def test_taxonomy_is_that_of_unicode_where_we_know_it(found):
    def place(name):
        rows = found["labels"] == found["class_names"].tolist().index(name)
        return found["levels"][rows][0].tolist()

    assert place("dog")[0] == place("cat")[0] != place("bird")[0]
    assert place("dog")[1] == place("bird")[1] == place("tulip")[1] != place("pizza")[1]
    assert (
        place("pizza")[1] == place("green apple")[1]
        and place("pizza")[0] != place("green apple")[0]
    )


def test_drawings_of_the_sets_add_up_to_the_images(found):
    kept = re.findall(r"^\| `@iconify-json/[\w-]+` \| [\d.]+ \| (\d+) \|", README, re.MULTILINE)
    assert len(kept) == images_per_class(found).max() == 8
    assert sum(map(int, kept)) == len(found["labels"])


def test_raw_recall_is_the_one_described(found):
    labels = np.column_stack([found["labels"], found["levels"]])
    cells = []
    for rows in (slice(None), found["split"] == "test"):
        x, y = found["features"][rows], labels[rows]
        ranks, _ = first_hit_rank(x, y, x, y, c=0.0, exclude_self=True)
        cells += [f"{100 * recall_from_ranks(column, [1])[1]:.2f}" for column in ranks.T]
    assert f"| **shipped: 320 components, float16** | {' | '.join(cells)} |" in README
