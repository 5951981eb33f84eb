"""What the last bits of a result hang on besides the configuration: libraries and processor.

Matrix products are summed in an order that the BLAS chooses for the processor it finds, and for
the number of its threads. Runs record it, so that a difference in the last bits has a cause.
"""

import ctypes
import importlib
import os
import platform
from collections.abc import Callable

import autograd
import numpy as np
import scipy

import hier_ref

# NumPy's own wheels give OpenBLAS's functions a prefix or a suffix, other builds neither.
OPENBLAS = ("scipy_openblas_{}64_", "openblas_{}64_", "scipy_openblas_{}", "openblas_{}")


def versions() -> dict[str, str]:
    """Return the versions of this package, of Python and of the libraries it computes with."""
    found = {"hier_ref": hier_ref.__version__, "python": platform.python_version()}
    found |= {module.__name__: module.__version__ for module in (np, scipy)}
    return found | {"autograd": getattr(autograd, "__version__", "unknown")}


def arithmetic() -> dict[str, object]:
    """Return the processor, its vector extensions that NumPy uses, and the BLAS at work."""
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "processor": platform.machine(),
        "simd": sorted({*simd.get("baseline", ()), *simd.get("found", ())}),
        "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        "blas_kernel": _openblas("get_corename", ctypes.c_char_p, lambda name: name.decode()),
        "blas_threads": _openblas("get_num_threads", ctypes.c_int, int),
        "blas_kernel_asked": os.environ.get("OPENBLAS_CORETYPE", ""),
    }


def _openblas(function: str, result: type, read: Callable) -> object:
    """Ask the OpenBLAS that NumPy has loaded; "unknown" for another BLAS."""
    core = "_core" if int(np.__version__.split(".")[0]) >= 2 else "core"
    try:
        library = ctypes.CDLL(importlib.import_module(f"numpy.{core}._multiarray_umath").__file__)
    except OSError:
        return "unknown"
    for form in OPENBLAS:
        try:
            asked = getattr(library, form.format(function))
        except AttributeError:
            continue
        asked.restype = result
        return read(asked())
    return "unknown"


def differences(recorded: dict) -> list[str]:
    """Say what is another here than `versions` and `arithmetic` were when they were recorded."""
    now = versions() | arithmetic()
    return [
        f"{name} was {recorded.get(name, 'unknown')}, is {value}"
        for name, value in now.items()
        if recorded.get(name) != value
    ]
