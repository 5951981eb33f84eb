"""Time and memory of one training step: python tests/benchmarks/step.py [REPEATS].

180 images of 90 classes, 256 features, 128 dimensions, 512 proxies, 20 neighbours, 50 triplets
per anchor. Printed per precision: the fewest milliseconds of the gradient by hand and by autograd,
their ratio, and the peak of allocated memory of each beyond the inputs; then the parts of one
explicit step. Threads are those of the environment (OMP_NUM_THREADS, OPENBLAS_NUM_THREADS).
"""

import os
import platform
import sys
import time
import tracemalloc
from functools import partial

import numpy as np

from hier_ref.hier import distances, hier_grad, to_ball, to_ball_vjp
from hier_ref.losses import LOSSES
from hier_ref.pairwise import pairwise_distance, pairwise_distance_vjp
from hier_ref.training.batch import batch_autograd, batch_gradient, draw, group
from hier_ref.training.config import Config
from hier_ref.training.head import head_forward, head_vjp
from hier_ref.training.optim import AdamW
from hier_ref.training.trainer import init_params
from hier_ref.triplets import LEVELS, Draws

N_FEATURES, N_CLASSES = 256, 90


def seconds(calls, repeats):
    """Fewest seconds of each call of a dict: in turn, so that a busy moment meets all of them."""
    times = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in times.items()}


def peak(call):
    """Peak of the memory allocated during a call, in MiB."""
    tracemalloc.start()
    call()
    mib = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return mib


def inputs(dtype):
    """Return the arguments of one step: parameters, features around class centres, labels."""
    config = Config(batch=180, proxies=512, embedding=128, neighbours=20, triplets=50, dtype=dtype)
    rng = np.random.default_rng(0)
    labels = np.arange(180) % N_CLASSES
    f = rng.standard_normal((N_CLASSES, N_FEATURES))[labels] + rng.standard_normal(
        (180, N_FEATURES)
    )
    return init_params(config, N_FEATURES, N_CLASSES), f.astype(dtype), labels, config


def gradient_of_step(gradient, params, f, labels, config):
    """Draw the same triplets and noise each time, and return losses and gradients."""
    return gradient(params, f, labels, np.random.default_rng(0), config)


def parts(params, f, labels, config):
    """Return name -> call for the parts of one explicit step."""
    head, proxies, loss = group(params, "head."), params["proxies"], LOSSES[config.loss]
    own, c, clip = group(params, "loss."), config.c, config.clip
    x = head_forward(f, head)
    z, l = to_ball(x, c, clip), to_ball(proxies, c, clip)
    d_zl, d_ll = pairwise_distance(z, l, c), pairwise_distance(l, l, c)
    d = distances(z, l, c)
    draws = draw(np.random.default_rng(0), d, labels, config)
    _, grads = batch_gradient(params, f, labels, np.random.default_rng(0), config)
    optimizer = AdamW(params, 1e-3)
    images, groups = draws.triplets_data, draws.triplets_proxy
    return {
        "head, forward": lambda: head_forward(f, head),
        "head, backward": lambda: head_vjp(x, f, head),
        "points of the ball": lambda: (to_ball(x, c, clip), to_ball(proxies, c, clip)),
        "their gradient": lambda: (
            to_ball_vjp(z, x, c, clip),
            to_ball_vjp(l, proxies, c, clip),
        ),
        "metric loss and gradient": lambda: loss.grad(z, labels, own, c),
        "mining of triplets": lambda: draw(np.random.default_rng(0), d, labels, config),
        "distances zl, ll": lambda: (pairwise_distance(z, l, c), pairwise_distance(l, l, c)),
        "their gradient ": lambda: (
            pairwise_distance_vjp(d_zl, z, l, c),
            pairwise_distance_vjp(d_ll, l, l, c),
        ),
        "noise": lambda: [
            [draws.arrivals(level, block, len(l), l.dtype) for block in draws.blocks(level)]
            for level in LEVELS
        ],
        f"HIER on {len(images)} triplets of images": lambda: hier_grad(
            x, proxies, Draws(images, groups[:0]), **config.geometry
        ),
        f"HIER on {len(groups)} of proxies": lambda: hier_grad(
            x, proxies, Draws(images[:0], groups), **config.geometry
        ),
        "HIER on both": lambda: hier_grad(x, proxies, draws, **config.geometry),
        "AdamW": lambda: optimizer.step(params, grads),
    }


def main(repeats):
    """Print both tables."""
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    threads = ", ".join(f"{name}={os.environ.get(name, 'unset')}" for name in variables)
    print(f"{platform.machine()}, {os.cpu_count()} processors, {threads}, NumPy {np.__version__}")
    for dtype in ("float32", "float64"):
        step = inputs(dtype)
        calls = {
            name: partial(gradient_of_step, gradient, *step)
            for name, gradient in (("explicit", batch_gradient), ("autograd", batch_autograd))
        }
        times = seconds(calls, repeats)
        print(
            f"\n{dtype}: autograd takes {times['autograd'] / times['explicit']:.1f} times as long"
        )
        for name, call in calls.items():
            print(
                f"  {name:36} {1e3 * times[name]:9.1f} ms  peak {peak(call):7.1f} MiB", flush=True
            )
        print("  parts of the explicit step")
        for name, time_of_part in seconds(parts(*step), repeats).items():
            print(f"    {name:34} {1e3 * time_of_part:9.2f} ms", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
