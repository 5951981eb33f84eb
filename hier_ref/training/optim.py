"""Optimisers, schedules and gradient clipping on a flat dict of arrays, name -> array.

No array is ever changed in place: a step returns new parameters. Derived in
docs/appendix-optimisers.md.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hier_ref.ranges import below_one, number, power, whole

Arrays = dict[str, NDArray]
Rate = float | Mapping[str, float]


def _check_names(what: str, found: Mapping, expected: Mapping) -> None:
    if found.keys() != expected.keys():
        raise ValueError(f"{what} named {sorted(found)}: expected {sorted(expected)}")


class Optimizer:
    """What every optimiser shares: a rate per parameter, a step count, memory per parameter.

    A subclass names its `memories`, arrays shaped like the parameters that start at zero, says in
    `_update` how one parameter moves, and in `squares` whether it needs the gradient's square.
    """

    memories: tuple[str, ...] = ()
    squares = False

    def __init__(self, params: Arrays, lr: Rate, weight_decay: float):
        """Start at step 0; `lr` is one rate for all parameters or a dict name -> rate.

        Raises ValueError for other names and for numbers that are negative or not finite.
        """
        rates = lr if isinstance(lr, Mapping) else dict.fromkeys(params, lr)
        _check_names("learning rates", rates, params)
        self.lr = {
            name: number(f"learning rate of {name}", rate, zero=True, dtype=params[name].dtype)
            for name, rate in rates.items()
        }
        self.weight_decay = number("weight_decay", weight_decay, zero=True)
        self.t = 0
        self.memory = {
            f"{memory}.{name}": np.zeros_like(param)
            for memory in self.memories
            for name, param in params.items()
        }

    def step(self, params: Arrays, grads: Arrays, scale: float = 1.0) -> Arrays:
        """Return the parameters after one step; `scale` multiplies every learning rate.

        Raises ValueError, before anything changes, when names or shapes differ, when a gradient is
        not finite or too large to be squared where that is needed, and for an odd scale.
        """
        _check_names("parameters", params, self.lr)
        _check_names("gradients", grads, self.lr)
        _check_finite(grads)
        self._check_sizes(params, grads)
        scale = number("scale", scale, zero=True)
        self.t += 1
        return {
            name: self._update(name, param, grads[name], scale * self.lr[name])
            for name, param in params.items()
        }

    def _check_sizes(self, params: Arrays, grads: Arrays) -> None:
        for name, grad in grads.items():
            if np.shape(grad) != np.shape(params[name]):
                expected = f"expected {np.shape(params[name])}"
                raise ValueError(f"gradient of {name} {np.shape(grad)}: {expected}")
            largest = float(np.max(np.abs(grad), initial=0))
            if self.squares and largest > np.finfo(params[name].dtype).max ** 0.5:
                what = "numbers whose square is finite"
                raise ValueError(f"gradient of {name} up to {largest:.3g}: expected {what}")

    def _update(self, name: str, param: NDArray, grad: NDArray, lr: float) -> NDArray:
        raise NotImplementedError

    def state(self) -> Arrays:
        """Return everything a later `load` needs to go on with the same bytes."""
        return {"step": np.array(self.t), **self.memory}

    def load(self, state: Mapping[str, NDArray]) -> None:
        """Go on from a `state`; ValueError if it belongs to other parameters."""
        _check_names("optimiser state", state, self.state())
        for name, old in self.memory.items():
            new = state[name]
            if (new.shape, new.dtype) != (old.shape, old.dtype):
                raise ValueError(
                    f"optimiser state {name}: found {new.dtype} {new.shape}, "
                    f"expected {old.dtype} {old.shape}"
                )
        self.t = int(state["step"])
        self.memory = {name: np.array(state[name]) for name in self.memory}


class AdamW(Optimizer):
    """Adam with decoupled weight decay. (O1), (O2), (O3).

    Source: Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2, with the
    decay multiplied by the learning rate too, as torch.optim.AdamW does. Where every gradient so
    far was 0, only the decay moves a parameter (K41).
    """

    memories = ("mean", "square")
    squares = True

    def __init__(
        self,
        params: Arrays,
        lr: Rate,
        weight_decay: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ):
        super().__init__(params, lr, weight_decay)
        self.betas = tuple(below_one(f"beta {n}", beta) for n, beta in enumerate(betas, 1))
        for param in params.values():
            number("eps", eps, dtype=param.dtype)
        self.eps = float(eps)

    def _update(self, name: str, param: NDArray, grad: NDArray, lr: float) -> NDArray:
        """Move one parameter: means (O1), their bias (O2), the step. (O3)."""
        beta1, beta2 = self.betas
        m = beta1 * self.memory[f"mean.{name}"] + (1 - beta1) * grad  # (O1)
        v = beta2 * self.memory[f"square.{name}"] + (1 - beta2) * grad**2
        self.memory[f"mean.{name}"], self.memory[f"square.{name}"] = m, v
        m_hat, v_hat = m / (1 - beta1**self.t), v / (1 - beta2**self.t)  # (O2)
        decayed = (1 - lr * self.weight_decay) * param
        return decayed - lr * m_hat / (np.sqrt(v_hat) + self.eps)  # (O3)


class SGD(Optimizer):
    """Gradient descent with momentum; the decay is a part of the gradient. (O4).

    Source: torch.optim.SGD's convention, u = momentum u + g, without dampening.
    """

    memories = ("velocity",)

    def __init__(self, params: Arrays, lr: Rate, weight_decay: float = 1e-4, momentum: float = 0.9):
        super().__init__(params, lr, weight_decay)
        self.momentum = below_one("momentum", momentum)

    def _update(self, name: str, param: NDArray, grad: NDArray, lr: float) -> NDArray:
        """Move one parameter. (O4)."""
        u = self.momentum * self.memory[f"velocity.{name}"] + grad + self.weight_decay * param
        self.memory[f"velocity.{name}"] = u
        return param - lr * u


def constant(step: int, total: int) -> float:
    """Return the factor 1 at every step."""
    return 1.0


def warmup(step: int, warmup_steps: int) -> float:
    """Rise in equal parts to 1; step 0 already moves, 0 warm-up steps are none. (O5).

    Raises ValueError for a number below 0 of either.
    """
    whole("step", step)
    return min(1.0, (step + 1) / warmup_steps) if whole("warm-up steps", warmup_steps) else 1.0


def cosine(step: int, total: int) -> float:
    """Fall from 1 at step 0 to 0 at `total`, and stay there. (O6).

    Raises ValueError for a step below 0 and a total below 1. Source: Loshchilov and Hutter 2017,
    equation 5 without restarts.
    """
    whole("step", step)
    whole("cosine schedule of total", total, 1)
    return (1 + math.cos(math.pi * min(step / total, 1.0))) / 2


def step_decay(step: int, size: int, factor: float) -> float:
    """Multiply by `factor` after every `size` steps. (O7).

    Raises ValueError for a step below 0, a size below 1 and a factor that is not from 0 to 1.
    """
    whole("step", step)
    whole("step schedule of size", size, 1)
    if number("factor", factor, zero=True) > 1:
        raise ValueError(f"factor {factor}: expected at most 1")
    return factor ** (step // size)


def _check_finite(grads: Arrays) -> None:
    for name, grad in grads.items():
        if not np.all(np.isfinite(grad)):
            raise ValueError(f"gradient of {name}: found NaN or infinity, expected finite numbers")


def _check_limit(limit: float, grads: Arrays) -> None:
    for grad in grads.values():
        if limit != math.inf:
            number("gradient limit", limit, dtype=grad.dtype)


def clip_by_value(grads: Arrays, limit: float | None) -> Arrays:
    """Bring every number of every gradient into [-limit, limit]; None or inf: off. (O8).

    Raises ValueError for a limit of 0 or less, or that the dtype rounds to 0. An infinity
    becomes the limit, NaN stays NaN.
    """
    if limit is None:
        return grads
    _check_limit(limit, grads)
    return {name: np.clip(grad, -limit, limit) for name, grad in grads.items()}


def clip_by_norm(grads: Arrays, limit: float | None) -> Arrays:
    """Shorten all gradients together to the norm `limit`, if longer; None or inf: off. (O9).

    Gradients of norm 0 or just `limit` come back as they are (K42). Raises ValueError for a limit
    of 0 or less and for gradients that are not finite.
    """
    if limit is None or limit == math.inf:
        return grads
    _check_limit(limit, grads)
    _check_finite(grads)
    size = float(power([float(np.max(np.abs(g), initial=0)) for g in grads.values()])[0])
    norm = math.hypot(*(_norm(grad / size) for grad in grads.values()))  # cannot overflow
    if norm <= limit / size:
        return grads
    return {name: grad / size * (limit / norm) for name, grad in grads.items()}


def _norm(grad: NDArray) -> float:
    """Euclidean norm, of numbers divided by the largest first: their squares cannot overflow."""
    largest = float(np.max(np.abs(grad), initial=0.0))
    if largest == 0:
        return 0.0
    return largest * math.sqrt(np.sum((grad / largest) ** 2))
