"""The regimes of the study: what training may see, where a hierarchy might help.

A regime changes which images train, by which labels, for how many epochs, or the features of all
images. It never changes which images are searched, nor the labels by which finds are judged.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from hier_ref.features.contract import Features

VALIDATION, TEST = "validation", "test"


def everything(labels: np.ndarray) -> np.ndarray:
    """Keep all training images: labels (N,) -> (N,) boolean, like all that follow."""
    return np.full(len(labels), True)


def two_images(labels: np.ndarray) -> np.ndarray:
    """Keep two images of each class, drawn with a fixed seed."""
    shuffled = np.random.default_rng(2028).permutation(len(labels))
    ordered = shuffled[np.argsort(labels[shuffled], kind="stable")]
    _, starts = np.unique(labels[ordered], return_index=True)
    kept = np.concatenate([ordered[starts], ordered[starts + 1]])
    return np.isin(np.arange(len(labels)), kept)


def quarter(labels: np.ndarray) -> np.ndarray:
    """Keep every fourth class, in their order."""
    return np.unique(labels, return_inverse=True)[1] % 4 == 0


def two_of_a_quarter(labels: np.ndarray) -> np.ndarray:
    """Keep two images of every fourth class."""
    return two_images(labels) & quarter(labels)


def untouched(features: Features) -> Features:
    """Leave all features as they are."""
    return features


def noisy(features: Features) -> Features:
    """Add Gaussian noise of a fixed seed, 1.5 times the standard deviation of all numbers."""
    x = features.features.astype(np.float32)
    noise = np.random.default_rng(2029).standard_normal(x.shape, dtype=np.float32)
    return replace(features, features=x + np.float32(1.5) * x.std() * noise)


def stretched(features: Features) -> Features:
    """Multiply each coordinate by its variance in the training half: a head can undo it."""
    x = features.features.astype(np.float32)
    scale = x[features.split == "train"].var(axis=0)
    return replace(features, features=x * (scale / scale[0]))


@dataclass(frozen=True)
class Regime:
    """What differs from the plain study.

    `keep` chooses among the training images, by their class; `level` names the column of levels
    that stands in for the class in training; `weaken` spoils the features of all images. The
    choices of `epochs` give about as many batches as in the plain study, unless that is the point.
    `lr_head` and `hier_weight` are the ranges of tuning; a head start has a fifth of the weights.
    """

    keep: Callable[[np.ndarray], np.ndarray] = everything
    level: int | None = None
    weaken: Callable[[Features], Features] = untouched
    epochs: tuple[int, int, int] = (5, 10, 20)
    lr_head: tuple[float, float] = (5e-4, 3e-2)
    hier_weight: tuple[float, float] = (0.1, 5.0)


# Where the plain ranges train the head away from features that were better untouched.
GENTLE = {"lr_head": (2e-5, 5e-3), "hier_weight": (0.5, 50.0)}

REGIMES = {
    "": Regime(),
    "two images": Regime(keep=two_images, epochs=(15, 30, 60)),
    "quarter": Regime(keep=quarter, epochs=(20, 40, 80)),
    "two of a quarter": Regime(keep=two_of_a_quarter, epochs=(60, 120, 240)),
    "long": Regime(epochs=(60, 60, 60)),
    "groups": Regime(level=1),
    "noise": Regime(weaken=noisy),
    "stretched": Regime(weaken=stretched),
    "gentle quarter": Regime(keep=quarter, epochs=(20, 40, 80), **GENTLE),
    "gentle subgroups": Regime(level=0, **GENTLE),
    "gentle groups": Regime(level=1, **GENTLE),
    "gentle noise": Regime(weaken=noisy, **GENTLE),
}


def data_name(word: str, regime: str) -> str:
    """Return what a run's `data` says: the word of what is scored and, unless plain, the regime."""
    return f"{word}, {regime}" if regime else word


def word_and_regime(data: str) -> tuple[str, str]:
    """Return what `data_name` was made of."""
    word, _, regime = data.partition(", ")
    return word, regime


def validation_words(labels: np.ndarray) -> np.ndarray:
    """Return a split of training images (N,): every third class, in their order, is "test"."""
    _, index = np.unique(labels, return_inverse=True)
    return np.where(index % 3 == 2, "test", "train")


def prepare(features: Features, data: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, Features]:
    """Return inputs and labels to train on, what is known of them, and the features to score.

    What is known (N, 1 + L), class and levels, is for measurements alone.
    """
    word, name = word_and_regime(data)
    regime = REGIMES[name]
    scored = regime.weaken(features)
    training = scored.part("train")
    if word == VALIDATION:
        scored = replace(training, split=validation_words(training.labels))
        training = scored.part("train")
    rows = regime.keep(training.labels)
    known = np.column_stack([training.labels, training.levels])[rows]
    labels = known[:, 0 if regime.level is None else 1 + regime.level]
    return training.features[rows].astype(np.float32), labels, known, scored
