"""The hierarchy that was found: read it from the ball, score it, write it down.

`structure` is the tree itself, `reading` makes one of points and proxies, `scores` compares it
with known levels, `export` writes it, `report` is the command. Chapter:
docs/12-reading-the-hierarchy.md.
"""

from hier_ref.tree.reading import RULES, lca, read_tree
from hier_ref.tree.structure import Tree, join

__all__ = ["RULES", "Tree", "join", "lca", "read_tree"]
