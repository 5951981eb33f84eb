"""The picture of chapter 6: one small head at three times of its training, and its curves."""

import numpy as np

from docs.pictures.svg import Axes, Disk, Picture
from hier_ref.hier import to_ball
from hier_ref.retrieval import rank_gallery
from hier_ref.training import Trainer, embed
from hier_ref.training.config import Config
from hier_ref.training.trainer import mean_losses

# Rounding grows tenfold in two epochs; after twenty the picture is still the same on any machine.
CONFIG = Config(
    loss="HYP", embedding=2, proxies=16, batch=24, triplets=10, neighbours=4, epochs=20,
    dtype="float64", start="random", head_scale=0.6, lr_head=2e-2, lr_proxies=3e-2, hier_weight=0.5,
)  # fmt: skip
SHOWN = (0, 4, 20)
CURVES = {
    "metric": ("metric loss", "blue"),
    "hier": ("HIER loss", "orange"),
    "MAP@R": ("MAP@R", "green"),
}
GROUPS = ("blue", "green", "violet", "red")


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return features (96, 16) and classes (96,): 12 classes of eight, in four groups of three."""
    rng = np.random.default_rng(5)
    classes = np.repeat(np.arange(12), 8)
    group = 1.2 * rng.standard_normal((4, 16))
    centre = group[np.arange(12) // 3] + rng.standard_normal((12, 16))
    return centre[classes] + 0.5 * rng.standard_normal((96, 16)), classes


def trained() -> tuple[dict, list]:
    """Train; return points and proxies of the epochs shown, and the measures of every epoch."""
    features, classes = data()
    trainer, shown, history = Trainer(features, classes, CONFIG), {}, []
    while True:
        z = embed(features, trainer.params, CONFIG)
        l = to_ball(trainer.params["proxies"], CONFIG.c, CONFIG.clip)
        if trainer.epoch in SHOWN:
            shown[trainer.epoch] = z, l
        found = rank_gallery(z, classes, z, classes, CONFIG.c, exclude_self=True)
        history.append({"MAP@R": float(found.average_precision.mean())})
        if trainer.epoch == CONFIG.epochs:
            return shown, history
        losses = mean_losses(trainer.run_epoch())
        history[-1] |= losses


def training() -> Picture:
    """Draw the ball at three epochs, and the losses and MAP@R of all."""
    picture = Picture(560, "One head's training: its ball at three epochs, and its curves")
    shown, history = trained()
    group = data()[1] // 3
    for number, (epoch, (z, l)) in enumerate(shown.items()):
        disk = Disk(139 + 276 * number, 140, 130)
        disk.rim(picture)
        for shade, colour in enumerate(GROUPS):
            picture.dots(disk(np.sqrt(CONFIG.c) * z[group == shade]), 3.4, colour)
        for at in disk(np.sqrt(CONFIG.c) * l):
            picture.box(*(at - 4), *(at + 4), "orange")
        picture.text((disk.x, 298), f"epoch {epoch}", "ink", 16)
    text = "dots: images, a colour for each group of three classes; squares: proxies"
    picture.text((415, 326), text, "grey", 15)
    epochs = np.arange(len(history))
    for column, (name, (title, colour)) in enumerate(CURVES.items()):
        values = np.array([row.get(name, np.nan) for row in history])
        at = ~np.isnan(values)
        top = float(np.ceil(5 * values[at].max()) / 5)
        left = 60 + 276 * column
        axes = Axes(left, 370, left + 200, 500, (0, CONFIG.epochs), (0, top))
        axes.draw(picture, (0, 5, 10, 15, 20), (0, round(top / 2, 2), top), "epoch", title)
        picture.line(axes(np.stack([epochs[at], values[at]], axis=1)), colour, 2.2)
    return picture
