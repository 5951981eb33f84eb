"""Batches for every metric loss, odd ones too, and a loss as a function of its arrays alone."""

import numpy as np

from hier_ref.losses import LOSSES

C = 0.5  # curvature of the ball the batches lie in
ON_THE_BALL = ("MS_HYP", "HYP")  # the losses that c has an effect on
ODD = {  # labels that leave some sum, pair or class empty, and the number of classes
    "one image": ([1], 4),
    "one image of the only class": ([0], 1),
    "one class of several": ([2, 2, 2, 2], 5),
    "the only class": ([0, 0, 0], 1),
    "no two of a class": ([0, 1, 2, 3], 4),
    "most classes absent": ([0, 7, 7], 30),
    "unequal classes": ([3, 0, 3, 3, 1, 0, 3], 4),
}


def points(rng, n, dim, c=C):
    """Points of the ball at 0.1 to 0.95 of its radius; unit vectors for c = 0."""
    z = rng.standard_normal((n, dim))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return z * rng.uniform(0.1, 0.95, (n, 1)) / np.sqrt(c) if c else z


def batch(loss, seed=0, labels=None, n_classes=5, n=8, dim=6, c=C, dtype=np.float64):
    """Return z, labels and parameters, seeded; labels are drawn unless given."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(n_classes, size=n) if labels is None else np.array(labels)
    z, params = points(rng, len(labels), dim, c), loss.init(rng, n_classes, dim)
    return z.astype(dtype), labels, {name: p.astype(dtype) for name, p in params.items()}


def operation(loss, labels, names, c=C):
    """Return the loss and its gradient as functions of z and of the parameters, in this order."""

    def value(z, *arrays):
        return loss.value(z, labels, dict(zip(names, arrays, strict=True)), c)

    def vjp(g, z, *arrays):
        _, grad_z, grads = loss.grad(z, labels, dict(zip(names, arrays, strict=True)), c)
        assert grads.keys() == set(names)
        return (g * grad_z, *(g * grads[name] for name in names))

    return value, vjp


def cases(loss_names=tuple(LOSSES)):
    """Pairs (name of a loss, curvature): both geometries where the loss knows two."""
    return [(name, c) for name in loss_names for c in ((C, 0.0) if name in ON_THE_BALL else (C,))]
