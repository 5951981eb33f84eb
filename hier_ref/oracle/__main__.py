"""`python -m hier_ref.oracle check my_loss.py:loss --adapter torch`."""

import sys

from hier_ref.oracle.watch import start

if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
