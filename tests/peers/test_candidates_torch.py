"""A PyTorch HIER as a user would write it: the oracle passes it, and names mistakes planted in it.

On a machine with a GPU each test runs there too.
"""

import pytest
import torch
from candidates import torch_hier
from candidates.benign import REARRANGED, under
from candidates.torch_hier import EXACT, RELEASED, candidate

from hier_ref import convention
from hier_ref.oracle import check, fingerprint, load_suite
from hier_ref.oracle.adapters import torch_adapter

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
PORTS = {"EXACT": EXACT, "RELEASED": RELEASED}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", PORTS)
def test_conforms_in_both_dtypes_with_every_stage(name, device):
    report = check(
        torch_adapter(candidate(PORTS[name]), device), convention=getattr(convention, name)
    )
    assert (report.verdict, report.code, report.notes) == ("conforms", 0, [])
    assert {finding.dtype for finding in report.findings} == {"float32", "float64"}
    assert not any("stages" in line for line in report.not_exercised)


@pytest.mark.parametrize("rearranged", REARRANGED)
@pytest.mark.parametrize("name", PORTS)
def test_conforms_in_any_order_and_in_other_axes(name, rearranged):
    port = under(torch_adapter(candidate(PORTS[name])), rearranged)
    report = check(port, load_suite()[::3], convention=getattr(convention, name))
    assert (report.verdict, report.failed()) == ("conforms", [])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", PORTS)
def test_fingerprint_names_the_convention(name, device, dtype):
    best = fingerprint(torch_adapter(candidate(PORTS[name]), device), dtype=dtype)[0]
    assert best.explains
    assert best.convention == getattr(convention, name)


def loss_alone(settings):
    """The candidate of a user who returns nothing but the loss."""
    return torch_adapter(lambda *question: candidate(settings)(*question)[0])


def test_loss_and_gradients_are_enough_to_tell_the_released_code():
    few = ("std-00", "edge-3", "edge-4", "tiny")
    some = [entry for entry in load_suite() if entry.case.id in few]
    best = fingerprint(loss_alone(RELEASED), some)[0]
    assert best.explains
    assert best.convention == convention.RELEASED


# One choice of RELEASED in EXACT: what a user gets who copied one line of it

CHOICES = {
    "riemannian_gradient": (EXACT._replace(riemannian=True), "grad_x"),
    "mobius_denominator_eps": (EXACT._replace(denominator_eps=1e-5), "d_zz"),
    "ball_margin": (EXACT._replace(ball_margin=1e-3), "z"),
    "clip_eps": (EXACT._replace(clip_eps=1e-5), "z"),
    # with K beyond B nobody else is left as a negative: the anchors that are used differ first
    "negative_may_be_anchor": (EXACT._replace(anchor_is_negative=True), "positives_data"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_one_other_choice_is_named(name):
    settings, stage = CHOICES[name]
    report = check(torch_adapter(candidate(settings)), dtypes=["float64"])
    assert (report.verdict, report.first) == ("another convention", stage)
    assert list(report.explanations[0].differences) == [name]


# Mistakes: planted by replacing one function of the port


def hard_choice_alone(far, gumbel, tau):
    """No straight-through: the one-hot choice is a constant."""
    lca = (gumbel - far / tau).argmax(1)
    return torch.nn.functional.one_hot(lca, far.shape[1]), lca


def mean_in_the_hinges(d, triplets, gumbel, tau, margin, level=torch_hier.level):
    """The mean of the triplets whose two ancestors differ, not of all."""
    hinge, *lcas = level(d, triplets, gumbel, tau, margin)
    return hinge * len(hinge) / (lcas[0] != lcas[1]).sum().clamp_min(1), *lcas


def swapped_noise(case, draws_of=torch_hier.draws_of):
    """The noise of the pair is used for the triple."""
    return {name: (triplets, noise[::-1]) for name, (triplets, noise) in draws_of(case).items()}


def half_angle(u, c, radius, s, to_ball=torch_hier.to_ball):
    """The factor 1/2 of the exponential map elsewhere than at the origin."""
    return to_ball(u / 2, c, radius / 2, s)


UNNAMED = {
    "mean of those apart, in the hinges": ("level", mean_in_the_hinges, "hinge_data"),
    "noise of pair and triple swapped": ("draws_of", swapped_noise, "lca_pair_data"),
    "half of the tangent vector": ("to_ball", half_angle, "z"),
}


def test_a_choice_without_straight_through_is_named(monkeypatch):
    monkeypatch.setattr(torch_hier, "choose", hard_choice_alone)
    report = check(torch_adapter(torch_hier.exact), load_suite()[:4], dtypes=["float64"])
    assert (report.verdict, report.first) == ("another convention", "grad_d_zl")
    assert list(report.explanations[0].differences) == ["straight_through"]


@pytest.mark.parametrize("name", UNNAMED)
def test_another_mistake_gets_its_stage_and_no_name(name, monkeypatch):
    function, wrong, stage = UNNAMED[name]
    monkeypatch.setattr(torch_hier, function, wrong)
    report = check(torch_adapter(torch_hier.exact), load_suite()[:4], dtypes=["float64"])
    assert (report.verdict, report.first) == ("unexplained", stage)
    assert not report.explanations[0].explains


def test_a_distance_by_products_is_poor_accuracy(monkeypatch):
    def by_products(x, y, **options):
        x_sq, y_sq = (points.square().sum(1) for points in (x, y))
        return (x_sq[:, None] + y_sq - 2 * x @ y.T).clamp_min(1e-30).sqrt()

    monkeypatch.setattr(torch, "cdist", by_products)
    report = check(torch_adapter(torch_hier.exact), load_suite()[:4])
    assert (report.verdict, report.first) == ("poor accuracy", "d_zz")
