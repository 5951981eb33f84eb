"""Watch a candidate from another process, so that every run ends, and with the right exit code.

A signal stops Python code that takes too long. Compiled code does not listen to it, and code that
ends the process leaves nobody to tell. So the command runs in a child that says what it is about
to do, and the parent waits: no longer than the limit.
"""

import multiprocessing
import signal
import sys
from argparse import Namespace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from hier_ref.oracle.command import ACTIONS, NOTHING, broken, run
from hier_ref.oracle.options import parse
from hier_ref.oracle.streams import prepare_streams

GRACE = 2.0  # seconds that the signal within the child is given
IMPORT = 60.0  # least limit for importing a framework


def start(argv: list[str]) -> int:
    """Run a command; return its exit code. What runs a candidate runs in a child process."""
    try:
        args = parse(argv, ACTIONS)
        if not isinstance(args, Namespace):
            return args
        return watched(args) if getattr(args, "candidate", None) else run(args)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130


def watched(args: Namespace) -> int:
    """Run a command in a child; report it if it hangs or ends before it has said its exit code."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(args, theirs))
    doing: str | int = ""
    try:
        _start_deaf(child)
        theirs.close()
        while isinstance(doing, str):
            if not ours.poll(_limit(doing, args)):
                return broken(args, f"{doing}: no answer within {args.time_limit:g} s; stopped")
            doing = ours.recv()
        child.join(GRACE)  # threads of the candidate may live on
        return doing
    except EOFError:
        child.join()
        code = child.exitcode or 0
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        return broken(args, f"{doing or 'afterwards'}: ends the process ({how})")
    finally:
        if child.pid:
            child.kill()
            child.join()


def _start_deaf(child: BaseProcess) -> None:
    """Start a process that ignores interrupts from its first line: they are the parent's to tell.

    While it starts they wait, if the system can make them wait. What multiprocessing starts beside
    the first child lets them through again when it runs, so it goes first.
    """
    if not hasattr(signal, "pthread_sigmask"):
        child.start()
        return
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        child.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _limit(doing: str, args: Namespace) -> float | None:
    if not args.time_limit or doing == NOTHING:
        return None
    least = IMPORT if doing.startswith("import") else 0.0
    return max(least, args.time_limit) + GRACE


def _work(args: Namespace, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where none could be blocked
    prepare_streams()
    code = run(args, pipe.send)
    sys.stdout.flush()
    sys.stderr.flush()
    pipe.send(code)
