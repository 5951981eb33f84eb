"""The command: read the tree of a run, score it beside baselines, write it down.

Chapter: docs/12-reading-the-hierarchy.md.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hier_ref.baselines.embeddings import raw
from hier_ref.command import Parser, note
from hier_ref.features.contract import Features
from hier_ref.losses import unit
from hier_ref.pairwise import pairwise_distance, pairwise_sq
from hier_ref.runs.folder import open_run
from hier_ref.tree.export import node_names, write_tree
from hier_ref.tree.material import LIMIT, Material, gather
from hier_ref.tree.page import save_page
from hier_ref.tree.pictures import (
    History,
    finished_metrics,
    save_curves,
    save_pictures,
    save_retrieval,
)
from hier_ref.tree.reading import RULES, linkage_tree, read_tree
from hier_ref.tree.scores import (
    Estimate,
    commonest,
    dendrogram_purity,
    hyperbolicity,
    purity,
    rank_correlation,
)
from hier_ref.tree.structure import POINT, PROXY, Tree, shuffled

DEFAULT_RULE = "lca"
DEPTHS = 12  # lines of the table by depth
SEED = 0  # of shuffling and sampling: one run, one table


def score(tree: Tree, columns: NDArray) -> list[Estimate]:
    """Score a tree against columns (N, L): L dendrogram purities, Spearman, Kendall."""
    purities = [Estimate(dendrogram_purity(tree, column)) for column in columns.T]
    return [*purities, *rank_correlation(tree, columns, np.random.default_rng(SEED))]


def contestants(
    run: Material, rule: str, trees: dict[str, Tree], beside: Material | None
) -> Iterator[tuple[str, Tree, NDArray | None]]:
    """Yield (name, tree, distances or None): every rule, two kinds of chance, and linkages."""
    for name in RULES:
        yield f"proxies, rule {name}", trees[name], None
    tree = read_tree(run.z, turned(run.proxies, np.random.default_rng(SEED)), run.c, rule)
    yield "random proxies", tree, None
    yield "shuffled points", shuffled(trees[rule], np.random.default_rng(SEED)), None
    f = unit(raw(run.part.features).astype(float))
    d = pairwise_distance(run.z, run.z, run.c)
    yield "linkage, embeddings", trees["linkage"], d
    distances = {"features": np.sqrt(pairwise_sq(f, f))}
    if beside is not None:
        distances["beside"] = pairwise_distance(beside.z, beside.z, beside.c)
    for name, d in distances.items():
        yield f"linkage, {name}", linkage_tree(d), d


def turned(l: NDArray, rng: np.random.Generator) -> NDArray:
    """Turn every proxy to a random direction, keeping its radius: (P, D) -> (P, D)."""
    u = rng.standard_normal(l.shape)
    return u * np.linalg.norm(l, axis=1, keepdims=True) / np.linalg.norm(u, axis=1, keepdims=True)


def score_table(
    run: Material, rule: str, trees: dict[str, Tree], beside: Material | None = None
) -> list[str]:
    """Return the lines of the table of scores."""
    names = [f"purity {name}" for name in run.column_names]
    heads = [*names, "Spearman", "Kendall", "2δ/diameter"]
    widths = [max(15, len(head) + 2) for head in heads]
    lines = ["".join(["scores".ljust(24), *_cells(heads, widths)])]
    for name, tree, d in contestants(run, rule, trees, beside):
        cells: list = score(tree, run.columns)
        cells.append("" if d is None else hyperbolicity(d, np.random.default_rng(SEED)))
        lines.append("".join([name.ljust(24), *_cells(cells, widths)]).rstrip())
    return lines


def depth_table(tree: Tree, run: Material) -> list[str]:
    """Return the lines of purity by depth (Y5), each beside what shuffled points have."""
    chance = shuffled(tree, np.random.default_rng(SEED))
    heads = ["groups", *(word for name in run.column_names for word in (name, "by chance"))]
    widths = [max(11, len(head) + 2) for head in heads]
    lines = ["".join(["depth".ljust(6), *_cells(heads, widths)])]
    for depth in range(min(DEPTHS, max(1, tree.depth.max()))):
        groups, others = tree.at_depth(depth), chance.at_depth(depth)
        cells: list = [len(np.unique(groups))]
        for column in run.columns.T:
            cells += [f"{purity(g, column):.3f}" for g in (groups, others)]
        lines.append("".join([str(depth).ljust(6), *_cells(cells, widths)]))
    return lines


def _cells(values: list, widths: list[int]) -> list[str]:
    return [str(value).rjust(width) for value, width in zip(values, widths, strict=True)]


def describe(tree: Tree, run: Material, rule: str) -> str:
    """Say how large the tree is, and whether radii could tell its storeys apart."""
    used = int(np.sum(tree.kind == PROXY))
    radii = [np.sqrt(run.c) * np.linalg.norm(x, axis=1) for x in (run.z, run.proxies)]
    ranges = [f"{r.min():.4f} .. {r.max():.4f}" for r in radii]
    return (
        f"tree      {tree.n_points} points under {used} of {len(run.proxies)} proxies "
        f"({len(tree.unused)} without points), rule {rule}, depth {tree.depth.max()}\n"
        f"radii     points {ranges[0]}, proxies {ranges[1]}, in parts of the ball's"
    )


def save(folder: Path, tree: Tree, run: Material, rule: str) -> list[Path]:
    """Write tree.json, tree.nwk and tree.dot; return their paths."""
    labels = [dict(zip(run.column_names, row, strict=True)) for row in run.columns.tolist()]
    facts = {"rule": rule, "c": run.c, "features": run.part.source, "n_proxies": len(run.proxies)}
    facts["values"] = dict(zip(run.column_names, run.value_names, strict=True))
    names = node_names(tree, run.names)
    of_points = {"row": run.rows.tolist(), "labels": labels}
    return write_tree(folder, tree, names, told(tree, names, run), facts, of_points)


def told(tree: Tree, names: list[str], run: Material) -> list[str]:
    """Say with each inner node what it is of: the commonest value of the last column below it."""
    values, counts = commonest(tree, run.columns[:, -1])
    called, size, inner = run.value_names[-1], tree.subtree_size, tree.kind != POINT
    return [
        f"{name}: {called[values[i]]}, {counts[i]} of {size[i]}" if inner[i] else name
        for i, name in enumerate(names)
    ]


def show(folder: Path, features: Features, images: Path | None = None) -> list[Path]:
    """Write what can be shown of a finished run into its folder; return the paths.

    `images` is the folder that the features' paths are below. A run without proxies has no tree,
    and one on the sphere is not laid out at all.
    """
    run, metrics = open_run(folder), finished_metrics(folder)
    if not run.config.c:
        return save_curves(folder, metrics)
    material = gather(folder, features, images=images)
    if material.l is None:
        return save_curves(folder, metrics) + save_retrieval(folder, material)
    return save_all(folder, material, read_all(material), DEFAULT_RULE, metrics)


def read_all(run: Material) -> dict[str, Tree]:
    """Read a run's tree by every rule; "linkage" is that of the points alone."""
    trees = {rule: read_tree(run.z, run.proxies, run.c, rule) for rule in RULES}
    return trees | {"linkage": linkage_tree(pairwise_distance(run.z, run.z, run.c))}


def save_all(
    folder: Path, run: Material, trees: dict[str, Tree], rule: str, metrics: History
) -> list[Path]:
    """Write all that there is to show of a tree: files for programs, the page, pictures."""
    written = save(folder, trees[rule], run, rule) + save_page(folder, run, trees, rule)
    return written + save_pictures(folder, trees[rule], run, metrics)


def make_parser() -> Parser:
    """Return the parser of the command."""
    parser = Parser(
        prog="python -m hier_ref.tree",
        description="Read the hierarchy that a run has found on images it has never seen, score\n"
        "it against their classes and levels, write it as JSON, Newick and DOT, draw it, and\n"
        "make a page of it to walk through in the browser: tree.html.",
        epilog="examples:\n"
        "  python -m hier_ref.tree --run runs/x\n"
        "  python -m hier_ref.tree --run runs/x --images ~/data/cub\n"
        "  python -m hier_ref.tree --run runs/x --beside runs/without-hier --out trees/x",
    )
    parser.add_argument(
        "--run", type=Path, metavar="RUN", required=True, help="folder of a run with proxies"
    )
    parser.add_argument(
        "--features", metavar="FILE", help="features file (default: the one the run was made from)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where to write (default: the run's folder)"
    )
    parser.add_argument(
        "--rule",
        choices=tuple(RULES),
        default=DEFAULT_RULE,
        help=f"how to read it (default: {DEFAULT_RULE})",
    )
    parser.add_argument(
        "--beside", type=Path, metavar="RUN", help="another run to score, such as one without HIER"
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="folder that the features file's paths are below, or, if it has none, of images "
        "named by their row: 17.png",
    )
    parser.add_argument(
        "--points", type=int, metavar="N", default=LIMIT, help=f"rows at most (default: {LIMIT})"
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Write the files of a run's tree, then print its scores, for which there may be no reader."""
    args = make_parser().parse_args(argv)
    if args.points < 1:
        raise ValueError(f"--points {args.points}: expected at least 1")
    if args.images and not args.images.is_dir():
        raise ValueError(f"--images {args.images}: no folder there, expected one of images")
    features = open_run(args.run).read_features(args.features)
    run = gather(args.run, features, args.points, args.images)
    if run.l is None:
        raise ValueError(
            f"{args.run}: trained without HIER, so it has no proxies to make a tree of; "
            "score it with --beside"
        )
    beside = gather(args.beside, run.source, args.points) if args.beside else None
    for folder in (args.run, args.beside):
        if folder and not open_run(folder).was_made_from(features):
            note(f"{features.source}: other features than those that {folder} was started with")
    metrics, trees = finished_metrics(args.run), read_all(run)
    tree = trees[args.rule]
    written = save_all(args.out or args.run, run, trees, args.rule, metrics)
    print(f"features  {run.part.source}\n{describe(tree, run, args.rule)}\n", flush=True)
    print("\n".join([*score_table(run, args.rule, trees, beside), "", *depth_table(tree, run)]))
    print(f"\nwritten   {', '.join(map(str, written))}")
