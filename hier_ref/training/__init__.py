"""Training: one batch (`batch`), all of them (`trainer`), how long, from where, and as what.

Read `batch` first; then `head`, `optim`, `sampler` and `config`, of which it is made; then
`starts`, `fitting` and `tuning`, which decide where it begins, when it ends and with which
options; `estimator` is all of it as one object with fit and transform.
"""

from hier_ref.training.batch import (
    Params,
    batch_autograd,
    batch_gradient,
    draw,
    embed,
    to_ball_or_sphere,
)
from hier_ref.training.trainer import Trainer, init_params

__all__ = [
    "Params",
    "Trainer",
    "batch_autograd",
    "batch_gradient",
    "draw",
    "embed",
    "init_params",
    "to_ball_or_sphere",
]
