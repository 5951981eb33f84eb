"""The head: from backbone features to tangent vectors, by LayerNorm and a linear layer or an MLP.

A head is a row of layers. Each operation is directly followed by its gradient; derived in
docs/6-training.md.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import autograd.numpy as np
import numpy as onp
import scipy
from autograd.extend import defvjp, primitive
from autograd.tracer import getval
from numpy.random import Generator
from numpy.typing import DTypeLike, NDArray

from hier_ref.ranges import number, power, shown, whole

Params = dict[str, NDArray]
ROOT_HALF = 0.5**0.5
EPS = 1e-5  # added to the variance of a row: one that is far below counts as constant
PEAK = (0.5 / math.pi) ** 0.5  # density of a normal number at 0
FAR = 40.0  # beyond, this density is 0 in float64, and squares would overflow at last


def _centred(f: NDArray) -> NDArray:
    """Return f less its row mean; the second pass takes off what rounding left of the mean."""
    f = f - np.mean(f, axis=-1, keepdims=True)
    return f - np.mean(f, axis=-1, keepdims=True)


def _standard(f: NDArray, eps: float) -> tuple[NDArray, NDArray, NDArray]:
    """Return h, s and t, (..., F), (..., 1) twice: h t are the centred rows, s t their deviation.

    eps is added to the variance. t is a power of two, which makes large rows small before they
    are added and squared, and leaves every digit; 1 for a constant row, whose deviation is √eps.
    """
    number("eps", eps, zero=True)
    t = onp.maximum(power(f), 1)
    h = _centred(f / t)
    t = onp.where(onp.any(getval(h), axis=-1, keepdims=True), t, 1)
    return h, np.sqrt(np.mean(h**2, axis=-1, keepdims=True) + eps / t / t), t


def layer_norm(f: NDArray, eps: float = EPS) -> NDArray:
    """Centre each row and divide it by its standard deviation. (N1), without affine part.

    (..., F) -> (..., F), finite, as large as they may be; eps >= 0, else ValueError. A constant
    row becomes exactly 0 (K40), and one whose spread is far below √eps nearly so. NaN stays NaN.
    Source: Ba, Kiros, Hinton 2016, mean and deviation of equation 3; no gain and bias.
    """
    h, s, _ = _standard(f, eps)
    return h / s


def layer_norm_vjp(g: NDArray, f: NDArray, eps: float = EPS) -> NDArray:
    """Gradient of `layer_norm`. (N1').

    (..., F), (..., F) -> (..., F). Finite everywhere, 1/sqrt(eps) steep at a constant row (K40).
    Derived in docs/6-training.md.
    """
    h, s, t = _standard(f, eps)
    n = h / s
    return (_centred(g) - n * np.mean(g * n, axis=-1, keepdims=True)) / s / t


def linear(f: NDArray, weight: NDArray, bias: NDArray) -> NDArray:
    """Multiply each row by the weight and add the bias. (N2).

    (B, F), (D, F), (D,) -> (B, D).
    """
    return f @ weight.T + bias


def linear_vjp(
    g: NDArray, f: NDArray, weight: NDArray, bias: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Gradient of `linear` with respect to f, weight and bias. (N2').

    (B, D), (B, F), (D, F), (D,) -> (B, F), (D, F), (D,). Derived in docs/6-training.md.
    """
    return g @ weight, g.T @ f, np.sum(g, axis=0)


@primitive
def normal_cdf(x: NDArray) -> NDArray:
    """Return Φ(x), the chance that a normal number is below x; x of any shape.

    By erfc, which keeps the digits below 0. autograd learns its derivative φ below: its own erfc
    comes with all of scipy.stats, which takes longer to import than everything else together.
    """
    return 0.5 * scipy.special.erfc(-ROOT_HALF * x)


def normal_density(x: NDArray) -> NDArray:
    """Return φ(x) = Φ'(x); x of any shape."""
    return PEAK * np.exp(-0.5 * np.clip(x, -FAR, FAR) ** 2)


defvjp(normal_cdf, lambda answer, x: lambda g: g * normal_density(x))


def gelu(x: NDArray) -> NDArray:
    """Multiply each number by the chance that a normal one is below it: x Φ(x). (N5).

    x of any shape. In its erf form, not an approximation by tanh.
    Source: Hendrycks and Gimpel 2016, section 2.
    """
    return x * normal_cdf(x)


def gelu_vjp(g: NDArray, x: NDArray) -> NDArray:
    """Gradient of `gelu`: g (Φ(x) + x φ(x)). (N5').

    x of any shape. Derived in docs/6-training.md.
    """
    return g * (normal_cdf(x) + x * normal_density(x))


def relu(x: NDArray) -> NDArray:
    """Replace negative numbers by 0. (N6).

    x of any shape. NaN stays NaN.
    """
    return x * (x > 0)


def relu_vjp(g: NDArray, x: NDArray) -> NDArray:
    """Gradient of `relu`. (N6').

    x of any shape; 0 at exactly 0 (K44).
    """
    return g * (x > 0)


class Layer(NamedTuple):
    """One operation of a head, its gradient, and the names of its parameters."""

    forward: Callable[..., NDArray]  # (x, *params) -> y
    vjp: Callable  # (g, x, *params) -> gradient of x, or a tuple that goes on with those of params
    names: tuple[str, ...] = ()


NORM = Layer(layer_norm, layer_norm_vjp)
HIDDEN = Layer(linear, linear_vjp, ("hidden_weight", "hidden_bias"))
LAST = Layer(linear, linear_vjp, ("weight", "bias"))
ACTIVATIONS = {"gelu": Layer(gelu, gelu_vjp), "relu": Layer(relu, relu_vjp)}
LINEAR = (NORM, LAST)


def mlp(activation: str = "gelu", norm: bool = False) -> tuple[Layer, ...]:
    """Return the layers of a head with one hidden layer, with `norm` normed once more. (N7).

    Its gradient (N7') is `head_vjp`'s.
    """
    return (NORM, HIDDEN, ACTIVATIONS[activation], *[NORM] * norm, LAST)


def init_head(
    rng: Generator,
    n_features: int,
    *widths: int,
    scale: float = 1.0,
    dtype: DTypeLike = np.float64,
) -> Params:
    """Draw the weights of a new head: orthonormal rows and zero biases. (N3).

    `widths` are those of the embedding, or of the hidden layer and the embedding. The last weight
    is multiplied by `scale`. Raises ValueError for a size below 1 and a scale that is negative or
    beyond the range of `dtype`. Source: the HIER authors' released linear head starts so, with
    scale 1; derived in docs/6-training.md.
    """
    sizes = (n_features, *widths)
    try:
        for size in sizes:
            whole("size", size, 1)
    except ValueError:
        path = " to ".join(map(shown, sizes))
        raise ValueError(f"head from {path} numbers: expected at least 1 of each") from None
    number("scale", scale, zero=True, dtype=dtype)
    params: Params = {}
    for layer, n_in, n_out in zip((HIDDEN, LAST)[-len(widths) :], sizes, widths, strict=False):
        length = scale if layer is LAST else 1.0
        values = length * _orthonormal(rng, n_in, n_out), np.zeros(n_out)
        params |= zip(layer.names, (value.astype(dtype) for value in values), strict=True)
    return params


def _orthonormal(rng: Generator, n_in: int, n_out: int) -> NDArray:
    """Draw (n_out, n_in) with orthonormal rows or, if there are more rows, columns."""
    q, r = np.linalg.qr(rng.standard_normal((max(n_in, n_out), min(n_in, n_out))))
    q = q * np.sign(np.diag(r))  # without it QR's own sign rule would skew the draw
    return q if n_out > n_in else q.T


def head_forward(f: NDArray, params: Params, layers: tuple[Layer, ...] = LINEAR) -> NDArray:
    """Map features to tangent vectors, layer by layer. (N4).

    (B, F) -> (B, D). Source: the HIER authors' released code, for the linear head.
    """
    for layer in layers:
        f = layer.forward(f, *(params[name] for name in layer.names))
    return f


def head_vjp(g: NDArray, f: NDArray, params: Params, layers: tuple[Layer, ...] = LINEAR) -> Params:
    """Gradient of `head_forward` with respect to its parameters. (N4').

    (B, D), (B, F) -> dict with the keys of `params`. The features are data: no gradient for them.
    """
    inputs, grads = [f], Params()
    for layer in layers[:-1]:
        inputs.append(head_forward(inputs[-1], params, (layer,)))
    for layer, x in zip(reversed(layers), reversed(inputs), strict=True):
        found = layer.vjp(g, x, *(params[name] for name in layer.names))
        g, *of_params = found if layer.names else (found,)
        grads |= zip(layer.names, of_params, strict=True)
    return grads
