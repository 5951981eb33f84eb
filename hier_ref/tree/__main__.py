"""`python -m hier_ref.tree --run runs/x`."""

from hier_ref.command import run_command
from hier_ref.tree.report import main

if __name__ == "__main__":
    run_command(main)
