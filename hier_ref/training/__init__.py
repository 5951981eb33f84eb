"""Training: one batch from features to new weights (`step`), how long, from where, and as what.

Read `step` first; then `head`, `optim`, `sampler` and `config`, of which it is made; then
`starts`, `fitting` and `tuning`, which decide where it begins, when it ends and with which
options; `estimator` is all of it as one object with fit and transform.
"""

from hier_ref.training.step import (
    Params,
    Trainer,
    batch_autograd,
    batch_gradient,
    draw,
    embed,
    init_params,
    points,
)

__all__ = [
    "Params",
    "Trainer",
    "batch_autograd",
    "batch_gradient",
    "draw",
    "embed",
    "init_params",
    "points",
]
