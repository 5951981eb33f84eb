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
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import scipy
import trade_plan
import trade_tables
from numpy.typing import NDArray
from study_regimes import prepare
from trade_scores import scores, trees_of

from hier_ref.baselines.embeddings import Embedding, baselines
from hier_ref.features.contract import Features, default_features, read_features
from hier_ref.losses import unit
from hier_ref.pairwise import pairwise_distance
from hier_ref.training.batch import embed, tangents, to_ball_or_sphere
from hier_ref.training.config import Config
from hier_ref.training.fitting import Fit
from hier_ref.training.trainer import mean_losses
from hier_ref.tree.reading import linkage_tree

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "trade.jsonl"
OWN = ("margin_in", "tau_in", "proxy_start", "mix", "beside")
COARSE = {"hier_weight": 0.0, "images_per_class": 30}  # of pseudo-labels there are few
SAMPLE = 400  # images that distances and nodes at the start are found from


@cache
def prepared(data: str) -> tuple[NDArray, NDArray, Features]:
    """Return inputs (N, F) and labels (N,) to train on, and the features to score."""
    inputs, labels, _, scored = prepare(read_features(default_features()), data)
    return inputs, labels, scored


# ---- Training


def begun(inputs: NDArray, labels: NDArray, setting: dict, seed: int) -> Fit:
    """Return a training at its start, margin and temperature turned into distances.

    A `proxy_start` holds for one training: a setting that has one validates no epoch.
    """
    options = {name: value for name, value in setting.items() if name not in OWN}
    config = Config(**({"validate": 0.0} | options), seed=seed)
    fit = Fit(inputs, labels, config)
    if not config.hier_weight:
        return fit
    rng = np.random.default_rng([seed, 5])
    x = tangents(inputs[rng.permutation(len(inputs))[:SAMPLE]], fit.params, config)
    l = placed(x, fit.params["proxies"], setting.get("proxy_start", "random"), config, rng)
    unit_of = float(
        np.median(
            pairwise_distance(to_ball_or_sphere(x, config), to_ball_or_sphere(l, config), config.c)
        )
    )
    scaled = {n: unit_of * setting[f"{n}_in"] for n in ("margin", "tau") if f"{n}_in" in setting}
    if scaled:
        fit = Fit(inputs, labels, replace(config, **scaled))
    if "proxy_start" in setting:
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
        z = to_ball_or_sphere(x, config)
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


def embedded(task: dict) -> tuple[Embedding, Fit | None]:
    """Return the embedding of a run, and its training where a single one made it."""
    inputs, labels, _ = prepared(task["data"])
    arm, setting, seed = task["arm"], task["setting"], task["seed"]
    closed = baselines(inputs, labels, Config().embedding) if arm not in ("hier", "alone") else {}
    if arm in closed:
        return closed[arm], None
    fit = trained(begun(inputs, labels, setting, seed))
    own = partial(embed, params=fit.params, config=fit.config)
    if arm == "mix":
        return mixed(setting["mix"], own, closed[setting["beside"]]), None
    if arm == "kmeans":
        pseudo = clusters(inputs, labels, int(setting["beside"]), seed)
        second = trained(begun(inputs, pseudo, COARSE | {"epochs": setting["epochs"]}, seed))
        coarse = partial(embed, params=second.params, config=second.config)
        return mixed(setting["mix"], own, coarse), None
    return own, fit


# ---- One run


def run(task: dict) -> dict:
    """Train and score one run."""
    start, scored = time.process_time(), prepared(task["data"])[2]
    embedding, fit = embedded(task)
    trees = trees_of(scored.part("test").features, embedding, fit)
    return task | {
        **scores(scored, embedding, trees, with_classes=task["stage"] == "final"),
        "seconds": round(time.process_time() - start, 1),
    }


# ---- All runs


def key(row: dict) -> str:
    """Return what tells a run from all others."""
    return json.dumps([row[n] for n in ("arm", "data", "seed", "setting")], sort_keys=True)


def read(path: Path) -> list[dict]:
    """Return the finished runs; ends with an error that names a line that was broken off."""
    rows = []
    for number, line in enumerate(path.read_text().splitlines() if path.exists() else [], 1):
        try:
            rows.append(json.loads(line))
        except ValueError:
            sys.exit(f"{path}, line {number}: broken off, expected JSON; remove it to run it again")
    return rows


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
    images = np.unique(test.labels, return_counts=True)[1]
    print(trade_tables.table_trials(read(args.out)))
    print(trade_tables.table_front(read(args.out), images))


if __name__ == "__main__":
    main()
