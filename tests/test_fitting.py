"""Training that chooses its length: what is held out, what is kept, and where a head starts."""

import json
from pathlib import Path

import numpy as np
import pytest
from synthetic import SIZES, call, save, words

from hier_ref.evaluate import main as evaluate
from hier_ref.features import read_features
from hier_ref.files import read_arrays
from hier_ref.retrieval.recall import recall_at_k
from hier_ref.runs.folder import CHECKPOINT, HEAD, METRICS, RESULT, TUNING
from hier_ref.train import main
from hier_ref.training import fitting
from hier_ref.training.batch import group
from hier_ref.training.config import Config
from hier_ref.training.estimator import HierHead
from hier_ref.training.fitting import Fit, held_out
from hier_ref.training.head import head_forward
from hier_ref.training.sampler import batches_per_epoch
from hier_ref.training.starts import start_head
from hier_ref.training.trainer import init_params
from hier_ref.training.tuning import drawn_settings, rounds

VALIDATED = SIZES | {"validate": 0.25, "batch": 12, "start": "lda", "lr_head": 1e-3}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def many(seed=0, classes=48, spread=1.0):
    """Features (6 a class) and labels of enough classes to hold some out."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), 6)
    noise = spread * rng.standard_normal((len(labels), 12))
    return (rng.standard_normal((classes, 12))[labels] + noise).astype("f4"), labels


def fitted(**options):
    fit = Fit(*many(), Config(**(VALIDATED | options)))
    while not fit.finished:
        for _ in fit.run_epoch():
            pass
    return fit


# ---- What is held out


def test_held_out_S3_are_whole_classes_of_the_share_that_is_asked():
    """Holds (S3)."""
    _, labels = many()
    for share, count in ((0.25, 12), (0.5, 24), (0.15, 7)):
        judging = held_out(labels, Config(**(VALIDATED | {"validate": share})))
        assert len(np.unique(labels[judging])) == count
        assert not set(labels[judging]) & set(labels[~judging])


def test_held_out_S3_follows_the_seed_alone():
    _, labels = many()
    one, same, other = (held_out(labels, Config(**(VALIDATED | {"seed": s}))) for s in (0, 0, 1))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        (np.repeat(np.arange(16), 6), {}),  # four classes held out: too few to judge
        (np.repeat(np.arange(48), 6), {"validate": 0}),
        (np.repeat(np.arange(48), 6), {"validate": 0.99}),  # what is left fills no batch
        (np.arange(96), {}),  # no two of a class
        (np.zeros(60, int), {}),
    ],
    ids=["few", "none asked", "no batch left", "singletons", "one class"],
)
def test_nothing_is_held_out_S3_where_it_could_not_judge(labels, options):
    assert not held_out(labels, Config(**(VALIDATED | options))).any()


# ---- What is kept


def test_the_best_epoch_is_kept_and_later_ones_are_not():
    fit = fitted(refit=False, epochs=8, lr_head=0.3, patience=8)  # a rate that spoils the start
    assert fit.best_epoch < 8
    assert fit.scores[fit.best_epoch] == max(fit.scores)
    found = fit.among_judges(fit_embedding(fit, fit.params), fit.config.search_c)
    assert found.average_precision.mean() == max(fit.scores)
    assert not np.array_equal(fit.params["head.weight"], fit.trainer.params["head.weight"])


def fit_embedding(fit, params):
    return lambda f: fitting.embed(f, params, fit.config)


def test_training_stops_when_nothing_has_improved_for_some_epochs():
    fit = fitted(refit=False, epochs=60, lr_head=0.3, patience=2)
    assert fit.trainer.epoch == fit.best_epoch + 2 < 60


def test_a_refit_trains_all_classes_for_as_many_epochs_as_were_best():
    fit = fitted(epochs=4)
    alone = Fit(*many(), Config(**(VALIDATED | {"epochs": 4, "validate": 0})))
    for _ in range(fit.best_epoch):
        for _ in alone.run_epoch():
            pass
    assert fit.refitting and fit.trainer.epoch == fit.best_epoch
    assert len(fit.trainer.classes) == 48
    for name, array in alone.trainer.params.items():
        np.testing.assert_array_equal(fit.params[name], array)


def test_the_start_itself_is_kept_where_training_only_spoils_it():
    features, labels = many(spread=0.05)  # no head is better than one that finds all
    fit = Fit(features, labels, Config(**(VALIDATED | {"epochs": 3, "lr_head": 3.0})))
    while not fit.finished:
        for _ in fit.run_epoch():
            pass
    assert fit.scores[0] == 1
    assert fit.best_epoch == 0 and fit.trainer.epoch == 0
    assert len(fit.trainer.classes) == 48


def test_test_rows_choose_nothing():
    # The same training rows, other test rows: the same head.
    features, labels = many(classes=96)
    other = features.copy()
    other[288:] = np.random.default_rng(9).standard_normal(other[288:].shape)
    for name, f in (("a", features), ("b", other)):
        save(Path(f"{name}.npz"), features=f, labels=labels, levels=None, level_names=None)
        assert train(name, f"{name}.npz").code == 0
    one, two = (read_arrays(Path(name, HEAD)) for name in "ab")
    for name in one.keys() - {"run", "sha256"}:
        np.testing.assert_array_equal(one[name], two[name])


# ---- A run


def train(out, features="many.npz", **options):
    argv = words(**(VALIDATED | {"epochs": 4, "eval_every": 2} | options))
    return call(main, "--features", features, "--out", out, *argv)


def write_many():
    features, labels = many(classes=96)
    save(Path("many.npz"), features=features, labels=labels, levels=None, level_names=None)


def test_a_run_says_what_it_holds_out_and_ends_with_the_head_that_is_kept():
    write_many()
    ended = train("r")
    assert ended.code == 0
    assert "choice    12 classes held out choose the epoch; start: lda" in ended.out
    rows = [json.loads(line) for line in Path("r", METRICS).read_text().splitlines()]
    assert all("validation" in row for row in rows[:-1])
    assert rows[-1]["kept"] is True
    result = json.loads(Path("r", RESULT).read_text())
    assert rows[-1]["epoch"] == result["epoch"] == int(read_arrays(Path("r", HEAD))["epoch"])
    assert result["baselines"].keys() == {"raw", "whitened", "lda"}
    assert len(result["validation"]) >= 2
    last = [line for line in ended.out.splitlines() if "  kept  " in line]
    scored = call(evaluate, "--run", "r").out
    assert f"{100 * rows[-1]['recall']['1']:8.2f}" in last[0]
    run = next(line for line in scored.splitlines() if line.startswith("run "))
    assert run.split()[1] == last[0].split()[1]
    assert result["verdict"][0] in ended.out and result["verdict"][0] in scored


def test_too_few_dimensions_are_said_before_training():
    write_many()
    ended = train("narrow", embedding=1, hier_weight=0, epochs=1)
    assert ended.code == 0
    assert ended.err.startswith("note: 1 dimensions lose ")
    assert "--embedding asks for more" in ended.err
    assert train("wide", embedding=12, epochs=1).err == ""


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("tune", [0, 2])
def test_a_validated_run_resumes_to_the_same_bytes(monkeypatch, at, tune):
    write_many()
    train("whole", tune=tune)
    write, calls = main.__globals__["write_arrays"], iter(range(1, 100))

    def killed(path, arrays):
        if next(calls) == at:
            raise Killed
        write(path, arrays)

    with monkeypatch.context() as patch:
        patch.setattr("hier_ref.train.write_arrays", killed)
        try:
            train("r", tune=tune)
        except Killed:
            pass
    assert call(main, "--resume", "r").code == 0
    for name in (HEAD, METRICS, RESULT, CHECKPOINT, *([TUNING] if tune else [])):
        assert Path("r", name).read_bytes() == Path("whole", name).read_bytes(), name


# ---- Where a head starts


@pytest.mark.parametrize("start", ["lda", "whiten", "pca"])
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_start_M7_has_the_length_that_is_asked(start, head):
    """Holds (M7)."""
    features, labels = many()
    config = Config(start=start, head=head, hidden=32, embedding=8, start_length=1.5)
    params = init_params(config, 12, 48)
    found = start_head(params, features, labels, np.arange(len(labels)), config)
    x = head_forward(features, group(found, "head."), config.layers)
    assert np.sqrt(np.mean(np.sum(x**2, 1))) == pytest.approx(1.5 * config.clip, rel=1e-3)
    assert np.abs(x.mean(0)).max() < 1e-4


def test_start_M7_leaves_a_random_start_and_all_but_the_last_layer_alone():
    features, labels = many()
    rows = np.arange(len(labels))
    config = Config(start="random", embedding=8)
    params = init_params(config, 12, 48)
    assert start_head(params, features, labels, rows, config) is params
    config = Config(start="lda", head="mlp", hidden=32, embedding=8)
    params = init_params(config, 12, 48)
    found = start_head(params, features, labels, rows, config)
    changed = {n for n, p in found.items() if not np.array_equal(p, params[n])}
    assert changed == {"head.weight", "head.bias"}


def test_start_M7_of_constant_features_is_the_origin():
    labels = np.repeat(np.arange(6), 4)
    config = Config(start="whiten", embedding=4)
    params = init_params(config, 5, 6)
    found = start_head(params, np.ones((24, 5), "f4"), labels, np.arange(24), config)
    assert np.isfinite(found["head.weight"]).all()


def test_discriminants_start_M7_where_noise_hides_the_classes():
    # Classes differ in 4 of 24 directions; in the others noise is as large.
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(80), 6)
    signal = rng.standard_normal((80, 4))[labels] + 0.3 * rng.standard_normal((480, 4))
    f = np.hstack([signal, rng.standard_normal((480, 20))]).astype("f4")
    train_rows, test = np.flatnonzero(labels < 40), labels >= 40
    recall = {}
    for start in ("random", "lda"):
        config = Config(start=start, embedding=4)
        params = start_head(init_params(config, 24, 40), f, labels, train_rows, config)
        x = head_forward(f[test], group(params, "head."), config.layers)
        recall[start] = recall_at_k(x, labels[test], x, labels[test], [1], 0.0, True)[1]
    assert recall["lda"] > 2 * recall["random"]


# ---- Tuning


def test_settings_are_drawn_from_the_seed_and_the_first_changes_nothing():
    one, same = (drawn_settings(Config(), 320, 9) for _ in range(2))
    assert one == same and one[0] == {} and len(one) == 9
    assert drawn_settings(Config(seed=1), 320, 9) != one
    assert drawn_settings(Config(), 320, 5) == one[:5]
    for setting in drawn_settings(Config(), 100, 40)[1:]:
        Config(**setting)
        assert setting.get("embedding", 64) <= 100 and setting.get("hidden", 600) == 600
    assert not any(
        s.get("hier_weight") for s in drawn_settings(Config(c=0, hier_weight=0), 9, 20)[1:]
    )


@pytest.mark.parametrize(
    ("count", "epochs", "want"),
    [
        (20, 10, [(20, 3), (6, 9), (2, 10)]),
        (1, 10, [(1, 10)]),
        (9, 3, [(9, 3)]),
        (2, 20, [(2, 3), (1, 20)]),
    ],
)
def test_rounds_halve_settings_and_lengthen_training(count, epochs, want):
    assert rounds(count, epochs) == want


def test_tuning_keeps_a_line_per_short_run_and_trains_with_what_won():
    write_many()
    ended = train("r", tune=4)
    assert ended.code == 0
    lines = [json.loads(line) for line in Path("r", TUNING).read_text().splitlines()]
    won = lines[-1]
    assert won["gain"] >= 0 and won["options"] == lines[won["won"]]["options"]
    assert f"tuned     setting {won['won']} of 4: " in ended.out
    head = read_arrays(Path("r", HEAD))["head.weight"]
    assert len(head) == won["options"].get("embedding", 8)
    assert call(evaluate, "--run", "r").code == 0


def test_the_estimator_searches_as_the_command_does():
    write_many()
    train("r", tune=4)
    options = VALIDATED | {"epochs": 4, "eval_every": 2, "tune": 4}
    training = read_features(Path("many.npz")).part("train")
    head = HierHead(**options).fit(training.features, training.labels)
    lines = [json.loads(line) for line in Path("r", TUNING).read_text().splitlines()]
    assert [row["score"] for row in head.tuning_] == [row["score"] for row in lines]
    assert head.config_ == Config(**(options | lines[-1]["options"]))
    with pytest.raises(ValueError, match="^tune 4: found too few training classes"):
        head.fit(training.features[:24], training.labels[:24])


def test_tuning_without_classes_to_judge_is_refused():
    save(Path("few.npz"))
    ended = train("r", "few.npz", tune=3)
    assert ended.code == 2
    assert ended.err == (
        "error: tune 3: found too few training classes to hold any out, expected more\n"
    )
    assert not Path("r").exists()
    assert "expected held-out classes to judge" in train("r", "few.npz", tune=3, validate=0).err


def test_a_run_whose_search_is_unfinished_is_not_scored():
    write_many()
    train("r", tune=2)
    text = Path("r", TUNING).read_text().splitlines(keepends=True)
    Path("r", TUNING).write_text("".join(text[:-1]))
    assert "the search is not finished; use --resume" in call(evaluate, "--run", "r").err


def test_batches_are_those_of_the_classes_that_train():
    features, labels = many()
    fit = Fit(features, labels, Config(**VALIDATED))
    assert fit.trainer.n_batches == batches_per_epoch(labels[~fit.judging], 12, 2)
