"""Watch a candidate from another process, so that every run ends, and with the right exit code.

A signal stops Python code that takes too long. Compiled code does not listen to it, and code that
ends the process leaves nobody to tell. So the command runs in a child that says what it is about
to do, and the parent waits: no longer than the limit.
"""

import multiprocessing
import signal
import sys
from argparse import Namespace

from hier_ref.oracle.command import ACTIONS, NOTHING, broken, run
from hier_ref.oracle.options import parse

GRACE = 2.0  # seconds that the signal within the child is given
IMPORT = 60.0  # least limit for importing a framework


def start(argv: list[str]) -> int:
    """Run a command; return its exit code. What runs a candidate runs in a child process."""
    args = parse(argv, ACTIONS)
    if not isinstance(args, Namespace):
        return args
    return watched(args) if getattr(args, "candidate", None) else run(args)


def watched(args: Namespace) -> int:
    """Run a command in a child; report it if it hangs or ends before it has said its exit code."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(args, theirs))
    child.start()
    theirs.close()
    doing: str | int = ""
    try:
        while isinstance(doing, str):
            if not ours.poll(_limit(doing, args)):
                return broken(args, f"{doing}: no answer within {args.time_limit:g} s; stopped")
            doing = ours.recv()
        child.join(GRACE)  # threads of the candidate may live on
        return doing
    except EOFError:
        child.join()
        code = child.exitcode
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        return broken(args, f"{doing or 'afterwards'}: ends the process ({how})")
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    finally:
        child.kill()
        child.join()


def _limit(doing: str, args: Namespace) -> float | None:
    if not args.time_limit or doing == NOTHING:
        return None
    least = IMPORT if doing.startswith("import") else 0.0
    return max(least, args.time_limit) + GRACE


def _work(args: Namespace, pipe) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's to tell
    code = run(args, pipe.send)
    sys.stdout.flush()
    sys.stderr.flush()
    pipe.send(code)
