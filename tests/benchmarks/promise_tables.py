"""Turn what trade.py, depth.py and released_tree.py measured into the tables of the chapters.

    python tests/benchmarks/promise_tables.py

Writes each table between its marks in docs/15-does-hier-help.md and docs/appendix-trade.md; a test
compares them.
"""

from functools import cache
from pathlib import Path

import depth
import numpy as np
import released_tree
import trade
import trade_tables
from marks import filled
from numpy.typing import NDArray
from trade_plan import TEST

DOCS = trade.RESULTS.parent
CHAPTERS = ("15-does-hier-help.md", "appendix-trade.md")


@cache
def images() -> NDArray:
    """Return how many images each class of the test half has (C,)."""
    return np.unique(trade.prepared(TEST)[2].part("test").labels, return_counts=True)[1]


TABLES = {
    "front": lambda: trade_tables.table_front(trade.read(trade.RESULTS), images()),
    "trials": lambda: trade_tables.table_trials(trade.read(trade.RESULTS)),
    "levels": lambda: depth.table_levels(trade.read(depth.RESULTS)),
    "kept": lambda: depth.table_kept(trade.read(depth.RESULTS)),
    "radius": lambda: depth.table_radius(trade.read(depth.RESULTS)),
    "released": lambda: released_tree.table(trade.read(released_tree.RESULTS)),
}


def main(docs: Path = DOCS) -> None:
    """Write the tables into the chapters."""
    for path in (docs / name for name in CHAPTERS):
        path.write_text(filled(path.read_text(), "promise", lambda name: TABLES[name]()))


if __name__ == "__main__":
    main()
