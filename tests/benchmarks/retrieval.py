"""Time and memory of retrieval: python tests/benchmarks/retrieval.py [SIZE ...].

Every item queries all others, four images per class, 128 dimensions, float32, c = 0.1. Printed
per size, for ranks alone, with R-precision and MAP@R, and with those of a level of twelve groups
too: seconds, peak of allocated memory beyond the inputs, and the seconds that 60,000 items would
take if time grows with the square of the size.
"""

import sys
import time
import tracemalloc

import numpy as np

from hier_ref.poincare import to_ball
from hier_ref.retrieval.recall import first_hit_rank, rank_gallery


def clustered(rng, size, dim=128, c=0.1):
    """Ball points around class centres, so that some but not all queries succeed."""
    labels = np.arange(size) // 4
    x = 0.7 * rng.standard_normal((size // 4 + 1, dim))[labels] + rng.standard_normal((size, dim))
    return to_ball(x, c, 2.3).astype(np.float32), labels


if __name__ == "__main__":
    for size in map(int, sys.argv[1:] or ["10000"]):
        z, labels = clustered(np.random.default_rng(0), size)
        levels = np.stack([labels, labels % 12], axis=1)
        for name, search, wanted in (
            ("ranks", first_hit_rank, labels),
            ("ranks and precisions", rank_gallery, labels),
            ("both, two levels", rank_gallery, levels),
        ):
            tracemalloc.start()
            start = time.perf_counter()
            search(z, wanted, z, wanted, c=0.1, exclude_self=True)
            seconds = time.perf_counter() - start
            memory = tracemalloc.get_traced_memory()[1] / 2**20
            tracemalloc.stop()
            print(
                f"{size} x {size}, {name}: {seconds:.1f} s, {memory:.0f} MiB,"
                f" 60,000: {seconds * (60_000 / size) ** 2:.0f} s",
                flush=True,
            )
