"""One level of HIER told twice more: as plain loops, and as a smooth function of distances."""

import numpy as np


def loops(d, triplets, gumbel, tau=0.1, margin=0.1):
    """The loss of one level as the method is told: one triplet, one proxy at a time."""
    total = 0.0
    for (i, j, k), g_pair, g_triple in zip(triplets, *gumbel, strict=True):
        proxies = range(d.shape[1])
        pair = max(proxies, key=lambda p: -max(d[i, p], d[j, p]) / tau + g_pair[p])
        triple = max(proxies, key=lambda p: -max(d[i, p], d[j, p], d[k, p]) / tau + g_triple[p])
        if pair != triple:
            total += max(0, d[i, pair] - d[i, triple] + margin)
            total += max(0, d[j, pair] - d[j, triple] + margin)
            total += max(0, d[k, triple] - d[k, pair] + margin)
    return total / max(1, len(triplets))


def softmax_rows(logits):
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def relaxation(d, d0, triplets, gumbel, tau=0.1, margin=0.1):
    """A smooth function of d whose derivative at d0 is the straight-through gradient.

    Every hard distance d[a, p*] becomes d[a, p*] + sum_p (w_p(d) - w_p(d0)) d0[a, p]: the choice
    p*, the mask and the frozen values come from d0.
    """
    members = triplets.T

    def far(d, n):
        return np.max([d[member] for member in members[:n]], axis=0)

    w, w0 = (
        [softmax_rows(-far(e, n) / tau + g) for n, g in zip((2, 3), gumbel, strict=True)]
        for e in (d, d0)
    )
    chosen = [weights.argmax(1) for weights in w0]

    def distance(a, which):
        hard = d[members[a], chosen[which]]
        return hard + np.sum((w[which] - w0[which]) * d0[members[a]], axis=1)

    inside = [
        distance(0, 0) - distance(0, 1),
        distance(1, 0) - distance(1, 1),
        distance(2, 1) - distance(2, 0),
    ]
    hinges = sum(np.maximum(0, h + margin) for h in inside)
    return np.mean(hinges * (chosen[0] != chosen[1]))
