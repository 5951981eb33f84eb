"""A small search for better options, judged by held-out training classes alone: `--tune N`.

Successive halving: all settings train for a few epochs, the better third for three times as many,
and so on. Each line of `tuning.jsonl` depends on its setting and its epochs alone, so a search that
was interrupted goes on where it stopped. Described in docs/appendix-how-long-to-train.md.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hier_ref.progress import Progress
from hier_ref.training.config import Config
from hier_ref.training.fitting import Fit, held_out

FACTOR, FIRST = 3, 3  # a third goes on, for three times the epochs; the first round has three


def drawn_settings(config: Config, n_features: int, count: int) -> list[dict[str, Any]]:
    """Return `count` settings as options that replace those of `config`; the first changes none."""
    rng = np.random.default_rng([config.seed, 5])
    return [{}, *(_draw(rng, config, n_features) for _ in range(count - 1))]


def _draw(rng: Generator, config: Config, n_features: int) -> dict[str, Any]:
    """Draw one setting: of what matters most, half, each from the values that are worth a try.

    The other half stays as given: where that is good already, settings near it are the better ones.
    """
    widths = [width for width in (64, 128, 256, 512) if width <= n_features]
    setting = {
        "loss": _one(rng, ["MS", "MS", "PA", "PNCA"]),
        "hier_weight": _one(rng, [0.0, 0.0, 0.0, 0.1, 0.3, 1.0]) if config.c else 0.0,
        "head": _one(rng, ["linear", "linear", "mlp"]),
        "lr_head": _log_uniform(rng, 5e-5, 5e-3),
        "lr_loss": _log_uniform(rng, 1e-3, 1e-1),
        "epochs": _one(rng, [5, 10, 20]),
        "start": _one(rng, ["lda", "lda", "lda", "whiten"]),
        "start_length": _one(rng, [0.5, 2.0, 2.0]),
        "clip": config.clip * _one(rng, [0.5, 1.0, 1.0]),
        "retrieval": _one(rng, ["cosine", "cosine", "ball"]) if config.c else "cosine",
    }
    setting |= {"embedding": _one(rng, widths)} if widths else {}
    drawn = {name: value for name, value in setting.items() if rng.random() < 0.5}
    wide = drawn.get("head") == "mlp"  # random features have to be many to be as good as plain ones
    return drawn | ({"hidden": min(6 * n_features, 2048)} if wide else {})


def _one(rng: Generator, values: list) -> Any:
    return values[rng.integers(len(values))]


def _log_uniform(rng: Generator, low: float, high: float) -> float:
    """Draw between low and high, every factor as likely; two digits are enough."""
    return float(f"{low * (high / low) ** rng.random():.1e}")


def rounds(count: int, epochs: int) -> list[tuple[int, int]]:
    """Return (settings, epochs) of each round of halving, the last at full length."""
    found, length = [], FIRST
    while count > 1 and length < epochs:
        found.append((count, length))
        count, length = max(1, count // FACTOR), length * FACTOR
    return [*found, (count, epochs)]


def check_judges(labels: NDArray, config: Config) -> None:
    """Refuse a search among labels (N,) of too few classes to hold any out: ValueError."""
    if config.tune and not held_out(labels, config).any():
        raise ValueError(
            f"tune {config.tune}: found too few training classes to hold any out, expected more"
        )


def tune(
    features: NDArray,
    labels: NDArray,
    config: Config,
    rows: list[dict],
    record: Callable[[list[dict]], None],
) -> dict[str, Any]:
    """Try `config.tune` settings; return the last line of the search, that of the winner.

    features (N, F) and labels (N,) of training; `rows` are the lines that there are, and `record`
    keeps them as they grow. The options as given are tried to the end, so that the gain is known.
    Raises ValueError as `check_judges`.
    """
    check_judges(labels, config)
    settings = drawn_settings(config, features.shape[1], config.tune)
    configs = [replace(config, **setting) for setting in settings]
    plan, alive = rounds(len(settings), max(c.epochs for c in configs)), list(range(len(settings)))
    progress = Progress(sum(count * epochs for count, epochs in plan))
    known = {(row["setting"], row["epochs"]): row["score"] for row in rows}
    for count, epochs in plan:
        for number in alive:
            tried = number, min(epochs, configs[number].epochs)
            if tried not in known:
                known[tried] = judge(features, labels, configs[number], tried[1])
                row = {"setting": number, "epochs": tried[1], "score": known[tried]}
                rows.append(row | {"options": settings[number]})
                record(rows)
            progress.step(f"tuning, setting {number} for {tried[1]} epochs", parts=epochs)
        scores = {n: known[n, min(epochs, configs[n].epochs)] for n in alive}
        order = sorted(alive, key=lambda number: (-scores[number], number))
        alive = sorted({0, *order[: max(1, count // FACTOR)]})
    progress.expect(0)
    gain = scores[order[0]] - scores[0]
    rows.append(
        {"won": order[0], "score": scores[order[0]], "gain": gain} | {"options": settings[order[0]]}
    )
    record(rows)
    return rows[-1]


def judge(features: NDArray, labels: NDArray, config: Config, epochs: int) -> float:
    """Return the best score among held-out classes within so many epochs of a training.

    features (N, F) and labels (N,); 0 for a setting that diverges: there is nothing to recommend.
    """
    fit = Fit(features, labels, replace(config, refit=False))
    try:
        while not fit.finished and fit.trainer.epoch < epochs:
            for _ in fit.run_epoch():
                pass
    except ValueError:
        return 0.0
    return max(fit.scores)
