"""The network of finetune.py in PyTorch: the blocks that train, two losses, one training.

HIER is tests/candidates/torch_hier.py, which the oracle passed; triplets are drawn by hier_ref.
"""

import sys
from math import inf
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "data"))

from candidates.torch_hier import EXACT, RELEASED, distance, hier, to_ball
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import layer_norm, normalize

from hier_ref.hier import sample_draws
from hier_ref.training.config import Config
from hier_ref.training.optim import cosine, warmup
from hier_ref.training.sampler import batches_per_epoch, class_batches

BATCH = 128  # images embedded at once


class Start(NamedTuple):
    """What a training starts from: the last block's inputs by copy, and the head."""

    maps: list[NDArray]  # (N, 192, 7, 7) float16 each, of the training rows
    labels: NDArray  # (N,) in 0 .. C - 1
    weight: NDArray  # (D, 1280)
    bias: NDArray  # (D,)


class Network(NamedTuple):
    """The blocks that train, and the parameters after them, by name."""

    tail: nn.Module
    params: dict[str, torch.Tensor]


def tail() -> nn.Module:
    """Return the last block and the last convolution of EfficientNet-Lite0, statistics frozen."""
    from embed import backbone

    model = backbone()
    made = nn.Sequential(model._blocks[-1], model._conv_head, model._bn1, nn.ReLU6()).eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.requires_grad_(False)
    return made


def pooled(blocks: nn.Module, maps: NDArray) -> torch.Tensor:
    """Return the network's outputs averaged over the image: (B, 192, 7, 7) -> (B, 1280)."""
    with torch.autocast("cpu", torch.bfloat16):
        y = blocks(torch.from_numpy(maps.astype(np.float32)))
    return y.float().mean(dim=(2, 3))


def tangents(network: Network, maps: NDArray) -> torch.Tensor:
    """Return the tangent vectors of images (B, D)."""
    f = pooled(network.tail, maps)
    p = network.params
    return layer_norm(f, f.shape[1:]) @ p["weight"].T + p["bias"]


@torch.no_grad()
def in_blocks(function, maps: NDArray) -> NDArray:
    """Return what a function of maps (N, 192, 7, 7) returns, some rows at a time."""
    parts = [function(maps[k : k + BATCH]).numpy() for k in range(0, len(maps), BATCH)]
    return np.concatenate(parts)


# ---- Losses, by cosine


def log_one_plus_sum_exp(s: torch.Tensor, where: torch.Tensor, dim: int) -> torch.Tensor:
    """log(1 + sum of exp(s) over where), along dim."""
    s = s.masked_fill(~where, -inf)
    return torch.cat([torch.zeros_like(s.narrow(dim, 0, 1)), s], dim).logsumexp(dim)


def proxy_anchor(x, labels, proxies, alpha=32.0, margin=0.1):
    """Proxy-Anchor of rows (B, D) and class proxies (C, D)."""
    s = normalize(x) @ normalize(proxies).T
    own = nn.functional.one_hot(labels, len(proxies)).bool()
    pull = log_one_plus_sum_exp(-alpha * (s - margin), own, 0).sum() / own.any(0).sum()
    return pull + log_one_plus_sum_exp(alpha * (s + margin), ~own, 0).mean()


def multi_similarity(x, labels, alpha=2.0, beta=50.0, base=0.5):
    """Multi-similarity of rows (B, D), over all pairs."""
    s = normalize(x) @ normalize(x).T - base
    same = labels[:, None] == labels
    pull = log_one_plus_sum_exp(-alpha * s, same & ~torch.eye(len(x), dtype=torch.bool), 1)
    return (pull / alpha + log_one_plus_sum_exp(beta * s, ~same, 1) / beta).mean()


def regularised(x, proxies, labels, rng, noise, config):
    """Return HIER's loss of a batch (B, D) under proxies (P, D), and the points of the batch."""
    settings = RELEASED if config.convention == "released" else EXACT
    with torch.no_grad():
        found = (to_ball(u, config.c, config.clip, settings) for u in (x, proxies))
        zz, ll = (distance(z, z, config.c, settings).numpy() for z in found)
    options = {"neighbours": config.neighbours, "per_anchor": config.triplets}
    drawn = sample_draws(rng, zz, ll, labels, convention=config.reading, **options)
    draws = {}
    for level in ("data", "proxy"):
        t = torch.from_numpy(drawn.level(level)[0])
        shape = (2, len(t), len(proxies))
        draws[level] = t, -torch.empty(shape).exponential_(generator=noise).log()
    numbers = {"c": config.c, "radius": config.clip, "tau": config.tau, "margin": config.margin}
    loss, stages = hier(x, proxies, draws, **numbers, settings=settings)
    return loss, stages["z"]


# ---- Training


def begun(start: Start, config: Config, at_points: bool) -> Network:
    """Return the network before its first step.

    Class proxies start at the means of their classes; those of HIER at points, or as drawn.
    """
    blocks, rng = tail(), np.random.default_rng([config.seed, 0])
    params = {"weight": start.weight, "bias": start.bias}
    network = Network(blocks, {n: torch.from_numpy(a).float() for n, a in params.items()})
    x = in_blocks(lambda maps: tangents(network, maps), start.maps[0])
    if config.loss == "PA":
        u = x / np.linalg.norm(x, axis=1, keepdims=True)
        means = [u[start.labels == k].mean(axis=0) for k in range(start.labels.max() + 1)]
        network.params["class_proxies"] = torch.from_numpy(np.array(means)).float()
    if config.hier_weight:
        size = 0.9 * config.clip / np.sqrt(config.embedding)
        drawn = size * rng.standard_normal((config.proxies, config.embedding))
        at = x[rng.permutation(len(x))[: config.proxies]] if at_points else drawn
        network.params["proxies"] = torch.from_numpy(at).float()
    for p in network.params.values():
        p.requires_grad_(True)
    return network


def trained(start: Start, config: Config, lr_tail: float, at_points: bool) -> Network:
    """Train blocks and head for all epochs; every random number comes from the seed."""
    network = begun(start, config, at_points)
    rates = {"weight": config.lr_head, "bias": config.lr_head}
    rates |= {"class_proxies": config.lr_loss, "proxies": config.lr_proxies}
    groups = [{"params": [p], "lr": rates[name]} for name, p in network.params.items()]
    if lr_tail:
        moving = [p for p in network.tail.parameters() if p.requires_grad]
        groups.append({"params": moving, "lr": lr_tail})
    else:
        network.tail.requires_grad_(False)
    optimiser = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    everything = [p for group in groups for p in group["params"]]
    n = batches_per_epoch(start.labels, config.batch, config.images_per_class)
    total = n * config.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: warmup(step, n) * cosine(min(step, total), total)
    )
    noise = torch.Generator().manual_seed(config.seed)
    for epoch in range(config.epochs):
        rng = np.random.default_rng([config.seed, 1, epoch])
        batches = class_batches(rng, start.labels, config.batch, config.images_per_class)
        for rows in batches:
            copies = rng.integers(len(start.maps), size=len(rows))
            maps = np.stack([start.maps[c][r] for c, r in zip(copies, rows, strict=True)])
            optimiser.zero_grad()
            loss_of(network, maps, start.labels[rows], rng, noise, config).backward()
            nn.utils.clip_grad_value_(everything, config.clip_gradient)
            optimiser.step()
            schedule.step()
    return network


def loss_of(network: Network, maps, labels, rng, noise, config) -> torch.Tensor:
    """Return the loss of a batch: the metric loss, by the points of HIER where there are any."""
    x, kinds = tangents(network, maps), torch.from_numpy(labels)
    loss, z = 0.0, x
    if config.hier_weight:
        loss, z = regularised(x, network.params["proxies"], labels, rng, noise, config)
    if config.loss == "PA":
        metric = proxy_anchor(z, kinds, network.params["class_proxies"])
    else:
        metric = multi_similarity(z, kinds)
    return metric + config.hier_weight * loss
