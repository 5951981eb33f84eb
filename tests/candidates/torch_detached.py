"""A mistake of many ports: gathered without gradient, only a rank's own rows keep theirs."""

import torch.distributed as dist

from candidates import torch_distributed
from candidates.torch_hier import EXACT


def own_gradient(ctx, g):
    """What all_gather, with the own rows put back, makes of the gradient: no other rank's part."""
    return g.split(ctx.sizes)[dist.get_rank()]


def answer(share):
    torch_distributed.Gather.backward = staticmethod(own_gradient)
    return torch_distributed.answer(share, EXACT, "sum")
