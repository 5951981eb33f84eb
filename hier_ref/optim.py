"""Optimisers, schedules and gradient clipping on a flat dict of arrays, name -> array.

No array is ever changed in place: a step returns new parameters. Derived in docs/6-training.md.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray]
Rate = float | Mapping[str, float]


def _check_names(what: str, found: Mapping, expected: Mapping) -> None:
    if found.keys() != expected.keys():
        raise ValueError(f"{what} named {sorted(found)}: expected {sorted(expected)}")


class Optimizer:
    """What every optimiser shares: a rate per parameter, a step count, memory per parameter.

    A subclass names its `memories`, arrays shaped like the parameters that start at zero, and
    says in `_update` how one parameter moves.
    """

    memories: tuple[str, ...] = ()

    def __init__(self, params: Arrays, lr: Rate, weight_decay: float):
        """Start at step 0; `lr` is one rate for all parameters or a dict name -> rate."""
        rates = lr if isinstance(lr, Mapping) else dict.fromkeys(params, lr)
        _check_names("learning rates", rates, params)
        self.lr = {name: float(rate) for name, rate in rates.items()}
        self.weight_decay = float(weight_decay)
        self.t = 0
        self.memory = {
            f"{memory}.{name}": np.zeros_like(param)
            for memory in self.memories
            for name, param in params.items()
        }

    def step(self, params: Arrays, grads: Arrays, scale: float = 1.0) -> Arrays:
        """Return the parameters after one step; `scale` multiplies every learning rate.

        Raises ValueError, before anything changes, when names differ or a gradient is not finite.
        """
        _check_names("parameters", params, self.lr)
        _check_names("gradients", grads, self.lr)
        _check_finite(grads)
        self.t += 1
        return {
            name: self._update(name, param, grads[name], float(scale) * self.lr[name])
            for name, param in params.items()
        }

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

    def __init__(
        self,
        params: Arrays,
        lr: Rate,
        weight_decay: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ):
        super().__init__(params, lr, weight_decay)
        self.betas, self.eps = betas, eps

    def _update(self, name: str, param: NDArray, grad: NDArray, lr: float) -> NDArray:
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
        self.momentum = momentum

    def _update(self, name: str, param: NDArray, grad: NDArray, lr: float) -> NDArray:
        u = self.momentum * self.memory[f"velocity.{name}"] + grad + self.weight_decay * param
        self.memory[f"velocity.{name}"] = u
        return param - lr * u


def _check_positive(what: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{what} {value}: expected more than 0")


def constant(step: int, total: int) -> float:
    """Return the factor 1 at every step."""
    return 1.0


def warmup(step: int, warmup_steps: int) -> float:
    """Rise in equal parts to 1; step 0 already moves, 0 warm-up steps are none. (O5)."""
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps > 0 else 1.0


def cosine(step: int, total: int) -> float:
    """Fall from 1 at step 0 to 0 at `total`, and stay there. (O6).

    Raises ValueError for a total below 1. Source: Loshchilov and Hutter 2017, equation 5 without
    restarts.
    """
    _check_positive("cosine schedule of total", total)
    return (1 + math.cos(math.pi * min(step / total, 1.0))) / 2


def step_decay(step: int, size: int, factor: float) -> float:
    """Multiply by `factor` after every `size` steps. (O7).

    Raises ValueError for a size below 1.
    """
    _check_positive("step schedule of size", size)
    return factor ** (step // size)


def _check_finite(grads: Arrays) -> None:
    for name, grad in grads.items():
        if not np.all(np.isfinite(grad)):
            raise ValueError(f"gradient of {name}: found NaN or infinity, expected finite numbers")


def clip_by_value(grads: Arrays, limit: float | None) -> Arrays:
    """Bring every number of every gradient into [-limit, limit]; None or inf: off. (O8).

    Raises ValueError for a limit of 0 or less. An infinity becomes the limit, NaN stays NaN.
    """
    if limit is None:
        return grads
    _check_positive("gradient limit", limit)
    return {name: np.clip(grad, -limit, limit) for name, grad in grads.items()}


def clip_by_norm(grads: Arrays, limit: float | None) -> Arrays:
    """Shorten all gradients together to the norm `limit`, if longer; None or inf: off. (O9).

    Gradients of norm 0 or just `limit` come back as they are (K42). Raises ValueError for a limit
    of 0 or less and for gradients that are not finite.
    """
    if limit is None or limit == math.inf:
        return grads
    _check_positive("gradient limit", limit)
    _check_finite(grads)
    norm = math.hypot(*(_norm(grad) for grad in grads.values()))
    return {n: grad * (limit / norm) for n, grad in grads.items()} if norm > limit else grads


def _norm(grad: NDArray) -> float:
    """Euclidean norm, of numbers divided by the largest first: their squares cannot overflow."""
    largest = float(np.max(np.abs(grad), initial=0.0))
    if largest == 0:
        return 0.0
    return largest * math.sqrt(np.sum((grad / largest) ** 2))
