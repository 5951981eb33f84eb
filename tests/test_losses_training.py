"""Every metric loss in training: the gradient of a batch, and a run of the command."""

from pathlib import Path

import numpy as np
import pytest
from checks import limit, relative
from synthetic import N_FEATURES, SIZES, call, clustered, save, words

from hier_ref.losses import LOSSES
from hier_ref.runs.folder import HEAD, METRICS
from hier_ref.train import main
from hier_ref.training.batch import batch_autograd, batch_gradient
from hier_ref.training.config import Config
from hier_ref.training.trainer import init_params

CASES = [(name, c) for name in LOSSES for c in (0.1, 0.0)]


@pytest.mark.parametrize(("name", "c"), CASES)
def test_the_gradient_of_a_batch_is_autograds(name, c):
    weight = 0.5 if c else 0.0  # the sphere has no HIER
    config = Config(**SIZES | {"loss": name, "c": c, "hier_weight": weight, "dtype": "float64"})
    content, rng = clustered(), np.random.default_rng
    f, labels = content["features"][:24].astype(float), content["labels"][:24]
    params = init_params(config, N_FEATURES, 4)
    losses, grads = batch_gradient(params, f, labels, rng(0), config)
    want_losses, want = batch_autograd(params, f, labels, rng(0), config)
    assert losses.keys() == want_losses.keys() and grads.keys() == want.keys() == params.keys()
    assert relative(losses["metric"], want_losses["metric"]) <= limit("autograd")
    for key, grad in grads.items():
        assert relative(grad, want[key]) <= limit("autograd"), key


@pytest.mark.parametrize(("name", "c"), CASES)
def test_the_command_trains_and_reads_its_run_again(name, c, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = SIZES | {"loss": name, "c": c, "hier_weight": 0.5 if c else 0.0, "epochs": 2}
    command = ("--features", save(Path("f.npz")), *words(**options))
    assert call(main, *command, "--out", "run").code == 0
    with np.load(Path("run", HEAD), allow_pickle=False) as head:
        own = {key.removeprefix("loss.") for key in head if key.startswith("loss.")}
    assert own == LOSSES[name].init(np.random.default_rng(0), 8, 8).keys()
    before = [Path("run", file).read_bytes() for file in (HEAD, METRICS)]
    assert call(main, "--resume", "run").code == 0
    assert [Path("run", file).read_bytes() for file in (HEAD, METRICS)] == before
