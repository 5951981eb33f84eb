"""What the authors' code computes: its `arithmetic`, the `maps` off HIER's path, its `mining`."""

from hier_ref.released.arithmetic import ball

__all__ = ["ball"]
