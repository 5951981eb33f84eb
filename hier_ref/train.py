"""Train a head on backbone features: `python -m hier_ref.train --features cub_vit.npz`.

What a run prints and writes; the training itself is `hier_ref.training`. Chapter:
docs/6-training.md.
"""

import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hier_ref.baselines.embeddings import baselines
from hier_ref.baselines.verdict import over_classes, verdict
from hier_ref.command import Parser, note, run_command
from hier_ref.evaluate import (
    Scores,
    heading,
    level_names,
    line,
    ranking,
    scores_of,
)
from hier_ref.features.contract import Features
from hier_ref.files import write_arrays
from hier_ref.progress import Progress
from hier_ref.retrieval.recall import Ranking
from hier_ref.runs.folder import (
    CHECKPOINT,
    HEAD,
    METRICS,
    RESULT,
    TUNING,
    Run,
)
from hier_ref.runs.prepare import begin_fit, describe, prepare
from hier_ref.threads import use_threads
from hier_ref.training.batch import Params, embed
from hier_ref.training.config import Config, add_options
from hier_ref.training.estimator import HierHead
from hier_ref.training.fitting import Fit, evaluating
from hier_ref.training.trainer import mean_losses
from hier_ref.training.tuning import tune

__all__ = ["HierHead", "main", "train"]

SHORT = {"raw": "raw", "whitened": "white", "lda": "LDA"}  # as wide as the column of epochs


DESCRIPTION = """\
Train a head on backbone features with a metric loss and HIER, from the best linear
map that needs no training, for as many epochs as held-out training classes like.
Score it by image retrieval on the test rows: Recall@K, R-precision and MAP@R in
percent, beside the untouched features, whitening and linear discriminants; end
with a verdict in words. Without arguments: the features that come with the package.
"""
EPILOG = """\
examples:
  python -m hier_ref.train
  python -m hier_ref.train --hier-weight 0
  python -m hier_ref.train --features cub_vit.npz --epochs 20 --out runs/cub
  python -m hier_ref.train --features cub_vit.npz --tune 20
  python -m hier_ref.train --resume runs/cub

A features file is an .npz, or a folder of .npy: features (N,F), labels (N,) and,
optionally, split, class_names, levels, level_names, level_values, paths
(docs/8-features.md).
A run's folder holds head.npz, config.json, metrics.jsonl, result.json and
checkpoint.npz (docs/6-training.md).
"""


def train(fit: Fit, run: Run, features: Features) -> NDArray:
    """Run the epochs that remain; write metrics and checkpoint as they come, then the head.

    Returns whether the kept head finds a right image first, (Q,) for the queries.
    """
    progress, rows = Progress(batches_left(fit)), run.metrics(fit.rows)
    for row in rows:
        print(_line(row))

    def record(found: Ranking, **more: object) -> None:
        rows.append({**more, **_row(found, features, run.config)})
        print(f"{_line(rows[-1])}{progress}", flush=True)
        run.write_lines(METRICS, rows)

    if not rows:
        record(_ranking(fit, features, run.config), epoch=0, **fit.judgement)
    while not fit.finished:
        losses = mean_losses(_watched(fit, progress))
        if not fit.refitting and run.evaluates(fit.trainer.epoch):
            found = _ranking(fit, features, run.config)
            record(found, epoch=fit.trainer.epoch, **losses, **fit.judgement)
        fit.rows = len(rows)
        write_arrays(run.folder / CHECKPOINT, run.sealed(fit.state()))
    found = _ranking(fit, features, run.config, fit.params)
    if fit.validated:
        record(found, epoch=fit.best_epoch, kept=True)
    head = fit.params | {"classes": fit.trainer.classes, "epoch": np.array(fit.best_epoch)}
    write_arrays(run.folder / HEAD, run.sealed(head))
    return found.rank[:, 0] < 1


def _watched(fit: Fit, progress: Progress) -> Iterator[dict[str, float]]:
    for losses in fit.run_epoch():
        phase = "again, epoch" if fit.refitting else "epoch"
        progress.step(f"{phase} {fit.trainer.epoch + 1}", f"{_losses(losses)}")
        yield losses
    progress.expect(batches_left(fit))


def batches_left(fit: Fit) -> int:
    """Return how many batches are left to train, at most: a search may end early."""
    epochs = fit.length - fit.trainer.epoch
    again = fit.length if fit.refits and not fit.refitting else 0
    return (epochs + again) * fit.trainer.n_batches


def _ranking(fit: Fit, features: Features, config: Config, params: Params | None = None) -> Ranking:
    params = fit.trainer.params if params is None else params
    with evaluating(fit.trainer.epoch):
        return ranking(features, config.search_c, lambda f: embed(f, params, config))


def _row(found: Ranking, features: Features, config: Config) -> dict:
    first, *coarser = (scores._asdict() for scores in scores_of(found, config.recall_at))
    return first | {"levels": dict(zip(level_names(features), coarser, strict=True))}


def _losses(row: dict) -> str:
    shown = [name for name in ("metric", "hier") if name in row]
    return "".join(f"  {name} {row[name]:.3f}" for name in shown)


def _line(row: dict) -> str:
    """Return one evaluation of metrics.jsonl as a line of the table."""
    parts = row, *row["levels"].values()
    scores = [Scores(*(part[name] for name in Scores._fields)) for part in parts]
    held = f"  held out {100 * row['validation']:.2f}" if "validation" in row else ""
    kept = "  kept" if row.get("kept") else ""
    table = line(scores, list(row["levels"]))
    return f"{row['epoch']:6}{table}{_losses(row)}{held}{kept}"


def make_parser() -> Parser:
    """Return the parser of the command."""
    parser = Parser(
        prog="python -m hier_ref.train",
        usage="%(prog)s [--features FILE] [--out FOLDER] [options] | --resume RUN",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument(
        "--features", metavar="FILE", help="features file (default: the embedded one)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="new folder (default: runs/ and a name)"
    )
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with an unfinished run")
    parser.add_argument(
        "--no-pictures",
        action="store_true",
        help="write neither the tree that was found nor pictures at the end",
    )
    parser.add_argument(
        "--images", type=Path, metavar="FOLDER", help="where the images are that pictures show"
    )
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="how many work at once; results do not depend on it (default: one for each core)",
    )
    add_options(parser)
    return parser


def tuned(run: Run, features: Features) -> tuple[Fit, Run]:
    """Search for options, or go on with a search; return the training that they describe."""
    training = features.part("train")
    rows = run.lines(TUNING) if (run.folder / TUNING).exists() else []
    if not rows or "won" not in rows[-1]:
        record = partial(run.write_lines, TUNING)
        tune(training.features, training.labels, run.config, rows, record)
    won, run = rows[-1], run.settled()
    told = ", ".join(f"{name} {value}" for name, value in won["options"].items())
    print(
        f"tuned     setting {won['won']} of {run.config.tune}: {told or 'the options as given'}\n"
        f"          MAP@R of held-out classes {100 * won['score']:.2f}, "
        f"{100 * won['gain']:.2f} above the options as given"
    )
    return begin_fit(features, run.config), run


def main(argv: list[str] | None = None) -> None:
    """Train as the options say."""
    parser = make_parser()
    args = parser.parse_args(argv)
    if args.threads is not None:
        use_threads(args.threads)
    if args.images and not args.images.is_dir():
        raise ValueError(f"--images {args.images}: no folder there, expected one of images")
    fit, run, features = prepare(args)
    print(describe(fit, run, features))
    go_on = f"go on with: {parser.prog} --resume {shlex.quote(str(run.folder))}"
    try:
        written = run_all(fit, run, features, not args.no_pictures, args.images)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(go_on) from None
    except BrokenPipeError:
        raise  # nobody reads any more: no fault of the run
    except OSError as error:  # a full disk, most likely
        raise OSError(f"{error}; then {go_on}") from None
    print(f"\nwritten   {', '.join(map(str, written))}")


def run_all(
    fit: Fit, run: Run, features: Features, pictures: bool, images: Path | None = None
) -> list[Path]:
    """Tune, score what needs no training, train, compare, draw; return the paths written."""
    if run.config.tune and run.asked is None:
        fit, run = tuned(run, features)
    queries = features.retrieval_sets()[0].labels
    seen = np.isin(queries, np.unique(fit.labels)).any()
    unit = "percent" if seen else "percent, unseen classes"
    print(f"\n epoch{heading(run.config.recall_at, level_names(features))}  ({unit})")
    hits, scored = untrained(features, run.config)
    if fit.validated and not fit.refitting:
        warn_of_width(fit)
    words = verdict(train(fit, run, features), hits, queries)
    indented = words.replace("\n", f"\n{'':10}")
    print(f"\nverdict   {indented}")
    found = {"epoch": fit.best_epoch, "validation": fit.scores, "baselines": scored}
    run.write_result(found | {"verdict": words.splitlines()})
    written = [run.folder / name for name in (HEAD, METRICS, RESULT)]
    if pictures:
        from hier_ref.tree.report import show  # the tree reads runs; training never reads trees

        written += show(run.folder, features, images)
    return written


def untrained(features: Features, config: Config) -> tuple[dict[str, NDArray], dict[str, dict]]:
    """Print the scores of what needs no training; return its hits (Q,) and scores by name."""
    training, hits, scored = features.part("train"), {}, {}
    beside = baselines(training.features, training.labels, config.embedding)
    for name, embedding in beside.items():
        found = ranking(features, 0.0, embedding)
        hits[name], scored[name] = found.rank[:, 0] < 1, _row(found, features, config)
        table = line(scores_of(found, config.recall_at), level_names(features))
        print(f"{SHORT[name]:>6}{table}", flush=True)
    return hits, scored


def warn_of_width(fit: Fit) -> None:
    """Say before training if so few dimensions lose what the features have.

    Judged by the held-out training classes: the better closed form beside the untouched features.
    """
    hits, width = fit.hits(), fit.config.embedding
    best = max(hits["whitened"], hits["lda"], key=np.mean)
    loss = over_classes(hits["raw"] * 1.0 - best, fit.labels[fit.judges])
    if loss.low > 0:
        note(
            f"{width} dimensions lose {loss} points of Recall@1 among held-out training classes, "
            "beside the untouched features; --embedding asks for more"
        )


if __name__ == "__main__":
    run_command(main)
