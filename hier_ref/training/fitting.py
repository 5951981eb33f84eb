"""Training that chooses its own length: some training classes are held out and judge each epoch.

The classes of the test rows choose nothing. Derived in docs/appendix-how-long-to-train.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from hier_ref.baselines.embeddings import Embedding, baselines
from hier_ref.retrieval.recall import Ranking, rank_gallery
from hier_ref.training.batch import Params, embed, group
from hier_ref.training.config import Config
from hier_ref.training.sampler import batches_per_epoch
from hier_ref.training.starts import start_head
from hier_ref.training.trainer import Trainer

FEWEST = 5  # classes that can judge an epoch
JUDGES = 4096  # images that judge it, at most
OWN = ("scores", "rows", "refitting")  # what a state says beside parameters


def held_out(labels: NDArray, config: Config) -> NDArray:
    """Return which rows judge and do not train (N,): those of a share of the classes. (S3).

    Classes are drawn from the seed. No row judges where the classes are too few for it: fewer
    than FEWEST to judge with, or what is left does not fill a batch.
    """
    classes, of = np.unique(labels, return_inverse=True)
    rng = np.random.default_rng([config.seed, 3])
    drawn = rng.permutation(len(classes))[: round(config.validate * len(classes))]
    judging = np.isin(of, drawn)
    twice = np.bincount(of[judging], minlength=1) >= 2
    try:
        batches_per_epoch(labels[~judging], config.batch, config.images_per_class)
    except ValueError:
        return np.zeros(len(labels), bool)
    return judging if twice.sum() >= FEWEST else np.zeros(len(labels), bool)


@contextmanager
def evaluating(epoch: int) -> Iterator[None]:
    """Say where the weights of an epoch turn out to be no use: its embeddings are not finite."""
    try:
        yield
    except ValueError as error:
        cure = "; try lower learning rates" if epoch else ""
        raise ValueError(f"epoch {epoch}, evaluation: {error}{cure}") from None


def judged(z: NDArray, labels: NDArray, c: float) -> Ranking:
    """Let held-out images, embedded (N, D) and with labels (N,), find each other."""
    return rank_gallery(z, labels, z, labels, c, exclude_self=True)


class Fit:
    """A whole training: a search with held-out classes, then a refit on all of them.

    The search keeps the parameters of its best epoch, 0 included, and stops after `patience`
    epochs without a better one. A refit trains anew on all classes for as many epochs. Without
    held-out classes all epochs are trained, and the last is kept.
    """

    def __init__(self, features: NDArray, labels: NDArray, config: Config, begin: bool = True):
        """Take training features (N, F) and labels (N,); `begin` False waits for `load`."""
        self.features, self.labels, self.config = features, labels, config
        self.judging = held_out(labels, config)
        judges = np.flatnonzero(self.judging)
        rng = np.random.default_rng([config.seed, 4])
        self.judges = np.sort(rng.permutation(judges)[:JUDGES])
        self.scores: list[float] = []
        self.kept: Params = {}
        self.refitting = False
        self.rows = 0  # evaluations of the test rows that belong to this state
        self.trainer = self._trainer(begin)
        if begin:
            self._judge()

    def _trainer(self, begin: bool) -> Trainer:
        rows = np.arange(len(self.labels)) if self.refitting else np.flatnonzero(~self.judging)
        trainer = Trainer(self.features, self.labels, self.config, rows)
        if begin:
            trainer.params = start_head(
                trainer.params, self.features, self.labels, rows, self.config
            )
        return trainer

    @property
    def validated(self) -> bool:
        """Whether any classes are held out."""
        return len(self.judges) > 0

    @property
    def best_epoch(self) -> int:
        """The epoch whose head is kept: the best so far, the last where nothing judges."""
        return int(np.argmax(self.scores)) if self.scores else self.trainer.epoch

    @property
    def length(self) -> int:
        """Epochs of the current phase, as far as is known."""
        if self.refitting:
            return self.best_epoch
        stop = self.best_epoch + self.config.patience if self.validated else self.config.epochs
        return min(self.config.epochs, stop)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train."""
        return self.trainer.epoch >= self.length and (self.refitting or not self.refits)

    @property
    def refits(self) -> bool:
        """Whether the search is followed by a refit."""
        return self.validated and self.config.refit

    @property
    def params(self) -> Params:
        """The parameters to keep, so far."""
        return self.trainer.params if self.refitting or not self.validated else self.kept

    @property
    def judgement(self) -> dict[str, float]:
        """The score of the last epoch of the search among the held-out classes, if any."""
        return {"validation": self.scores[-1]} if self.scores else {}

    def run_epoch(self) -> Iterator[dict[str, float]]:
        """Train for one epoch, of the refit where the search has ended; yield the losses."""
        if not self.refitting and self.trainer.epoch >= self.length:
            self.refitting = True
            self.trainer = self._trainer(begin=True)
        if not self.finished:
            yield from self.trainer.run_epoch()
            self._judge()

    def _judge(self) -> None:
        if self.refitting or not self.validated:
            return
        with evaluating(self.trainer.epoch):
            found = self.among_judges(self._embed, self.config.search_c)
        self.scores.append(float(found.average_precision.mean()))  # MAP@R (R5)
        if self.best_epoch == self.trainer.epoch:
            self.kept = self.trainer.params

    def _embed(self, features: NDArray) -> NDArray:
        return embed(features, self.trainer.params, self.config)

    def among_judges(self, embedding: Embedding, c: float) -> Ranking:
        """Let the held-out images (N, F) find each other, embedded (N, D); c = 0 is by cosine."""
        return judged(embedding(self.features[self.judges]), self.labels[self.judges], c)

    def hits(self) -> dict[str, NDArray]:
        """Return which held-out images find a right one first, (N,): without training, by name.

        The closed forms are fitted to the classes that are not held out.
        """
        rows = np.flatnonzero(~self.judging)
        beside = baselines(self.features, self.labels, self.config.embedding, rows)
        return {name: self.among_judges(e, 0.0).rank < 1 for name, e in beside.items()}

    def state(self) -> Params:
        """Return everything `load` needs, as arrays by name."""
        state = self.trainer.state() | {f"kept.{name}": p for name, p in self.kept.items()}
        own = {name: np.array(getattr(self, name)) for name in OWN}
        return state | own

    def load(self, state: Params) -> None:
        """Go on from a `state` of the same configuration; ValueError if it is of another."""
        if not all(name in state for name in OWN):
            raise ValueError("not the parameters of this configuration")
        self.scores, self.rows = state["scores"].tolist(), int(state["rows"])
        self.refitting, self.kept = bool(state["refitting"]), group(state, "kept.")
        self.trainer = self._trainer(begin=False)
        rest = {n: a for n, a in state.items() if n not in OWN and not n.startswith("kept.")}
        self.trainer.load(rest)
