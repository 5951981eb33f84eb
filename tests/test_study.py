"""The study "Does HIER help?": its protocol, its arithmetic, its chapter against its results."""

import json
from concurrent.futures import Future

import numpy as np
import study
import study_compare
import study_plan
import study_tables

from hier_ref.config import Config

ROWS = study.read()
HIER_ONLY = {"hier_weight", "lr_proxies", "proxies", "triplets"}


def test_validation_classes_are_a_third_of_the_training_classes_and_whole():
    labels = np.array([8, 8, 2, 5, 5, 5, 11, 2, 20, 14])
    words = study.validation_words(labels)
    assert set(labels[words == "test"]) == {8, 20}
    assert set(labels[words == "train"]) == {2, 5, 11, 14}


def test_tuning_never_sees_a_class_of_the_test_half():
    _, labels, _, scored = study.prepared("validation")
    held = scored.part("test").labels
    classes = set(study.features().part("test").labels)
    assert not classes & (set(labels) | set(held))
    assert not set(labels) & set(held)
    assert set(labels) | set(held) == set(study.features().part("train").labels)


def test_other_runs_train_on_the_whole_training_half_and_are_scored_on_the_test_half():
    inputs, labels, levels, scored = study.prepared("test")
    assert scored is study.features()
    assert len(inputs) == len(labels) == len(levels) == np.sum(scored.split == "train")
    assert set(labels) == set(scored.part("train").labels)


def test_both_arms_have_the_same_trials_but_for_hier():
    tasks = list(study_plan.tuning("MS", "linear", 20))
    assert len(tasks) == 40
    for alone, hier in zip(tasks[::2], tasks[1::2], strict=True):
        assert alone["trial"] == hier["trial"] and alone["seed"] == hier["seed"]
        assert alone["config"].pop("hier_weight") == 0 < hier["config"]["hier_weight"]
        shared = {name: v for name, v in hier["config"].items() if name not in HIER_ONLY}
        assert shared == alone["config"]
        assert set(hier["config"]) - set(shared) <= HIER_ONLY


def test_more_trials_keep_the_first():
    few, more = (list(study_plan.tuning("PA", "mlp", n)) for n in (3, 5))
    assert more[: len(few)] == few


def row(trial, ball, cosine, name="alone", loss="MS"):
    """Make up a trial."""
    recall = {"ball": {"recall": [ball]}, "cosine": {"recall": [cosine]}}
    return study_plan.task("tune", name, {"loss": loss}, 0, trial=trial) | recall


def test_selection_is_by_the_better_retrieval_of_the_right_arm_and_loss_ties_to_the_first():
    rows = [
        row(0, 50, 60),
        row(1, 70, 10),
        row(2, 10, 70),
        row(3, 99, 0, "hier"),
        row(4, 99, 0, loss="PA"),
    ]
    assert study_plan.selected(rows, "MS", "linear", "alone", 10)["trial"] == 1
    assert study_plan.selected(rows, "MS", "linear", "alone", 1)["trial"] == 0
    assert [study_compare.retrieval(each) for each in rows[:3]] == ["cosine", "ball", "cosine"]


def test_a_twin_differs_from_hier_by_its_weight_alone():
    arms = {"alone": {"loss": "MS"}, "hier": {"loss": "MS", "hier_weight": 2.0, "proxies": 64}}
    tasks = list(study_plan.finals(arms, 2))
    assert [each["seed"] for each in tasks] == [1, 1, 1, 2, 2, 2]
    _, hier, twin = (each["config"] for each in tasks[:3])
    assert twin == hier | {"hier_weight": 0.0}


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


def test_only_tuning_and_the_second_round_look_at_validation_classes_and_only_there():
    tuned = [each for each in ROWS if "trial" in each]
    assert {each["stage"] for each in tuned} == {"tune", "second"}
    assert {each["data"] for each in tuned} == {"validation"}
    assert {each["data"] for each in ROWS if "trial" not in each} == {"test"}
    assert all(Config(**each["config"]) for each in ROWS)


def test_at_the_clip_radius_ball_and_cosine_retrieve_the_same():
    fixed = [each for each in ROWS if each["at_radius"] == 1]
    apart = [abs(each["ball"]["recall"][0] - each["cosine"]["recall"][0]) for each in fixed]
    assert len(apart) > 20 and max(apart) < 0.1  # percent: rounding reorders near ties


def test_tables_of_the_chapters_are_those_of_the_results():
    texts = [(study_tables.DOCS / name).read_text() for name in study_tables.CHAPTERS]
    for text in texts:
        assert study_tables.filled(text, ROWS) == text
    for name in study_tables.TABLES:
        assert sum(text.count(f"<!-- study: {name} -->\n") for text in texts) == 1, name
