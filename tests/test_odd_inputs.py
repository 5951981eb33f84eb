"""What the package does with each odd input of docs/11-odd-inputs.md: a number, or one clear line.

One test per row of the chapter, `test_odd_<name of the row>`; the last test compares the two.
"""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from autograd import make_vjp
from cases import make_inputs
from checks import limit, relative

from hier_ref import poincare
from hier_ref.balls import ball_of
from hier_ref.convention import CONVENTIONS, EXACT, RELEASED, Convention
from hier_ref.hier import hier_grad, hier_stages, sample_draws, to_ball
from hier_ref.losses import LOSSES
from hier_ref.oracle import Case, reference
from hier_ref.pairwise import pairwise_distance
from hier_ref.released import arithmetic as released
from hier_ref.released import maps as released_maps
from hier_ref.retrieval.recall import (
    MISS,
    first_hit_rank,
    rank_gallery,
    recall_at_k,
    recall_from_ranks,
)
from hier_ref.training.batch import batch_gradient
from hier_ref.training.config import Config
from hier_ref.training.sampler import class_batches
from hier_ref.training.trainer import init_params
from hier_ref.triplets import mutual_neighbours, nearest_neighbours, sample_triplets

CHAPTER = Path(__file__).resolve().parents[1] / "docs" / "11-odd-inputs.md"
either = pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)


def inputs(b=24, p=10, dim=8):
    """Tangent inputs, proxies, and two images of each class."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((b, dim)), rng.standard_normal((p, dim)), np.arange(b) // 2


def loss(x, proxies, labels, convention=EXACT, neighbours=6, c=0.1):
    """Mine and compute: the stages, after checking that every one is finite."""
    z, l = (to_ball(u, c, 2.3, convention) for u in (x, proxies))
    distance = ball_of(convention).pairwise_distance
    draws = sample_draws(
        np.random.default_rng(1),
        distance(z, z, c),
        distance(l, l, c),
        labels,
        neighbours=neighbours,
        per_anchor=5,
        convention=convention,
    )
    stages = hier_stages(x, proxies, draws, convention, c=c)
    assert all(np.all(np.isfinite(stage)) for stage in stages.values())
    return stages


def nothing(stages, level):
    """Say whether a level had no triplet and so no loss."""
    return len(stages[f"triplets_{level}"]) == 0 and stages[f"loss_{level}"] == 0


def refused(message):
    """Expect one line that matches."""
    return pytest.raises(ValueError, match=message)


# Neighbours.


@either
def test_odd_topk_gt_batch(convention):
    x, proxies, labels = inputs(p=40)
    stages = loss(x, proxies, labels, convention, neighbours=30)
    # Everything is mutual: nothing is left as a negative but, where it may be, the anchor itself.
    t = stages["triplets_data"]
    assert np.all(t[:, 0] == t[:, 2])
    assert nothing(stages, "data") == (convention == EXACT)


@either
def test_odd_topk_gt_proxies(convention):
    t = loss(*inputs(), convention, neighbours=12)["triplets_proxy"]
    assert np.all(t[:, 0] == t[:, 2])


@either
def test_odd_topk_eq_batch(convention):
    x, proxies, labels = inputs(p=40)
    t = loss(x, proxies, labels, convention, neighbours=24)["triplets_data"]
    assert np.all(t[:, 0] == t[:, 2])


def test_odd_single_negative_0d_array(rng):
    mutual = ~np.eye(5, dtype=bool)
    t = sample_triplets(rng, mutual, 20, RELEASED)
    assert np.all(t[:, 2] == t[:, 0])  # the one candidate, and none that is not


@either
def test_odd_topk_eq_proxies(convention):
    t = loss(*inputs(), convention, neighbours=10)["triplets_proxy"]
    assert np.all(t[:, 0] == t[:, 2])


def test_odd_topk_1():
    stages = loss(*inputs(), RELEASED, neighbours=1)
    assert nothing(stages, "data") and nothing(stages, "proxy")
    assert not nothing(loss(*inputs(), EXACT, neighbours=1), "data")


def test_odd_topk_2():
    stages = loss(*inputs(), RELEASED, neighbours=2)
    assert nothing(stages, "data") and nothing(stages, "proxy")


@either
def test_odd_no_reciprocal(convention, rng):
    n = 9
    d = (np.arange(n)[None] - np.arange(n)[:, None]) % n / n  # everyone's next is the next one
    mutual = mutual_neighbours(d, 3, None, convention)
    assert not mutual.any()
    assert sample_triplets(rng, mutual, 4, convention).shape == (0, 3)


@either
def test_odd_batch_1(convention):
    x, proxies, labels = inputs(b=1)
    assert nothing(loss(x, proxies, labels, convention, neighbours=1), "data")


@either
def test_odd_one_proxy(convention):
    stages = loss(*inputs(p=1), convention)
    assert nothing(stages, "proxy") and stages["loss"] == 0


# Labels and points.


@either
def test_odd_one_class(convention):
    x, proxies, _ = inputs()
    same, unique = np.zeros(24, int), np.arange(24)
    assert np.array_equal(
        loss(x, proxies, same, convention)["triplets_data"],
        loss(x, proxies, unique, convention)["triplets_data"],
    )


@either
def test_odd_all_unique_labels(convention):
    assert not nothing(loss(*inputs()[:2], np.arange(24), convention), "data")


@either
def test_odd_big_class(convention):
    labels = np.arange(24) // 8
    t = loss(*inputs()[:2], labels, convention)["triplets_data"]
    assert len(t) and np.all(labels[t[:, 0]] == labels[t[:, 1]])


@either
def test_odd_label_len_mismatch(convention):
    with refused("20 labels for 24 points"):
        loss(*inputs()[:2], np.arange(20), convention)


@either
def test_odd_duplicate_points(convention):
    x, proxies, labels = inputs()
    x[1] = x[5] = x[0]
    x[9] = x[8]
    stages = loss(x, proxies, labels, convention)
    assert stages["d_zz"][0, 5] == stages["d_zz"][8, 9] == 0


@either
def test_odd_all_identical(convention):
    x, proxies, labels = inputs()
    # All tie, so all are neighbours (K20): no negative but the anchor itself.
    t = loss(0 * x + x[0], proxies, labels, convention)["triplets_data"]
    assert np.all(t[:, 0] == t[:, 2])


@either
def test_odd_identical_lcas(convention):
    x, proxies, labels = inputs()
    stages = loss(x, 0 * proxies + proxies[0], labels, convention)
    differ = stages["lca_pair_data"] != stages["lca_triple_data"]
    assert np.max(np.abs(stages["hinge_data"] - 0.3 * differ)) <= limit("autograd")


@either
def test_odd_zero_vector_x(convention):
    x, proxies, labels = inputs()
    x[3] = 0
    assert not loss(x, proxies, labels, convention)["z"][3].any()


@either
def test_odd_zero_lca(convention):
    x, proxies, labels = inputs()
    proxies[2] = 0
    assert not loss(x, proxies, labels, convention)["l"][2].any()


def not_finite(value, convention):
    """One coordinate that is no number."""
    given = make_inputs()
    given.x[3, 2] = value
    with refused("x is not finite in row 3"):
        hier_grad(*given, convention)


@either
def test_odd_nan_x(convention):
    not_finite(np.nan, convention)


@either
def test_odd_inf_x(convention):
    not_finite(np.inf, convention)


def test_odd_huge_x_f32():
    x = np.array([[3e29, -4e29]], np.float32)
    z = to_ball(x, 0.1, 2.3)
    assert relative(z, to_ball(x / np.float32(1e29), 0.1, 2.3)) <= limit("parity_float32")
    with np.errstate(over="ignore"):  # the squares overflow in the released arithmetic
        assert not to_ball(x, 0.1, 2.3, RELEASED).any()


# Precision.


@either
@pytest.mark.parametrize("which", [0, 1])
def test_odd_f16_x_f32_lcas(convention, which):
    given = list(make_inputs())
    given[which] = given[which].astype(np.float16)
    with refused("is float16: expected float32 or float64"):
        hier_grad(*given, convention)


def as_case(dtype, **shape):
    """A case with its inputs in some type."""
    given = make_inputs(**shape)
    x, proxies = (a.astype(dtype) for a in given[:2])
    d = given.draws
    noise = d.gumbel_data, d.gumbel_proxy
    return Case(x, np.arange(len(x)) // 2, proxies, d.triplets_data, d.triplets_proxy, *noise)


def test_odd_f16_all():
    assert reference(as_case(np.float16))["grad_x"].dtype == np.float32


def test_odd_f16_all_128d():
    stages = reference(as_case(np.float16, b=60, p=32, dim=128, size=8.0))
    assert np.isfinite(stages["loss"])


def test_odd_bf16_all():
    with pytest.raises(TypeError, match="bfloat16"):
        np.dtype("bfloat16")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_odd_autocast_bf16(dtype):
    stages = reference(as_case(dtype))
    assert {a.dtype for n, a in stages.items() if n[:2] in ("z", "l", "d_", "gr")} == {
        np.dtype(dtype)
    }


def test_odd_autocast_f16():
    test_odd_autocast_bf16(np.float32)


def test_odd_f64_x_f32_default():
    given = make_inputs()
    assert hier_grad(*given, RELEASED)[1].dtype == np.float64


def test_odd_c_rounding():
    x, y = np.array([[1.9, 0.3]]), np.array([[-1.2, 1.0]])
    narrow = ball_of(Convention(curvature_dtype="float32")).pairwise_distance(x, y, 0.1)
    exact = poincare.distance(x, y, 0.1)
    rounded = poincare.distance(x, y, float(np.float32(0.1)))
    assert abs(narrow[0, 0] - rounded[0]) <= limit("autograd") < abs(narrow[0, 0] - exact[0])


def test_odd_artanh_f16():
    z = np.array([[0.9, 0.0]], np.float16)
    assert poincare.distance(z, -z, 1.0).dtype == np.float16
    assert np.isfinite(poincare.distance(z, -z, 1.0)).all()
    with np.errstate(divide="ignore"):
        s = np.array([1.0], np.float16)
        assert np.isinf(released.artanh(s, 1e-5))  # as theirs: hier refuses half precision


@either
def test_odd_hyp_c_0(convention):
    with refused("c is 0"):
        hier_grad(*make_inputs(), convention, c=0.0)
    with refused("c 0 with hier_weight 0.2"):
        Config(c=0.0)


# Metric losses.


def train_step(**options):
    """One batch through head, metric loss and HIER: losses and gradients, checked to be finite."""
    config = Config(embedding=8, proxies=12, neighbours=5, triplets=3, batch=24, **options)
    rng = np.random.default_rng(0)
    f = rng.standard_normal((24, 16)).astype(np.float32)
    params = init_params(config, 16, 12)
    losses, grads = batch_gradient(params, f, np.arange(24) // 2, rng, config)
    assert all(np.all(np.isfinite(a)) for a in (losses | grads).values())
    return losses


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_odd_supcon_plus_hier(convention):
    assert train_step(loss="HYP", convention=convention)["hier"] > 0


def test_odd_supcon_divisor():
    z = 0.1 * np.random.default_rng(0).standard_normal((8, 3))
    value, grad, _ = LOSSES["HYP"].grad(z, np.arange(8), {}, 0.1)
    assert value == 0 and not grad.any()
    assert LOSSES["HYP"].value(z, np.arange(8) // 2, {}, 0.1) > 0


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_odd_train_softtriple(convention):
    assert train_step(loss="SOFTTRIPLE", convention=convention)["metric"] > 0


def test_odd_pa_label_oob(rng):
    params = LOSSES["PA"].init(rng, 5, 3)
    with refused("5"):
        LOSSES["PA"].grad(np.full((2, 3), 0.1), [0, 5], params, 0.1)


def test_odd_pa_zero_x(rng):
    params = LOSSES["PA"].init(rng, 5, 3)
    z = np.array([[0.0, 0, 0], [0.1, 0.2, 0.1]])
    value, grad, _ = LOSSES["PA"].grad(z, [0, 1], params, 0.1)
    assert np.isfinite(value) and not grad[0].any() and grad[1].any()


def test_odd_pa_empty_batch(rng):
    with refused("expected"):
        LOSSES["PA"].grad(np.zeros((0, 3)), [], LOSSES["PA"].init(rng, 5, 3), 0.1)


def test_odd_ms_hyp_batch1():
    value, grad, _ = LOSSES["MS_HYP"].grad(np.full((1, 3), 0.1), [0], {}, 0.1)
    assert value == 0 and not grad.any()


def test_odd_ms_hyp_duplicates():
    value, grad, _ = LOSSES["MS_HYP"].grad(np.full((4, 3), 0.1), [0, 0, 1, 1], {}, 0.1)
    assert np.isfinite(value) and not grad.any()


@pytest.mark.parametrize("name", ["MS", "MS_HYP"])
def test_odd_ms_no_positives(name, rng):
    value, grad, _ = LOSSES[name].grad(0.1 * rng.standard_normal((6, 3)), np.arange(6), {}, 0.1)
    assert value > 0 and np.all(np.isfinite(grad))


@pytest.mark.parametrize("name", ["Contrastive_Angle", "contrastive"])
def test_odd_contrastive_angle(name):
    with refused("expected one of PA"):
        Config(loss=name)


def test_odd_contrastive_angle_method():
    for name, metric in LOSSES.items():
        assert all(callable(getattr(metric, part)) for part in ("init", "value", "grad")), name


# Retrieval.


def test_odd_inshop_index_exclusion():
    z = 0.1 * np.random.default_rng(0).standard_normal((6, 3))
    labels = np.arange(6)  # gallery item i is the only right one for query i, and lies on it
    assert not rank_gallery(z, labels, z, labels, 0.1, False).rank.any()
    theirs = rank_gallery(z, labels, z, labels, 0.1, False, released_inshop_index=True)
    assert np.all(theirs.rank == MISS)


def test_odd_recall_k_eq_gallery(rng):
    z = 0.1 * rng.standard_normal((8, 3))
    assert recall_at_k(z, np.arange(8), z, np.arange(8), [1, 8], 0.1, True) == {1: 0.0, 8: 0.0}


def test_odd_recall_k_gt_gallery(rng):
    z, labels = 0.1 * rng.standard_normal((7, 3)), np.array([0, 0, 1, 1, 2, 2, 3])
    assert recall_at_k(z, labels, z, labels, [8], 0.1, True) == {8: 6 / 7}


def test_odd_recall_empty_query():
    with refused("query: shape"):
        first_hit_rank(np.zeros((0, 3)), [], np.zeros((4, 3)), np.zeros(4), 0.1, False)


def test_odd_recall_ties():
    z = np.full((40, 3), 0.1)
    for labels in (np.arange(40) % 2, np.arange(40) >= 20, np.arange(1, 41) // 2):
        ranks, ties = first_hit_rank(z, labels, z, labels, 0.1, True)
        assert np.all(ranks[ranks < MISS] == ties[ranks < MISS])
        assert recall_from_ranks(ranks, [1])[1] == 0


def test_odd_recall_nan(rng):
    z = 0.1 * rng.standard_normal((20, 3))
    z[7, 1] = np.nan
    with refused("NaN or inf in row 7"):
        first_hit_rank(z, np.zeros(20), z, np.zeros(20), 0.1, True)


def test_odd_topk_nan_order():
    near = nearest_neighbours(np.array([[0.1, np.nan, 0.9, 0.5]]), 2)
    assert near.tolist() == [[True, False, False, True]]


# Geometry.


def test_odd_global_riemannian_c():
    given = make_inputs()
    before = hier_grad(*given, RELEASED, c=0.1)[1]
    hier_grad(*given, RELEASED, c=1.0)
    assert np.array_equal(hier_grad(*given, RELEASED, c=0.1)[1], before)


def test_odd_arcosh():
    x, y, c = np.array([0.5, 0.2]), np.array([-0.3, 0.4]), 1.0
    through = 1 + 2 * np.sum((x - y) ** 2) / ((1 - np.sum(x * x)) * (1 - np.sum(y * y)))
    assert abs(poincare.distance(x, y, c) - np.arccosh(through)) <= limit("autograd")


def test_odd_mobius_matvec_zero():
    m, x = np.ones((3, 3)), np.zeros((2, 3))
    assert not released_maps.mobius_matvec(m, x, 1.0, RELEASED).any()
    for argument in (0, 1):
        vjp = make_vjp(released_maps.mobius_matvec, argument)(m, x, 1.0, RELEASED)[0]
        assert np.all(np.isfinite(vjp(np.ones((2, 3)))))


def test_odd_logmap_same():
    x = np.array([[0.3, 0.4, 0.1]])
    assert not poincare.logmap(x, x, 1.0).any()
    assert not released_maps.logmap(x, x, 1.0, RELEASED).any()


@pytest.mark.parametrize("fraction", [0.99, 0.999, 0.9999, 0.99999])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_odd_poincare_mean_boundary(fraction, dtype, rng):
    x = rng.standard_normal((9, 64, 128))
    x *= fraction / np.sqrt(0.1) / np.linalg.norm(x, axis=-1, keepdims=True)
    middle = released_maps.midpoint(x.astype(dtype), 0.1, RELEASED)
    assert np.all(0.1 * np.sum(middle.astype(float) ** 2, axis=-1) < 1)


@either
def test_odd_outside_ball(convention):
    x = np.array([[4.0, 0.0], [1.0, 0.0]])
    with refused("expected above 0: a point inside the ball"):
        ball_of(convention).pairwise_distance(x, x, 0.1)


# Mining and batches: what surprises a reader of the released code.


def test_odd_self_negative():
    mutual = mutual_neighbours(np.abs(np.subtract.outer(np.arange(9.0), np.arange(9.0))), 4)
    for convention, expected in ((EXACT, False), (RELEASED, True)):
        t = sample_triplets(np.random.default_rng(0), mutual, 50, convention)
        assert np.any(t[:, 0] == t[:, 2]) == expected


@either
def test_odd_one_sided_negatives(convention, rng):
    d = pairwise_distance(*[0.3 * rng.standard_normal((30, 4))] * 2, 0.1)
    near = nearest_neighbours(d + 9 * np.eye(30), 6)
    mutual = mutual_neighbours(d, 6 + convention.neighbours_count_self, None, convention)
    t = sample_triplets(rng, mutual, 50, convention)
    assert np.any(near[t[:, 0], t[:, 2]] & ~near[t[:, 2], t[:, 0]])


@either
def test_odd_lca_is_member(convention):
    stages = loss(*inputs(), convention)
    own = stages["triplets_proxy"][:, :2] == stages["lca_pair_proxy"][:, None]
    assert np.any(own)
    banned = dataclasses.replace(convention, proxy_may_be_own_ancestor=False)
    stages = loss(*inputs(), banned)
    assert not np.any(stages["triplets_proxy"][:, :2] == stages["lca_pair_proxy"][:, None])


@either
def test_odd_label_vs_triplets(convention):
    x, proxies, labels = inputs()
    t = loss(x, proxies, labels, convention)["triplets_data"]
    others = t[t[:, 0] != t[:, 2]]
    assert not np.any(labels[others[:, 0]] == labels[others[:, 2]])
    assert np.any(labels[t[:, 0]] != labels[t[:, 1]])


@either
def test_odd_float_index(convention):
    x, proxies, draws = make_inputs()
    draws = dataclasses.replace(draws, triplets_data=draws.triplets_data.astype(float))
    with refused("triplets_data is float64: expected integers"):
        hier_grad(x, proxies, draws, convention)


def test_odd_sampler_replacement(rng):
    for batch in class_batches(rng, np.arange(30) // 3, 8, 2):
        assert len(np.unique(batch)) == 8


def test_odd_sampler_np_int(rng):
    assert sorted(np.concatenate(list(class_batches(rng, [0, 0, 1, 1], 4, 2)))) == [0, 1, 2, 3]


def test_odd_sampler_py312():
    seeds = (np.random.default_rng(5) for _ in range(2))
    first, second = (list(class_batches(seed, np.arange(40) // 4, 8, 2)) for seed in seeds)
    assert np.array_equal(first, second)


def test_every_row_of_the_chapter_has_its_test_and_every_test_its_row():
    rows = re.findall(r"^\| `(\w+)` \|", CHAPTER.read_text(encoding="utf-8"), re.M)
    tests = [name.removeprefix("test_odd_") for name in globals() if name.startswith("test_odd_")]
    assert len(rows) == 64
    assert sorted(rows) == sorted(tests)
