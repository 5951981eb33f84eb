"""One step of a head and proxies under DistributedDataParallel, as a training script has it."""

import torch
from torch.nn.parallel import DistributedDataParallel

from candidates import torch_distributed, torch_hier

DIM = 5


class Model(torch.nn.Module):
    """A linear head and hierarchical proxies, equal on all ranks."""

    def __init__(self, features, proxies):
        super().__init__()
        weight = torch.linspace(-1, 1, DIM * features, dtype=proxies.dtype)
        self.weight = torch.nn.Parameter(weight.reshape(DIM, features).sin())
        self.proxies = torch.nn.Parameter(proxies[:, :DIM].clone())

    def forward(self, features, loss, draws, **numbers):
        return loss(features @ self.weight.T, self.proxies, draws, **numbers)[0]


def inputs(case):
    """Features, proxies, draws and numbers of a case, as tensors."""
    draws = {
        s: (
            torch.tensor(getattr(case, f"triplets_{s}")),
            [torch.tensor(g) for g in getattr(case, f"gumbel_{s}")],
        )
        for s in ("data", "proxy")
    }
    numbers = {"c": case.c, "radius": case.clip_radius, "tau": case.tau, "margin": case.margin}
    return torch.tensor(case.x), torch.tensor(case.proxies), draws, numbers


def gradients(model):
    return {name: p.grad.numpy() for name, p in model.named_parameters()}


def single_step(case):
    """Gradients of the whole batch on one machine."""
    features, proxies, draws, numbers = inputs(case)
    model = Model(features.shape[1], proxies)
    model(features, torch_hier.hier, draws, **numbers).backward()
    return gradients(model)


def ranked_step(share):
    """Gradients on one rank after backward: DistributedDataParallel has averaged them."""
    features, proxies, draws, numbers = inputs(share.case)
    model = Model(features.shape[1], proxies)
    parallel = DistributedDataParallel(model)
    loss = parallel(features, torch_distributed.hier, draws, **numbers, reduction="mean")
    loss.backward()
    return gradients(model)
