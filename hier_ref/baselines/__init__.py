"""What needs no training: maps in `closed_form`, as `embeddings`; and a `verdict` beside them."""

from hier_ref.baselines.embeddings import Embedding, baselines, raw

__all__ = ["Embedding", "baselines", "raw"]
