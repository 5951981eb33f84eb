"""What the commands share: a mistake of the user is one line and exit code 2, no traceback."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """A parser that takes options by their full names and leaves its complaints to `run_command`.

    The lines of the description and the epilog stay as they were written.
    """

    def __init__(self, **options):
        """Take what ArgumentParser takes."""
        form = argparse.RawDescriptionHelpFormatter
        super().__init__(allow_abbrev=False, formatter_class=form, **options)

    def error(self, message: str) -> NoReturn:
        """Raise ValueError, where ArgumentParser prints its usage too."""
        raise ValueError(f"{message}; all options: {self.prog} --help")


def run_command(main: Callable[[list[str] | None], None]) -> None:
    """Run `main`; turn what it refuses into one line on standard error and exit code 2.

    An interrupt ends with 130, as shells expect. Everything else is a fault of the program and
    keeps its traceback.
    """
    try:
        main(None)
    except (ValueError, OSError, MemoryError) as error:
        print(f"error: {' '.join(str(error).split()) or 'out of memory'}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as interrupt:
        print("\ninterrupted", *interrupt.args, sep="; ", file=sys.stderr)
        sys.exit(130)
