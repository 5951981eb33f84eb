"""What ranks do in the tests of `hier_ref.oracle.distributed`: importable, as processes need it."""

import os
import time
from pathlib import Path

import numpy as np

FOLDER = []


def start(rank, world_size, folder):
    FOLDER.append(Path(folder))
    (FOLDER[0] / str(rank)).touch()
    while len(list(FOLDER[0].iterdir())) < world_size:
        time.sleep(0.01)


def who(share):
    """The rows of a share, who answers, and from which process."""
    return {"x": share.case.x, "rank": np.array(share.rank), "process": np.array(os.getpid())}


def raise_on_rank_1(share):
    if share.rank == 1:
        raise ValueError("no such proxy")
    time.sleep(600)  # as in a collective that the other never joins


def die_on_rank_1(share):
    if share.rank == 1:
        os._exit(3)
    time.sleep(600)


def hang(share):
    time.sleep(600)
