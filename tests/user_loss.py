"""HIER as a user may write it, gradients by autograd; `loss` has one mistake, `right` has none."""

import autograd.numpy as np
from autograd import value_and_grad
from autograd.tracer import getval


def ball(u, c, radius):
    n = np.sqrt(np.sum(u * u, 1, keepdims=True) + 1e-30)
    return u / n * np.tanh(np.sqrt(c) * np.minimum(n, radius)) / np.sqrt(c)


def distance(x, y, c):
    q = np.sum((x[:, None] - y) ** 2, 2)
    gaps = (1 - c * np.sum(x * x, 1))[:, None] * (1 - c * np.sum(y * y, 1))
    return 2 / np.sqrt(c) * np.arcsinh(np.sqrt(c * q / gaps + 1e-30))


def choose(far, noise, tau, soft):
    logits = noise - far / tau
    w = np.exp(logits - np.max(getval(logits), 1, keepdims=True))
    w = w / np.sum(w, 1, keepdims=True)
    hard = np.eye(far.shape[1])[getval(w).argmax(1)].astype(getval(w).dtype)
    return hard + w - getval(w) if soft else hard


def level(d, triplets, gumbel, case, soft):
    i, j, k = (d[triplets[:, n]] for n in range(3))
    far = np.maximum(i, j)
    pair = choose(far, gumbel[0], case.tau, soft)
    triple = choose(np.maximum(far, k), gumbel[1], case.tau, soft)
    gain = [np.sum((pair - triple) * m, 1) for m in (i, j, k)]
    hinges = [np.maximum(case.margin + s * g, 0) for s, g in zip((1, 1, -1), gain, strict=True)]
    apart = getval(pair).argmax(1) != getval(triple).argmax(1)
    return np.sum(sum(hinges) * apart) / max(1, len(triplets))


def hier(inputs, case, soft):
    z, l = (ball(u, case.c, case.clip_radius) for u in inputs)
    data = level(distance(z, l, case.c), case.triplets_data, case.gumbel_data, case, soft)
    among = distance(l, l, case.c)
    return data + level(among, case.triplets_proxy, case.gumbel_proxy, case, soft)


def right(x, proxies, case):
    value, grads = value_and_grad(hier)((x, proxies), case, True)
    return value, *grads


def loss(x, proxies, case):
    value, grads = value_and_grad(hier)((x, proxies), case, False)
    return value, *grads
