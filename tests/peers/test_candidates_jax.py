"""A jitted JAX HIER as a user would write it: the oracle passes it, and names planted mistakes."""

import jax
import jax.numpy as jnp
import pytest
from candidates import jax_hier
from candidates.benign import REARRANGED, under
from candidates.jax_hier import EXACT, RELEASED, candidate

from hier_ref import convention
from hier_ref.oracle import check, fingerprint, load_suite

PORTS = {"EXACT": EXACT, "RELEASED": RELEASED}


@pytest.mark.parametrize("name", PORTS)
def test_conforms_in_both_dtypes_and_is_fingerprinted(name):
    port, declared = candidate(PORTS[name]), getattr(convention, name)
    report = check(port, convention=declared)
    assert (report.verdict, report.code, report.notes) == ("conforms", 0, [])
    assert {finding.dtype for finding in report.findings} == {"float32", "float64"}
    best = fingerprint(port)[0]
    assert best.explains
    assert best.convention == declared


@pytest.mark.parametrize("rearranged", REARRANGED)
@pytest.mark.parametrize("name", PORTS)
def test_conforms_in_any_order_and_in_other_axes(name, rearranged):
    port = under(candidate(PORTS[name]), rearranged)
    report = check(port, load_suite()[1::3], convention=getattr(convention, name))
    assert (report.verdict, report.failed()) == ("conforms", [])


def test_one_compilation_serves_every_batch_of_a_dtype():
    port = candidate(EXACT)
    port(load_suite()[0].case.astype("float32"))
    compiled = jax_hier.step._cache_size()
    sizes = {entry.case.x.shape for entry in load_suite()}
    for entry in load_suite():
        port(entry.case.astype("float32"))
    assert len(sizes) > 1
    assert jax_hier.step._cache_size() == compiled


def compiled_anew():
    """The step under jit as another function, so that nothing compiled before is used."""
    step = jax_hier.step.__wrapped__
    return jax.jit(lambda *inputs: step(*inputs), static_argnums=3)


def test_a_choice_without_straight_through_is_named(monkeypatch):
    def hard(far, gumbel, tau):
        lca = jnp.argmax(gumbel - far / tau, axis=1)
        return jnp.equal(lca[:, None], jnp.arange(far.shape[1])).astype(far.dtype), lca

    monkeypatch.setattr(jax_hier, "choose", hard)
    monkeypatch.setattr(jax_hier, "step", compiled_anew())
    report = check(candidate(EXACT), load_suite()[:3], dtypes=["float64"])
    assert (report.verdict, report.first) == ("another convention", "grad_x")
    assert list(report.explanations[0].differences) == ["straight_through"]


def test_square_root_of_0_without_a_guard_is_reported_as_nan(monkeypatch):
    monkeypatch.setattr(jax_hier, "root", jnp.sqrt)
    monkeypatch.setattr(jax_hier, "step", compiled_anew())
    report = check(candidate(EXACT), load_suite()[:1], dtypes=["float64"])
    assert report.verdict == "no usable answer"
    assert "nan" in report.troubles[0]
