"""tests/golden/ties.npz is what torch makes of the level's formulas where distances tie."""

from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).parents[1] / "golden" / "ties.npz"


def choose(far, noise, tau):
    """One-hot of the nearest proxy under noise, with the gradient of the softmax."""
    soft = torch.softmax(-far / tau + noise, -1)
    hard = torch.nn.functional.one_hot(soft.argmax(-1), far.shape[-1]).to(far.dtype)
    return hard - soft.detach() + soft


def test_ties_are_those_of_torch_max():
    with np.load(GOLDEN, allow_pickle=False) as file:
        golden = {key: file[key] for key in file.files}
    d = torch.tensor(golden["d"], dtype=torch.float64, requires_grad=True)
    noise = torch.tensor(golden["gumbel"], dtype=torch.float64)
    tau, margin = float(golden["tau"]), float(golden["margin"])
    d_i, d_j, d_k = (d[torch.tensor(column)] for column in golden["triplets"].T)
    far = torch.max(d_i, d_j)
    pair = choose(far, noise[0], tau)
    triple = choose(torch.max(far, d_k), noise[1], tau)
    gain = [((pair - triple) * row).sum(-1) for row in (d_i, d_j, d_k)]
    hinge = sum(torch.relu(x + margin) for x in (gain[0], gain[1], -gain[2]))
    loss = (hinge * (pair.argmax(-1) != triple.argmax(-1))).mean()
    loss.backward()
    assert abs(loss.item() - golden["loss"]) <= 1e-15
    assert np.max(np.abs(d.grad.numpy() - golden["grad_d"])) <= 1e-15
