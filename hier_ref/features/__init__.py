"""The features file: its `contract`, the `arrays` in it, and `foreign` files in its place."""

from hier_ref.features.contract import (
    CONTRACT,
    Features,
    FeaturesError,
    default_features,
    half_split,
    read_features,
)

__all__ = [
    "CONTRACT",
    "Features",
    "FeaturesError",
    "default_features",
    "half_split",
    "read_features",
]
