"""What the commands share: a mistake of the user is one line and exit code 2, no traceback."""

import argparse
import io
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from hier_ref.interrupts import restore_interrupts

LONGEST = 280  # characters of what a refusal says


class Parser(argparse.ArgumentParser):
    """A parser that takes options by their full names and leaves its complaints to `run_command`.

    The lines of the description and the epilog stay as they were written.
    """

    def __init__(self, **options: Any) -> None:
        """Take what ArgumentParser takes."""
        form = argparse.RawDescriptionHelpFormatter
        super().__init__(allow_abbrev=False, formatter_class=form, **options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse the value --, which ArgumentParser would turn into an empty list."""
        for word in sys.argv[1:] if args is None else args:
            if word.startswith("--") and word.endswith("=--"):
                self.error(f"{word}: expected a value")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise ValueError, where ArgumentParser prints its usage too."""
        raise ValueError(f"{message}; all options: {self.prog} --help")


def run_command(main: Callable[[list[str] | None], None]) -> None:
    """Run `main`; turn what it refuses into one line on standard error and exit code 2.

    An interrupt ends with 130 and a reader that has left with 141, as shells expect. Everything
    else is a fault of the program and keeps its traceback.
    """
    prepare_streams()
    try:
        main(None)
        sys.stdout.flush()  # what cannot be written fails here, not after the last line
    except BrokenPipeError:
        silence()
        sys.exit(141)
    except (ValueError, OSError, MemoryError) as error:
        print(f"error: {one_line(str(error)) or 'out of memory'}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as interrupt:
        print("\ninterrupted", *interrupt.args, sep="; ", file=sys.stderr)
        sys.exit(130)


def prepare_streams() -> None:
    """Make both outputs take any text, and let Ctrl-C be an exception again.

    An output that was closed by the caller is None and swallows what is printed; characters that
    its encoding lacks become question marks.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
        elif isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    restore_interrupts()


def silence() -> None:
    """Send what is still to be printed nowhere: Python would fail on it once more at its end."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return text as one line of printable characters, its middle left out where it is long."""
    line = " ".join(text.split())
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    half = (longest - 5) // 2
    return line if len(line) <= longest else f"{line[:half]} ... {line[-half:]}"


def note(text: str) -> None:
    """Print what the user should know, though the command goes on, on standard error."""
    print(f"note: {one_line(text)}", file=sys.stderr)
