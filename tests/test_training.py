"""One step from features to new weights, by three witnesses; and the trainer that repeats it."""

import numpy as np
import pytest
from checks import central_difference, check_vjp, limit, relative
from synthetic import N_FEATURES, SIZES, clustered

from hier_ref.hier import distances, hier_grad, to_ball
from hier_ref.losses import LOSSES
from hier_ref.training.batch import (
    batch_autograd,
    batch_gradient,
    draw,
    embed,
    to_ball_or_sphere,
    to_ball_or_sphere_vjp,
)
from hier_ref.training.config import Config
from hier_ref.training.head import head_forward, head_vjp
from hier_ref.training.trainer import Trainer, init_params, mean_losses

PARTS = ("head.weight", "head.bias", "loss.class_proxies", "proxies")


def small(**options):
    """A configuration of a few milliseconds."""
    return Config(**(SIZES | {"dtype": "float64"} | options))


def step(gradient, config, seed=0, scale=1.0, params=None):
    """Losses and gradients of one batch of 24 images from fresh parameters."""
    content = clustered(seed)
    f, labels = content["features"][:24].astype(config.dtype), content["labels"][:24]
    params = params or init_params(config, N_FEATURES, 4)
    params = {name: (scale * p).astype(p.dtype) for name, p in params.items()}
    return gradient(params, f, labels, np.random.default_rng(seed), config)


# ---- (H8): the gradient of one batch


@pytest.mark.parametrize("scale", [0.01, 1.0, 10.0], ids=["near the origin", "as drawn", "clipped"])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("hier_weight", [0.0, 0.5, 3.0])
def test_batch_H8_gradient_is_autograds(hier_weight, seed, scale):
    """Holds (H8')."""
    config = small(hier_weight=hier_weight, seed=seed)
    losses, grads = step(batch_gradient, config, seed, scale)
    other_losses, other = step(batch_autograd, config, seed, scale)
    assert losses.keys() == other_losses.keys()
    for name, loss in losses.items():
        assert relative(loss, other_losses[name]) <= limit("autograd")
    assert set(grads) == {name for name in PARTS if hier_weight or name != "proxies"}
    assert grads.keys() == other.keys()
    for name, grad in grads.items():
        assert relative(grad, other[name]) <= limit("autograd"), name


@pytest.mark.parametrize(
    ("hier_weight", "names"),
    [(0.0, PARTS[:3]), (0.5, ["loss.class_proxies"])],
    ids=["all without HIER", "class proxies beside HIER"],
)
def test_batch_H8_gradient_is_the_derivative_where_no_surrogate_is(hier_weight, names, rng):
    config = small(hier_weight=hier_weight)
    params = init_params(config, N_FEATURES, 4)
    _, grads = step(batch_gradient, config)

    def total(name, value):
        losses, _ = step(batch_gradient, config, params=params | {name: value})
        return losses["metric"] + hier_weight * losses.get("hier", 0.0)

    for name in names:
        direction = rng.standard_normal(params[name].shape)
        direction /= np.linalg.norm(direction)
        want = central_difference(lambda v, name=name: total(name, v), params[name], direction)
        error, size = abs(np.sum(grads[name] * direction) - want), np.linalg.norm(grads[name])
        assert error <= limit("difference") * size, name


def test_batch_H8_adds_at_x_what_the_two_losses_send_there():
    # The chain written out once more, from the two gradients at x alone.
    """Holds (H8)."""
    config = small()
    content, params = clustered(), init_params(config, N_FEATURES, 4)
    f, labels = content["features"][:24].astype(float), content["labels"][:24]
    _, metric_only = step(batch_gradient, small(hier_weight=0.0))
    x = head_forward(f, {"weight": params["head.weight"], "bias": params["head.bias"]})
    z, l = to_ball_or_sphere(x, config), to_ball_or_sphere(params["proxies"], config)
    draws = draw(np.random.default_rng(0), distances(z, l, config.c), labels, config)
    hier, grad_x, grad_proxies = hier_grad(x, params["proxies"], draws)
    head = head_vjp(grad_x, f, {"weight": params["head.weight"], "bias": params["head.bias"]})
    losses, grads = step(batch_gradient, config)
    assert losses["hier"] == hier > 0
    for name, part in head.items():
        want = metric_only[f"head.{name}"] + 0.5 * part
        assert relative(grads[f"head.{name}"], want) <= limit("autograd")
    assert relative(grads["proxies"], 0.5 * grad_proxies) <= limit("autograd")
    np.testing.assert_array_equal(grads["loss.class_proxies"], metric_only["loss.class_proxies"])


def test_batch_H8_gradient_is_linear_in_the_weight_of_hier():
    (_, one), (_, two), (_, three) = (step(batch_gradient, small(hier_weight=w)) for w in (1, 2, 3))
    for name in PARTS:
        size = np.max(np.abs(three[name]))
        assert np.max(np.abs(one[name] + three[name] - 2 * two[name])) <= limit("autograd") * size


def test_batch_H8_metric_loss_sees_the_ball_points():
    config = small()
    losses, _ = step(batch_gradient, config)
    content, params = clustered(), init_params(config, N_FEATURES, 4)
    z = embed(content["features"][:24], params, config)
    x = head_forward(
        content["features"][:24].astype(float),
        {"weight": params["head.weight"], "bias": params["head.bias"]},
    )
    np.testing.assert_array_equal(z, to_ball(x, config.c, config.clip))
    own = {"class_proxies": params["loss.class_proxies"]}
    want = LOSSES["PA"].value(z, content["labels"][:24], own, config.c)
    assert relative(losses["metric"], want) == 0


MLP = {"head": "mlp", "hidden": 10}
SPHERE = {"c": 0.0, "hier_weight": 0.0}


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("hidden_norm", ["none", "layer"])
def test_batch_H8_gradient_of_an_mlp_N7_gradient_is_autograds(activation, hidden_norm):
    config = small(**MLP, activation=activation, hidden_norm=hidden_norm, head_scale=0.1)
    (_, grads), (_, other) = (step(by, config) for by in (batch_gradient, batch_autograd))
    assert set(grads) == {*PARTS, "head.hidden_weight", "head.hidden_bias"}
    for name, grad in grads.items():
        assert relative(grad, other[name]) <= limit("autograd"), name


# ---- (N8): ball or sphere


def test_to_ball_or_sphere_N8_are_directions_on_the_sphere_whatever_the_clip():
    """Holds (N8)."""
    x = np.array([[3.0, 4.0], [0.0, -1e-9], [1e9, 0.0], [0.0, 0.0]])
    want = [[0.6, 0.8], [0, -1], [1, 0], [0, 0]]
    for clip in (1e-3, 2.3):
        got = to_ball_or_sphere(x, small(**SPHERE, clip=clip))
        np.testing.assert_allclose(got, want, rtol=1e-15, atol=0)


def test_to_ball_or_sphere_N8_of_a_curved_ball_are_its_points():
    x = np.random.default_rng(0).standard_normal((5, 3))
    np.testing.assert_array_equal(to_ball_or_sphere(x, small()), to_ball(x, 0.1, 2.3))


def test_to_ball_or_sphere_N8_at_a_small_curvature_are_clipped_vectors():
    x = np.random.default_rng(0).standard_normal((50, 3))
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    want = x * np.minimum(1, 1.5 / norm)
    assert relative(to_ball_or_sphere(x, small(c=1e-12, clip=1.5)), want) <= 1e-11


@pytest.mark.parametrize("options", [SPHERE, {"c": 0.3, "clip": 1.0}], ids=["sphere", "ball"])
def test_to_ball_or_sphere_N8_gradient(options, rng):
    """Holds (N8')."""
    config = small(**options)
    x = rng.standard_normal((6, 4))
    x *= np.where(np.arange(6) % 2, 0.5, 2)[:, None] / np.linalg.norm(x, axis=1, keepdims=True)
    check_vjp(
        lambda x: to_ball_or_sphere(x, config),
        lambda g, x: to_ball_or_sphere_vjp(g, x, config),
        x,
        rng=rng,
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_H8_gradient_on_the_sphere_is_autograds(dtype):
    config = small(**SPHERE, dtype=dtype)
    (_, grads), (_, other) = (step(by, config) for by in (batch_gradient, batch_autograd))
    for name, grad in grads.items():
        assert grad.dtype == dtype
        bound = limit("autograd" if dtype == "float64" else "float32_grad")
        assert relative(grad, other[name]) <= bound, name


@pytest.mark.parametrize("options", [SPHERE, MLP], ids=["sphere", "mlp"])
def test_training_on_the_sphere_and_of_an_mlp_lowers_the_loss(options):
    one = trainer(**options, epochs=15, lr_head=0.02)
    curve = [losses["metric"] for losses in run(one, 15)]
    assert curve[-1] < 0.8 * curve[0]


def test_hier_on_the_sphere_is_refused():
    with pytest.raises(ValueError, match="^c 0 with hier_weight 0.5: HIER needs a curved ball"):
        small(c=0.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("gradient", [batch_gradient, batch_autograd])
def test_dtype_of_the_configuration_is_kept_throughout(gradient, dtype):
    losses, grads = step(gradient, small(dtype=dtype))
    assert {grad.dtype for grad in grads.values()} == {np.dtype(dtype)}
    assert {type(loss) for loss in losses.values()} == {float}


def test_float32_gradient_of_the_metric_loss_is_float64s_to_rounding():
    (_, single), (_, double) = (
        step(batch_gradient, small(dtype=dtype, hier_weight=0.0))
        for dtype in ("float32", "float64")
    )
    for name, grad in double.items():
        assert relative(single[name], grad) <= limit("float32_grad"), name


# ---- The trainer


def trainer(seed=0, **options):
    content = clustered(seed)
    return Trainer(content["features"], content["labels"], small(**options))


def run(a_trainer, epochs):
    return [losses for _ in range(epochs) for losses in a_trainer.run_epoch()]


def same(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


@pytest.mark.parametrize("hier_weight", [0.0, 0.5])
def test_explicit_and_autograd_give_the_same_curve(hier_weight):
    curves = [
        run(trainer(gradients=gradients, hier_weight=hier_weight), 4)
        for gradients in ("explicit", "autograd")
    ]
    explicit, autograd = (np.array([list(row.values()) for row in curve]) for curve in curves)
    assert explicit.shape == (16, 2 if hier_weight else 1)
    for one, other in zip(explicit.T, autograd.T, strict=True):
        assert relative(one, other) <= limit("autograd")


def test_training_lowers_the_metric_loss():
    curve = [losses["metric"] for losses in run(trainer(epochs=15, lr_head=0.02), 15)]
    assert np.mean(curve[-8:]) < 0.5 * np.mean(curve[:8])


def test_training_lowers_the_hier_loss_though_its_gradient_is_no_derivative():
    sizes = {"batch": 48, "embedding": 32, "proxies": 64, "triplets": 20, "neighbours": 10}
    rates = {"lr_head": 0.02, "lr_proxies": 0.05}
    one = trainer(hier_weight=20.0, epochs=20, **sizes, **rates)
    curve = [losses["hier"] for losses in run(one, 20)]
    assert np.mean(curve[-8:]) < 0.75 * np.mean(curve[:8])


def test_an_epoch_depends_on_seed_and_number_alone():
    one, other = trainer(), trainer()
    run(one, 2)
    other.load(one.state())
    assert other.epoch == 2
    assert run(one, 2) == run(other, 2)
    same(one.state(), other.state())


def test_epochs_and_seeds_differ():
    first, again, other = trainer(), trainer(), trainer(lr_head=0.0)
    assert run(first, 1) == run(again, 1)
    assert run(first, 1) != run(other, 1)
    drawn = [init_params(small(seed=seed), N_FEATURES, 3)["head.weight"] for seed in (0, 1)]
    assert not np.array_equal(*drawn)


def test_without_hier_there_are_no_proxies_and_nothing_else_changes():
    config = small()
    with_hier, without = (
        init_params(small(hier_weight=w), N_FEATURES, 5) for w in (config.hier_weight, 0.0)
    )
    assert set(with_hier) - set(without) == {"proxies"}
    same(without, {name: with_hier[name] for name in without})


def test_proxies_start_within_the_clipping_radius():
    proxies = init_params(small(proxies=2000, embedding=128), N_FEATURES, 2)["proxies"]
    lengths = np.linalg.norm(proxies, axis=1)
    assert abs(np.mean(lengths) - 0.9 * 2.3) < 0.01  # 0.9 r on average
    assert np.mean(lengths < 2.3) > 0.9


def test_labels_may_be_any_integers_and_a_class_may_have_one_image():
    content = clustered()
    labels = 7 + 1000 * content["labels"]
    labels[-1] = 5
    one = Trainer(content["features"], labels, small())
    assert one.classes[0] == 5
    assert len(one.params["loss.class_proxies"]) == 17
    before = one.params["loss.class_proxies"][0].copy()
    losses = run(one, 1)
    assert np.isfinite([list(row.values()) for row in losses]).all()
    # Its proxy still learns where its class is not: Proxy-Anchor pushes all others away.
    assert not np.array_equal(one.params["loss.class_proxies"][0], before)


@pytest.mark.parametrize("dtype", ["float16", "float32", ">f4", "float64"])
def test_features_of_every_stored_type_train_alike(dtype):
    content = clustered()
    half = content["features"].astype(np.float16)  # so that each type holds the same numbers
    trained = Trainer(half.astype(dtype), content["labels"], small())
    want = Trainer(half.astype(float), content["labels"], small())
    assert run(trained, 1) == run(want, 1)


def test_rates_rise_then_follow_the_schedule():
    # 96 images: 4 batches of 24 to an epoch, 4 epochs, one of them warm-up
    cosine, steps, constant = (trainer(schedule=s) for s in ("cosine", "step", "constant"))
    assert [constant.rate(b) for b in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert cosine.rate(0) == 0.25
    for each in (cosine, steps, constant):
        each.epoch = 2
    assert abs(cosine.rate(0) - 0.5) < 1e-15  # half of the run
    assert [round(steps.rate(b), 9) for b in range(4)] == [0.1, 0.1, 0.01, 0.01]  # thirds: 5, 10
    assert constant.rate(3) == 1.0
    cosine.epoch = 3
    assert 0 < cosine.rate(3) < 0.01


def test_no_warm_up_starts_at_the_full_rate():
    assert trainer(warmup_epochs=0).rate(0) == 1.0


def test_each_group_of_parameters_has_its_own_rate():
    for name, option in (
        ("head.weight", "lr_head"),
        ("proxies", "lr_proxies"),
        ("loss.class_proxies", "lr_loss"),
    ):
        one = trainer(**{option: 0.0})
        before = dict(one.params)
        run(one, 1)
        unchanged = {n for n, p in one.params.items() if np.array_equal(p, before[n])}
        assert name in unchanged
        assert unchanged <= {name, "head.bias"}


def test_gradients_are_clipped_by_value():
    # AdamW's first step is lr g/(|g| + 1e-8): at most lr/2 once |g| is cut to 1e-8.
    one = trainer(clip_gradient=1e-8, weight_decay=0.0, warmup_epochs=0)
    before = one.params["head.weight"].copy()
    next(one.run_epoch())
    moved = np.max(np.abs(one.params["head.weight"] - before))
    assert relative(moved, 0.5e-3) <= 1e-6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_exploding_run_says_where_and_keeps_no_epoch(dtype):
    one = trainer(lr_head=1e30, dtype=dtype, epochs=100)
    with pytest.raises(ValueError, match=r"^epoch \d+, batch \d+: .*try lower learning rates$"):
        run(one, 100)
    finished = one.epoch
    with pytest.raises(ValueError, match=f"^epoch {finished + 1}, "):
        run(one, 1)
    assert one.epoch == finished


def test_weights_that_explode_in_the_last_batch_are_refused_there():
    one = trainer(epochs=1, weight_decay=1e300, lr_head=1e30, hier_weight=0.0)
    batches = one.run_epoch()
    with pytest.raises(ValueError, match=r"head.weight: found NaN or infinity"):
        list(batches)
    assert one.epoch == 0


def damaged(state, case):
    """A state with one fault."""
    weight = state["params.head.weight"]
    return {
        "shape": state | {"params.head.weight": weight[:-1]},
        "dtype": state | {"params.head.weight": weight.astype("float32")},
        "missing": {name: a for name, a in state.items() if name != "params.head.bias"},
        "more": state | {"params.head.other": weight},
        "no epoch": {name: a for name, a in state.items() if name != "epoch"},
        "epoch below 0": state | {"epoch": np.array(-1)},
        "epoch beyond the last": state | {"epoch": np.array(5)},
        "memory": state | {"optimizer.mean.head.weight": weight[:-1]},
    }[case]


@pytest.mark.parametrize(
    "case",
    "shape dtype missing more memory".split()
    + ["no epoch", "epoch below 0", "epoch beyond the last"],
)
def test_a_state_of_another_configuration_is_refused_before_anything_changes(case):
    one = trainer()
    before = one.state()
    with pytest.raises(ValueError, match="^not the parameters of this configuration$"):
        one.load(damaged(trainer().state(), case))
    same(one.state(), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 25}, "batch of 25 with 2 per class: expected a positive multiple"),
        ({"batch": 98}, "batch of 98 with 2 per class: expected at most 96"),
        ({"images_per_class": 8}, "batch of 24 with 8 per class: expected at most 0"),
    ],
)
def test_a_batch_that_cannot_be_filled_names_the_options_and_what_fits(options, message):
    with pytest.raises(ValueError, match=f"^{message}.*\\(options batch, images_per_class\\)$"):
        trainer(**options)
    trainer(batch=96)


def test_mean_losses_by_hand():
    rows = [{"metric": 1.0, "hier": 0.5}, {"metric": 2.0, "hier": 0.0}, {"metric": 6.0, "hier": 1}]
    assert mean_losses(iter(rows)) == {"metric": 3.0, "hier": 0.5}
