"""What a metric loss is: a frozen dataclass of its hyper-parameters with three methods."""

from typing import Protocol

from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

Params = dict[str, NDArray]


class Loss(Protocol):
    """What a metric loss offers.

    z (B, D) are points of the ball of curvature -c, or any vectors for c = 0, where the sphere is
    meant; labels (B,) are integers, 0 .. C - 1 for a loss with parameters of its own.
    """

    def init(self, rng: Generator, n_classes: int, dim: int) -> Params:
        """Draw the loss's own parameters, float64; none for a loss between images alone."""

    def value(self, z: NDArray, labels: ArrayLike, params: Params, c: float) -> float:
        """Return the loss; autograd can differentiate it."""

    def grad(
        self, z: NDArray, labels: ArrayLike, params: Params, c: float
    ) -> tuple[float, NDArray, Params]:
        """Return the loss and its explicit gradients with respect to z and to `params`."""
