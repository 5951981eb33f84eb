"""The study "Does HIER help?": its protocol, its arithmetic, its chapter against its results."""

import json
from concurrent.futures import Future
from dataclasses import replace

import marks
import numpy as np
import pytest
import study
import study_compare
import study_plan
import study_regime_tables
import study_regimes
import study_tables
from study_plan import Case
from study_regimes import REGIMES, TEST, VALIDATION, data_name

from hier_ref.training.config import Config

ROWS = study.read()
HIER_ONLY = {"hier_weight", "lr_proxies", "proxies", "triplets"}


def test_validation_classes_are_a_third_of_the_training_classes_and_whole():
    labels = np.array([8, 8, 2, 5, 5, 5, 11, 2, 20, 14])
    words = study_regimes.validation_words(labels)
    assert set(labels[words == "test"]) == {8, 20}
    assert set(labels[words == "train"]) == {2, 5, 11, 14}


@pytest.mark.parametrize("regime", REGIMES)
def test_tuning_never_sees_a_class_of_the_test_half(regime):
    _, _, known, scored = study.prepared(data_name(VALIDATION, regime))
    trained, held = set(known[:, 0]), set(scored.part("test").labels)
    test_half = set(study.features().part("test").labels)
    assert not test_half & (trained | held)
    assert not trained & held
    assert trained | held <= set(study.features().part("train").labels)


@pytest.mark.parametrize("regime", REGIMES)
def test_every_regime_is_judged_by_the_same_images_and_classes(regime):
    for word in (VALIDATION, TEST):
        plain, scored = (study.prepared(data_name(word, each))[3] for each in ("", regime))
        for part in ("labels", "levels", "paths"):
            of_both = (getattr(each.part("test"), part) for each in (plain, scored))
            np.testing.assert_array_equal(*of_both)


def test_plain_runs_train_on_the_whole_training_half_and_are_scored_on_the_test_half():
    inputs, labels, known, scored = study.prepared(TEST)
    assert scored is study.features()
    assert len(inputs) == len(labels) == len(known) == np.sum(scored.split == "train")
    assert set(labels) == set(scored.part("train").labels)


def test_few_labels_are_two_images_of_each_class_or_all_of_every_fourth_or_both():
    labels = study.features().part("train").labels
    whole = dict(zip(*np.unique(labels, return_counts=True), strict=True))
    counts = {}
    for regime in ("two images", "quarter", "two of a quarter"):
        _, known, _, _ = study.prepared(data_name(TEST, regime))
        counts[regime] = dict(zip(*np.unique(known, return_counts=True), strict=True))
    assert counts["two images"] == dict.fromkeys(whole, 2)
    assert counts["quarter"] == {label: whole[label] for label in sorted(whole)[::4]}
    assert counts["two of a quarter"] == dict.fromkeys(counts["quarter"], 2)


@pytest.mark.parametrize("regime", [name for name in REGIMES if REGIMES[name].level is not None])
def test_coarse_training_never_uses_a_class(regime):
    features = study.features()
    levels = features.part("train").levels[:, REGIMES[regime].level]
    inputs, labels, _, _ = study_regimes.prepare(features, data_name(TEST, regime))
    np.testing.assert_array_equal(labels, levels)
    unnamed = replace(features, labels=np.random.default_rng(0).permutation(features.labels))
    again = study_regimes.prepare(unnamed, data_name(TEST, regime))
    np.testing.assert_array_equal(inputs, again[0])
    np.testing.assert_array_equal(labels, again[1])


def test_noise_has_the_stated_size_in_both_halves_and_is_always_the_same():
    features = study.features()
    noisy = study_regimes.noisy(features).features
    x = features.features.astype(float)
    for half in ("train", "test"):
        added = (noisy - x)[features.split == half]
        assert abs(added.std() / x.std() - 1.5) < 0.01 and abs(added.mean()) < 0.01 * x.std()
    np.testing.assert_array_equal(noisy, study_regimes.noisy(features).features)


def test_stretching_multiplies_by_the_variance_of_the_training_half_alone():
    features = study.features()
    test = features.split == "test"
    other = replace(features, features=np.where(test[:, None], 1, features.features))
    stretched, again = (study_regimes.stretched(each).features for each in (features, other))
    np.testing.assert_array_equal(stretched[~test], again[~test])
    sd = features.features[~test].astype(float).std(axis=0)
    ratio = stretched[~test].astype(float).std(axis=0) / sd
    np.testing.assert_allclose(ratio, (sd / sd[0]) ** 2, rtol=1e-4)


@pytest.mark.parametrize("regime", REGIMES)
def test_both_arms_have_the_same_trials_but_for_hier(regime):
    tasks = list(study_plan.tuning(Case("MS", regime=regime), 20))
    assert len(tasks) == 40
    for alone, hier in zip(tasks[::2], tasks[1::2], strict=True):
        assert alone["trial"] == hier["trial"] and alone["seed"] == hier["seed"]
        assert alone["config"].pop("hier_weight") == 0 < hier["config"]["hier_weight"]
        shared = {name: v for name, v in hier["config"].items() if name not in HIER_ONLY}
        assert shared == alone["config"]
        assert set(hier["config"]) - set(shared) <= HIER_ONLY


def test_more_trials_keep_the_first():
    few, more = (list(study_plan.tuning(Case("PA", "mlp"), n)) for n in (3, 5))
    assert more[: len(few)] == few


def row(trial, ball, cosine, name="alone", loss="MS", regime=""):
    """Make up a trial."""
    recall = {"ball": {"recall": [ball]}, "cosine": {"recall": [cosine]}}
    data = data_name(VALIDATION, regime)
    return study_plan.task("tune", name, {"loss": loss}, 0, data, trial=trial) | recall


def test_selection_is_by_the_better_retrieval_of_the_right_arm_and_case_ties_to_the_first():
    rows = [
        row(0, 50, 60),
        row(1, 70, 10),
        row(2, 10, 70),
        row(3, 99, 0, "hier"),
        row(4, 99, 0, loss="PA"),
        row(5, 99, 0, regime="noise"),
    ]
    assert study_plan.selected(rows, Case("MS"), "alone", 10)["trial"] == 1
    assert study_plan.selected(rows, Case("MS"), "alone", 1)["trial"] == 0
    assert [study_compare.retrieval(each) for each in rows[:3]] == ["cosine", "ball", "cosine"]


def test_a_twin_differs_from_hier_by_its_weight_alone():
    arms = {"alone": {"loss": "MS"}, "hier": {"loss": "MS", "hier_weight": 2.0, "proxies": 64}}
    tasks = list(study_plan.finals(arms, 2, "noise"))
    assert [each["seed"] for each in tasks] == [1, 1, 1, 2, 2, 2]
    _, hier, twin = (each["config"] for each in tasks[:3])
    assert twin == hier | {"hier_weight": 0.0}
    assert {each["data"] for each in tasks} == {"test, noise"}


def test_head_starts_keep_the_setting_found_without_hier():
    base = {"loss": "MS", "lr_head": 0.5, "clip": 3.0, "hier_weight": 0.0}
    for more in (study_plan.second, study_plan.third):
        for each in more(base, 5, "long"):
            assert each["data"] == "validation, long" and each["config"]["hier_weight"] > 0
            assert each["config"] | {"hier_weight": 0.0} == each["config"] | base


def test_more_trials_without_hier_go_on_where_tuning_ended():
    case = Case("MS", regime="gentle groups")
    tuned, more = list(study_plan.tuning(case, 6)), list(study_plan.again(case, 3))
    alone = [each for each in tuned if each["name"] == "alone"]
    assert more == [each | {"stage": "again"} for each in alone[3:]]


class Now:
    """A pool that computes at once."""

    def __init__(self, results):
        self.results, self.seen = results, []

    def submit(self, _, task):
        self.seen.append(task["seed"])
        future = Future()
        future.set_result(task | self.results)
        return future


def test_what_is_done_is_not_run_again(tmp_path, capsys):
    out, pool = tmp_path / "rows.jsonl", Now({"ball": {"recall": [5]}, "cosine": {"recall": [7]}})
    tasks = [
        study_plan.task("claims", "MS", {"loss": "MS", "lr_head": 1e-3}, seed) for seed in (0, 1)
    ]
    study.complete(tasks[:1], pool, out)
    study.complete(tasks, pool, out)
    study.complete(tasks, pool, out)
    assert pool.seen == [0, 1]
    assert [json.loads(line)["seed"] for line in out.read_text().splitlines()] == [0, 1]
    assert "1/1  claims MS MS seed 1  R@1 7.00  0 s left" in capsys.readouterr().out


def test_interval_of_three_differences_by_hand():
    mean, half = study_compare.interval([1, 2, 3])
    assert mean == 2
    quantile = 0.95 * (2 / (1 - 0.95**2)) ** 0.5  # of t with 2 degrees of freedom, in closed form
    assert abs(half / (quantile / 3**0.5) - 1) < 1e-9


def test_only_a_difference_beyond_its_interval_is_bold():
    assert study_compare.difference([2, 3, 4], [1, 1, 1]) == "+2.00 ± 2.48"
    assert study_compare.difference([12, 13, 14], [1, 1, 1]) == "**+12.00 ± 2.48**"


def test_a_difference_that_survives_all_comparisons_is_marked():
    # t with 2 degrees of freedom: the half width over that of 95% at a level of 0.05 / 216
    level = 1 - 0.05 / study_compare.COMPARISONS
    ratio = level * (2 / (1 - level**2)) ** 0.5 / (0.95 * (2 / (1 - 0.95**2)) ** 0.5)
    for factor, mark in ((0.99, ""), (1.01, "†")):
        mean = factor * ratio * study_compare.interval([-1, 0, 1])[1]
        found = study_compare.difference([mean - 1, mean, mean + 1], [0, 0, 0])
        assert found == f"**{mean:+.2f} ± 2.48**{mark}"


def test_pairs_are_split_by_the_learning_rate_that_both_drew():
    rates = (1e-3, 2e-3, 3e-3, 0.02)  # the plain range has its middle at 0.0039
    rows = [row(n, score, 0) for n, score in enumerate((80, 76, 75, 70))]
    rows += [row(n, score, 0, "hier") for n, score in enumerate((79, 77, 72, 72))]
    for each in rows:
        each["config"]["lr_head"] = rates[each["trial"]]
    plain = study_regime_tables.table_regime_trials(rows).splitlines()[2]
    assert plain == "| plain | 3 | 1 | -1.00 ± 4.97 | 1 | 1 |  |"


def test_a_split_by_the_learning_rate_shows_no_gain_where_there_is_none():
    rng, rows = np.random.default_rng(0), []
    for trial in range(400):
        for name in ("alone", "hier"):
            made = row(trial, float(rng.normal(70, 5)), 0, name)
            made["config"]["lr_head"] = (1e-3, 2e-2)[trial % 2]
            rows.append(made)
    halves = study_regime_tables.table_regime_trials(rows).splitlines()[2].split(" | ")
    for cell in (halves[3], halves[6]):
        mean, _, half = cell.strip(" |").split(" ")
        assert abs(float(mean)) < 1.5 * float(half)


def test_a_run_is_scored_and_says_how_hard_hier_pushes():
    config = {"loss": "MS", "epochs": 1, "hier_weight": 0.5, "proxies": 8, "triplets": 1}
    found = study.run(study_plan.task("claims", "MS", config, 0))
    alone = study.run(study_plan.task("claims", "MS", config | {"hier_weight": 0.0}, 0))
    assert "push" not in alone and found["push"] > 0
    assert np.all(np.diff(found["ball"]["recall"]) > 0) and len(found["ball"]["levels"]) == 2
    assert set(found["losses"]) == {"metric", "hier"}


def test_results_are_exactly_the_runs_of_the_plan():
    stages = study_plan.stages(trials=10, seeds=5).values()
    planned = [study.key(task) for stage in stages for tasks in stage for task in tasks(ROWS)]
    assert sorted(map(study.key, ROWS)) == sorted(planned)


def test_only_tuning_and_the_head_starts_look_at_validation_classes_and_only_there():
    ran = [each for each in ROWS if each["stage"] != "raw"]
    assert {each["stage"] for each in ran if "trial" in each} == {
        "tune",
        "second",
        "third",
        "again",
    }
    for each in ran:
        word, _ = study_regimes.word_and_regime(each["data"])
        assert word == (VALIDATION if "trial" in each else TEST)
    assert all(Config(**each["config"]) for each in ran)


def test_at_the_clip_radius_ball_and_cosine_retrieve_the_same():
    fixed = [each for each in ROWS if each.get("at_radius") == 1]
    apart = [abs(each["ball"]["recall"][0] - each["cosine"]["recall"][0]) for each in fixed]
    assert len(apart) > 20 and max(apart) < 0.1  # percent: rounding reorders near ties


def test_tables_of_the_chapters_are_those_of_the_results():
    texts = [(study_tables.DOCS / name).read_text() for name in study_tables.CHAPTERS]
    for text in texts:
        made = marks.filled(text, "study", lambda name: study_tables.TABLES[name](ROWS))
        assert made == text
    for name in study_tables.TABLES:
        assert sum(text.count(f"<!-- study: {name} -->\n") for text in texts) == 1, name
