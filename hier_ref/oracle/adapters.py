"""Adapters: what users write, turned into what `check` asks: a callable from Case to stages.

Users write `fn(x, proxies, case)`. In torch and JAX it returns the loss, or the loss and a mapping
of stages, and the gradients follow; in NumPy it returns them too. Frameworks are imported when an
adapter is made, not before. Described in docs/13-oracle.md.
"""

import importlib
import importlib.util
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hier_ref.oracle.case import Case
from hier_ref.oracle.files import read_stages, write_case
from hier_ref.oracle.run import Candidate, Stages
from hier_ref.oracle.suite import ARRAY_FIELDS, NOISE_FIELDS, Entry

DIFFERENTIABLE = ("z", "l", "d_zl", "d_ll")  # autograd gives grad_* of these where they are given


class CandidateError(Exception):
    """The candidate's own code fails before it can be asked: one line."""


def numpy_adapter(fn: Callable) -> Candidate:
    """Adapt `fn(x, proxies, case)` -> (loss, grad_x, grad_proxies), or a mapping of stages."""

    def candidate(case: Case) -> Mapping[str, NDArray]:
        given = fn(case.x, case.proxies, case)
        if isinstance(given, Mapping):
            return given
        if not isinstance(given, tuple) or len(given) != 3:
            expected = "expected a mapping or (loss, grad_x, grad_proxies)"
            raise TypeError(f"returns {_said(given)}: {expected}")
        return dict(zip(("loss", "grad_x", "grad_proxies"), given, strict=True))

    return candidate


def torch_adapter(fn: Callable, device: str = "cpu") -> Candidate:
    """Adapt a PyTorch `fn(x, proxies, case)` -> loss, or (loss, {stage: tensor}).

    All arrays of the case are tensors on the device. Autograd gives grad_x and grad_proxies, and
    grad_* of those of z, l, d_zl and d_ll that are returned and that the loss was computed from.
    """
    import torch

    def candidate(case: Case) -> Stages:
        asked = _converted(case, lambda array: torch.from_numpy(array).to(device))
        inputs = {"x": asked.x.requires_grad_(), "proxies": asked.proxies.requires_grad_()}
        loss, stages = _parts(fn(asked.x, asked.proxies, asked), "tensor", torch.is_tensor)
        for name in DIFFERENTIABLE:
            if getattr(stages.get(name), "requires_grad", False):
                inputs[name] = stages[name]
        if loss.requires_grad:
            slopes = torch.autograd.grad(loss, tuple(inputs.values()), allow_unused=True)
        else:  # a loss without triplets may be a plain 0
            slopes = (None,) * len(inputs)
        grads = dict(zip(inputs, slopes, strict=True))
        for name in ("x", "proxies"):
            grads[name] = torch.zeros_like(inputs[name]) if grads[name] is None else grads[name]
        found = {f"grad_{name}": grad for name, grad in grads.items() if grad is not None}
        found |= {"loss": loss, **stages}
        return {n: plain(n, v) if torch.is_tensor(v) else v for n, v in found.items()}

    def plain(name: str, value: Any) -> NDArray:
        if value.dtype == torch.bfloat16:
            raise TypeError(f"{name} is bfloat16: expected float32 or float64")
        return value.detach().to_dense().cpu().numpy()

    return candidate


def jax_adapter(fn: Callable) -> Candidate:
    """Adapt a JAX `fn(x, proxies, case)` -> loss, or (loss, {stage: array}); `fn` may be jitted.

    x and proxies are traced, all other arrays of the case are constants. A case is a pytree: its
    arrays are leaves, its numbers are static, so that `jax.jit(fn)` takes it as it is. float64 is
    switched on while a case in float64 is asked.
    """
    import jax

    _register(jax.tree_util)

    enabled = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64

    def candidate(case: Case) -> Stages:
        with enabled(case.x.dtype == np.float64):
            constants = _converted(case, jax.numpy.asarray)

            def traced(x: Any, proxies: Any) -> tuple:
                given = fn(x, proxies, replace(constants, x=x, proxies=proxies))
                return _parts(given, "JAX array", lambda loss: isinstance(loss, jax.Array))

            both = jax.value_and_grad(traced, argnums=(0, 1), has_aux=True)
            (loss, stages), (grad_x, grad_proxies) = both(constants.x, constants.proxies)
        found = {"loss": loss, "grad_x": grad_x, "grad_proxies": grad_proxies, **stages}
        return {name: np.asarray(value) for name, value in found.items()}

    return candidate


def files_adapter(command: Sequence[str]) -> Candidate:
    """Adapt a program: called with the folder of a case and a folder for its `<stage>.npy`."""

    def candidate(case: Case) -> Stages:
        with tempfile.TemporaryDirectory() as folder:
            question, answer = Path(folder, "case", case.id), Path(folder, "results", case.id)
            write_case(Entry(case, {}), question)
            answer.mkdir(parents=True)
            words = [*command, str(question), str(answer)]
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
            )
            if done.returncode:
                said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
                raise RuntimeError(f"exit code {done.returncode}, saying {said}")
            return read_stages(answer)

    return candidate


def results_adapter(folder: Path) -> Candidate:
    """Adapt results that a program has written before: `<id>/<stage>.npy` in a folder."""
    return lambda case: read_stages(folder / case.id)


ADAPTERS: dict[str, Callable[[Callable], Candidate]] = {
    "numpy": numpy_adapter,
    "torch": torch_adapter,
    "jax": jax_adapter,
    "case": lambda fn: fn,  # takes a Case and returns a mapping: nothing to adapt
}


def load_candidate(name: str, adapter: str = "numpy") -> Candidate:
    """Find a candidate by name: `package.module:function` or `file.py:function`.

    For the adapter "files" the name of a folder of results, or else a command. ValueError where
    there is none of that name, CandidateError where its module raises.
    """
    if adapter == "files":
        if Path(name).is_dir():
            return results_adapter(Path(name))
        words = shlex.split(name)
        program = shutil.which(words[0]) if words else None
        if not program:
            raise ValueError(f"{name!r}: neither a folder of results nor a command")
        return files_adapter([program, *words[1:]])
    module, _, function = name.rpartition(":")
    if not module or not function:
        raise ValueError(f"{name!r}: expected package.module:function or file.py:function")
    found = getattr(_import(module), function, None)
    if not callable(found):
        raise ValueError(f"{name!r}: {module} has no function {function!r}")
    try:
        return ADAPTERS[adapter](found)
    except ModuleNotFoundError as error:
        raise ValueError(f"adapter {adapter}: {error.name} is not installed") from None


def _import(module: str) -> ModuleType:
    path, here = Path(module), module.endswith(".py")
    if here and not path.is_file():
        raise ValueError(f"{module}: no such file")
    folder = str(path.resolve().parent if here else Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        if not here:
            return importlib.import_module(module)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec and spec.loader  # a file of Python has both
        loaded = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(path.stem, loaded)
        spec.loader.exec_module(loaded)
        return loaded
    except (Exception, SystemExit) as error:
        missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        if not here and missing and f"{module}.".startswith(f"{missing}."):
            raise ValueError(f"{module}: no such module") from None
        said = " ".join(str(error).split())[:200]
        raise CandidateError(f"{module} raises {type(error).__name__}: {said}") from error


def _converted(case: Case, convert: Callable) -> Any:
    """Return the case with arrays of another framework, which no type here names."""
    arrays: dict[str, Any] = {name: convert(getattr(case, name)) for name in ARRAY_FIELDS}
    arrays |= {name: tuple(map(convert, getattr(case, name))) for name in NOISE_FIELDS}
    return replace(case, **arrays)


@cache
def _register(tree_util: Any) -> None:
    """Tell JAX, once, which fields of a case are arrays."""
    leaves = [*ARRAY_FIELDS, *NOISE_FIELDS]
    static = [field.name for field in fields(Case) if field.name not in leaves]
    tree_util.register_dataclass(Case, data_fields=leaves, meta_fields=static)


def _parts(given: Any, array: str, is_array: Callable[[object], bool]) -> tuple:
    """Split what a user's function returns into the loss and a mapping of stages."""
    loss, stages = given if isinstance(given, tuple) and len(given) == 2 else (given, {})
    if not isinstance(stages, Mapping):
        raise TypeError(f"{type(stages).__name__} beside the loss: expected a mapping of stages")
    if not is_array(loss):
        expected = f"expected the loss as a {array}, or (loss, {{stage: {array}}})"
        raise TypeError(f"returns {_said(loss)}: {expected}")
    if loss.ndim:
        raise TypeError(f"returns a loss of shape {tuple(loss.shape)}: expected one number, ()")
    return loss, dict(stages)


def _said(given: object) -> str:
    """Name what was returned."""
    kind = type(given).__name__
    if isinstance(given, (int, float)):
        return f"{kind} {given}"
    return f"{kind} of {len(given)}" if isinstance(given, (tuple, list, dict)) else kind
