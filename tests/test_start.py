"""What a command loads before it has anything to do; seconds: `tests/benchmarks/start.py`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Each takes as long to import as NumPy or several times as long, and help needs none. After
# `import scipy` SciPy loads a part when it is first named, `from scipy import linalg` at once.
HEAVY = {
    *("scipy.cluster", "scipy.linalg", "scipy.sparse", "scipy.spatial", "scipy.special"),
    *("autograd.scipy", "scipy.stats", "numpy.testing", "jax", "pandas", "sklearn", "torch"),
}
LOOK = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "


def loaded(code, *words):
    """Names of the modules that Python has when it ends."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    command = [sys.executable, "-c", LOOK + code, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("module", ["train", "evaluate", "tree", "oracle"])
def test_help_loads_nothing_that_takes_long(module):
    run = f"import runpy; runpy.run_module('hier_ref.{module}', run_name='__main__')"
    found = loaded(run, "--help")
    assert {"numpy", "scipy", "autograd"} <= found
    assert found & HEAVY == set()


def test_a_module_that_is_loaded_late_is_seen():
    assert "scipy.special" in loaded("import scipy; scipy.special.erfc")
