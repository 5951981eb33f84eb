"""How far long work is and how long it still takes: a running line on a terminal."""

import sys
import time


class Progress:
    """The time that work takes, by the parts of it that are done."""

    def __init__(self, left: float, patience: float = 0):
        """Start the clock, with so many parts left; show nothing for the first seconds."""
        self.total, self.done, self.start = left, 0.0, time.monotonic()
        self.patience = patience

    def step(self, doing: str, more: str = "", parts: float = 1) -> None:
        """Count some parts as done and show it, with the time left."""
        self.done += parts
        self._show(f"{doing}{self}{more}")

    def expect(self, left: float) -> None:
        """Correct how many parts are left, and clear the running line."""
        self.total = self.done + left
        self._show("")

    def _show(self, text: str) -> None:
        patient = time.monotonic() - self.start < self.patience
        if sys.stderr.isatty() and not patient:
            print(f"{text}\x1b[K", end="\r", file=sys.stderr, flush=True)

    def __str__(self) -> str:
        if not self.done:
            return ""
        passed = time.monotonic() - self.start
        left = passed / self.done * max(0.0, self.total - self.done)
        return f"  {clock(passed)} passed, {clock(left)} left"


def clock(seconds: float) -> str:
    """Return seconds as minutes:seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
