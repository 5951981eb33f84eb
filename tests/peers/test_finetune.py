"""The losses of tests/benchmarks/finetune_net.py in PyTorch against the package's."""

import finetune_net
import numpy as np
import pytest
import torch

from hier_ref.losses import LOSSES

LABELS = np.array([0, 0, 1, 1, 1, 3])


@pytest.mark.parametrize("name", ["PA", "MS"])
def test_the_losses_that_fine_tune_are_those_of_the_package(name):
    rng = np.random.default_rng(0)
    z, own = rng.standard_normal((6, 5)), rng.standard_normal((4, 5))
    params = {"class_proxies": own} if name == "PA" else {}
    x, proxies = (torch.tensor(a, requires_grad=True) for a in (z, own))
    if name == "PA":
        found = finetune_net.proxy_anchor(x, torch.tensor(LABELS), proxies)
    else:
        found = finetune_net.multi_similarity(x, torch.tensor(LABELS))
    found.backward()
    loss, grad_z, grads = LOSSES[name].grad(z, LABELS, params, 0.1)
    np.testing.assert_allclose(found.item(), loss, rtol=1e-12)
    np.testing.assert_allclose(x.grad, grad_z, atol=1e-12)
    for grad in grads.values():
        np.testing.assert_allclose(proxies.grad, grad, atol=1e-12)
