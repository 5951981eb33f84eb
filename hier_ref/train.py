"""Train a head on backbone features: `python -m hier_ref.train --features cub_vit.npz`.

What a run prints and writes; the training itself is `hier_ref.training`. Chapter:
docs/6-training.md.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from hier_ref.command import Parser, note, run_command
from hier_ref.config import Config, add_options
from hier_ref.estimator import HierHead
from hier_ref.evaluate import Scores, heading, level_names, line, raw, score
from hier_ref.features import Features
from hier_ref.files import FileError, parts, write_arrays
from hier_ref.machine import differences
from hier_ref.runs import (
    CHECKPOINT,
    EMBEDDED,
    HEAD,
    METRICS,
    Run,
    as_named,
    open_run,
    read_named,
    recorded_machine,
)
from hier_ref.seals import digest
from hier_ref.training import Trainer, embed, mean_losses

__all__ = ["HierHead", "main", "train"]


DESCRIPTION = """\
Train a head on backbone features with a metric loss and HIER, and score it by
image retrieval on the test rows: Recall@K, R-precision and MAP@R in percent, each
beside that of the untouched features. Without arguments: the features that come
with the package.
"""
EPILOG = """\
examples:
  python -m hier_ref.train
  python -m hier_ref.train --hier-weight 0
  python -m hier_ref.train --features cub_vit.npz --epochs 20 --out runs/cub
  python -m hier_ref.train --resume runs/cub

A features file is an .npz, or a folder of .npy: features (N,F), labels (N,) and,
optionally, split, class_names, levels, level_names, paths (docs/8-features.md).
A run's folder holds head.npz, config.json, metrics.jsonl and checkpoint.npz
(docs/6-training.md).
"""


class Progress:
    """The time left: on a terminal a running line, elsewhere with each evaluation."""

    def __init__(self, trainer: Trainer):
        """Start the clock."""
        self.trainer, self.done, self.start = trainer, 0, time.monotonic()
        self.total = (trainer.config.epochs - trainer.epoch) * trainer.n_batches

    def watch(self, batches: Iterable[dict[str, float]]) -> Iterator[dict[str, float]]:
        """Pass the losses of each batch on, showing how far the run is."""
        for losses in batches:
            self.done += 1
            self._show(f"epoch {self.trainer.epoch + 1}{self}{_losses(losses)}")
            yield losses
        self._show("")

    def _show(self, text: str) -> None:
        if sys.stderr.isatty():
            print(f"{text}\x1b[K", end="\r", file=sys.stderr, flush=True)

    def __str__(self) -> str:
        if not self.done:
            return ""
        passed = time.monotonic() - self.start
        left = passed / self.done * (self.total - self.done)
        return f"  {_clock(passed)} passed, {_clock(left)} left"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _losses(losses: dict[str, float]) -> str:
    return "".join(f"  {name} {value:.3f}" for name, value in losses.items())


def train(trainer: Trainer, run: Run, features: Features) -> None:
    """Run the epochs that remain; write metrics and checkpoint as they come, then the head."""
    progress, rows = Progress(trainer), run.metrics(trainer.epoch)
    for row in rows:
        print(_line(row))

    def evaluate(losses: dict[str, float]) -> None:
        rows.append({"epoch": trainer.epoch, **losses, **_score(trainer, features)})
        print(f"{_line(rows[-1])}{progress}", flush=True)
        run.write_metrics(rows)

    if not rows:
        evaluate({})
    while trainer.epoch < trainer.config.epochs:
        losses = mean_losses(progress.watch(trainer.run_epoch()))
        if run.evaluates(trainer.epoch):
            evaluate(losses)
        write_arrays(run.folder / CHECKPOINT, run.sealed(trainer.state()))
    head = trainer.params | {"classes": trainer.classes}
    write_arrays(run.folder / HEAD, run.sealed(head))


def _score(trainer: Trainer, features: Features) -> dict:
    params, config = trainer.params, trainer.config
    found = score(features, config.recall_at, config.c, lambda f: embed(f, params, config))
    first, *coarser = (scores._asdict() for scores in found)
    return first | {"levels": dict(zip(level_names(features), coarser, strict=True))}


def _line(row: dict) -> str:
    """Return one evaluation of metrics.jsonl as a line of the table."""
    parts = row, *row["levels"].values()
    scores = [Scores(*(part[name] for name in Scores._fields)) for part in parts]
    others = ("epoch", "levels", *Scores._fields)
    losses = {name: row[name] for name in row if name not in others}
    return f"{row['epoch']:6}{line(scores, list(row['levels']))}{_losses(losses)}"


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
    add_options(parser)
    return parser


def prepare(args: argparse.Namespace) -> tuple[Trainer, Run, Features]:
    """Check everything that can be wrong, then make or find the folder of the run."""
    options = {name: value for name, value in vars(args).items() if name in vars(Config())}
    return _resumed(args, options) if args.resume else _started(args, options)


def _started(args: argparse.Namespace, options: dict) -> tuple[Trainer, Run, Features]:
    config, path = Config(**options), as_named(args.features)
    features = read_named(path)
    trainer = _trainer(features, config)
    run = Run(args.out or _base(config, path), config, path, digest(features))
    if args.out:
        run.create()
    return trainer, run if args.out else run.claim(), features


def _resumed(args: argparse.Namespace, options: dict) -> tuple[Trainer, Run, Features]:
    run = open_run(args.resume)
    _refuse_changes(run, options, args.out)
    features = run.read_features(args.features)
    if not run.was_made_from(features):
        raise FileError(f"{features.source}: not the features that {run.folder} was started with")
    trainer = _trainer(features, run.config)
    if (run.folder / CHECKPOINT).exists():
        try:
            trainer.load(run.read(CHECKPOINT))
        except FileError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise FileError(f"{run.folder / CHECKPOINT}: {error}") from None
        run.metrics(trainer.epoch)
    for difference in differences(recorded_machine(run.folder)):
        note(f"{run.folder}: {difference} here, so the last bits may differ")
    for left in parts(run.folder):
        left.unlink(missing_ok=True)
    return trainer, run, features


def _trainer(features: Features, config: Config) -> Trainer:
    training = features.part("train")
    return Trainer(training.features, training.labels, config)


def _refuse_changes(run: Run, options: dict, out: Path | None) -> None:
    stored = vars(run.config)
    for name, value in options.items():
        value = tuple(value) if isinstance(value, list) else value
        if value != stored[name]:
            raise FileError(
                f"{run.folder}: a run with {name} {stored[name]}, found {name} {value}; "
                "an existing run goes on as it began"
            )
    if out and out != run.folder:
        raise FileError(f"--out {out} with --resume {run.folder}: expected one of them")


def _base(config: Config, path: str) -> Path:
    name = "emoji" if path == EMBEDDED else Path(path).stem
    return Path("runs") / f"{name}-{config.loss}-hier{config.hier_weight:g}-seed{config.seed}"


def describe(trainer: Trainer, run: Run, features: Features) -> str:
    """Say what is trained on what, before it starts."""
    config, n_features = trainer.config, features.features.shape[1]
    words, counts = np.unique(features.split, return_counts=True)
    rows = ", ".join(f"{count} {word}" for word, count in zip(words, counts, strict=True))
    hier = (
        f" + {config.hier_weight:g} HIER on {config.proxies} proxies" if config.hier_weight else ""
    )
    return (
        f"features  {features.source}: {rows} rows of {n_features} numbers\n"
        f"training  {len(trainer.classes)} classes; {config.loss}{hier}; {config.head} head "
        f"{n_features} -> {config.embedding}; {config.epochs} x {trainer.n_batches} batches\n"
        f"run       {run.folder}"
    )


def main(argv: list[str] | None = None) -> None:
    """Train as the options say."""
    parser = make_parser()
    args = parser.parse_args(argv)
    trainer, run, features = prepare(args)
    config = run.config
    print(describe(trainer, run, features))
    seen = np.isin(features.retrieval_sets()[0].labels, trainer.classes).any()
    unit = "percent" if seen else "percent, unseen classes"
    print(f"\n epoch{heading(config.recall_at, level_names(features))}  ({unit})")
    untouched = score(features, config.recall_at, 0.0, raw)
    print(f"   raw{line(untouched, level_names(features))}", flush=True)
    go_on = f"go on with: {parser.prog} --resume {shlex.quote(str(run.folder))}"
    try:
        train(trainer, run, features)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(go_on) from None
    except OSError as error:  # a full disk, most likely
        raise OSError(f"{error}; then {go_on}") from None
    written = [run.folder / name for name in (HEAD, METRICS)]
    if not args.no_pictures:
        from hier_ref.tree.report import show  # the tree reads runs; training never reads trees

        written += show(run.folder, features)
    print(f"\nwritten   {', '.join(map(str, written))}")


if __name__ == "__main__":
    run_command(main)
