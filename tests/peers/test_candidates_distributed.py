"""The PyTorch HIER on 2 and 3 gloo processes: reduced gradients are those of the full batch."""

from functools import partial

import numpy as np
import pytest
from candidates import torch_ddp, torch_detached, torch_distributed
from candidates.torch_hier import EXACT, RELEASED
from checks import limit, relative

from hier_ref import convention
from hier_ref.oracle import check, load_suite
from hier_ref.oracle.distributed import Ranks, distributed_adapter, split_case

SUITE = load_suite()
FEW = [entry for entry in SUITE if entry.case.id in ("std-00", "std-03", "no-data", "one-triplet")]


@pytest.mark.parametrize(
    ("world_size", "reduction", "settings", "declared"),
    [
        (2, "mean", EXACT, convention.EXACT),
        (3, "sum", RELEASED, convention.RELEASED),
    ],
)
def test_reduced_gradients_are_those_of_the_full_batch(world_size, reduction, settings, declared):
    assert any(len(entry.case.x) % world_size for entry in SUITE)
    function = partial(torch_distributed.answer, settings=settings, reduction=reduction)
    with Ranks(function, world_size, torch_distributed.start) as ranks:
        candidate = distributed_adapter(ranks, world_size, reduction)
        report = check(candidate, convention=declared)
        other = {"sum": "mean", "mean": "sum"}[reduction]
        wrong = check(distributed_adapter(ranks, world_size, other), FEW, convention=declared)
    assert (report.verdict, report.notes) == ("conforms", [])
    assert {finding.dtype for finding in report.findings} == {"float32", "float64"}
    assert (wrong.verdict, wrong.first) == ("unexplained", "loss")


def test_a_gather_without_gradient_is_caught_where_it_shows():
    with Ranks(torch_detached.answer, 2, torch_distributed.start) as ranks:
        report = check(distributed_adapter(ranks, 2, "sum"), FEW, dtypes=["float64"])
    assert (report.verdict, report.first) == ("unexplained", "grad_z")
    right = {"loss", "z", "grad_proxies"}
    assert not right & {finding.stage for finding in report.failed()}


def test_distributed_data_parallel_trains_as_one_machine():
    with Ranks(torch_ddp.ranked_step, 3, torch_distributed.start) as ranks:
        for case in (entry.case for entry in FEW if entry.case.id.startswith("std")):
            answers, want = ranks(split_case(case, 3)), torch_ddp.single_step(case)
            for name, answer in ((name, answer) for name in want for answer in answers):
                assert relative(answer[name], want[name]) <= limit("autograd")
                assert np.any(want[name])
