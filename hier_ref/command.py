"""What the commands share: a mistake of the user is one line and exit code 2, no traceback."""

import sys
from collections.abc import Callable


def run_command(main: Callable[[list[str] | None], None]) -> None:
    """Run `main`; turn what it refuses into one line on standard error and exit code 2.

    An interrupt ends with 130, as shells expect. Everything else is a fault of the program and
    keeps its traceback.
    """
    try:
        main(None)
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)
