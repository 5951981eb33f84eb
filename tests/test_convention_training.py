"""`--convention`: a run is trained in it, remembers it, and can be scored in the other."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from checks import limit, relative
from synthetic import SIZES, call, save, words

from hier_ref.balls import ball_of
from hier_ref.convention import CONVENTIONS, EXACT, RELEASED
from hier_ref.evaluate import main as evaluate_main
from hier_ref.files import read_arrays
from hier_ref.losses import LOSSES
from hier_ref.runs.folder import CHECKPOINT, HEAD, METRICS
from hier_ref.train import main as train_main
from hier_ref.training.batch import GRADIENTS, to_ball_or_sphere, to_ball_or_sphere_vjp
from hier_ref.training.config import Config
from hier_ref.training.trainer import init_params

SMALL = {"embedding": 8, "proxies": 12, "neighbours": 5, "triplets": 3, "dtype": "float64"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(Path("good.npz"))


def train(convention, out):
    argv = ["--features", "good.npz", "--out", out, "--convention", convention]
    ended = call(train_main, *argv, *words(**SIZES))
    assert (ended.code, ended.err) == (0, "")
    return Path(out)


def test_config_reads_the_convention_by_its_name():
    assert Config().reading == EXACT
    assert Config(convention="released").reading == RELEASED
    with pytest.raises(ValueError, match="convention 'paper': expected one of exact, released"):
        Config(convention="paper")


@pytest.mark.parametrize("loss", LOSSES)
def test_explicit_gradient_of_a_released_batch_equals_autograd(loss):
    config = Config(loss=loss, convention="released", **SMALL)
    f = np.random.default_rng(0).standard_normal((24, 16))
    params, labels = init_params(config, 16, 12), np.arange(24) // 2
    by_hand, by_autograd = (
        GRADIENTS[way](params, f, labels, np.random.default_rng(1), config)
        for way in ("explicit", "autograd")
    )
    assert by_hand[0].keys() == by_autograd[0].keys()
    for name, grad in by_hand[1].items():
        assert relative(grad, by_autograd[1][name]) <= limit("parity_gradient")


def test_points_of_a_released_run_carry_its_scaling(rng):
    x = rng.standard_normal((5, 8))
    config = Config(convention="released", **SMALL)
    z = to_ball_or_sphere(x, config)
    scale = (1 - config.c * np.sum(z**2, axis=1, keepdims=True)) ** 2 / 4
    ball = ball_of(RELEASED)
    want = ball.to_ball_vjp(scale * x, x, config.c, config.clip)
    assert relative(to_ball_or_sphere_vjp(x, x, config), want) <= limit("autograd")
    assert relative(z, ball.to_ball(x, config.c, config.clip)) <= limit("autograd")


def test_a_run_remembers_its_convention_and_differs_by_it():
    runs = {name: train(name, name) for name in CONVENTIONS}
    for name, run in runs.items():
        assert json.loads((run / "config.json").read_text())["config"]["convention"] == name
    heads = [read_arrays(run / HEAD)["head.weight"] for run in runs.values()]
    assert not np.array_equal(*heads)


def test_a_released_run_goes_on_with_the_same_bytes():
    whole, cut = train("released", "whole"), train("released", "cut")
    (cut / HEAD).unlink()
    ended = call(train_main, "--resume", "cut")
    assert (ended.code, ended.err) == (0, "")
    for name in (HEAD, METRICS, CHECKPOINT):
        assert (whole / name).read_bytes() == (cut / name).read_bytes()
    ended = call(train_main, "--resume", "cut", "--convention", "exact")
    assert ended.code == 2
    assert "a run with convention released, found convention exact" in ended.err


def test_a_run_can_be_scored_in_the_other_convention():
    train("released", "r")
    printed = {
        name: call(evaluate_main, "--run", "r", *argv)
        for name, argv in {
            "own": [],
            "released": ["--convention", "released"],
            "exact": ["--convention", "exact"],
        }.items()
    }
    assert {ended.code for ended in printed.values()} == {0}
    assert printed["own"] == printed["released"]
    numbers = [
        np.array([float(n) for n in re.findall(r"\d+\.\d\d", printed[name].out)])
        for name in ("released", "exact")
    ]
    assert numbers[0].shape == numbers[1].shape and len(numbers[0])
    # The two put a point 3e-6 of its length apart: scores may move by a pair in a tie, no more.
    assert np.max(np.abs(numbers[0] - numbers[1])) <= 100 / 48
    assert call(evaluate_main, "--run", "r", "--convention", "paper").code == 2
