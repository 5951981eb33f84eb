"""What needs no training: the untouched features and closed forms, as embeddings for cosine.

A head has to be better than these to be worth its training. Derived in docs/18-closed-form.md.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hier_ref.baselines.closed_form import choose_shrinkage, lda, moments, whitening
from hier_ref.training.head import layer_norm, linear

Embedding = Callable[[NDArray], NDArray]
SEED = 0  # of the classes that choose the shrinkage


def baselines(
    features: NDArray, labels: NDArray, width: int, rows: NDArray | None = None
) -> dict[str, Embedding]:
    """Return by name what maps features (N, F) to (N, D) without training, D = width at most.

    raw is F wide. The others are fitted to features and labels (N,), of which the rows (M,) count,
    all unless given; the shrinkage of lda is chosen on classes of theirs.
    """
    found, rng = moments(features, labels, rows), np.random.default_rng(SEED)
    shrinkage = choose_shrinkage(features, labels, width, rng, rows=rows)
    maps = {"whitened": whitening(found, width), "lda": lda(found, width, shrinkage)}
    return {"raw": raw, **{name: partial(mapped, form=form) for name, form in maps.items()}}


def raw(features: NDArray) -> NDArray:
    """Return features (N, F) as they are, wide enough to compute with."""
    return features.astype(np.float32) if features.dtype == np.float16 else features


def mapped(f: NDArray, form: tuple[NDArray, NDArray]) -> NDArray:
    """Apply a closed form, weight (D, F) and bias (D,), to normed features (N, F): (N, D)."""
    return linear(layer_norm(f.astype(float)), *form)
