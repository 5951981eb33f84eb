"""Image retrieval with a trained head: `python -m hier_ref.evaluate --run runs/x`.

Recall@K of the classes, Recall@1 of the coarser levels, each beside the untouched features.
Chapter: docs/7-retrieval.md.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hier_ref.command import Parser, run_command
from hier_ref.config import Config
from hier_ref.features import Features, default_features, read_features
from hier_ref.retrieval import first_hit_rank, recall_from_ranks
from hier_ref.runs import open_run, read_head
from hier_ref.training import embed

ROWS = 8192  # images embedded at once


class Scores(NamedTuple):
    """Retrieval scores, each between 0 and 1, and how many wrong items tied with a right one."""

    recall: dict[int, float]  # of the classes, by K
    levels: dict[str, float]  # Recall@1 of each coarser level, by its name
    ties: int


def score(
    features: Features, ks: Sequence[int], c: float, embedding: Callable[[NDArray], NDArray]
) -> Scores:
    """Score the retrieval that the split of a features file stands for.

    `embedding` maps rows (N, F) to (N, D), ball points for c > 0, anything for c = 0 (cosine).
    Ties count against the query.
    """
    query, gallery, exclude_self = features.retrieval_sets()
    z_query = _in_blocks(embedding, query.features)
    z_gallery = z_query if exclude_self else _in_blocks(embedding, gallery.features)
    labels = [_label_columns(part) for part in (query, gallery)]
    ranks, ties = first_hit_rank(z_query, labels[0], z_gallery, labels[1], c, exclude_self)
    levels = {
        name: recall_from_ranks(column, [1])[1]
        for name, column in zip(level_names(features), ranks.T[1:], strict=True)
    }
    return Scores(recall_from_ranks(ranks[:, 0], ks), levels, int(ties[:, 0].sum()))


def raw(features: NDArray) -> NDArray:
    """Return features (N, F) as they are, wide enough to compute with."""
    return features.astype(np.float32) if features.dtype == np.float16 else features


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
    parts = [embedding(rows[start : start + ROWS]) for start in range(0, len(rows), ROWS)]
    return np.concatenate(parts)


def heading(ks: Sequence[int], levels: Sequence[str]) -> str:
    """Return the first line of a table of scores."""
    recalls = "".join(f"{f'R@{k}':>8}" for k in ks)
    return recalls + "".join(f"{f'R@1 {name}':>{len(name) + 6}}" for name in levels)


def line(scores: Scores) -> str:
    """Return the scores as percentages under `heading`."""
    recalls = "".join(f"{100 * share:8.2f}" for share in scores.recall.values())
    levels = (f"{100 * share:{len(name) + 6}.2f}" for name, share in scores.levels.items())
    return recalls + "".join(levels)


def make_parser() -> Parser:
    """Return the parser of the command."""
    parser = Parser(
        prog="python -m hier_ref.evaluate",
        description="Recall@K on the test rows of a features file, in percent: of the untouched\n"
        "features by cosine, and of a trained run by distance in the ball.",
        epilog="examples:\n"
        "  python -m hier_ref.evaluate --run runs/x --ks 1 10 100\n"
        "  python -m hier_ref.evaluate --raw --features cub_vit.npz",
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
    return parser


def main(argv: list[str] | None = None) -> None:
    """Print a table of scores of a run and of the untouched features."""
    args = make_parser().parse_args(argv)
    if args.run is None and not args.raw:
        raise ValueError("nothing to evaluate: name a run with --run, or the features with --raw")
    if min(args.ks) < 1:
        raise ValueError(f"--ks {min(args.ks)}: expected at least 1")
    run = open_run(args.run)[0] if args.run else None
    path = args.features or (run.features if run else "default")
    features = read_features(default_features() if path == "default" else path)
    ks = tuple(dict.fromkeys(args.ks))
    rows = {"raw": (0.0, raw)}
    if run and not args.raw:
        params = read_head(run.folder, run.config)
        _check_width(features, params, run.folder)
        rows["run"] = (run.config.c, lambda f: embed(f, params, run.config))
    print(f"{features.source}\n      {heading(ks, level_names(features))}  (percent)")
    for name, (c, embedding) in rows.items():
        scores = score(features, ks, c, embedding)
        print(f"{name:6}{line(scores)}" + (f"  ({scores.ties} ties)" if scores.ties else ""))


def _check_width(features: Features, params: dict[str, NDArray], folder: Path) -> None:
    first = "head.hidden_weight" if "head.hidden_weight" in params else "head.weight"
    expected, found = params[first].shape[1], features.features.shape[1]
    if found != expected:
        raise ValueError(
            f"{features.source}: found {found} columns, the head of {folder} takes {expected}"
        )


if __name__ == "__main__":
    run_command(main)
