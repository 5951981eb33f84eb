"""Ctrl-C while a command is still being imported: it ends at once, without a traceback."""

import signal
import sys


def end_silently() -> None:
    """Let an interrupt end the process, where `python -m hier_ref...` has just begun."""
    starting = sys.argv[:1] == ["-m"]  # what runpy leaves there until the module is found
    ours = any(word.removeprefix("-m").split(".")[0] == "hier_ref" for word in sys.orig_argv)
    if starting and ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def restore_interrupts() -> None:
    """Make an interrupt KeyboardInterrupt again, now that somebody catches it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
