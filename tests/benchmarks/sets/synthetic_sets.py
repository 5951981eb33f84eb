"""Sets drawn from a model, of which the best linear map is known: its moments are its own."""

from typing import NamedTuple

import numpy as np

from hier_ref.baselines.closed_form import Moments


class Model(NamedTuple):
    """Normal classes: the covariances of class means and of images, and how many there are."""

    between: np.ndarray  # (F, F)
    within: np.ndarray  # (F, F)
    counts: np.ndarray  # images of each class


def _turned(rng, between, within, counts) -> Model:
    """Turn diagonal covariances, so that no column is special."""
    turn = np.linalg.qr(rng.standard_normal((len(between), len(between))))[0]
    return Model(*(turn * np.asarray(d) @ turn.T for d in (between, within)), np.asarray(counts))


def isotropic(rng) -> Model:
    """Nothing to learn: 400 classes of 10 images, alike in all 64 directions."""
    return _turned(rng, np.full(64, 0.35), np.ones(64), np.full(400, 10))


def nuisance(rng) -> Model:
    """CUB's shape: classes differ in 16 of 128 directions, images scatter far in all others."""
    place = np.arange(128) < 16
    return _turned(rng, np.where(place, 1.0, 0.0), np.where(place, 0.3, 25.0), np.full(200, 30))


def imbalance(rng) -> Model:
    """600 classes of 300 to 2 images; the spread within falls a hundredfold over 96 directions."""
    counts = np.maximum(2, 300 / np.arange(1, 601) ** 0.9).astype(int)
    return _turned(
        rng, 0.08 * np.linspace(1, 0, 96), np.geomspace(4, 0.04, 96)[::-1], rng.permuted(counts)
    )


def few_classes(rng) -> Model:
    """Ten classes to learn from, ten to tell apart, 250 images of each, in 64 directions."""
    place = np.arange(64) < 24
    return _turned(rng, np.where(place, 0.6, 0.02), np.where(place, 1.0, 6.0), np.full(20, 250))


MODELS = {f.__name__.replace("_", "-"): f for f in (isotropic, nuisance, imbalance, few_classes)}


def model(name: str) -> Model:
    """Return the model of a set, the same each time."""
    return MODELS[name](np.random.default_rng([20, *name.encode()]))


def truth(name: str) -> Moments:
    """Return the moments that the features of a set were drawn with."""
    found = model(name)
    return Moments(np.zeros(len(found.within)), found.within, found.between)


def draw(name: str) -> dict:
    """Return the arrays of the features file; classes take turns between train and test."""
    found, rng = model(name), np.random.default_rng([21, *name.encode()])
    labels = np.repeat(np.arange(len(found.counts)), found.counts)
    size, many = len(found.within), len(found.counts)
    centres = rng.multivariate_normal(np.zeros(size), found.between, many, method="eigh")
    apart = rng.multivariate_normal(np.zeros(size), found.within, len(labels), method="eigh")
    split = np.where(labels % 2 == 0, "train", "test")
    features = (centres[labels] + apart).astype(np.float32)
    return {"features": features, "labels": labels, "split": split}
