"""Supervised metric losses with explicit gradients, by the names that the command line knows.

Each is a frozen dataclass of its hyper-parameters with the three methods of `Loss`. Derived in
docs/5-proxy-anchor.md and docs/9-losses.md.
"""

from hier_ref.losses.base import Loss, Params
from hier_ref.losses.multi_similarity import HyperbolicMultiSimilarity, MultiSimilarity
from hier_ref.losses.pair_softmax import PairSoftmax
from hier_ref.losses.parts import (
    cosine,
    cosine_vjp,
    log_one_plus_sum_exp,
    log_one_plus_sum_exp_vjp,
    one_hot,
    unit,
    unit_vjp,
)
from hier_ref.losses.proxy_anchor import ProxyAnchor
from hier_ref.losses.proxy_nca import ProxyNCA, ReleasedProxyNCA
from hier_ref.losses.soft_triple import SoftTriple
from hier_ref.losses.softmax import NormSoftmax
from hier_ref.losses.triplet import Triplet

LOSSES: dict[str, Loss] = {
    "PA": ProxyAnchor(),
    "MS": MultiSimilarity(),
    "MS_HYP": HyperbolicMultiSimilarity(),
    "PNCA": ProxyNCA(),
    "PNCA_RELEASED": ReleasedProxyNCA(),
    "SOFTTRIPLE": SoftTriple(),
    "NORMSOFTMAX": NormSoftmax(),
    "HYP": PairSoftmax(),
    "TRIPLET": Triplet(),
}

__all__ = [
    "LOSSES",
    "HyperbolicMultiSimilarity",
    "Loss",
    "MultiSimilarity",
    "NormSoftmax",
    "PairSoftmax",
    "Params",
    "ProxyAnchor",
    "ProxyNCA",
    "ReleasedProxyNCA",
    "SoftTriple",
    "Triplet",
    "cosine",
    "cosine_vjp",
    "log_one_plus_sum_exp",
    "log_one_plus_sum_exp_vjp",
    "one_hot",
    "unit",
    "unit_vjp",
]
