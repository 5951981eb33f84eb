"""Standard streams that never decide how a command ends.

A terminal that lacks a character, a reader that has gone or a stream that was closed is no fault
of the candidate: what cannot be shown is replaced or dropped, and the exit code stays.
"""

import io
import os
import sys
from typing import Any, TextIO


class Sink(io.FileIO):
    """A file that goes on as if it had written where nobody reads any more."""

    def write(self, data: Any) -> int:
        """Write some bytes; return how many, all of them where it fails."""
        try:
            return super().write(data)
        except OSError:
            return len(data)


def prepare_streams() -> None:
    """Make standard output and standard error take every text, whatever they lead to."""
    while (lowest := os.open(os.devnull, os.O_RDWR)) <= 2:  # those that were closed
        os.set_inheritable(lowest, True)
    os.close(lowest)
    sys.stdin = sys.stdin or open(os.devnull)
    sys.stdout, sys.stderr = (
        _lasting(each, number) for number, each in ((1, sys.stdout), (2, sys.stderr))
    )


def _lasting(stream: TextIO | None, number: int) -> TextIO:
    if stream is not None:
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(Sink(number, "w", closefd=False)),
        encoding=stream.encoding if stream else "utf-8",
        errors="replace" if number == 1 else "backslashreplace",
        line_buffering=True,
    )
