"""What do the proxies of a released model say about its classes beyond linkage?

    OMP_NUM_THREADS=1 python tests/benchmarks/released_tree.py cars.npz [--seeds N]

The file holds z (N, D) embeddings in the ball, y (N,) their classes and lca (P, D) proxies in the
ball, here of the released Cars-196 model: its test half, 98 classes. It is not part of the package,
so --tables prints the table of what was measured, docs/released-tree.jsonl, a line each draw of
`SAMPLE` images; a draw that is there is not measured again.

A line holds, for each tree, dendrogram purity by class in thousandths, and how well the tree knows
the order of the classes: the share of comparisons in which two images of classes at most `NEAR`
places apart meet below two of classes farther apart (ties half; 0.5 is chance), with the standard
deviation of that share when classes are shuffled. The classes of Cars-196 are sorted by name, the
maker's first, so that neighbours in the order often share a maker; nobody has listed the makers or
body types here, and no other level is known. Last the correlation of a proxy's radius with how many
images are below it.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from study_compare import markdown
from trade import read
from trade_scores import by_class, point_purity
from trade_tables import interval

from hier_ref.pairwise import pairwise_distance
from hier_ref.tree.reading import RULES, linkage_tree, read_tree
from hier_ref.tree.report import turned
from hier_ref.tree.scores import spearman
from hier_ref.tree.structure import PROXY, Tree

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "released-tree.jsonl"
C, SAMPLE, PAIRS, NEAR, SHUFFLES = 0.1, 1500, 100_000, 3, 200
BASE = "linkage"


def measure(z: NDArray, y: NDArray, l: NDArray, seed: int) -> dict:
    """Score the trees of a draw of images; proxies turned to random directions are the control."""
    rng = np.random.default_rng([seed, 9])
    rows = np.sort(rng.permutation(len(z))[:SAMPLE])
    z, y = z[rows], y[rows]
    trees = {BASE: linkage_tree(pairwise_distance(z, z, C))}
    trees |= {rule: read_tree(z, l, C, rule) for rule in RULES}
    trees["lca, turned"] = read_tree(z, turned(l, rng), C)
    return {
        "seed": seed,
        "images": np.unique(y, return_counts=True)[1].tolist(),
        "purity": {name: by_class(point_purity(tree, y), y) for name, tree in trees.items()},
        "order": orders(trees, y, np.random.default_rng([seed, 10])),
        "radius": {rule: radius_of_size(trees[rule], l) for rule in RULES},
    }


def orders(trees: dict[str, Tree], y: NDArray, rng: np.random.Generator) -> dict[str, list[float]]:
    """Return how well each tree, and two together, know the order, and the spread by chance."""
    i, j = rng.integers(len(y), size=(2, PAIRS))
    i, j = (of[y[i] != y[j]] for of in (i, j))
    ranks = {n: rankdata(-tree.subtree_size[tree.ancestor(i, j)]) for n, tree in trees.items()}
    for name in ("lca", "lca, turned"):
        ranks[f"{BASE} and {name}"] = rankdata(ranks[BASE] + ranks[name])
    names = np.arange(y.max() + 1)
    shuffled = [names, *(rng.permutation(names) for _ in range(SHUFFLES))]
    near = [np.abs(of[y[i]] - of[y[j]]) <= NEAR for of in shuffled]
    shares = {name: [agreement(rank, each) for each in near] for name, rank in ranks.items()}
    return {n: [round(s[0], 4), round(float(np.std(s[1:])), 4)] for n, s in shares.items()}


def agreement(rank: NDArray, near: NDArray) -> float:
    """Return how often one of `near` (M,) has a higher rank (M,) than one that is not."""
    n = near.sum()
    return float((rank[near].sum() - n * (n + 1) / 2) / (n * (len(near) - n)))


def radius_of_size(tree: Tree, l: NDArray) -> float:
    """Return the correlation of a proxy's radius with the number of images below it."""
    nodes = np.flatnonzero(tree.kind == PROXY)
    radius = np.linalg.norm(l[tree.index[nodes]], axis=1)
    return round(spearman(radius, tree.subtree_size[nodes]), 4)


def table(rows: list[dict]) -> str:
    """Return a line for each tree, its purity less that of linkage over draws and classes."""
    lines, images = [], np.mean([row["images"] for row in rows], axis=0)
    of = {name: np.array([row["purity"][name] for row in rows]) / 10 for name in rows[0]["purity"]}
    for name in rows[0]["order"]:
        line = [name, "", ""]
        if name in of:
            line[1] = f"{np.average(of[name].mean(axis=0), weights=images):.1f}"
        if name in of and name != BASE:
            line[2] = "{:+.1f} ({:+.1f} .. {:+.1f})".format(*interval(of[name] - of[BASE], images))
        share, spread = np.mean([row["order"][name] for row in rows], axis=0)
        depth = [row["radius"][name] for row in rows if name in row["radius"]]
        lines.append(
            [*line, f"{share:.3f} ± {spread:.3f}", f"{np.mean(depth):+.2f}" if depth else ""]
        )
    heads = ("tree", "class purity", "less linkage", "knows the order", "radius with size")
    return markdown(heads, lines)


def main() -> None:
    """Measure the draws that the results lack, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, help="z, y and lca of a model (.npz)")
    parser.add_argument("--seeds", type=int, default=5, help="draws of images")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of results")
    parser.add_argument("--tables", action="store_true", help="measure nothing")
    args = parser.parse_args()
    if not args.file and not args.tables:
        parser.error("expected the file of a model, or --tables")
    done = {row["seed"] for row in read(args.out)}
    for seed in range(0 if args.tables else args.seeds):
        if seed not in done:
            data = np.load(args.file, allow_pickle=False)
            row = measure(
                *(data[n].astype(t) for n, t in (("z", float), ("y", int), ("lca", float))), seed
            )
            with args.out.open("a") as file:
                file.write(json.dumps(row, separators=(",", ":")) + "\n")
            print(f"draw {seed} done", flush=True)
    print(table(read(args.out)))


if __name__ == "__main__":
    main()
