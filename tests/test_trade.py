"""The trade of recall against hierarchy: plan, choice, resumption and tables, on made-up runs."""

import json

import depth
import marks
import numpy as np
import promise_tables
import pytest
import released_tree
import trade
import trade_plan
import trade_scores
import trade_tables

from hier_ref.pairwise import pairwise_distance
from hier_ref.training.config import Config
from hier_ref.tree.reading import linkage_tree
from hier_ref.tree.scores import dendrogram_purity


def row(arm, trial, recall, stage="tune", seed=0, **trees):
    """Make up a run; trees by rule: purities of class, subgroup and group."""
    shown = {rule: [*purities, 0.1, 0.1] for rule, purities in trees.items()}
    settings = trade_plan.setting(arm, trial)
    of_run = trade_plan.task(stage, arm, settings, seed, trial=trial)
    return of_run | {"recall": [recall], "trees": shown, "seconds": 0}


def test_the_plan_is_the_same_each_time_and_more_trials_keep_the_first():
    few, more = (list(trade_plan.tuning(n)) for n in (3, 6))
    assert more[: len(few)] == few == list(trade_plan.tuning(3))
    assert len(few) == 3 * len(trade_plan.CHOICES) + len(trade_plan.FIXED)


@pytest.mark.parametrize("arm", trade_plan.CHOICES)
def test_every_setting_is_one_of_config_and_only_hier_has_a_weight(arm):
    for trial in range(40):
        setting = trade_plan.setting(arm, trial)
        options = {name: v for name, v in setting.items() if name not in trade.OWN}
        assert (Config(**options).hier_weight > 0) == (arm == "hier")


def test_tuning_never_sees_a_class_of_the_test_half():
    assert {each["data"] for each in trade_plan.tuning(5)} == {trade_plan.VALIDATION}
    _, labels, scored = trade.prepared(trade_plan.VALIDATION)
    trained, held = set(labels), set(scored.part("test").labels)
    unseen = set(trade.prepared(trade_plan.TEST)[2].part("test").labels)
    assert held and not trained & held and not unseen & (trained | held)


ROWS = [
    row("alone", 0, 80.0, linkage=(0.5, 0.2, 0.2)),
    row("hier", 0, 79.5, linkage=(0.6, 0.2, 0.3), lca=(0.4, 0.3, 0.3), nearest=(0.5, 0.1, 0.1)),
    row("hier", 1, 77.0, linkage=(0.5, 0.4, 0.5), lca=(0.3, 0.4, 0.4), nearest=(0.1, 0.1, 0.1)),
    row("hier", 2, 10.0, linkage=(0.1, 0.9, 0.9), lca=(0.1, 0.9, 0.9), nearest=(0.1, 0.1, 0.1)),
]


@pytest.mark.parametrize(
    ("goal", "reading", "budget", "trial", "rule"),
    [
        ("levels", "linkage", 1, 0, "linkage"),
        ("levels", "linkage", 5, 1, "linkage"),
        ("levels", "proxies", 100, 2, "lca"),
        ("labels", "linkage", 100, 0, "linkage"),
        ("labels", "proxies", 100, 0, "nearest"),
    ],
)
def test_the_best_tree_within_the_budget_is_chosen(goal, reading, budget, trial, rule):
    found = trade_plan.chosen(ROWS, "hier", goal, reading, budget)
    assert found["trial"] == trial
    assert trade_plan.rule_of(found, goal, reading) == rule


def test_no_labels_choice_reads_the_taxonomy():
    hidden = [r | {"trees": {n: [t[0], 0, 0, 0, 0] for n, t in r["trees"].items()}} for r in ROWS]
    for reading in trade_plan.READINGS:
        one, other = (trade_plan.chosen(r, "hier", "labels", reading, 5) for r in (ROWS, hidden))
        assert one["trial"] == other["trial"]


def test_nothing_is_chosen_that_has_no_such_tree_or_loses_too_much():
    assert trade_plan.chosen(ROWS, "alone", "levels", "proxies", 100) is None
    assert trade_plan.chosen([ROWS[0], ROWS[3]], "hier", "levels", "linkage", 5) is None


def test_finals_run_each_setting_once_on_the_test_half_seed_by_seed():
    tasks = list(trade_plan.finals(ROWS, 2))
    keys = [trade.key(each) for each in tasks]
    assert len(set(keys)) == len(keys)
    assert {each["data"] for each in tasks} == {trade_plan.TEST}
    assert [each["seed"] for each in tasks] == sorted(each["seed"] for each in tasks)
    assert sum(each["arm"] == "hier" for each in tasks) == 2 * 3


def test_what_is_there_is_not_run_again(tmp_path, monkeypatch):
    ran = []

    def run(task):
        ran.append(task)
        return task | {"recall": [0.0], "trees": {}, "seconds": 0}

    monkeypatch.setattr(trade, "run", run)
    for trials in (1, 2):
        trade.complete(trade_plan.tuning(trials), tmp_path / "lines")
    assert ran == [t for t in trade_plan.tuning(2)]
    assert len(trade.read(tmp_path / "lines")) == len(ran)


def test_a_line_that_was_broken_off_is_named(tmp_path):
    path = tmp_path / "lines"
    path.write_text('{"a": 1}\n{"a": ')
    with pytest.raises(SystemExit, match="line 2: broken off, expected JSON"):
        trade.read(path)


def test_point_purity_averages_to_dendrogram_purity():
    rng = np.random.default_rng(0)
    z = 0.3 * rng.standard_normal((40, 3))
    labels = np.r_[np.arange(8), rng.integers(0, 8, 24), np.arange(8)]
    tree = linkage_tree(pairwise_distance(z, z, 0.1))
    values = trade_scores.point_purity(tree, labels)
    assert np.isclose(values.mean(), dendrogram_purity(tree, labels), rtol=1e-12)


def test_point_purity_by_hand():
    # Average linkage of 0, 1, 3, 7 on a line merges from the left.
    x = np.array([[0.0], [1.0], [3.0], [7.0]])
    tree = linkage_tree(np.abs(x - x.T))
    found = trade_scores.point_purity(tree, np.array([5, 9, 5, 9]))
    np.testing.assert_allclose(found, [2 / 3, 1 / 2, 2 / 3, 1 / 2])


def test_a_mix_has_the_mean_of_both_cosines():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((5, 4))
    z = trade.mixed(0.3, lambda f: f, lambda f: f[:, :2])(x)

    def cosine(a):
        u = a / np.linalg.norm(a, axis=1, keepdims=True)
        return u @ u.T

    np.testing.assert_allclose(cosine(z), 0.7 * cosine(x) + 0.3 * cosine(x[:, :2]), atol=1e-12)


def test_an_interval_without_spread_is_its_mean_and_weighs_classes_by_their_images():
    same = np.array([[1.0, 1.0], [1.0, 1.0]])
    assert trade_tables.interval(same, np.array([3, 1])) == (1.0, 1.0, 1.0, 0.0)
    mean, low, high, error = trade_tables.interval(np.array([[0.0, 4.0]]), np.array([3, 1]))
    assert (mean, low, high) == (1.0, 0.0, 4.0)
    expected = np.std([0, 1, 1, 4])  # both classes drawn twice, or each once in either order
    assert abs(error / expected - 1) < 0.1  # a thousand draws


def test_a_change_is_bold_beyond_its_interval_and_marked_beyond_that_of_all():
    assert trade_tables.Change(1.0, -0.1, 2.1, 0.55).shown(1) == "+1.0 (-0.1 .. +2.1)"
    assert trade_tables.Change(1.0, 0.1, 1.9, 0.45).shown(1) == "**+1.0 (+0.1 .. +1.9)**†"
    assert trade_tables.Change(1.0, 0.1, 1.9, 0.45).shown(20) == "**+1.0 (+0.1 .. +1.9)**"


def test_the_front_by_hand():
    def final(arm, seed, hit):
        names = ("recall", "linkage subgroup", "linkage group")
        made = row(arm, 0, 0.0, "final", seed, linkage=(0.5, 0.2, 0.2))
        made["setting"] = trade_plan.PLAIN[arm]
        return made | {"by_class": {name: [hit, hit] for name in names}}

    rows = [final(arm, s, hit) for arm, hit in (("without", 500), ("lda", 400)) for s in (1, 2)]
    lines = trade_tables.table_front(rows, np.array([6, 2])).splitlines()
    change = "**-10.0 (-10.0 .. -10.0)**†"
    assert f"| lda |  | linkage | 2 | 40.0 | {change} | 40.0 | {change} |" in lines[2]
    assert "| without |  | linkage | 2 | 50.0 | +0.0 (+0.0 .. +0.0) |" in lines[3]


def test_a_setting_that_choices_agree_on_is_one_line_of_the_front():
    found = [each for each in trade_tables.contestants(ROWS) if each.arm == "hier"]
    by = {(json.dumps(each.setting, sort_keys=True), each.rule): each.chosen_by for each in found}
    of = {r["trial"]: json.dumps(r["setting"], sort_keys=True) for r in ROWS if r["arm"] == "hier"}
    assert by[of[0], "linkage"] == "levels 1, labels 1, labels 5, labels 100"
    assert by[of[1], "linkage"] == "levels 5"
    assert by[of[2], "linkage"] == "levels 100"
    assert len(by) == len(found)


def test_proxies_start_at_means_of_the_largest_sets_the_root_first():
    rng = np.random.default_rng(2)
    x, config = rng.standard_normal((6, 3)), Config(embedding=3)
    l = trade.placed(x, np.zeros((2, 3)), "nodes", config, rng)
    np.testing.assert_allclose(l[0], x.mean(axis=0), atol=1e-12)
    assert (
        trade.placed(x, np.ones((2, 3)), "random", config, rng).tolist() == np.ones((2, 3)).tolist()
    )
    at_points = trade.placed(x, np.zeros((4, 3)), "points", config, rng)
    assert all((row == x).all(axis=1).any() for row in at_points)


def test_what_is_hidden_has_the_planted_columns_and_reads_classes_that_do_not_train():
    x, columns, read = depth.hidden(0.0, 0.0, 3)
    assert x.shape == (len(columns), depth.WIDTH)
    assert not set(columns[read, 0]) & set(columns[~read, 0])
    assert set(columns[read, 1]) == set(columns[~read, 1])
    rank = np.linalg.matrix_rank(x - x.mean(axis=0), tol=1e-6)
    assert rank == depth.DIM
    assert np.array_equal(x, depth.hidden(0.0, 0.0, 3)[0])


def test_a_nuisance_is_shared_by_the_images_of_a_class():
    plain, columns, _ = depth.hidden(0.0, 0.0, 3)
    moved, _, _ = depth.hidden(0.0, 2.0, 3)
    within = [
        sum(np.var(x[columns[:, 0] == k], axis=0).sum() for k in np.unique(columns[:, 0]))
        for x in (plain, moved)
    ]
    assert np.isclose(*within)
    assert np.var(moved, axis=0).sum() > 2 * np.var(plain, axis=0).sum()


def test_the_level_of_a_node_is_the_finest_column_it_is_of_one_kind_on():
    # Merged from the left: the parents of {0, 1}, of {0, 1, 3}, of all.
    x = np.array([[0.0], [1.0], [3.0], [7.0]])
    tree = linkage_tree(np.abs(x - x.T))
    columns = np.array([[0, 4], [0, 4], [1, 4], [2, 5]])
    assert depth.level(tree, columns).tolist() == [0, 0, 0, 0, 0, 1, 2]


def test_the_depth_tables_by_hand():
    names = ["features", *depth.trees_shown()]
    rows = [
        {"noise": 1.0, "nuisance": 0.0, "seed": s}
        | {"purity": {n: [0.1, 0.2, 0.3] if n == "features" else [0.1, 0.25, 0.4] for n in names}}
        | {"radius": {"default": [-0.5, 0.5, 0.0, 0.0, 0.25]}}
        for s in range(2)
    ]
    lines = depth.table_levels(rows).splitlines()
    assert lines[2].startswith("| 1.0 | 0.0 | middle | 2 | 20.0 | +5.0 ± 0.0 | +5.0 ± 0.0 |")
    assert lines[3].startswith("| 1.0 | 0.0 | top | 2 | 30.0 | +10.0 ± 0.0 |")
    shown = "-0.50 ± 0.00 | +0.50 ± 0.00 | +0.00 ± 0.00 | +0.00 ± 0.00 | +0.25 ± 0.00 |"
    assert depth.table_radius(rows).splitlines()[2] == f"| default | 0.0 | 2 | {shown}"


def test_agreement_is_the_share_of_pairs_in_the_right_order_ties_half():
    rank = np.array([1.0, 2.5, 2.5, 4.0, 5.0])
    near = np.array([False, False, True, False, True])
    # 2.5 beats 1, ties 2.5, loses to 4; 5 beats all three
    assert released_tree.agreement(rank, near) == (1 + 0.5 + 0 + 3) / 6


def test_a_tree_of_classes_in_their_order_knows_it_and_a_shuffled_one_does_not():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(40), 5)
    for names, low, high in ((np.arange(40), 0.75, 1.0), (rng.permutation(40), 0.4, 0.6)):
        x = names[y][:, None] + rng.uniform(-0.3, 0.3, (200, 1))
        tree = linkage_tree(np.abs(x - x.T))
        found = released_tree.orders({"linkage": tree, "lca": tree, "lca, turned": tree}, y, rng)
        assert low < found["linkage"][0] < high and 0 < found["linkage"][1] < 0.1
        assert found["linkage and lca"] == found["linkage"]


def test_the_tables_of_the_chapters_are_those_of_the_lines():
    texts = [(promise_tables.DOCS / name).read_text() for name in promise_tables.CHAPTERS]
    for text in texts:
        made = marks.filled(text, "promise", lambda name: promise_tables.TABLES[name]())
        assert made == text
    for name in promise_tables.TABLES:
        assert sum(text.count(f"<!-- promise: {name} -->\n") for text in texts) == 1, name
