"""The network that turns images into numbers: one of timm's, by its name there."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from images import CROP, SHORT_SIDE
from numpy.typing import NDArray

MISSING = "expected torch, torchvision and timm, which pip install '.[extract]' brings"


class Backbone(NamedTuple):
    """A function from images (B, 3, crop, crop) to features (B, F), and the input it takes."""

    embed: Callable[[NDArray[np.float32]], NDArray]
    crop: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    identity: dict[str, str]  # equal for two backbones that return the same bytes

    def __str__(self) -> str:
        short = round(self.crop * SHORT_SIDE / CROP)
        mean, std = (" ".join(f"{value:g}" for value in each) for each in (self.mean, self.std))
        resize = f"short side {short} (bicubic), centre {self.crop}"
        return f"{self.identity['backbone']}; {resize}; mean {mean}, std {std}"


def load_backbone(name: str, weights: Path | None = None, device: str | None = None) -> Backbone:
    """Return a timm model without its classifier, with timm's weights or those of a file.

    Without a device, the GPU where there is one. Crop, mean and std are those of timm's data
    config: mean and std 0.5 for most ViTs, ImageNet's for most others.
    Raises ValueError, in one line, where a package, the name, the file or the device is wrong.
    """
    try:
        import timm
        import torch
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision of another torch
        raise ValueError(f"cannot import timm ({error}); {MISSING}") from None
    if not timm.is_model(name):
        raise ValueError(f"--backbone {name}: no model of timm {timm.__version__}")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    model = _create(timm, name, weights).eval()
    digest = _digest(model)
    try:
        model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {device}: {error}") from None
    config = timm.data.resolve_model_data_config(model)
    if config["input_size"][0] != 3:
        raise ValueError(f"--backbone {name}: takes {config['input_size']}, expected RGB images")

    def embed(images: NDArray[np.float32]) -> NDArray:
        try:
            with torch.inference_mode():
                return model(torch.from_numpy(images).to(device)).float().cpu().numpy()
        except torch.cuda.OutOfMemoryError:
            raise MemoryError(f"{device}: out of memory, take a smaller --batch") from None

    identity = {"backbone": name, "weights": digest, "device": device}
    identity |= {"torch": torch.__version__, "timm": timm.__version__}
    return Backbone(embed, config["input_size"][-1], config["mean"], config["std"], identity)


def _create(timm, name: str, weights: Path | None):
    """Return the model; a file may hold the classifier too, and nothing else may differ."""
    wanted = f"{weights}: expected weights of {name}" if weights else "cannot get timm's weights"
    try:
        model = timm.create_model(name, pretrained=weights is None, num_classes=0)
        if weights:
            state = timm.models.load_state_dict(str(weights), weights_only=True)
            classifier = model.pretrained_cfg.get("classifier") or ()
            names = (classifier,) if isinstance(classifier, str) else classifier
            heads = tuple(f"{each}." for each in names)
            model.load_state_dict({k: a for k, a in state.items() if not k.startswith(heads)})
    except Exception as error:  # pickle, safetensors, torch and the hub each have their own
        raise ValueError(f"--backbone {name}: {wanted} ({error})") from None
    return model


def _digest(model) -> str:
    """Return the SHA-256 of all weights, by name."""
    sha = hashlib.sha256()
    for key, tensor in model.state_dict().items():
        sha.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        sha.update(tensor.numpy().tobytes())
    return sha.hexdigest()
