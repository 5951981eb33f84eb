"""Splitting a batch over ranks and reducing what they answer, by hand and in processes."""

from dataclasses import replace

import numpy as np
import pytest
import rank_functions
from checks import limit, relative

from hier_ref.hier import hier_stages
from hier_ref.oracle import check, load_suite, reference
from hier_ref.oracle.distributed import (
    Ranks,
    Share,
    distributed_adapter,
    reduce_answers,
    split_case,
)
from hier_ref.triplets import LEVELS, Draws

SUITE = load_suite()[:6]
CASE = SUITE[0].case


def part_of_triplets(case, rank, world_size):
    """Every W-th triplet of both levels with its noise."""
    some = slice(rank, None, world_size)
    noise = (tuple(g[some] for g in pair) for pair in (case.gumbel_data, case.gumbel_proxy))
    return Draws(case.triplets_data[some], case.triplets_proxy[some], *noise)


def by_hand(scale=lambda world_size: 1, gather=sum):
    """Ranks in one process: gathered rows, every W-th triplet, gradients summed over the ranks."""

    def run(shares):
        size, case = len(shares), shares[0].case
        x = np.concatenate([share.case.x for share in shares])
        answers = []
        for rank in range(size):
            draws = part_of_triplets(case, rank, size)
            # Each level is a mean over the rank's triplets; as a part of the mean over all:
            parts = [
                len(draws.level(level)[0]) / max(1, len(case.draws.level(level)[0]))
                for level in LEVELS
            ]
            answers.append(weighted(x, case, draws, parts, x.dtype.type(scale(size))))
        whole = gather([a["grad_x"] for a in answers])
        cuts = np.cumsum([len(share.case.x) for share in shares])[:-1]
        for answer, own in zip(answers, np.split(whole, cuts), strict=True):
            answer["grad_x"] = own
        return answers

    return run


def weighted(x, case, draws, parts, scale):
    """Loss and gradients of parts of both levels."""
    none = Draws(draws.triplets_data[:0], draws.triplets_proxy[:0])
    only = (
        replace(none, triplets_data=draws.triplets_data, gumbel_data=draws.gumbel_data),
        replace(none, triplets_proxy=draws.triplets_proxy, gumbel_proxy=draws.gumbel_proxy),
    )
    levels = [hier_stages(x, case.proxies, each, **case.parameters) for each in only]
    return {
        name: sum(part * s[name] for part, s in zip(parts, levels, strict=True)).astype(x.dtype)
        * scale
        for name in ("loss", "grad_x", "grad_proxies")
    }


# The split


@pytest.mark.parametrize("world_size", [1, 2, 3, 5, 12, 20])
def test_ranks_hold_the_batch_in_order_and_differ_by_one_row_at_most(world_size):
    shares = split_case(CASE, world_size)
    sizes = [len(share.case.x) for share in shares]
    assert [share.rank for share in shares] == list(range(world_size))
    assert {share.world_size for share in shares} == {world_size}
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)
    assert np.array_equal(np.concatenate([share.case.x for share in shares]), CASE.x)
    assert np.array_equal(np.concatenate([share.case.labels for share in shares]), CASE.labels)
    assert all(share.case.triplets_data is CASE.triplets_data for share in shares)


def test_a_world_without_ranks_is_refused():
    with pytest.raises(ValueError, match="world_size 0: expected at least 1"):
        split_case(CASE, 0)


# The reduction


def test_sum_and_mean_differ_by_the_number_of_ranks():
    answers = [
        {"loss": np.array(1.0), "grad_x": np.full((2, 1), 4.0), "grad_proxies": np.array([[2.0]])},
        {"loss": np.array(3.0), "grad_x": np.full((1, 1), 6.0), "grad_proxies": np.array([[4.0]])},
    ]
    total, mean = (reduce_answers(answers, reduction) for reduction in ("sum", "mean"))
    assert total["loss"] == 4
    assert total["grad_proxies"] == 6
    assert total["grad_x"].ravel().tolist() == [4, 4, 6]
    assert all(np.array_equal(mean[name], total[name] / 2) for name in total)


def test_float32_stays_float32():
    answers = [{"loss": np.float32(1), "grad_x": np.ones((1, 1), np.float32)}] * 3
    reduced = reduce_answers(answers, "mean")
    assert {value.dtype for value in reduced.values()} == {np.dtype(np.float32)}


def test_stages_of_every_rank_must_agree():
    answers = [{"loss": np.array(1.0), "l": np.array([[0.1]])}] * 2
    assert reduce_answers(answers, "sum")["l"] == 0.1
    answers[1] = answers[1] | {"l": np.array([[0.2]])}
    with pytest.raises(ValueError, match="ranks disagree about stage l"):
        reduce_answers(answers, "sum")


def test_an_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match="reduction 'max': expected one of sum, mean"):
        reduce_answers([{}], "max")


# Judged by the oracle


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_parts_of_the_triplets_add_up_to_the_full_batch(world_size):
    report = check(distributed_adapter(by_hand(), world_size, "sum"), SUITE)
    assert report.verdict == "conforms"


@pytest.mark.parametrize("world_size", [2, 3])
def test_a_mean_over_ranks_needs_parts_that_are_world_size_times_larger(world_size):
    right = by_hand(scale=lambda ranks: ranks)
    assert check(distributed_adapter(right, world_size, "mean"), SUITE).verdict == "conforms"
    wrong = check(distributed_adapter(by_hand(), world_size, "mean"), SUITE[:1])
    assert (wrong.verdict, wrong.first) == ("unexplained", "loss")


def test_a_gather_that_keeps_the_own_gradient_alone_is_caught():
    selfish = by_hand(gather=lambda grads: grads[0])
    report = check(distributed_adapter(selfish, 2, "sum"), SUITE[:1])
    assert (report.verdict, report.first) == ("unexplained", "grad_x")


def test_full_batch_gradients_are_those_of_the_reference():
    right = reference(CASE)
    answer = distributed_adapter(by_hand(), 3, "sum")(CASE)
    for name in ("loss", "grad_x", "grad_proxies"):
        assert relative(answer[name], right[name]) <= limit("autograd")


# Processes


def test_processes_answer_in_order_and_live_on():
    with Ranks(rank_functions.who, 2, rank_functions.start) as ranks:
        first, second = (ranks(split_case(CASE, 2)) for _ in "ab")
        processes = ranks.processes
    assert [int(answer["rank"]) for answer in first] == [0, 1]
    assert np.array_equal(np.concatenate([answer["x"] for answer in first]), CASE.x)
    here = [[int(answer["process"]) for answer in answers] for answers in (first, second)]
    assert here[0] == here[1]
    assert len(set(here[0])) == 2
    assert not any(process.is_alive() for process in processes)


@pytest.mark.parametrize(
    ("function", "line"),
    [
        ("raise_on_rank_1", "RuntimeError: rank 1 raises ValueError: no such proxy"),
        ("die_on_rank_1", "RuntimeError: rank 1 died"),
    ],
)
def test_a_rank_that_fails_ends_the_others_and_is_named(function, line):
    with Ranks(getattr(rank_functions, function), 2) as ranks:
        processes = ranks.processes
        report = check(distributed_adapter(ranks, 2, "sum"), SUITE[:1], dtypes=["float64"])
        assert not any(process.is_alive() for process in processes)
    assert report.verdict == "no usable answer"
    assert line in report.troubles[0]


def test_ranks_that_are_late_are_ended_and_named():
    ranks = Ranks(rank_functions.hang, 1)
    with ranks:
        processes, ranks.seconds = ranks.processes, 0.2
        with pytest.raises(TimeoutError, match="no answer of rank 0 within 0.2 s"):
            ranks([Share(CASE, 0, 1)])
        assert not any(process.is_alive() for process in processes)


def test_after_a_failure_the_next_call_starts_anew():
    with Ranks(rank_functions.who, 1) as ranks:
        before = ranks([Share(CASE, 0, 1)])[0]["process"]
        ranks.close()
        assert ranks([Share(CASE, 0, 1)])[0]["process"] != before
