"""Image retrieval with a trained head: `python -m hier_ref.evaluate --run runs/x`.

Recall@K, R-precision and MAP@R of the classes and of the coarser levels, beside those of the
untouched features. Chapter: docs/7-retrieval.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hier_ref.baselines.embeddings import Embedding, baselines, raw
from hier_ref.baselines.verdict import verdict
from hier_ref.command import Parser, note, run_command
from hier_ref.convention import CONVENTIONS
from hier_ref.features.arrays import forget
from hier_ref.features.contract import Features
from hier_ref.retrieval.recall import Ranking, rank_gallery, recall_from_ranks
from hier_ref.runs.folder import as_named, open_run, read_named
from hier_ref.training.batch import embed
from hier_ref.training.config import Config

ROWS = 8192  # images embedded at once


class Scores(NamedTuple):
    """How well one kind of labels is retrieved: shares of 1, and the ties with a right item."""

    recall: dict[int, float]  # by K
    r_precision: float
    map_at_r: float
    ties: int


def score(
    features: Features,
    ks: Sequence[int],
    c: float,
    embedding: Embedding,
    released_inshop_index: bool = False,
) -> list[Scores]:
    """Score the retrieval that the split of a features file stands for: classes, then levels.

    Arguments as for `ranking`.
    """
    return scores_of(ranking(features, c, embedding, released_inshop_index), ks)


def ranking(
    features: Features, c: float, embedding: Embedding, released_inshop_index: bool = False
) -> Ranking:
    """Return what is known of each query; one column for the classes and for each level.

    `embedding` maps rows (N, F) to (N, D), ball points for c > 0, anything for c = 0 (cosine).
    Ties count against the query. `released_inshop_index` as in `rank_gallery`.
    """
    query, gallery, exclude_self = features.retrieval_sets()
    z_query = _in_blocks(embedding, query.features)
    z_gallery = z_query if exclude_self else _in_blocks(embedding, gallery.features)
    sets = z_query, _label_columns(query), z_gallery, _label_columns(gallery)
    return rank_gallery(*sets, c, exclude_self, released_inshop_index)


def scores_of(found: Ranking, ks: Sequence[int]) -> list[Scores]:
    """Average a ranking over its queries: one `Scores` per column."""
    return [
        Scores(recall_from_ranks(rank, ks), float(pure.mean()), float(mean.mean()), int(ties.sum()))
        for rank, ties, pure, mean in zip(*(array.T for array in found), strict=True)
    ]


def level_names(features: Features) -> list[str]:
    """Names of the coarser levels, finest first; made up where the file has none."""
    if features.levels is None:
        return []
    if features.level_names is not None:
        return [str(name) for name in features.level_names]
    return [f"level {number + 1}" for number in range(features.levels.shape[1])]


def _label_columns(part: Features) -> NDArray:
    levels = [] if part.levels is None else [part.levels]
    return np.column_stack([part.labels, *levels])


def _in_blocks(embedding: Callable[[NDArray], NDArray], rows: NDArray) -> NDArray:
    parts = []
    for start in range(0, len(rows), ROWS):
        parts.append(embedding(rows[start : start + ROWS]))
        forget(rows)
    return np.concatenate(parts)


def heading(ks: Sequence[int], levels: Sequence[str] = ()) -> str:
    """Return the first line of a table of scores."""
    columns = [f"{word:>8}" for word in (*(f"R@{k}" for k in ks), "R-prec", "MAP@R")]
    return "".join((*columns, *(f"  R@{ks[0]} {name}" for name in levels)))


def line(scores: Sequence[Scores], levels: Sequence[str] = ()) -> str:
    """Return the scores as percentages under `heading`, of the `levels` Recall at the first K."""
    first = scores[0]
    shares = [*first.recall.values(), first.r_precision, first.map_at_r]
    columns = [f"{100 * share:8.2f}" for share in shares]
    for name, coarser in zip(levels, scores[1:], strict=False):
        k, share = next(iter(coarser.recall.items()))
        columns.append(f"{100 * share:{len(f'  R@{k} {name}')}.2f}")
    return "".join(columns)


def make_parser() -> Parser:
    """Return the parser of the command."""
    parser = Parser(
        prog="python -m hier_ref.evaluate",
        description="Recall@K, R-precision and MAP@R on the test rows of a features file, in\n"
        "percent: of the untouched features, of whitening and of linear discriminants by cosine,\n"
        "of a trained run by its own distance, with a verdict; for the classes, then for each\n"
        "coarser level of the file.",
        epilog="examples:\n"
        "  python -m hier_ref.evaluate --run runs/x --ks 1 10 100\n"
        "  python -m hier_ref.evaluate --features cub_vit.npz",
    )
    parser.add_argument("--run", type=Path, metavar="RUN", help="folder of a run, such as runs/x")
    parser.add_argument(
        "--features", metavar="FILE", help="features file (default: the one the run was made from)"
    )
    parser.add_argument("--raw", action="store_true", help="the untouched features only")
    parser.add_argument(
        "--ks",
        type=int,
        nargs="+",
        metavar="K",
        default=Config().recall_at,
        help=f"the K of Recall@K (default: {' '.join(map(str, Config().recall_at))})",
    )
    parser.add_argument(
        "--convention",
        choices=tuple(CONVENTIONS),
        help="how embeddings enter the ball (default: as in the run)",
    )
    parser.add_argument(
        "--released-inshop-index",
        action="store_true",
        help="leave out gallery image i of query i, as the HIER authors' code does",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Print a table of scores of a run and of the untouched features."""
    args = make_parser().parse_args(argv)
    if args.run is None and args.features is None and not args.raw:
        raise ValueError("nothing to evaluate: name --run or --features, or ask for --raw")
    if min(args.ks) < 1:
        raise ValueError(f"--ks {min(args.ks)}: expected at least 1")
    run = open_run(args.run) if args.run else None
    features = run.read_features(args.features) if run else read_named(as_named(args.features))
    if args.released_inshop_index and features.retrieval_sets()[2]:
        raise ValueError(
            f"--released-inshop-index: {features.source} has no query and gallery, expected both"
        )
    contestants: dict[str, tuple[float, Embedding]] = {}
    width = Config().embedding
    if run and not args.raw:
        config = replace(run.config, convention=args.convention or run.config.convention)
        params, width = run.read_head(), config.embedding
        _check_width(features, params, run.folder)
        contestants["run"] = (config.search_c, lambda f: embed(f, params, config))
    if run and not run.was_made_from(features):
        note(f"{features.source}: other features than those that {run.folder} was started with")
    training = features.part("train")
    beside = {"raw": raw} if args.raw else baselines(training.features, training.labels, width)
    contestants = {name: (0.0, embedding) for name, embedding in beside.items()} | contestants
    _print_table(features, tuple(dict.fromkeys(args.ks)), contestants, args.released_inshop_index)


def _print_table(features: Features, ks: Sequence[int], contestants: Mapping, inshop: bool) -> None:
    names = ["", *(f" {name}" for name in level_names(features))]
    width = 3 + max(len(one + name) for one in contestants for name in names)
    print(f"{features.source}\n{'':{width}}{heading(ks)}  (percent)")
    hits = {}
    for which, (c, embedding) in contestants.items():
        found = ranking(features, c, embedding, inshop)
        hits[which] = found.rank[:, 0] < 1
        for name, scores in zip(names, scores_of(found, ks), strict=True):
            ties = f"  ({scores.ties} ties)" if scores.ties else ""
            print(f"{which + name:{width}}{line([scores])}{ties}", flush=True)
    if "run" in hits:
        labels = features.retrieval_sets()[0].labels
        print(f"\nverdict   {verdict(hits.pop('run'), hits, labels)}")


def _check_width(features: Features, params: dict[str, NDArray], folder: Path) -> None:
    first = "head.hidden_weight" if "head.hidden_weight" in params else "head.weight"
    expected, found = params[first].shape[1], features.features.shape[1]
    if found != expected:
        raise ValueError(
            f"{features.source}: found {found} columns, the head of {folder} takes {expected}"
        )


if __name__ == "__main__":
    run_command(main)
