"""Config: every choice of a training run, once: its default, its meaning, its range.

The options of the command, the keywords of the estimator and config.json are all made of it.
"""

import argparse
from dataclasses import Field, dataclass, field, fields, replace
from math import sqrt
from typing import Any

import numpy as np

from hier_ref.balls import ball_of
from hier_ref.convention import CONVENTIONS, Convention
from hier_ref.losses import LOSSES, Loss
from hier_ref.poincare import root
from hier_ref.ranges import number, shown, whole
from hier_ref.training.head import ACTIVATIONS, LINEAR, Layer, mlp

STARTS = ("lda", "whiten", "pca", "random")
SCHEDULES = ("cosine", "step", "constant")
POSITIVE = np.finfo(float).tiny  # the least number above 0
MOST = 10**14  # of anything counted; beyond, NumPy cannot even ask for the memory
MOST_SEED = 2**64 - 1


def option(default: Any, meaning: str, least: float | None = None, choices: tuple = ()) -> Any:
    """Declare one option: its default, what it means, and which values it takes."""
    return field(default=default, metadata={"help": meaning, "least": least, "choices": choices})


@dataclass(frozen=True)
class Config:
    """Every choice of a run. Two runs of one Config on one machine give the same bytes."""

    loss: str = option("MS", "metric loss that HIER is added to", choices=tuple(LOSSES))
    hier_weight: float = option(0.2, "weight of the HIER loss; 0 trains without it", least=0)
    head: str = option("linear", "LayerNorm, then this", choices=("linear", "mlp"))
    hidden: int = option(512, "width of the hidden layer of an mlp", least=1)
    activation: str = option("gelu", "of the hidden layer of an mlp", choices=tuple(ACTIVATIONS))
    hidden_norm: str = option("none", "after the activation of an mlp", choices=("none", "layer"))
    start: str = option(
        "lda", "how the head starts: discriminants, whitened or plain components", choices=STARTS
    )
    start_length: float = option(
        2.0, "typical length of tangent vectors at a start that is not random, in clips", least=0
    )
    head_scale: float = option(1.0, "size of the last weight at a random start", least=0)
    embedding: int = option(128, "dimension of the embedding", least=1)
    proxies: int = option(512, "number of hierarchical proxies", least=1)
    c: float = option(0.1, "curvature -c of the ball; 0 is the sphere instead", least=0)
    clip: float = option(2.3, "longest tangent vector; longer ones are shortened", least=POSITIVE)
    convention: str = option(
        "exact", "textbook HIER, or as the authors' code computes it", choices=tuple(CONVENTIONS)
    )
    tau: float = option(0.1, "temperature of the choice of an ancestor", least=POSITIVE)
    margin: float = option(0.1, "margin of the three hinges of a triplet", least=0)
    neighbours: int = option(20, "K of the mutual nearest neighbours", least=0)
    triplets: int = option(20, "triplets drawn for each anchor, at both levels", least=1)
    batch: int = option(180, "images in a batch", least=1)
    images_per_class: int = option(2, "images of each class in a batch", least=1)
    lr_head: float = option(5e-4, "learning rate of the head", least=0)
    lr_proxies: float = option(1e-2, "learning rate of the hierarchical proxies", least=0)
    lr_loss: float = option(3e-2, "learning rate of the loss's class proxies", least=0)
    weight_decay: float = option(1e-2, "decoupled weight decay, on every parameter", least=0)
    clip_gradient: float = option(10.0, "largest entry of a gradient", least=POSITIVE)
    epochs: int = option(10, "passes over the training images, at most", least=0)
    validate: float = option(
        0.2, "share of the training classes that is held out to choose the epoch; 0: none", least=0
    )
    patience: int = option(3, "epochs without a better one after which training stops", least=1)
    refit: bool = option(True, "train again on all classes, as many epochs as were best")
    tune: int = option(
        0, "settings to try first, judged by held-out training classes; 0: none", least=0
    )
    retrieval: str = option(
        "cosine", "what neighbours are found by, once trained", choices=("cosine", "ball")
    )
    warmup_epochs: int = option(
        1, "epochs in which the learning rates rise to their value", least=0
    )
    schedule: str = option(
        "cosine", "then: fall to 0, fall tenfold at each third, or stay", choices=SCHEDULES
    )
    seed: int = option(0, "seed of everything random", least=0)
    dtype: str = option("float32", "precision of the training", choices=("float32", "float64"))
    gradients: str = option(
        "explicit", "written by hand, or found by autograd", choices=("explicit", "autograd")
    )
    eval_every: int = option(3, "epochs between evaluations; the last is always evaluated", least=1)
    recall_at: tuple = option((1, 2, 4, 8), "the K of Recall@K", least=1)

    def __post_init__(self) -> None:
        """Raise ValueError naming the option, what was found and what was expected."""
        given = self.recall_at
        ks = given if isinstance(given, tuple | list) else np.atleast_1d(given).tolist()
        object.__setattr__(self, "recall_at", tuple(ks))
        for each in sorted(fields(self), key=lambda each: each.name != "dtype"):
            _check(each, getattr(self, each.name), self.dtype)
        object.__setattr__(self, "recall_at", tuple(dict.fromkeys(map(int, ks))))
        if self.validate >= 1:
            raise ValueError(f"validate {self.validate:g}: expected a share below 1")
        if self.tune and not self.validate:
            raise ValueError(
                f"tune {self.tune} with validate 0: expected held-out classes to judge"
            )
        if not self.c and self.hier_weight:
            raise ValueError(
                f"c 0 with hier_weight {self.hier_weight:g}: HIER needs a curved ball, "
                "expected c above 0 or hier_weight 0"
            )
        if self.c:
            self._check_ball()

    def _check_ball(self) -> None:
        """Refuse points so far out, or of such a size, that the dtype cannot tell them apart."""
        root(self.c)
        info = np.finfo(self.dtype)
        # Rounded to dtype, a point with a gap 1 - tanh^2 of some eps could leave the ball.
        reach = sqrt(self.c) * self.clip
        longest = np.arccosh(1 / np.sqrt(8 * info.eps))
        if reach > longest:
            raise ValueError(
                f"c {self.c} with clip {self.clip}: found sqrt(c) clip = {reach:.3g}, expected at "
                f"most {longest:.3g}, where {self.dtype} still tells points from the boundary"
            )
        low, high = sqrt(info.tiny) / float(info.eps), sqrt(info.max) / 4
        if not low <= self.clip <= high:
            raise ValueError(
                f"clip {self.clip}: expected from {low:.3g} to {high:.3g}, where {self.dtype} "
                "still holds the squares of differences"
            )

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of the head."""
        return LINEAR if self.head == "linear" else mlp(self.activation, self.hidden_norm != "none")

    @property
    def widths(self) -> tuple[int, ...]:
        """How many numbers each linear layer of the head puts out."""
        return (self.embedding,) if self.head == "linear" else (self.hidden, self.embedding)

    @property
    def reading(self) -> Convention:
        """The reading of HIER that `convention` names."""
        return CONVENTIONS[self.convention]

    @property
    def metric(self) -> Loss:
        """The metric loss, its distances in the arithmetic of the reading."""
        loss = LOSSES[self.loss]
        return replace(loss, ball=ball_of(self.reading)) if hasattr(loss, "ball") else loss

    @property
    def search_c(self) -> float:
        """The curvature that `retrieval` ranks by, 0 for cosine."""
        return self.c if self.retrieval == "ball" else 0.0

    @property
    def geometry(self) -> dict[str, float]:
        """The parameters of the HIER loss by its own names."""
        return {"c": self.c, "clip_radius": self.clip, "tau": self.tau, "margin": self.margin}


def _check(option: Field, value: Any, dtype: str) -> None:
    name, least, choices = option.name, option.metadata["least"], option.metadata["choices"]
    if isinstance(option.default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{name} {shown(value)}: expected True or False")
        return
    if choices:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"{name} {shown(value)}: expected one of {', '.join(choices)}")
    elif isinstance(option.default, float):
        number(name, value, zero=not least, dtype=dtype)
    elif isinstance(value, tuple) and not value:
        raise ValueError(f"{name} (): expected integers, at least one of them")
    else:
        for count in value if isinstance(value, tuple) else (value,):
            whole(name, count, least, MOST_SEED if name == "seed" else MOST)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add every field of `Config`; only what was given ends up in the namespace."""
    for each in fields(Config):
        if isinstance(each.default, bool):
            parser.add_argument(
                "--" + each.name.replace("_", "-"),
                action=argparse.BooleanOptionalAction,
                default=argparse.SUPPRESS,
                help=f"{each.metadata['help']} (default: {'yes' if each.default else 'no'})",
            )
            continue
        many, choices = isinstance(each.default, tuple), each.metadata["choices"] or None
        default = each.default if isinstance(each.default, tuple) else (each.default,)
        letter = "X" if isinstance(each.default, float) else "N"
        parser.add_argument(
            "--" + each.name.replace("_", "-"),
            type=int if many else type(each.default),
            metavar=None if choices else letter,
            nargs="+" if many else None,
            choices=choices,
            default=argparse.SUPPRESS,
            help=f"{each.metadata['help']} (default: {' '.join(map(str, default))})",
        )
