"""Pictures with Pillow: a tree in the Poincaré disk, training curves, a sheet of retrieval.

Chapter: docs/16-drawing.md.
"""

from hier_ref.draw.canvas import save_image
from hier_ref.draw.curves import draw_curves
from hier_ref.draw.disk import draw_disk
from hier_ref.draw.layout import layout
from hier_ref.draw.sheet import draw_retrieval

__all__ = ["draw_curves", "draw_disk", "draw_retrieval", "layout", "save_image"]
