"""Seconds of one HIER loss with gradients: PyTorch by autograd against explicit NumPy.

python tests/benchmarks/candidates.py [REPEATS], with torch installed. 180 images, 512 proxies,
128 dimensions, 20 neighbours, 50 triplets per anchor; triplets and noise are given to both. Printed
by dtype and convention: the fewest seconds of each, and their quotient; on a GPU too where there is
one. Threads: OMP_NUM_THREADS.
"""

import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from candidates import torch_hier

from hier_ref import convention
from hier_ref.hier import hier_grad
from hier_ref.oracle.adapters import torch_adapter
from hier_ref.oracle.drawing import random_case

PORTS = {"EXACT": torch_hier.EXACT, "RELEASED": torch_hier.RELEASED}


def loss_alone(settings, x, proxies, case):
    """The port without the stages that only the oracle looks at."""
    numbers = {"c": case.c, "radius": case.clip_radius, "tau": case.tau, "margin": case.margin}
    return torch_hier.hier(x, proxies, torch_hier.draws_of(case), **numbers, settings=settings)[0]


def seconds(calls, repeats):
    """Fewest seconds of each call of a dict, in turn, after one call to warm up."""
    times = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()  # ends with the answer in NumPy's hands, so a GPU has finished too
            times[name].append(time.perf_counter() - start)
    return {name: min(values[1:]) for name, values in times.items()}


def main(repeats):
    """Print the table."""
    case = random_case(
        np.random.default_rng(0), b=180, p=512, dim=128, neighbours=20, per_anchor=50
    )
    sizes = len(case.triplets_data), len(case.triplets_proxy)
    print(f"{sizes[0]} + {sizes[1]} triplets, {torch.get_num_threads()} threads of torch")
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for dtype in ("float32", "float64"):
        question = case.astype(dtype)
        inputs = question.x, question.proxies, question.draws
        for name, settings in PORTS.items():
            declared = getattr(convention, name)
            calls = {"NumPy": partial(hier_grad, *inputs, declared, **question.parameters)}
            for device in devices:
                port = torch_adapter(partial(loss_alone, settings), device)
                calls[f"torch {device}"] = partial(port, question)
            times = seconds(calls, repeats)
            row = "  ".join(
                f"{port} {value:7.3f} s ({value / times['NumPy']:.2f})"
                for port, value in times.items()
            )
            print(f"{dtype} {name:8}  {row}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
