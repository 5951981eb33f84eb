"""How far long work is and how long it still takes: a running line on a terminal."""

import sys
import time


class Progress:
    """The time that work takes, by the parts of it that are done."""

    def __init__(self, left: float):
        """Start the clock, with so many parts left."""
        self.total, self.done, self.start = left, 0.0, time.monotonic()

    def step(self, doing: str, more: str = "", parts: float = 1) -> None:
        """Count some parts as done and show it, with the time left."""
        self.done += parts
        self._show(f"{doing}{self}{more}")

    def expect(self, left: float) -> None:
        """Correct how many parts are left, and clear the running line."""
        self.total = self.done + left
        self._show("")

    def _show(self, text: str) -> None:
        if sys.stderr.isatty():
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
