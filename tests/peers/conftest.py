"""Import the peers whose own import warns; the suite turns every other warning into an error."""

import warnings

import torch

with warnings.catch_warnings():
    # geoopt 0.5.1 compiles a helper with torch.jit.script, which torch has deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    import geoopt  # noqa: F401

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # The compiled half of a torchvision for GPUs does not load with the torch for CPUs. timm needs
    # the other half alone, whose import asks for nothing but the names of two operators.
    detection = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        detection.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
