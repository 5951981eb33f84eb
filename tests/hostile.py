"""Candidates that misbehave, each in its own way; all take a Case."""

import os
import warnings

import numpy as np

from hier_ref.oracle import reference


def right(case):
    return reference(case)


def silent(case):
    return None


def empty(case):
    return {}


def raises(case):
    raise KeyError("no such\nkey")


def leaves(case):
    raise SystemExit(0)


def vanishes(case):
    os._exit(0)


def aborts(case):
    os.abort()


def hangs_aloud(case):
    print("hanging", flush=True)
    hangs(case)


def hangs(case):
    while True:
        pass


def hangs_compiled(case):
    return {"loss": sum(range(10**15))}  # one call in C, deaf to signals


def shape(case):
    return reference(case) | {"grad_x": reference(case)["grad_x"].T}


def nan(case):
    return reference(case) | {"d_zl": reference(case)["d_zl"] * np.nan}


def words(case):
    return reference(case) | {"z": "ball"}


def warns(case):
    warnings.warn("this will be faster one day", UserWarning, stacklevel=1)
    return reference(case)


def half(case):
    return {name: np.float16(value) for name, value in reference(case).items() if "_" not in name}


def extra(case):
    return reference(case) | {"speed": 11}


def writes(case):
    stages = reference(case)
    case.triplets_data[:] = 0
    return stages


def restless(case, calls=iter(range(10**6))):  # noqa: B008
    stages = reference(case)
    return stages | {"loss": stages["loss"] * (1 + next(calls))}


def tempered(case):
    from hier_ref.convention import Convention

    return reference(case, Convention(straight_through=False))


def twice(case):
    return reference(case) | {"grad_x": 2 * reference(case)["grad_x"]}


def rough(case):
    stages = reference(case)
    return stages | {"loss": stages["loss"] * (1 + 1e5 * np.finfo(case.x.dtype).eps)}


def loss_only(case):
    return {"loss": reference(case)["loss"]}


def speaks(case):
    print("d(z, l) ≤ 距離 \ud800 ⊕")
    return reference(case)


def interrupts(case):
    raise KeyboardInterrupt


not_a_function = 3
