"""What does hierarchy cost? Recall of classes against the taxonomy, HIER beside what is simpler.

    OMP_NUM_THREADS=1 nice python tests/benchmarks/trade.py [--trials N] [--seeds N]
    OMP_NUM_THREADS=1 python tests/benchmarks/trade.py --one hier 3     (one trial, seconds)

The first tunes every arm on a third of the training classes, runs what it chooses on the test half
and ends with the tables; --tables prints them from what there is. Each run is one line of
docs/trade.jsonl, and what is there already is not run again, so an interrupted study goes on.
Arms, settings and choice: trade_plan.py. Tables and intervals: trade_tables.py.

A line holds, in percent, Recall at 1, 2, 4, 8 and MAP@R by cosine; for each tree dendrogram purity
of class, subgroup and group, Spearman and Kendall with the taxonomy (docs/12), as shares of 1; and
of finals, by test class in thousandths, Recall@1 and, of each tree, purity of subgroup and group.
Trees: average linkage by cosine ("linkage") and by the ball ("ball"), proxies by both rules.
"""

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import scipy
import trade_plan
import trade_tables
from numpy.typing import NDArray
from study_regimes import prepare

from hier_ref.baselines.embeddings import Embedding, baselines
from hier_ref.evaluate import ranking, scores_of
from hier_ref.features.contract import Features, default_features, read_features
from hier_ref.losses import unit
from hier_ref.pairwise import pairwise_distance, pairwise_sq
from hier_ref.training.batch import embed, points, tangents
from hier_ref.training.config import Config
from hier_ref.training.fitting import Fit
from hier_ref.training.trainer import mean_losses
from hier_ref.tree.reading import RULES, linkage_tree, read_tree
from hier_ref.tree.report import score
from hier_ref.tree.structure import Tree

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "trade.jsonl"
OWN = ("margin_in", "tau_in", "proxy_start", "mix", "beside")
SAMPLE = 400  # images that distances and nodes at the start are found from


@cache
def prepared(data: str) -> tuple[NDArray, NDArray, Features]:
    """Return inputs (N, F) and labels (N,) to train on, and the features to score."""
    inputs, labels, _, scored = prepare(read_features(default_features()), data)
    return inputs, labels, scored


# ---- Training


def begun(inputs: NDArray, labels: NDArray, setting: dict, seed: int) -> Fit:
    """Return a training at its start, margin and temperature turned into distances."""
    options = {name: value for name, value in setting.items() if name not in OWN}
    config = Config(**({"validate": 0.0} | options), seed=seed)
    rng = np.random.default_rng([seed, 5])
    rows = rng.permutation(len(inputs))[:SAMPLE]
    first = Fit(inputs, labels, replace(config, epochs=0))
    x = tangents(inputs[rows], first.params, config)
    if "proxies" not in first.params:
        return Fit(inputs, labels, config)
    l = placed(x, first.params["proxies"], setting.get("proxy_start", "random"), config, rng)
    unit_of = float(np.median(pairwise_distance(points(x, config), points(l, config), config.c)))
    scaled = {n: unit_of * setting[f"{n}_in"] for n in ("margin", "tau") if f"{n}_in" in setting}
    fit = Fit(inputs, labels, replace(config, **scaled))
    fit.trainer.params["proxies"] = l
    return fit


def placed(x: NDArray, l: NDArray, start: str, config: Config, rng: np.random.Generator) -> NDArray:
    """Return where proxies start (P, D): as drawn, at points (N, D), or at means of merged sets.

    The sets are those of average linkage, the largest first; a proxy that none is left for starts
    at a point.
    """
    if start == "random":
        return l
    found = x[rng.integers(len(x), size=len(l))]
    if start == "nodes":
        z = points(x, config)
        tree = linkage_tree(pairwise_distance(z, z, config.c))
        inner = np.arange(tree.root, len(x) - 1, -1)
        largest = inner[np.argsort(-tree.subtree_size[inner], kind="stable")][: len(l)]
        for row, node in enumerate(largest):
            below = tree.order[tree.start[node] : tree.start[node] + tree.subtree_size[node]]
            found[row] = x[below].mean(axis=0)
    return found.astype(l.dtype)


def trained(fit: Fit) -> Fit:
    """Run a training to its end."""
    while not fit.finished:
        mean_losses(fit.run_epoch())
    return fit


def clusters(inputs: NDArray, labels: NDArray, count: int, seed: int) -> NDArray:
    """Return pseudo-labels (N,): k-means of the class means of the features (N, F)."""
    _, of = np.unique(labels, return_inverse=True)
    means = np.array([unit(inputs[of == k]).mean(axis=0) for k in range(of.max() + 1)])
    rng = np.random.default_rng([seed, 6])
    return scipy.cluster.vq.kmeans2(means, count, minit="++", rng=rng)[1][of]


def mixed(share: float, one: Embedding, other: Embedding) -> Embedding:
    """Return the embedding whose cosine is (1 - share) that of one plus share that of other."""

    def both(f: NDArray) -> NDArray:
        parts = (np.sqrt(w) * unit(e(f)) for w, e in ((1 - share, one), (share, other)))
        return np.concatenate(list(parts), axis=1)

    return both


# ---- One run


def run(task: dict) -> dict:
    """Train and score one run."""
    start, (inputs, labels, scored) = time.process_time(), prepared(task["data"])
    setting, arm, seed = task["setting"], task["arm"], task["seed"]
    row, trees, fit = dict(task), {}, None
    part = scored.part("test")
    if arm in ("raw", "whitened", "lda"):
        embedding = baselines(inputs, labels, Config().embedding)[arm]
    else:
        fit = trained(begun(inputs, labels, setting, seed))
        embedding = lambda f: embed(f, fit.params, fit.config)  # noqa: E731
    if arm == "mix":
        other = baselines(inputs, labels, Config().embedding)[setting["beside"]]
        embedding = mixed(setting["mix"], embedding, other)
    elif arm == "kmeans":
        pseudo = clusters(inputs, labels, int(setting["beside"]), seed)
        options = {"hier_weight": 0.0, "epochs": setting["epochs"], "images_per_class": 30}
        second = trained(begun(inputs, pseudo, options | {"batch": 180}, seed))
        coarse = lambda f: embed(f, second.params, second.config)  # noqa: E731
        embedding = mixed(setting["mix"], embedding, coarse)
    elif fit is not None:
        z, c = embedding(part.features), fit.config.c
        trees["ball"] = linkage_tree(pairwise_distance(z, z, c))
        row["radius"] = round(float(np.median(np.linalg.norm(z, axis=1))), 4)
        if fit.config.hier_weight:
            l = points(fit.params["proxies"], fit.config)
            trees |= {rule: read_tree(z, l, c, rule) for rule in RULES}
    u = unit(embedding(part.features).astype(float))
    trees["linkage"] = linkage_tree(np.sqrt(np.maximum(pairwise_sq(u, u), 0)))
    columns = np.column_stack([part.labels, part.levels])
    found = ranking(scored, 0.0, embedding)
    classes = scores_of(found, Config().recall_at)[0]
    row["recall"] = np.round([100 * r for r in classes.recall.values()], 3).tolist()
    row["map"] = round(100 * classes.map_at_r, 3)
    row["trees"] = {n: [round(s.value, 4) for s in score(t, columns)] for n, t in trees.items()}
    if task["stage"] == "final":
        values = {"recall": found.rank[:, 0] < 1}
        for name, tree in trees.items():
            for level, column in zip(("subgroup", "group"), part.levels.T, strict=True):
                values[f"{name} {level}"] = point_purity(tree, column)
        row["by_class"] = {n: by_class(v, part.labels) for n, v in values.items()}
    return row | {"seconds": round(time.process_time() - start, 1)}


def by_class(values: NDArray, labels: NDArray) -> list[int]:
    """Return the mean of values (N,) over each class, in thousandths, in the classes' order."""
    _, of, n = np.unique(labels, return_inverse=True, return_counts=True)
    return np.rint(1000 * np.bincount(of, weights=values) / n).astype(int).tolist()


def point_purity(tree: Tree, labels: NDArray) -> NDArray:
    """Return the share of each point in `dendrogram_purity` (Y4): labels (N,) -> (N,).

    For a point, the mean over the others of its label of the label's share below their LCA; the
    mean over points is the purity. NaN for a point that has no others.
    """
    _, of, count = np.unique(labels, return_inverse=True, return_counts=True)
    inside = np.zeros((len(tree.parent), len(count)))
    inside[np.arange(len(of)), of] = 1
    for node in range(tree.root):
        inside[tree.parent[node]] += inside[node]
    total = np.zeros_like(inside)  # of purities, over the points that meet at an ancestor
    for node in range(tree.root - 1, -1, -1):
        above = tree.parent[node]
        others = inside[above] - inside[node]
        total[node] = total[above] + others * inside[above] / tree.subtree_size[above]
    with np.errstate(invalid="ignore"):
        return total[np.arange(len(of)), of] / (count[of] - 1)


# ---- All runs


def key(row: dict) -> str:
    """Return what tells a run from all others."""
    return json.dumps([row[n] for n in ("arm", "data", "seed", "setting")], sort_keys=True)


def read(path: Path) -> list[dict]:
    """Return the finished runs."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def complete(tasks: Iterable[dict], path: Path) -> None:
    """Run what the results lack; add and print a line for each."""
    done = {key(row) for row in read(path)}
    for each in tasks:
        if key(each) in done:
            continue
        row = run(each)
        with path.open("a") as file:
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
        show(row)


def show(row: dict) -> None:
    """Print a run in one line."""
    trees = "  ".join(f"{n} " + " ".join(f"{v:.3f}" for v in t) for n, t in row["trees"].items())
    what = f"{row['stage']} {row['arm']} {row.get('trial', '')} seed {row['seed']}"
    print(f"{what}  R@1 {row['recall'][0]:.2f}  {trees}  {row['seconds']} s", flush=True)


def main() -> None:
    """Run what was asked for, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=30, help="settings of each arm")
    parser.add_argument("--seeds", type=int, default=10, help="of each chosen setting")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of results")
    parser.add_argument("--one", nargs=2, metavar=("ARM", "TRIAL"), help="one trial, not kept")
    parser.add_argument("--tables", action="store_true", help="run nothing")
    args = parser.parse_args()
    if args.one:
        arm, trial = args.one[0], int(args.one[1])
        show(run(trade_plan.task("tune", arm, trade_plan.setting(arm, trial), 0, trial=trial)))
        return
    if not args.tables:
        complete(trade_plan.tuning(args.trials), args.out)
        complete(trade_plan.finals(read(args.out), args.seeds), args.out)
    test = prepared(trade_plan.TEST)[2].part("test")
    print(trade_tables.tables(read(args.out), np.unique(test.labels, return_counts=True)[1]))


if __name__ == "__main__":
    main()
