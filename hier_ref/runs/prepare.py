"""What has to be right before a run trains: its options, its features, and the files it left.

Chapter: docs/appendix-files-of-a-run.md.
"""

import argparse
from pathlib import Path

import numpy as np

from hier_ref.command import note
from hier_ref.features.contract import Features
from hier_ref.files import FileError, parts
from hier_ref.runs.folder import (
    CHECKPOINT,
    EMBEDDED,
    Run,
    as_named,
    asked_run,
    open_run,
    read_named,
    recorded_machine,
)
from hier_ref.runs.machine import differences
from hier_ref.runs.seals import digest
from hier_ref.training.config import Config
from hier_ref.training.fitting import Fit
from hier_ref.training.trainer import check_features
from hier_ref.training.tuning import check_judges


def prepare(args: argparse.Namespace) -> tuple[Fit, Run, Features]:
    """Check everything that can be wrong, then make or find the folder of the run."""
    options = {name: value for name, value in vars(args).items() if name in vars(Config())}
    return _resumed(args, options) if args.resume else _started(args, options)


def _started(args: argparse.Namespace, options: dict) -> tuple[Fit, Run, Features]:
    config, path = Config(**options), as_named(args.features)
    features = read_named(path)
    fit = begin_fit(features, config, begin=not config.tune)
    check_judges(fit.labels, config)
    run = Run(args.out or _base(config, path), config, path, digest(features))
    if args.out:
        run.create()
    return fit, run if args.out else run.claim(), features


def _resumed(args: argparse.Namespace, options: dict) -> tuple[Fit, Run, Features]:
    run = asked_run(args.resume)
    _refuse_changes(run, options, args.out)
    features = run.read_features(args.features)
    if not run.was_made_from(features):
        raise FileError(f"{features.source}: not the features that {run.folder} was started with")
    for difference in differences(recorded_machine(run.folder)):
        note(f"{run.folder}: {difference} here, so the last bits may differ")
    path = run.folder / CHECKPOINT
    if not path.exists():
        fit = begin_fit(features, run.config, begin=not run.config.tune)
    else:
        run = open_run(args.resume)
        fit = begin_fit(features, run.config, begin=False)
        try:
            fit.load(run.read(CHECKPOINT))
        except FileError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise FileError(f"{path}: {error}") from None
        run.metrics(fit.rows)
    for left in parts(run.folder):
        left.unlink(missing_ok=True)
    return fit, run, features


def begin_fit(features: Features, config: Config, begin: bool = True) -> Fit:
    """Return the training that a configuration describes; ValueError for odd features."""
    check_features(features.features, config)  # of the test rows too, before anything is written
    training = features.part("train")
    return Fit(training.features, training.labels, config, begin)


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


def describe(fit: Fit, run: Run, features: Features) -> str:
    """Say what is trained on what, before it starts."""
    config, n_features, trainer = run.config, features.features.shape[1], fit.trainer
    words, counts = np.unique(features.split, return_counts=True)
    rows = ", ".join(f"{count} {word}" for word, count in zip(words, counts, strict=True))
    hier = (
        f" + {config.hier_weight:g} HIER on {config.proxies} proxies" if config.hier_weight else ""
    )
    held = len(np.unique(fit.labels[fit.judging]))
    chosen = f"{held} classes held out choose the epoch" if held else "the last epoch is kept"
    return (
        f"features  {features.source}: {rows} rows of {n_features} numbers\n"
        f"training  {len(trainer.classes)} classes; {config.loss}{hier}; {config.head} head "
        f"{n_features} -> {config.embedding}; {config.epochs} x {trainer.n_batches} batches\n"
        f"choice    {chosen}; start: {config.start}; neighbours by {config.retrieval}\n"
        f"run       {run.folder}"
    )
