"""RELEASED reproduces what the authors' released code measured; no other reading does."""

import dataclasses

import numpy as np
import parity
import pytest
from checks import limit

from hier_ref.convention import EXACT, RELEASED, Convention
from hier_ref.hier import to_ball
from hier_ref.released import arithmetic as released
from hier_ref.released import maps as released_maps
from hier_ref.retrieval.recall import first_hit_rank, rank_gallery, recall_from_ranks

FIELDS = [field.name for field in dataclasses.fields(Convention)]

# Where both presets agree, the other value.
OTHER = {
    "curvature_dtype": "float32",
    "same_class_first": False,
    "noise_tempered": True,
    "proxy_may_be_own_ancestor": False,
    "same_lca_mask": False,
    "mean_over": "apart",
    "straight_through": False,
    "max_tie": "first",
}
KS = {"recall_CUB": (1, 2, 4, 8), "recall_Inshop": (1, 10, 20, 30)}


def flipped(name):
    """RELEASED with one field at its exact value or, where the presets agree, at another."""
    value = getattr(EXACT, name)
    return dataclasses.replace(RELEASED, **{name: OTHER.get(name, value)})


def worst(errors):
    """The measurements that are beyond their limits, with how far."""
    found = {what: error for what, error in errors if not error <= 1}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


@pytest.mark.parametrize("space", parity.SPACES)
def test_geometry_and_its_gradients_are_the_released_ones(space):
    """Every function of (C1) (C2) (C3) (C4) (C5) (C9), its gradient by hand or by autograd."""
    golden = parity.load("geometry")
    names = [name for name in parity.MAPS if f"{space}.{name}" in golden]
    assert len(names) == (3 if space == "c0.1_d128" else len(parity.MAPS))
    for name in names:
        assert worst(parity.map_errors(name, space, RELEASED, golden)) == {}


@pytest.mark.parametrize("name", [*parity.HIER, "hier_small_0_float32"])
def test_every_stage_of_the_loss_is_the_released_one(name):
    assert worst(parity.hier_errors(parity.load(name), RELEASED)) == {}


@pytest.mark.parametrize("name", [*parity.HIER, "hier_small_0_float32"])
def test_neighbours_and_replayed_triplets_C10_are_the_released_ones(name):
    """Holds (C10)."""
    assert worst(parity.mining_errors(parity.load(name), RELEASED)) == {}


def test_ties_of_a_maximum_split_as_in_torch():
    assert worst(parity.tie_errors(RELEASED)) == {}


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_is_needed_for_parity(name):
    changed = flipped(name)
    assert getattr(changed, name) != getattr(RELEASED, name), "no other value is known"
    assert next(parity.mismatches(changed), None) is not None


@pytest.mark.parametrize("space", ["c0.1_d2", "c1_d16"])
@pytest.mark.parametrize("name", ["expmap0", "logmap0", "distance0"])
def test_maps_at_exactly_zero(space, name):
    golden, c = parity.load("geometry"), float(space[1:].split("_")[0])
    f, inputs, *_ = parity.MAPS[name]
    zero = np.zeros_like(golden[f"{space}.zero_{name}.grad_{inputs}"])
    got = f(zero, c, RELEASED)
    assert np.array_equal(got, golden[f"{space}.zero_{name}"].reshape(got.shape))


@pytest.mark.parametrize("space", ["c0.1_d2", "c1_d16"])
@pytest.mark.parametrize("scaled", ["riem", "plain"])
def test_to_ball_at_exactly_zero(space, scaled):
    golden, c = parity.load("geometry"), float(space[1:].split("_")[0])
    want = golden[f"{space}.zero_to_ball_clip_{scaled}"]
    convention = (
        RELEASED if scaled == "riem" else dataclasses.replace(RELEASED, riemannian_gradient=False)
    )
    assert np.array_equal(to_ball(np.zeros_like(want), c, 2.3, convention), want)


@pytest.mark.parametrize("space", ["c0.1_d2", "c1_d2", "c0.1_d16", "c1_d16"])
def test_distance_of_equal_points_is_zero_where_the_released_one_is_rounding(space):
    golden, c = parity.load("geometry"), float(space[1:].split("_")[0])
    x = golden[f"{space}.in_x"].astype(float)
    d = released.pairwise_distance(x, x, c, RELEASED)
    assert np.all(np.diag(d) == 0)
    # Theirs is not, as |(-x) + x| rounds: artanh carries that to below 1e-9 of a unit.
    assert np.max(np.abs(golden[f"{space}.same_distance"])) < 1e-9


def test_midpoint_of_one_point_is_the_point():
    x = parity.load("geometry")["c1_d2.in_x"][:3].astype(float)
    assert parity.apart(released_maps.midpoint(x[None], 1.0, EXACT), x) <= limit("parity")


def sets(golden, space, protocol, dtype):
    """Query and gallery of one protocol: the 300 points, or 100 and the other 200."""
    z = golden["z" if space == "ball" else "unit"].astype(dtype)
    y, cut = golden["labels"], (0, 0) if protocol.startswith("self") else (100, 100)
    query, gallery = (slice(None), slice(None)) if cut == (0, 0) else (slice(100), slice(100, None))
    return z[query], y[query], z[gallery], y[gallery], 0.1 if space == "ball" else 0.0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("space", ["ball", "cosine"])
@pytest.mark.parametrize("protocol", ["self", "self_found", "apart", "apart_by_index"])
def test_ranks_and_recall_are_the_released_ones(space, protocol, dtype):
    golden = parity.load("recall")
    arguments = sets(golden, space, protocol, dtype)
    if protocol == "apart_by_index":
        ranks = rank_gallery(*arguments, False, released_inshop_index=True).rank
    else:
        ranks, _ = first_hit_rank(*arguments, protocol == "self")
    key = f"{space}.{protocol}.{dtype}"
    assert np.array_equal(ranks, golden[f"{key}.rank"])
    for name, ks in KS.items():
        found = recall_from_ranks(ranks, ks)
        assert list(found.values()) == golden[f"{key}.{name}"].tolist()
