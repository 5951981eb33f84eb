"""Candidates on several machines: split a case over ranks, run them, reduce what they answer.

An all-gather implementation gives each rank its own rows of the batch; proxies, triplets and noise
are everyone's, and triplets index the gathered batch. No framework is needed here: a rank is any
function of a `Share`. Described in docs/14-porting.md.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hier_ref.oracle.case import Case
from hier_ref.oracle.run import Candidate, Stages

REDUCTIONS = ("sum", "mean")
OWN_ROWS = ("z", "grad_x", "grad_z")  # a rank gives those of its own rows


class Share(NamedTuple):
    """What one rank is given: a case whose x and labels are its own rows, and who it is."""

    case: Case
    rank: int
    world_size: int


def split_case(case: Case, world_size: int) -> list[Share]:
    """Split the batch of a case over ranks, in order; the first ranks get one row more.

    Rows of rank r: B // world_size of them, and one more where r < B % world_size; maybe none.
    """
    if world_size < 1:
        raise ValueError(f"world_size {world_size}: expected at least 1")
    rows = np.array_split(np.arange(len(case.x)), world_size)
    return [
        Share(replace(case, x=case.x[own], labels=case.labels[own]), rank, world_size)
        for rank, own in enumerate(rows)
    ]


def reduce_answers(answers: Sequence[Mapping[str, NDArray]], reduction: str) -> Stages:
    """Return the answer that the ranks give together, as an optimiser would see it.

    Every rank holds all parameters; its gradient in those rows of x that are not its own is 0.
    Gradients and losses are summed over ranks, and divided by their number for the reduction
    "mean". Other stages must agree on all ranks; ValueError where they do not.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction {reduction!r}: expected one of {', '.join(REDUCTIONS)}")
    stages: Stages = {}
    for name in answers[0]:
        parts = [np.asarray(answer[name]) for answer in answers]
        if name in OWN_ROWS:
            stages[name] = np.concatenate(parts)
        elif name.startswith(("grad_", "loss")):
            stages[name] = np.sum(parts, axis=0)
        elif all(np.array_equal(part, parts[0]) for part in parts):
            stages[name] = parts[0]
        else:
            raise ValueError(f"ranks disagree about stage {name}")
        if reduction == "mean" and name.startswith(("grad_", "loss")):
            stages[name] = stages[name] / stages[name].dtype.type(len(answers))
    return stages


def distributed_adapter(
    run: Callable[[list[Share]], Sequence[Mapping[str, NDArray]]],
    world_size: int,
    reduction: str,
) -> Candidate:
    """Turn what runs on ranks into a candidate for `check`.

    run: takes the shares of a case, returns the ranks' answers in order, each with "loss",
    "grad_x" (own rows, D) and "grad_proxies" (P, D); `Ranks` is one. reduction: how the
    implementation combines gradients over ranks, "sum" or "mean" (DistributedDataParallel).
    """
    return lambda case: reduce_answers(run(split_case(case, world_size)), reduction)


class Ranks:
    """One process for each rank, alive as long as the `with` block; called with shares.

    function: importable, called as function(share) in each process. start: importable, called
    there once before, as start(rank, world_size, folder), with a fresh folder for the ranks to
    meet in. A rank that raises, dies or takes longer than `seconds` ends them all, with an error
    that names it; the next call starts new ones.
    """

    def __init__(
        self,
        function: Callable[[Share], Mapping[str, NDArray]],
        world_size: int,
        start: Callable[[int, int, str], None] | None = None,
        seconds: float = 60.0,
    ):
        self.function, self.world_size = function, world_size
        self.start, self.seconds = start, seconds
        self.processes: list = []
        self.pipes: list = []

    def __enter__(self) -> "Ranks":
        """Start the processes."""
        self([])
        return self

    def __exit__(self, *_: object) -> None:
        """End them."""
        self.close()

    def __call__(self, shares: Sequence[Share]) -> list[Mapping[str, NDArray]]:
        """Hand every rank its share and return the answers in order; no shares: only start."""
        try:
            if not self.processes:
                with tempfile.TemporaryDirectory() as folder:
                    self._launch(folder)
                    self._answers()  # each says that it is there
            for pipe, share in zip(self.pipes, shares, strict=bool(shares)):
                pipe.send(share)
            return self._answers() if shares else []
        except BaseException:
            self.close()
            raise

    def _launch(self, folder: str) -> None:
        fresh = multiprocessing.get_context("spawn")
        for rank in range(self.world_size):
            here, there = fresh.Pipe()
            started = (there, self.function, self.start, rank, self.world_size, folder)
            process = fresh.Process(target=_serve, args=started, daemon=True)
            process.start()
            there.close()  # so that reading here ends when the process does
            self.processes.append(process)
            self.pipes.append(here)

    def _answers(self) -> list:
        answers: dict[int, Mapping[str, NDArray]] = {}
        end = time.monotonic() + self.seconds
        while len(answers) < self.world_size:
            waiting = [rank for rank in range(self.world_size) if rank not in answers]
            ready = wait([self.pipes[r] for r in waiting], max(0.0, end - time.monotonic()))
            if not ready:
                late = ", ".join(map(str, waiting))
                raise TimeoutError(f"no answer of rank {late} within {self.seconds:g} s")
            for rank in (r for r in waiting if self.pipes[r] in ready):
                answers[rank] = self._answer(rank)
        return [answers[rank] for rank in range(self.world_size)]

    def _answer(self, rank: int) -> Mapping[str, NDArray]:
        try:
            fine, answer = self.pipes[rank].recv()
        except (EOFError, ConnectionError):
            raise RuntimeError(f"rank {rank} died") from None
        if not fine:
            raise RuntimeError(f"rank {rank} raises {answer}")
        return answer

    def close(self) -> None:
        """End the processes; those that do not end by themselves are killed."""
        for pipe in self.pipes:
            pipe.close()  # whoever waits for a share ends
        for process in self.processes:
            process.join(1.0)
            process.kill()
            process.join()
        self.processes, self.pipes = [], []


def _serve(
    pipe: Connection,
    function: Callable,
    start: Callable | None,
    rank: int,
    world_size: int,
    folder: str,
) -> None:
    """Answer shares until there are no more."""
    try:
        if start is not None:
            start(rank, world_size, folder)
        answer = None
        while True:
            pipe.send((True, answer))
            try:
                share = pipe.recv()
            except EOFError:
                return
            answer = function(share)
    except Exception as error:
        pipe.send((False, f"{type(error).__name__}: {error}"))
