"""What a metric loss is: a frozen dataclass of its hyper-parameters with three methods."""

import dataclasses
from typing import Any, ClassVar, Protocol

import numpy as np
from autograd.tracer import getval
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from hier_ref.poincare import root
from hier_ref.ranges import number, rows, whole

Params = dict[str, NDArray]
SIGNED = ("margin", "base")  # differences of cosines: of any sign


class Loss(Protocol):
    """What a metric loss offers.

    z (B, D) are points of the ball of curvature -c, or any vectors for c = 0, where the sphere is
    meant; labels (B,) are integers, 0 .. C - 1 for a loss with parameters of its own.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def init(self, rng: Generator, n_classes: int, dim: int) -> Params:
        """Draw the loss's own parameters, float64; none for a loss between images alone."""

    def value(self, z: NDArray, labels: ArrayLike, params: Params, c: float) -> float:
        """Return the loss; autograd can differentiate it."""

    def grad(
        self, z: NDArray, labels: ArrayLike, params: Params, c: float
    ) -> tuple[float, NDArray, Params]:
        """Return the loss and its explicit gradients with respect to z and to `params`."""


@dataclasses.dataclass(frozen=True)
class HyperParameters:
    """What the losses share: their numbers are checked once, when a loss is made."""

    def __post_init__(self) -> None:
        """Raise ValueError naming the number, what was found and what was expected."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, int):
                whole(field.name, value, 1)
            elif isinstance(field.default, float):
                number(field.name, value, signed=field.name in SIGNED, dtype=np.float32)


def check_batch(z: NDArray, params: Params, c: float) -> None:
    """Refuse points, parameters and curvatures that no loss has a value for.

    z (B, D), params with rows of D numbers, c >= 0. Raises ValueError, saying what was found,
    unless all of them are finite and fit.
    """
    rows("z", z)
    if c != 0:
        root(c)
    for name, param in params.items():
        rows(name, getval(param).reshape(-1, np.shape(param)[-1]), np.shape(z)[1])
