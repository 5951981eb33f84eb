"""Does radius mean generality, and does HIER find hidden levels that linkage misses?

    OMP_NUM_THREADS=1 nice python tests/benchmarks/depth.py [--seeds N]
    OMP_NUM_THREADS=1 python tests/benchmarks/depth.py --one 2 2 0     (noise, nuisance, seed)

The points of `hier_ref.tree.planted` (4, 4 and 8 children, 16 dimensions) become features by their
tangent vectors, hidden in three ways: isotropic noise, a nuisance that all images of a class share
(in `NUISANCE` directions, on top of which classes differ by chance), both in standard deviations
of the clean features, and a random rotation of it all into `WIDTH` dimensions. A head is trained
on every other class and read on the rest, with HIER and
without. Each run is one line of docs/depth.jsonl, not run again; the table comes at the end,
of all runs; --tables prints it alone.

A line holds, for each tree, dendrogram purity of class, of the level above and of the one above
that; and Spearman's correlation, over the proxies with points below them, of a proxy's radius with
how many points those are and with the level at which they are of one kind, each also for proxies
turned to random directions (their radii kept), which is what chance gives; and of the points'
radius with the size of the smallest set around them ("ball" linkage).
"""

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np
import study_compare
import trade
from numpy.typing import NDArray
from study_compare import interval, markdown
from trade_scores import chordal

from hier_ref.pairwise import pairwise_distance
from hier_ref.poincare import logmap0
from hier_ref.training.batch import embed, to_ball_or_sphere
from hier_ref.training.config import Config
from hier_ref.tree.planted import plant
from hier_ref.tree.reading import RULES, linkage_tree, read_tree
from hier_ref.tree.report import turned
from hier_ref.tree.scores import commonest, dendrogram_purity, spearman
from hier_ref.tree.structure import PROXY, Tree

RESULTS = trade.RESULTS.with_name("depth.jsonl")
NOISES, NUISANCES = (0.0, 0.5, 1.0, 2.0, 3.0), (0.0, 1.0, 2.0)
WIDTH, NUISANCE, DIM, BRANCHING, PER_CLASS = 64, 16, 16, (4, 4, 8), 8
PURE = 0.8  # share of the commonest label, from which what is below a node is of one kind
COMMON = {"embedding": 32, "proxies": 128, "batch": 64, "epochs": 20, "validate": 0.0}
FREE = {"start_length": 0.5, "clip": 4.6}
ARMS = {
    "without": COMMON | {"hier_weight": 0.0},
    "default": COMMON,
    "free": COMMON | FREE | {"hier_weight": 1.0},
    "free, strong": COMMON | FREE | {"hier_weight": 5.0, "margin_in": 0.2, "tau_in": 0.15},
}


def hidden(noise: float, nuisance: float, seed: int) -> tuple[NDArray, NDArray, NDArray]:
    """Return features (N, WIDTH), columns (N, 3) finest first, and who is read (N,)."""
    rng = np.random.default_rng([seed, 7])
    planted = plant(rng, BRANCHING, PER_CLASS, DIM)
    clean = logmap0(planted.z, 1.0)
    clean = (clean - clean.mean(axis=0)) / clean.std()
    _, of = np.unique(planted.columns[:, 0], return_inverse=True)
    shared = nuisance * rng.standard_normal((of.max() + 1, NUISANCE))[of]
    rest = np.zeros((len(clean), WIDTH - DIM - NUISANCE))
    x = np.concatenate([clean, shared, rest], axis=1)
    x += noise * rng.standard_normal(x.shape)
    rotation = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
    return x @ rotation, planted.columns, of % 2 == 1


def run(task: dict) -> dict:
    """Train all arms on one planted tree and read what they find in the unseen classes."""
    x, columns, read = hidden(task["noise"], task["nuisance"], task["seed"])
    trees = {"features": chordal(x[read])}
    radii = {}
    for arm, setting in ARMS.items():
        inputs = x[~read].astype(np.float32)
        fit = trade.trained(trade.begun(inputs, columns[~read, 0], setting, task["seed"]))
        z, c = embed(x[read], fit.params, fit.config), fit.config.c
        trees[f"{arm}: linkage"] = chordal(z)
        ball = trees[f"{arm}: ball"] = linkage_tree(pairwise_distance(z, z, c))
        if fit.config.hier_weight:
            l = to_ball_or_sphere(fit.params["proxies"], fit.config)
            trees |= {f"{arm}: {rule}": read_tree(z, l, c, rule) for rule in RULES}
            radii[arm] = depth_of(z, l, fit.config, ball, columns[read], task["seed"])
    scores = {n: [dendrogram_purity(t, k) for k in columns[read].T] for n, t in trees.items()}
    return task | {
        "purity": {name: np.round(found, 4).tolist() for name, found in scores.items()},
        "radius": {arm: np.round(found, 4).tolist() for arm, found in radii.items()},
    }


def depth_of(
    z: NDArray, l: NDArray, config: Config, ball: Tree, columns: NDArray, seed: int
) -> list[float]:
    """Return the correlations of radii: proxies with size and level, the same turned, points."""
    found = []
    for proxies in (l, turned(l, np.random.default_rng([seed, 8]))):
        tree = read_tree(z, proxies, config.c)
        nodes = np.flatnonzero(tree.kind == PROXY)
        radius = np.linalg.norm(proxies[tree.index[nodes]], axis=1)
        found += [spearman(radius, of[nodes]) for of in (tree.subtree_size, level(tree, columns))]
    around = ball.subtree_size[ball.parent[: len(z)]]
    return [*found, spearman(np.linalg.norm(z, axis=1), around)]


def level(tree: Tree, columns: NDArray) -> NDArray:
    """Return the finest column on which what is below a node is of one kind (M,), L if none."""
    pure = [commonest(tree, column)[1] >= PURE * tree.subtree_size for column in columns.T]
    of_one_kind = np.stack([*pure, np.full(len(tree.parent), True)])
    return of_one_kind.argmax(axis=0)


# ---- Tables


def difference(values: list[float], others: list[float]) -> str:
    """Show a mean difference with its 95% interval over planted trees, in points of 100."""
    mean, half = interval(100 * np.subtract(values, others))
    return f"{mean:+.1f} ± {half:.1f}"


def table_levels(rows: list[dict]) -> str:
    """Return the purity of the two hidden levels: linkage on features, then changes from it."""
    lines = []
    for noise, nuisance in product(NOISES, NUISANCES):
        runs = [r for r in rows if (r["noise"], r["nuisance"]) == (noise, nuisance)]
        if len(runs) < 2:
            continue
        for column, name in ((1, "middle"), (2, "top")):
            plain = [run["purity"]["features"][column] for run in runs]
            line = [noise, nuisance, name, len(runs), f"{100 * np.mean(plain):.1f}"]
            for tree in trees_shown():
                line.append(difference([run["purity"][tree][column] for run in runs], plain))
            lines.append(line)
    return markdown(("noise", "nuisance", "level", "trees", "features", *trees_shown()), lines)


def table_kept(rows: list[dict]) -> str:
    """Return what strong HIER changes in linkage on the embeddings, against the loss alone."""
    lines, (one, other) = [], ("free, strong: linkage", "without: linkage")
    for noise, (column, name) in product(NOISES, ((1, "middle"), (2, "top"))):
        line = [noise, name]
        for nuisance in NUISANCES:
            runs = [r["purity"] for r in rows if (r["noise"], r["nuisance"]) == (noise, nuisance)]
            both = ([100 * run[tree][column] for run in runs] for tree in (one, other))
            line.append(study_compare.difference(*both) if len(runs) > 1 else "")
        lines.append(line)
    return markdown(("noise", "level", *(f"nuisance {n:g}" for n in NUISANCES)), lines)


def trees_shown() -> list[str]:
    """Return the trees that have a column."""
    with_hier = [arm for arm in ARMS if arm != "without"]
    return ["without: linkage", *map(": ".join, product(with_hier, ("linkage", "lca")))]


def table_radius(rows: list[dict]) -> str:
    """Return the correlations of radii over all runs, by arm and nuisance."""
    lines = []
    for arm, nuisance in product(ARMS, NUISANCES):
        found = [r["radius"][arm] for r in rows if r["nuisance"] == nuisance and arm in r["radius"]]
        if len(found) > 1:
            cells = ["{:+.2f} ± {:.2f}".format(*interval(c)) for c in zip(*found, strict=True)]
            lines.append([arm, nuisance, len(found), *cells])
    heads = ("arm", "nuisance", "runs", "size", "level", "size, turned", "level, turned", "points")
    return markdown(heads, lines)


def main() -> None:
    """Run what the results lack, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="planted trees of each kind")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of results")
    parser.add_argument("--one", nargs=3, type=float, metavar=("NOISE", "NUISANCE", "SEED"))
    parser.add_argument("--tables", action="store_true", help="run nothing")
    args = parser.parse_args()
    names = ("noise", "nuisance", "seed")
    if args.one:
        noise, nuisance, seed = args.one
        print(
            json.dumps(run(dict(zip(names, (noise, nuisance, int(seed)), strict=True))), indent=1)
        )
        return
    rows = trade.read(args.out)
    done = {tuple(row[name] for name in names) for row in rows}
    for seed, noise, nuisance in product(range(args.seeds), NOISES, NUISANCES):
        if (noise, nuisance, seed) not in done and not args.tables:
            rows.append(run({"noise": noise, "nuisance": nuisance, "seed": seed}))
            with args.out.open("a") as file:
                file.write(json.dumps(rows[-1], separators=(",", ":")) + "\n")
            print(f"noise {noise:g} nuisance {nuisance:g} seed {seed}", flush=True)
    print(f"{table_levels(rows)}\n{table_radius(rows)}")


if __name__ == "__main__":
    main()
