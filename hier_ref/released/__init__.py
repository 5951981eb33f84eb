"""What the authors' code computes: its `arithmetic`, the `maps` off HIER's path, its `mining`."""
