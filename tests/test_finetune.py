"""Fine-tuning the network's last blocks: plan, choice, resumption and tables, on made-up runs.

The network itself needs optional packages; its losses are compared in tests/peers.
"""

import finetune
import finetune_cache
import finetune_plan as plan
import finetune_tables
import numpy as np
import pytest


def row(arm, trial, recall, stage="tune", seed=0, setting=None, **trees):
    """Make up a run; trees by rule: purities of class, subgroup and group."""
    shown = {rule: [*purities, 0.1, 0.1] for rule, purities in trees.items()}
    settings = plan.setting(arm, trial) if setting is None else setting
    of_run = plan.task(stage, arm, settings, seed, trial=trial)
    return of_run | {"recall": [recall], "trees": shown, "seconds": 0}


def test_the_plan_is_the_same_each_time_and_more_trials_keep_the_first():
    few, more = (list(plan.tuning(n)) for n in (2, 5))
    assert more[: len(few)] == few == list(plan.tuning(2))
    assert len(few) == 2 * len(plan.ARMS) + len(plan.UNTRAINED)
    assert len({finetune.key(each) for each in more}) == len(more)


@pytest.mark.parametrize("arm", plan.ARMS)
def test_trials_of_a_loss_share_all_but_what_hier_adds(arm):
    loss, kind = arm.split()
    for trial in range(len(plan.SHARED)):
        with_hier, alone = plan.setting(arm, trial), plan.setting(f"{loss} alone", trial)
        weight = with_hier.pop("hier_weight", 0.0)
        assert with_hier == alone
        assert (weight > 0) == (kind != "alone")


@pytest.mark.parametrize("arm", [*plan.ARMS, "PA frozen", "MS frozen"])
def test_every_setting_is_one_of_config(arm):
    made = finetune.config_of(plan.task("tune", arm, plan.setting("MS alone", 3), 7))
    assert (made.loss, made.seed, made.validate) == (arm.split()[0], 7, 0.0)
    assert made.convention == ("released" if arm.endswith("released") else "exact")


def test_proxies_of_the_recipe_move_at_a_multiple_of_the_rate_of_the_network():
    task = plan.task("tune", "MS released", plan.setting("MS released", 0), 0)
    assert np.isclose(finetune.config_of(task).lr_proxies, 50 * task["setting"]["lr_tail"])


def test_tuning_never_sees_a_class_of_the_test_half():
    assert {each["data"] for each in plan.tuning(3)} == {plan.VALIDATION}
    rows, labels, scored = finetune.prepared(plan.VALIDATION)
    unseen = finetune.prepared(plan.TEST)[2].part("test")
    held = scored.part("test")
    assert not set(labels) & set(held.labels)
    assert not set(unseen.labels) & (set(labels) | set(held.labels))
    assert not set(rows) & set(held.features[:, 0].astype(int))


def test_rows_are_those_of_the_features_file():
    features = finetune.read_features(finetune.default_features())
    for data in (plan.VALIDATION, plan.TEST):
        rows, labels, scored = finetune.prepared(data)
        assert np.array_equal(features.labels[rows], labels)
        assert set(features.split[rows]) == {"train"}
        held = scored.part("test")
        assert np.array_equal(features.labels[held.features[:, 0].astype(int)], held.labels)


ROWS = [
    row("MS alone", 0, 80.0, linkage=(0.5, 0.2, 0.2)),
    row("MS alone", 1, 78.0, linkage=(0.5, 0.4, 0.4)),
    row("MS strong", 0, 79.5, linkage=(0.5, 0.2, 0.3)),
    row("MS strong", 1, 79.2, linkage=(0.5, 0.3, 0.3)),
    row("MS strong", 2, 70.0, linkage=(0.5, 0.9, 0.9)),
    row("PA strong", 0, 60.0, linkage=(0.5, 0.1, 0.1)),
]


@pytest.mark.parametrize(
    ("arm", "goal", "trial"),
    [
        ("MS alone", "recall", 0),
        ("MS alone", "tree", 0),
        ("MS strong", "recall", 0),
        ("MS strong", "tree", 1),
        ("PA strong", "recall", 0),
    ],
)
def test_the_choice_by_hand(arm, goal, trial):
    assert plan.chosen(ROWS, arm, goal)["trial"] == trial


def test_no_trial_no_choice():
    assert plan.chosen(ROWS, "PA alone", "recall") is None
    assert plan.chosen([], "MS alone", "tree") is None


def test_finals_run_each_setting_once_and_first_what_recall_chose():
    tasks = list(plan.finals(ROWS, 2))
    keys = [finetune.key(each) for each in tasks]
    assert len(set(keys)) == len(keys)
    assert {each["data"] for each in tasks} == {plan.TEST}
    arms = [(each["arm"], each["seed"]) for each in tasks[len(plan.UNTRAINED) :]]
    first = ["MS alone", "PA strong", "MS strong", "MS frozen"]
    assert sorted(arms[:8]) == sorted((arm, seed) for arm in first for seed in (1, 2))
    assert arms[8:] == [("MS strong", 1), ("MS strong", 2)]
    frozen = [each["setting"] for each in tasks if each["arm"] == "MS frozen"]
    assert frozen[0] == plan.setting("MS alone", 0) | {"lr_tail": 0.0}


def test_what_is_there_is_not_run_again(tmp_path, monkeypatch):
    ran = []

    def run(task):
        ran.append(task)
        return task | {"recall": [0.0], "trees": {}, "seconds": 0}

    monkeypatch.setattr(finetune, "run", run)
    for trials in (1, 2):
        finetune.complete(plan.tuning(trials), tmp_path / "lines")
    assert ran == list(plan.tuning(2))


def test_the_tables_by_hand():
    names = ("recall", "recall8", "map", "linkage subgroup", "linkage group")
    trees = {"linkage": (0.5, 0.2, 0.2)}
    with_proxies = trees | {"lca": (0.4, 0.1, 0.1)}
    rows = list(ROWS)
    for seed in (1, 2):
        for arm, value, shown in (("alone", 400, trees), ("strong", 500, with_proxies)):
            made = row(f"MS {arm}", 0, 0.0, "final", seed, **shown)
            of_class = {name: [value, value + 100] for name in names}
            if arm == "strong":
                of_class |= {f"lca {level}": [300, 300] for level in ("subgroup", "group")}
            rows.append(made | {"by_class": of_class})
    n = np.array([6, 2])
    means = finetune_tables.table_means(rows, n).splitlines()
    assert means[2].startswith(
        "| MS alone | recall | 2 | 42.5 | 42.5 | 42.5 | 42.5 | 42.5 | 0.100 |"
    )
    assert means[3].endswith("| 52.5 | 52.5 | 0.100 | 30.0 | 30.0 | 0.100 |")
    changes = finetune_tables.table_changes(rows, n).splitlines()
    assert changes[2].startswith("| MS strong | recall | 2 | **+10.0 (+10.0 .. +10.0)**† |")
    assert "**-12.5 (-20.0 .. -10.0)**† |" in changes[2]


def test_the_page_holds_the_tables_of_the_results():
    text = finetune_tables.PAGE.read_text()
    rows = finetune.read(finetune_tables.RESULTS)
    assert finetune_tables.filled(text, rows, finetune_tables.sizes()) == text
    for name in finetune_tables.TABLES:
        assert text.count(f"<!-- finetune: {name} -->") == 1


def test_a_drawing_is_moved_a_little_on_white():
    pixels = np.full((64, 64, 3), 255, np.uint8)
    pixels[24:40, 24:40] = 0
    found = finetune_cache.moved(pixels, np.random.default_rng(0))
    assert found.shape == pixels.shape
    assert (found[0] == 255).all() and (found[:, -1] == 255).all()
    dark = np.argwhere(found[..., 0] < 128)
    assert 0.7 < len(dark) / 256 < 1.4
    assert (abs(dark.mean(axis=0) - 31.5) < 64 * finetune_cache.SHIFT + 1).all()
    assert not np.array_equal(found, pixels)
