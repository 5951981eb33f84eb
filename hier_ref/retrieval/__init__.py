"""Retrieval: who comes before the first correct item (`recall`), and the first R (`precision`).

Both are ranks of `keys`, one matrix product a block; what rounding leaves open is settled by
`exact_keys` and put in `order`, the wrong ones first in a tie.
"""

from hier_ref.retrieval.recall import (
    MISS,
    Ranking,
    first_hit_rank,
    rank_gallery,
    recall_at_k,
    recall_from_ranks,
)

__all__ = [
    "MISS",
    "Ranking",
    "first_hit_rank",
    "rank_gallery",
    "recall_at_k",
    "recall_from_ranks",
]
