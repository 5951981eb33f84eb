"""Where a head starts: its last layer in closed form, so that epoch 0 is a good head already.

The closed forms are those of `baselines.closed_form`, fitted to what the last layer sees: the
normed features or, with a hidden layer, its random activations. Derived in
docs/appendix-closed-forms-in-use.md.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from hier_ref.baselines.closed_form import choose_shrinkage, lda, moments, pca, whitening
from hier_ref.training.batch import Params, group
from hier_ref.training.config import Config
from hier_ref.training.head import head_forward


def start_head(
    params: Params, features: NDArray, labels: NDArray, rows: NDArray, config: Config
) -> Params:
    """Return the parameters of a run with the last layer set as `config.start` says. (M7).

    features (N, F) and labels (N,), of which the rows (M,) are looked at. The typical tangent
    vector, by its root mean square over the rows, is `start_length` clips long. A random start
    stays as it was drawn.
    """
    if config.start == "random":
        return params
    head = group(params, "head.")
    seen = partial(head_forward, params=head, layers=config.layers[:-1])
    found = moments(features, labels, rows, seen)
    if config.start == "lda":
        rng = np.random.default_rng([config.seed, 2])
        shrinkage = choose_shrinkage(features, labels, config.embedding, rng, seen, rows=rows)
        weight, bias = lda(found, config.embedding, shrinkage)
    else:
        weight, bias = {"pca": pca, "whiten": whitening}[config.start](found, config.embedding)
    mean_square = np.sum((weight @ found.total) * weight)
    scale = config.start_length * config.clip / np.sqrt(mean_square or 1.0)
    last = {"head.weight": scale * weight, "head.bias": scale * bias}
    return params | {name: value.astype(config.dtype) for name, value in last.items()}
