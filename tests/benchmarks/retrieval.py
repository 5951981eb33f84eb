"""Retrieval beside the bare matrix product: python tests/benchmarks/retrieval.py [SIZE ...].

Every item queries all others: four images per class, groups of 64 and of 1,024 images besides,
128 dimensions, float32, c = 0.1. Printed per size: the seconds of the product of all points with
all points in blocks of 2^24 keys, and, as medians of five ratios to a product run just before,
Recall@K at four K and the whole evaluation (Recall@K, R-precision and MAP@R of three levels).
Beside them, where they are installed, the exact index of faiss-cpu (the ten nearest) and, to
20,000 items, pytorch-metric-learning (R-precision and MAP@R, one level). On two cores of a shared
x86-64 machine, in one run for each number of threads:

                                        one thread           two threads
                                    5,000 15,000 60,502  5,000 15,000 60,502
    Recall@K                          2.7    1.6    1.3    3.5    2.2    1.4
    evaluation, three levels          9.3    5.0    2.6   10.3    6.4    2.4
    faiss-cpu 1.15.1                  4.5    4.5    4.1    5.4    6.0    4.2
    pytorch-metric-learning 2.9.0     8.6    6.4           9.1    8.9

Where R is more than a 32nd of the gallery, as for the groups of 1,024 among 5,000 and 15,000, the
evaluation computes in float64 and its multiple is larger.

Threads: the cores of the process and OMP_NUM_THREADS. For one thread
OMP_NUM_THREADS=1 taskset -c 0 python tests/benchmarks/retrieval.py 5000 15000 60502
"""

import importlib.util
import sys
import time

import numpy as np

from hier_ref.poincare import to_ball
from hier_ref.retrieval.recall import BLOCK, rank_gallery, recall_at_k

REPEATS = 5


def clustered(rng, size, dim=128, c=0.1):
    """Ball points around class centres, so that some but not all queries succeed."""
    labels = np.arange(size) // 4
    x = 0.7 * rng.standard_normal((size // 4 + 1, dim))[labels] + rng.standard_normal((size, dim))
    return to_ball(x, c, 2.3).astype(np.float32), labels


def product(z):
    """Multiply all points with all points, block by block into the same room."""
    rows = max(1, BLOCK // len(z))
    room = np.empty((rows, len(z)), z.dtype)
    for start in range(0, len(z), rows):
        part = z[start : start + rows]
        np.matmul(part, z.T, out=room[: len(part)])


def recall(z, labels):
    recall_at_k(z, labels, z, labels, (1, 10, 100, 1000), 0.1, True)


def evaluation(z, labels):
    levels = np.stack([labels, labels // 16, labels // 256], axis=1)
    rank_gallery(z, levels, z, levels, 0.1, True)


def faiss_index(z, labels):
    import faiss

    index = faiss.IndexFlatL2(z.shape[1])
    index.add(z)
    index.search(z, 11)


def metric_learning(z, labels):
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    found = AccuracyCalculator(("r_precision", "mean_average_precision_at_r"), k="max_bin_count")
    found.get_accuracy(torch.from_numpy(z), torch.from_numpy(labels))


def seconds(work, *arguments):
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def candidates(size):
    yield "Recall@K", recall
    yield "evaluation, three levels", evaluation
    if importlib.util.find_spec("faiss"):
        yield "faiss-cpu, exact", faiss_index
    if importlib.util.find_spec("pytorch_metric_learning") and size <= 20_000:
        yield "pytorch-metric-learning", metric_learning


if __name__ == "__main__":
    for size in map(int, sys.argv[1:] or ["5000", "15000"]):
        z, labels = clustered(np.random.default_rng(0), size)
        for name, work in candidates(size):
            pairs = [(seconds(product, z), seconds(work, z, labels)) for _ in range(REPEATS)]
            bare, taken = np.median(pairs, axis=0)
            ratio = np.median([b / a for a, b in pairs])
            print(
                f"{size} x {size}, {name}: {ratio:.2f}, {taken:.2f} s (product {bare:.2f} s)",
                flush=True,
            )
