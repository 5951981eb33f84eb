"""The PyTorch HIER on several ranks: each holds some rows of the batch and some of the triplets.

Points are gathered with their gradient; triplets and noise are the same everywhere, and index the
gathered batch. Of T triplets, rank r of W takes every W-th.
"""

import torch
import torch.distributed as dist
from torch.nn.functional import pad

from candidates.torch_hier import EXACT, distance, draws_of, level, to_ball
from hier_ref.oracle.adapters import torch_adapter


class Gather(torch.autograd.Function):
    """Rows (b, D) of all ranks, in order: (B, D). b may differ from rank to rank.

    Every rank's loss depends on these rows; their gradient is the sum over all ranks.
    """

    @staticmethod
    def forward(ctx, x):
        ranks = dist.get_world_size()
        sizes = torch.zeros(ranks, dtype=torch.long, device=x.device)
        sizes[dist.get_rank()] = len(x)
        dist.all_reduce(sizes)
        ctx.sizes = sizes.tolist()
        mine = pad(x, (0, 0, 0, max(ctx.sizes) - len(x)))  # all_gather wants equal shapes
        parts = [torch.empty_like(mine) for _ in range(ranks)]
        dist.all_gather(parts, mine)
        return torch.cat([part[:size] for part, size in zip(parts, ctx.sizes, strict=True)])

    @staticmethod
    def backward(ctx, g):
        g = g.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(g)
        return g.split(ctx.sizes)[dist.get_rank()]


def hier(x, proxies, draws, *, c, radius, tau, margin, reduction, settings=EXACT):
    """This rank's part of the loss of its rows x (b, D), and its points z (b, D).

    reduction: what happens to the gradients of parameters afterwards. "sum": the parts add up to
    the loss. "mean" (DistributedDataParallel): their mean does.
    """
    rank, ranks = dist.get_rank(), dist.get_world_size()
    own, l = (to_ball(u, c, radius, settings) for u in (x, proxies))
    loss = 0
    for points, name in ((Gather.apply(own), "data"), (l, "proxy")):
        triplets, noise = draws[name]
        d, some = distance(points, l, c, settings), slice(rank, None, ranks)
        hinge, *_ = level(d, triplets[some], [g[some] for g in noise], tau, margin)
        loss = loss + hinge.sum() / max(1, len(triplets))
    return loss * (ranks if reduction == "mean" else 1), own


# What the oracle needs beside the loss


def start(rank, world_size, folder):
    """Join the group of all ranks; they meet in a file."""
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world_size)


def answer(share, settings, reduction):
    """What one rank answers to its share of a case."""

    def fn(x, proxies, case):
        numbers = {"c": case.c, "radius": case.clip_radius, "tau": case.tau, "margin": case.margin}
        numbers |= {"reduction": reduction, "settings": settings}
        loss, z = hier(x, proxies, draws_of(case), **numbers)
        return loss, {"z": z}

    return torch_adapter(fn)(share.case)
