"""Adapters for torch and JAX on small functions of a user, where every number is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from hier_ref.oracle import check, load_suite, reference
from hier_ref.oracle.adapters import jax_adapter, torch_adapter

ENTRY = load_suite()[0]
DTYPES = ["float64", "float32"]


def frozen(entry):
    """The loss as a plane through its value and gradients: what a right port gives at one case."""
    right = reference(entry.case)

    def torch_loss(x, proxies, case):
        gx, gp = (torch.as_tensor(right[f"grad_{n}"], dtype=x.dtype) for n in ("x", "proxies"))
        moved = (gx * (x - x.detach())).sum() + (gp * (proxies - proxies.detach())).sum()
        return moved + float(right["loss"])

    def jax_loss(x, proxies, case):
        gx, gp = (jnp.asarray(right[f"grad_{n}"], x.dtype) for n in ("x", "proxies"))
        still = jax.lax.stop_gradient
        moved = jnp.sum(gx * (x - still(x))) + jnp.sum(gp * (proxies - still(proxies)))
        return moved + float(right["loss"])

    return {"torch": torch_adapter(torch_loss), "jax": jax_adapter(jax_loss)}


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_gives_the_gradients_of_the_loss(dtype):
    report = check(frozen(ENTRY)["torch"], [ENTRY], dtypes=(dtype,))
    assert (report.verdict, report.troubles, report.notes) == ("conforms", [], [])
    assert {f.stage for f in report.findings} == {"loss", "grad_x", "grad_proxies"}


def seen_by(adapter, returned):
    """What an adapter makes of a function that returns a loss and stages."""
    seen = {}

    def fn(x, proxies, case):
        seen.update(x=x, proxies=proxies, case=case)
        return returned(x, proxies, case)

    return adapter(fn)(ENTRY.case.astype("float32")), seen


def test_torch_gives_gradients_of_supplied_stages_that_the_loss_uses():
    def returned(x, proxies, case):
        z, l = 2 * x, 3 * proxies
        d_zl = z @ l.T
        unused, detached = z @ z.T, l.detach()
        return (d_zl**2).sum() / 2, {"z": z, "d_zl": d_zl, "d_ll": unused, "l": detached}

    found, seen = seen_by(torch_adapter, returned)
    assert set(found) == {"loss", "z", "l", "d_zl", "d_ll"} | {
        "grad_x",
        "grad_proxies",
        "grad_z",
        "grad_d_zl",
    }
    np.testing.assert_array_equal(found["grad_d_zl"], found["d_zl"])
    np.testing.assert_allclose(found["grad_x"], 2 * found["grad_z"], rtol=1e-6)
    assert all(isinstance(value, np.ndarray) for value in found.values())
    case = seen["case"]
    assert case.x is seen["x"] and case.x.dtype == torch.float32
    assert case.triplets_data.dtype == torch.int64 and torch.is_tensor(case.gumbel_proxy[1])


def test_torch_takes_a_loss_that_depends_on_nothing_as_gradient_0():
    found, _ = seen_by(torch_adapter, lambda x, proxies, case: torch.tensor(0.0))
    assert not found["grad_x"].any() and found["grad_proxies"].shape == ENTRY.case.proxies.shape
    found, _ = seen_by(torch_adapter, lambda x, proxies, case: x.sum())
    assert found["grad_x"].all() and not found["grad_proxies"].any()


def test_gradients_that_a_user_supplies_are_kept():
    mine = np.ones_like(ENTRY.case.x)
    for adapter in (torch_adapter, jax_adapter):
        found, _ = seen_by(adapter, lambda x, proxies, case: (x.sum(), {"grad_x": mine * 7}))
        np.testing.assert_array_equal(found["grad_x"], mine * 7)


@pytest.mark.parametrize("adapter", [torch_adapter, jax_adapter])
def test_what_is_no_mapping_beside_the_loss_is_said(adapter):
    report = check(adapter(lambda x, proxies, case: (x.sum(), 3)), [ENTRY])
    said = "raises TypeError: int beside the loss: expected a mapping of stages"
    assert (report.code, report.troubles[0]) == (4, f"std-00 float64: {said}")


def test_torch_inputs_that_are_written_to_are_found():
    def writes(x, proxies, case):
        case.gumbel_data[0].zero_()
        return x.sum()

    report = check(torch_adapter(writes), [ENTRY])
    assert report.troubles[0] == "std-00 float64: changes its input gumbel_data_pair"


@pytest.mark.parametrize("dtype", DTYPES)
def test_jax_runs_in_the_dtype_that_is_asked_and_leaves_it_as_it_was(dtype):
    before = jax.config.jax_enable_x64
    dtypes = set()

    def fn(x, proxies, case):
        dtypes.update({x.dtype, proxies.dtype, case.gumbel_data[0].dtype})
        return jnp.sum(x**2) + jnp.sum(proxies), {"z": x}

    case = ENTRY.case.astype(dtype)
    found = jax_adapter(fn)(case)
    assert dtypes == {np.dtype(dtype)} == {found["loss"].dtype, found["z"].dtype}
    np.testing.assert_allclose(found["grad_x"], 2 * case.x, rtol=1e-6)
    np.testing.assert_array_equal(found["grad_proxies"], 1)
    assert jax.config.jax_enable_x64 == before


def test_jax_conforms_where_it_gives_the_right_numbers():
    report = check(frozen(ENTRY)["jax"], [ENTRY])
    assert (report.verdict, report.troubles, report.notes) == ("conforms", [], [])


TORCH = {
    "none": lambda x, proxies, case: None,
    "list": lambda x, proxies, case: [x.sum(), {}],
    "dict": lambda x, proxies, case: {"loss": x.sum()},
    "float": lambda x, proxies, case: 1.5,
    "numpy": lambda x, proxies, case: x.sum().detach().numpy(),
    "three": lambda x, proxies, case: (x.sum(), x, proxies),
    "shape": lambda x, proxies, case: x.sum().reshape(1),
    "bfloat16": lambda x, proxies, case: x.sum().bfloat16(),
}
SAID = {
    "none": "returns NoneType: expected the loss as a",
    "list": "returns list of 2: expected the loss as a",
    "dict": "returns dict of 1: expected the loss as a",
    "float": "returns float 1.5: expected the loss as a",
    "numpy": "returns ndarray: expected the loss as a",
    "three": "returns tuple of 3: expected the loss as a",
    "shape": "returns a loss of shape (1,): expected one number, ()",
    "bfloat16": "loss is bfloat16: expected float32 or float64",
}


@pytest.mark.parametrize("name", TORCH)
def test_what_a_torch_candidate_returns_is_said(name):
    report = check(torch_adapter(TORCH[name]), [ENTRY], dtypes=("float64",))
    assert (report.code, SAID[name] in report.troubles[0]) == (4, True), report.troubles


@pytest.mark.parametrize("name", ["none", "list", "dict", "float", "three", "shape"])
def test_what_a_jax_candidate_returns_is_said(name):
    report = check(jax_adapter(TORCH[name]), [ENTRY], dtypes=("float64",))
    assert (report.code, SAID[name] in report.troubles[0]) == (4, True), report.troubles


def test_a_sparse_gradient_is_a_gradient():
    def fn(x, proxies, case):
        index = torch.arange(len(proxies))
        return x.sum() + torch.nn.functional.embedding(index, proxies, sparse=True).sum()

    found = torch_adapter(fn)(ENTRY.case)
    np.testing.assert_array_equal(found["grad_proxies"], 1)


def test_jit_takes_a_whole_case():
    def fn(x, proxies, case):
        chosen = x[case.triplets_data[:, 0]] * float(case.c)
        return jnp.sum(chosen) + jnp.sum(proxies) * case.margin

    found, jitted = (jax_adapter(f)(ENTRY.case) for f in (fn, jax.jit(fn)))
    for name, value in found.items():
        np.testing.assert_allclose(jitted[name], value, rtol=1e-12)
