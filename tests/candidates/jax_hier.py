"""HIER in JAX as one would write a fast version: jit, value_and_grad, shapes that repeat.

Nothing here comes from hier_ref; the oracle says whether it is right. Two surrogates are not
derivatives: the straight-through choice (stop_gradient) and the Riemannian scaling (custom_vjp).
Everything is padded to a few sizes, so that jit does not compile anew for each batch: by points
at 0 that no triplet names, proxies that noise of -inf forbids, triplets of weight 0.
"""

from functools import partial
from math import inf
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient


class Settings(NamedTuple):
    """The constants of a port; the defaults are the formulas as they are in the paper's maths."""

    clip_eps: float = 0.0
    min_norm: float = 1e-15  # keeps 0/0 away, and 1/min_norm**2 finite in float32
    tanh_limit: float = inf
    ball_margin: float = 0.0
    denominator_eps: float = 0.0
    artanh_margin: float = 0.0
    riemannian: bool = False


EXACT = Settings()
RELEASED = Settings(1e-5, 1e-5, 15.0, 1e-3, 1e-5, 1e-5, True)


@jax.custom_vjp
def riemannian(z, c):
    """The point itself; its gradient is scaled by (1 - c|z|^2)^2 / 4 on the way back."""
    return z


def _backwards(residuals, g):
    z, c = residuals
    return g * (1 - c * jnp.sum(z * z, 1, keepdims=True)) ** 2 / 4, None


riemannian.defvjp(lambda z, c: (z, (z, c)), _backwards)


def root(sq):
    """Square root whose gradient at 0 is 0: the inner `where` keeps 1/0 out of the other branch."""
    return jnp.where(sq > 0, jnp.sqrt(jnp.where(sq > 0, sq, 1)), 0)


def norm(u):
    return root(jnp.sum(u * u, 1, keepdims=True))


def to_ball(u, c, radius, s):
    """Clip tangent vectors (N, D) to the radius and map them into the ball."""
    u = u * (radius / jnp.maximum(norm(u) + s.clip_eps, radius))
    zeta = jnp.sqrt(c) * jnp.maximum(norm(u), s.min_norm)
    z = jnp.tanh(jnp.minimum(zeta, s.tanh_limit)) / zeta * u
    far, largest = jnp.maximum(norm(z), s.min_norm), (1 - s.ball_margin) / jnp.sqrt(c)
    z = jnp.where(far > largest, z / far * largest, z)
    return riemannian(z, c) if s.riemannian else z


def distance(x, y, c, s):
    """Distances of (M, D) and (N, D) points: (M, N). By differences, which XLA fuses."""
    far = jnp.sqrt(c) * root(jnp.sum((x[:, None] - y) ** 2, 2))
    ab = (1 - c * jnp.sum(x * x, 1))[:, None] * (1 - c * jnp.sum(y * y, 1))
    if not (s.denominator_eps or s.artanh_margin):
        return 2 / jnp.sqrt(c) * jnp.arcsinh(far / jnp.sqrt(ab))
    full = ab + far**2  # the denominator of Möbius addition
    ratio = far * jnp.sqrt(full) / (full + s.denominator_eps)
    cut = jnp.minimum(ratio, 1 - s.artanh_margin)
    ratio += stop_gradient(cut - ratio)  # the cut passes the gradient
    # Not arctanh: by XLA's log1p it is wrong by up to 74 ulp in float64 (jaxlib 0.10.2, CPU).
    return (jnp.log(1 + ratio) - jnp.log(1 - ratio)) / jnp.sqrt(c)


def choose(far, gumbel, tau):
    """One-hot choice (T, P) of the nearest proxy under noise; its gradient is the softmax's."""
    soft = jax.nn.softmax(gumbel - far / tau, axis=1)
    lca = soft.argmax(1)
    return jax.nn.one_hot(lca, far.shape[1], dtype=far.dtype) - stop_gradient(soft) + soft, lca


def level(d, triplets, gumbel, weight, tau, margin):
    """Hinges (T,) of triplets (T, 3) against their ancestors given d (N, P); two LCAs; the mean."""
    d_i, d_j, d_k = (d[triplets[:, member]] for member in range(3))
    far = jnp.maximum(d_i, d_j)
    pair, lca_pair = choose(far, gumbel[0], tau)
    triple, lca_triple = choose(jnp.maximum(far, d_k), gumbel[1], tau)
    gain_i, gain_j, gain_k = (jnp.sum((pair - triple) * d_a, 1) for d_a in (d_i, d_j, d_k))
    hinge = sum(jax.nn.relu(h) for h in (gain_i + margin, gain_j + margin, margin - gain_k))
    hinge = hinge * (lca_pair != lca_triple)
    mean = jnp.sum(hinge * weight) / jnp.maximum(1, jnp.sum(weight))
    return {"hinge": hinge, "loss": mean, "lca_pair": lca_pair, "lca_triple": lca_triple}


def hier(inputs, draws, numbers, s):
    """Loss of tangent vectors inputs = x (B, D), proxies (P, D), and the stages on the way.

    draws: for each of the levels data and proxy, triplets, two Gumbel noises, weights of the
    triplets; numbers: c, radius, tau, margin.
    """
    c, radius, tau, margin = numbers
    z, l = (to_ball(u, c, radius, s) for u in inputs)
    stages = {"z": z, "l": l}
    for pairs in ("zz", "zl", "ll"):
        stages[f"d_{pairs}"] = distance(stages[pairs[0]], stages[pairs[1]], c, s)
    for name, pairs in (("data", "zl"), ("proxy", "ll")):
        found = level(stages[f"d_{pairs}"], *draws[name], tau, margin)
        stages |= {f"{key}_{name}": value for key, value in found.items()}
    return stages["loss_data"] + stages["loss_proxy"], stages


@partial(jax.jit, static_argnums=3)
def step(inputs, draws, numbers, s):
    """Loss, stages and gradients of one batch, compiled once for each set of shapes."""
    (loss, stages), grads = jax.value_and_grad(hier, has_aux=True)(inputs, draws, numbers, s)
    return loss, stages, grads


# What the oracle needs beside the loss: the question of a case, padded, and its answer, cut
SIZE, TRIPLETS = 64, 512  # of points, proxies and dimensions; of triplets: or multiples of these


def padded(array, *multiples):
    """The array, each axis filled up to a multiple, at least to the first."""
    grow = [
        (0, n * max(1, -(-size // n)) - size)
        for size, n in zip(array.shape, multiples, strict=True)
    ]
    return np.pad(array, grow)


def draws_of(case):
    """Triplets, noise and weights of an oracle's case."""
    draws = {}
    for name in ("data", "proxy"):
        triplets, gumbel = case.draws.level(name)
        noise = [padded(g, TRIPLETS, SIZE) for g in gumbel]
        for g in noise:
            g[:, len(case.proxies) :] = -np.inf
        weight = padded(np.ones(len(triplets), case.x.dtype), TRIPLETS)
        draws[name] = padded(triplets, TRIPLETS, 3), noise, weight
    return draws


def cut(answer, case):
    """The answer without what belongs to the padding, as NumPy arrays."""
    b, p, dim = *case.x.shape[:1], *case.proxies.shape
    sizes = {"z": (b, dim), "l": (p, dim), "d_zz": (b, b), "d_zl": (b, p), "d_ll": (p, p)}
    sizes |= {"grad_x": (b, dim), "grad_proxies": (p, dim)}
    for name in ("data", "proxy"):
        rows = len(case.draws.level(name)[0])
        sizes |= {f"{key}_{name}": (rows,) for key in ("hinge", "lca_pair", "lca_triple")}
    return {k: np.asarray(v)[tuple(map(slice, sizes.get(k, ())))] for k, v in answer.items()}


def candidate(settings):
    """Return an oracle's candidate: Case -> stages, gradients among them."""

    def answer(case):
        numbers = (case.c, case.clip_radius, case.tau, case.margin)
        numbers = tuple(case.x.dtype.type(number) for number in numbers)
        inputs = [padded(u, SIZE, SIZE) for u in (case.x, case.proxies)]
        with jax.enable_x64(case.x.dtype == np.float64):
            loss, stages, (grad_x, grad_proxies) = step(inputs, draws_of(case), numbers, settings)
        grads = {"grad_x": grad_x, "grad_proxies": grad_proxies}
        return cut({"loss": loss} | stages | grads, case)

    return answer


exact, released = candidate(EXACT), candidate(RELEASED)
