"""A training run: batch after batch, from the first weights to the last of an epoch.

What one batch does is `hier_ref.training.batch`. Chapter: docs/6-training.md.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from hier_ref.features.arrays import forget
from hier_ref.training.batch import GRADIENTS, Params, embed, group, rounded
from hier_ref.training.config import Config
from hier_ref.training.head import EPS, init_head
from hier_ref.training.optim import AdamW, clip_by_value, constant, cosine, step_decay, warmup
from hier_ref.training.sampler import batches_per_epoch, class_batches


def init_params(config: Config, n_features: int, n_classes: int) -> Params:
    """Draw the parameters of a new run: head.*, loss.* and, unless its weight is 0, proxies."""
    rng = np.random.default_rng([config.seed, 0])
    head = init_head(rng, n_features, *config.widths, scale=config.head_scale)
    loss = config.metric.init(rng, n_classes, config.embedding)
    params = {f"head.{name}": p for name, p in head.items()}
    params |= {f"loss.{name}": p for name, p in loss.items()}
    if config.hier_weight:
        size = 0.9 * config.clip / np.sqrt(config.embedding)
        params["proxies"] = size * rng.standard_normal((config.proxies, config.embedding))
    return {name: p.astype(config.dtype) for name, p in params.items()}


def check_features(features: NDArray, config: Config) -> None:
    """Refuse features (N, F) that overflow the dtype, or that LayerNorm takes for constant rows.

    Raises ValueError, saying what to do.
    """
    blocks = np.array_split(features, features.size // 2**20 + 1)
    with np.errstate(all="ignore"):  # a row whose squares overflow is spread enough
        spreads = []
        for block in blocks:
            spreads.append(np.std(rounded(block, config), axis=1, dtype=float))
            forget(block)
    typical, least = np.median(np.concatenate(spreads)), 1e-3 * EPS**0.5
    if typical < least:
        raise ValueError(
            f"features with a typical spread of {typical:.2g} within a row: expected at least "
            f"{least:.2g}, which LayerNorm can tell from a constant; multiply them"
        )


class Trainer:
    """Parameters, optimiser and the number of finished epochs: all that a run remembers.

    Whatever is random in an epoch depends on (seed, epoch) alone, so that a run that goes on
    from a checkpoint ends with the bytes of a run that was never interrupted.
    """

    def __init__(
        self, features: NDArray, labels: NDArray, config: Config, rows: NDArray | None = None
    ):
        """Take features (N, F) and labels (N,), and which rows (M,) train: all unless given.

        Raises ValueError for features that the head cannot see, and for an odd configuration.
        """
        check_features(features, config)
        self.features, self.config, self.epoch = features, config, 0
        self.rows = np.arange(len(labels)) if rows is None else rows
        self.classes, self.labels = np.unique(labels[self.rows], return_inverse=True)
        try:
            self.n_batches = batches_per_epoch(self.labels, config.batch, config.images_per_class)
        except ValueError as error:
            raise ValueError(f"{error} (options batch, images_per_class)") from None
        self.params = init_params(config, features.shape[1], len(self.classes))
        embed(features[: config.batch], self.params, config)  # refuses what would overflow at once
        rates = {"head": config.lr_head, "loss": config.lr_loss, "proxies": config.lr_proxies}
        lr = {name: rates[name.split(".")[0]] for name in self.params}
        self.optimizer = AdamW(self.params, lr, config.weight_decay)

    def run_epoch(self) -> Iterator[dict[str, float]]:
        """Train for one epoch; yield the losses of each batch.

        Raises ValueError, saying where, once a loss, a gradient or a weight is not finite.
        """
        config = self.config
        seed = [config.seed, 1, self.epoch]
        batches = class_batches(
            np.random.default_rng(seed), self.labels, config.batch, config.images_per_class
        )
        for number, batch in enumerate(batches):
            try:
                losses = self._step(batch, np.random.default_rng([*seed, number]), number)
            except (ValueError, MemoryError) as error:
                short = isinstance(error, MemoryError)
                cure = "fewer triplets, proxies or images" if short else "lower learning rates"
                where = f"epoch {self.epoch + 1}, batch {number + 1}"
                refusal = MemoryError if short else ValueError
                raise refusal(f"{where}: {error}; try {cure}") from None
            yield losses
        self.epoch += 1

    def _step(self, batch: NDArray, rng: np.random.Generator, number: int) -> dict[str, float]:
        """Move the parameters by one batch of image indices; return its losses."""
        f = rounded(self.features[self.rows[batch]], self.config)
        forget(self.features)
        with np.errstate(all="ignore"):  # what overflows is refused here, not warned of
            gradient = GRADIENTS[self.config.gradients]
            losses, grads = gradient(self.params, f, self.labels[batch], rng, self.config)
            grads = clip_by_value(grads, self.config.clip_gradient)
            self.params = self.optimizer.step(self.params, grads, self.rate(number))
        for name, p in (losses | self.params).items():
            if not np.all(np.isfinite(p)):
                raise ValueError(f"{name}: found NaN or infinity, expected finite numbers")
        return losses

    def rate(self, batch: int) -> float:
        """Return the factor of all learning rates at one batch of the current epoch."""
        config, n = self.config, self.n_batches
        step, total = self.epoch * n + batch, max(1, config.epochs * n)
        schedule: dict[str, Callable[[], float]] = {
            "cosine": lambda: cosine(step, total),
            "step": lambda: step_decay(step, max(1, total // 3), 0.1),
            "constant": lambda: constant(step, total),
        }
        return warmup(step, config.warmup_epochs * n) * schedule[config.schedule]()

    def state(self) -> Params:
        """Return everything `load` needs, as arrays by name."""
        state = {f"params.{name}": p for name, p in self.params.items()}
        state |= {f"optimizer.{name}": p for name, p in self.optimizer.state().items()}
        return state | {"epoch": np.array(self.epoch)}

    def load(self, state: Params) -> None:
        """Go on from a `state` of the same configuration; ValueError if it is of another."""
        if _forms(state) != _forms(self.state()) or not 0 <= state["epoch"] <= self.config.epochs:
            raise ValueError("not the parameters of this configuration")
        self.optimizer.load(group(state, "optimizer."))
        self.params, self.epoch = group(state, "params."), int(state["epoch"])


def _forms(arrays: Params) -> dict:
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}


def mean_losses(batches: Iterable[dict[str, float]]) -> dict[str, float]:
    """Mean of each loss over the batches of an epoch; of no batches there are none."""
    rows = list(batches)
    names = rows[0] if rows else ()
    return {name: float(np.mean([row[name] for row in rows])) for name in names}
