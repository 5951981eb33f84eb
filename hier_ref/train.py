"""Train a head on backbone features: `python -m hier_ref.train --features cub_vit.npz`.

What a run prints and writes; the training itself is `hier_ref.training`. Chapter:
docs/6-training.md.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from hier_ref.command import run_command
from hier_ref.config import Config, add_options
from hier_ref.estimator import HierHead
from hier_ref.evaluate import heading, level_names, line, raw, score
from hier_ref.features import Features, default_features, read_features
from hier_ref.runs import (
    CHECKPOINT,
    HEAD,
    METRICS,
    Run,
    RunError,
    digest,
    open_run,
    read_arrays,
    write_arrays,
)
from hier_ref.training import Trainer, embed, mean_losses

__all__ = ["HierHead", "main", "train"]


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
            if sys.stderr.isatty():
                print(f"{self}  {_losses(losses)}", end="\x1b[K\r", file=sys.stderr, flush=True)
            yield losses

    def __str__(self) -> str:
        passed = time.monotonic() - self.start
        left = passed / max(1, self.done) * (self.total - self.done)
        return f"{_clock(passed)} passed, {_clock(left)} left"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _losses(losses: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in losses.items())


def train(trainer: Trainer, run: Run, features: Features) -> None:
    """Run the epochs that remain; write metrics and checkpoint as they come, then the head."""
    config, progress, rows = trainer.config, Progress(trainer), run.metrics(trainer.epoch)
    while trainer.epoch < config.epochs:
        losses = mean_losses(progress.watch(trainer.run_epoch()))
        if trainer.epoch % config.eval_every == 0 or trainer.epoch == config.epochs:
            scores = score(
                features, config.recall_at, config.c, lambda f: embed(f, trainer.params, config)
            )
            print(f"{trainer.epoch:6}{line(scores)}  {progress}  {_losses(losses)}", flush=True)
            rows.append({"epoch": trainer.epoch, **losses, **scores._asdict()})
            run.write_metrics(rows)
        write_arrays(run.folder / CHECKPOINT, trainer.state())
    write_arrays(run.folder / HEAD, trainer.params | {"classes": trainer.classes})


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m hier_ref.train",
        description="Train a head on precomputed backbone features with a metric loss and HIER, "
        "and score it by image retrieval on classes it never saw. Without arguments: the "
        "features that come with the package.",
        epilog="A features file is an .npz with features (N,F), labels (N,) and, optionally, "
        "split, class_names, levels, level_names, paths: docs/8-features.md. A run's folder holds "
        "head.npz, config.json, metrics.jsonl and checkpoint.npz: docs/6-training.md.",
    )
    parser.add_argument("--features", help="features file (default: the embedded one)")
    parser.add_argument("--out", type=Path, help="new folder (default: runs/<made from options>)")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with an unfinished run")
    add_options(parser)
    return parser


def prepare(args: argparse.Namespace) -> tuple[Trainer, Run, Features]:
    """Check everything that can be wrong, then make or find the folder of the run."""
    options = {name: value for name, value in vars(args).items() if name in vars(Config())}
    if args.resume:
        run, expected = open_run(args.resume)
        _refuse_changes(run, options, args.out)
        run = run._replace(features=args.features or run.features)
    else:
        config, path = Config(**options), args.features or "default"
        run = Run(args.out or _free_folder(config, path), config, path)
    features = read_features(default_features() if run.features == "default" else run.features)
    found = digest(features)
    training = features.part("train")
    trainer = Trainer(training.features, training.labels, run.config)
    if not args.resume:
        run.create(found)
    elif found != expected:
        raise RunError(f"{features.source}: not the features that {run.folder} was started with")
    elif (run.folder / CHECKPOINT).exists():
        trainer.load(read_arrays(run.folder / CHECKPOINT))
    return trainer, run, features


def _refuse_changes(run: Run, options: dict, out: Path | None) -> None:
    stored = vars(run.config)
    for name, value in options.items():
        value = tuple(value) if isinstance(value, list) else value
        if value != stored[name]:
            raise RunError(
                f"{run.folder}: a run with {name} {stored[name]}, found {name} {value}; "
                "an existing run goes on as it began"
            )
    if out and out != run.folder:
        raise RunError(f"--out {out} with --resume {run.folder}: expected one of them")


def _free_folder(config: Config, path: str) -> Path:
    name = "emoji" if path == "default" else Path(path).stem
    base = f"{name}-{config.loss}-hier{config.hier_weight:g}-seed{config.seed}"
    numbered = (f"{base}-{number}" for number in itertools.count(2))
    names = itertools.chain([base], numbered)
    return next(f for f in (Path("runs") / name for name in names) if not f.exists())


def describe(trainer: Trainer, run: Run, features: Features) -> str:
    """Say what is trained on what, before it starts."""
    config, n_features = trainer.config, features.features.shape[1]
    hier = f" + {config.hier_weight:g} HIER, {config.proxies} proxies" if config.hier_weight else ""
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
    trainer, run, features = prepare(make_parser().parse_args(argv))
    config = run.config
    print(describe(trainer, run, features))
    print(f"\n epoch{heading(config.recall_at, level_names(features))}  (percent, unseen classes)")
    print(f"   raw{line(score(features, config.recall_at, 0.0, raw))}", flush=True)
    try:
        train(trainer, run, features)
    except KeyboardInterrupt:
        print(f"\ngo on with: python -m hier_ref.train --resume {run.folder}", file=sys.stderr)
        raise
    print(f"\nwritten   {', '.join(str(run.folder / name) for name in (HEAD, METRICS))}")


if __name__ == "__main__":
    run_command(main)
