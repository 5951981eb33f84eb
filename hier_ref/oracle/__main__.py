"""`python -m hier_ref.oracle check my_loss.py:loss --adapter torch`."""

import sys

if __name__ == "__main__":
    try:
        from hier_ref.oracle.streams import prepare_streams
        from hier_ref.oracle.watch import start
    except KeyboardInterrupt:  # before there is anything to interrupt
        sys.exit(130)
    prepare_streams()
    sys.exit(start(sys.argv[1:]))
