"""The sets to measure on: what is drawn is a valid file, and what the table says of it is right."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from checks import limit, relative

sys.path.insert(0, str(Path(__file__).parent / "benchmarks" / "sets"))

import icons  # noqa: E402
import marks  # noqa: E402
import pictures  # noqa: E402
import sets_chapter  # noqa: E402
import sets_table  # noqa: E402
import synthetic_sets  # noqa: E402
from make import SETS, make  # noqa: E402
from pictures import Picture  # noqa: E402

from hier_ref.baselines.closed_form import moments  # noqa: E402
from hier_ref.features.contract import read_features  # noqa: E402


@pytest.mark.parametrize("name", synthetic_sets.MODELS)
def test_drawn_sets_are_valid_and_come_out_the_same_again(tmp_path, name):
    found = read_features(make(name, tmp_path / "one"))
    again = make(name, tmp_path / "two")
    assert again.read_bytes() == (tmp_path / "one" / f"{name}.npz").read_bytes()
    train, test = found.part("train"), found.part("test")
    assert not set(train.labels.tolist()) & set(test.labels.tolist())
    assert found.features.shape[1] <= 640 and len(found) <= 8000


def test_a_set_that_is_there_is_left(tmp_path):
    path = make("isotropic", tmp_path)
    path.write_bytes(b"kept")
    assert make("isotropic", tmp_path).read_bytes() == b"kept"


def test_drawn_images_scatter_as_the_model_says():
    """5,000 images: each eigenvalue of the spread within, in the model's axes, within 10 %."""
    model, drawn = synthetic_sets.model("few-classes"), synthetic_sets.draw("few-classes")
    within = moments(drawn["features"], drawn["labels"], norm=np.asarray).within
    values, axes = np.linalg.eigh(model.within)
    assert np.abs(np.diag(axes.T @ within @ axes) / values - 1).max() < 0.1


def test_the_known_map_is_not_beaten(tmp_path):
    features = read_features(make("nuisance", tmp_path))
    recall = {
        method: sets_table.measure("nuisance", method, features)["recall"]
        for method in ("untouched", "whitened", "lda", "known")
    }
    assert recall["untouched"] < recall["whitened"] < recall["lda"] < recall["known"]


def test_there_is_no_known_map_of_pictures(tmp_path):
    features = read_features(make("isotropic", tmp_path))
    assert sets_table.measure("icons", "known", features) is None


def test_there_is_no_search_where_no_class_can_judge(tmp_path):
    features = read_features(make("few-classes", tmp_path))
    assert sets_table.measure("few-classes", "tune-20", features) is None


def test_a_line_that_is_there_counts_and_of_two_the_last(tmp_path):
    path, file = tmp_path / "lines.jsonl", make("few-classes", tmp_path)
    first = sets_table.Lines(path).line("few-classes", "untouched", file, 0)
    row = json.loads(path.read_text())
    assert row == first
    with open(path, "a") as lines:
        print(json.dumps(row | {"recall": 1.5}), file=lines)
    assert sets_table.Lines(path).line("few-classes", "untouched", file, 0)["recall"] == 1.5
    again = sets_table.Lines(path, again=True).line("few-classes", "untouched", file, 0)
    assert again["recall"] == first["recall"] and len(path.read_text().splitlines()) == 3


def test_table_leaves_out_what_is_not_there():
    row = {"recall": 50.04, "low": 40.0, "high": 60.0, "images": 9, "classes": 3, "shrinkage": 0.1}
    table = sets_table.table(["a"], ["lda", "known"], {("a", "lda"): [row], ("a", "known"): []})
    assert table.splitlines()[-1] == "| a | 9 | 3 | 50.0 (40.0 to 60.0, s 0.1) |  |"
    empty = sets_table.table(["a"], ["tune-20"], {("a", "tune-20"): []})
    assert empty.splitlines()[-1] == "| a |  |  |  |"


def test_table_gives_the_mean_over_seeds_and_how_far_they_reach():
    rows = [
        {"recall": 50.0 + k, "low": 40.0, "high": 60.0 + k, "images": 9, "classes": 3}
        for k in (0, 1, 5)
    ]
    table = sets_table.table(["a"], ["default"], {("a", "default"): rows})
    assert table.splitlines()[-1] == "| a | 9 | 3 | 52.0 (40.0 to 62.0; seeds 50.0 to 55.0) |"


def test_pictures_of_two_classes_go_and_copies_are_kept_once():
    shown = [Picture(("svg", ""), label) for label in "aabbc"]
    assert pictures.unambiguous(shown, np.array(["1", "1", "2", "3", "3"])) == [0, 2]


def test_names_lose_their_style_and_the_plainest_icon_is_taken():
    found = {"icons": dict.fromkeys(["bell-outline", "bell", "bell-off-line", "line", "bell-alt"])}
    assert icons.plain_names(found) == {"bell": "bell", "bell-off": "bell-off-line", "line": "line"}


def test_components_keep_distances_where_there_are_few(rng):
    x = rng.standard_normal((40, 330)) @ rng.standard_normal((330, 330))
    got = pictures.principal_components(x, np.ones(40, bool))
    centred = x - x.mean(axis=0)
    assert relative(got @ got.T, centred @ centred.T) <= limit("invariance")


def test_every_set_is_explained():
    text = (Path(sets_table.__file__).parent / "sets" / "README.md").read_text()
    assert [name for name in SETS if f"`{name}`" not in text] == []


def test_the_tables_of_the_chapter_are_those_of_the_lines():
    text = sets_chapter.CHAPTER.read_text()
    assert marks.filled(text, "sets", lambda name: sets_chapter.TABLES[name]()) == text
    for name in sets_chapter.TABLES:
        assert text.count(f"<!-- sets: {name} -->\n") == 1


def test_the_default_loses_at_most_a_point_to_the_best_closed_form_on_any_set():
    for name, of in sets_chapter.read().items():
        best = max(sets_chapter.mean(of[method]) for method in sets_chapter.CLOSED)
        assert len(of["default"]) == 3, name
        assert sets_chapter.mean(of["default"]) >= best - 1, name
