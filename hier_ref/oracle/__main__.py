"""`python -m hier_ref.oracle check my_loss.py:loss --adapter torch`."""

import sys

if __name__ == "__main__":
    from hier_ref.interrupts import restore_interrupts
    from hier_ref.oracle.streams import prepare_streams
    from hier_ref.oracle.watch import start

    restore_interrupts()  # until now an interrupt has ended the imports, as in other commands
    prepare_streams()
    sys.exit(start(sys.argv[1:]))
