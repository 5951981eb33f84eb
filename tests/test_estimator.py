"""HierHead: the estimator is the command's training, behind fit and transform."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from synthetic import SIZES, call, clustered, save, words

from hier_ref.config import Config
from hier_ref.estimator import HierHead
from hier_ref.features import read_features
from hier_ref.files import read_arrays
from hier_ref.runs import HEAD
from hier_ref.train import HierHead as Public
from hier_ref.train import main

X, Y = clustered()["features"], clustered()["labels"]


def head(**options):
    return HierHead(**(SIZES | {"epochs": 2} | options))


def test_it_is_a_public_name_of_train():
    assert Public is HierHead


def test_fit_is_the_training_of_the_command(tmp_path):
    path = save(tmp_path / "a.npz")
    call(main, "--features", path, "--out", tmp_path / "r", *words(**SIZES))
    training = read_features(path).part("train")
    fitted = HierHead(**SIZES).fit(training.features, training.labels)
    written = read_arrays(Path(tmp_path, "r", HEAD))
    assert fitted.params_.keys() | {"classes", "run", "sha256"} == written.keys()
    for name, array in fitted.params_.items():
        np.testing.assert_array_equal(array, written[name])
    np.testing.assert_array_equal(fitted.classes_, written["classes"])


def test_transform_gives_points_of_the_ball():
    fitted = head().fit(X, Y)
    z = fitted.transform(X)
    assert z.shape == (96, 8)
    assert z.dtype == np.float32
    assert np.max(np.sum(z**2, axis=1)) * 0.1 < 1
    np.testing.assert_array_equal(fitted.transform(X[3:5]), z[3:5])


def test_fit_returns_itself_and_fit_transform_is_both():
    one = head()
    assert one.fit(X, Y) is one
    np.testing.assert_array_equal(head().fit_transform(X, Y), one.transform(X))


def test_what_fit_learnt():
    fitted = head(epochs=3).fit(X, Y)
    assert len(fitted.losses_) == 3
    assert fitted.losses_[0].keys() == {"metric", "hier"}
    assert fitted.losses_[2]["metric"] < fitted.losses_[0]["metric"]
    assert fitted.n_features_in_ == 12
    assert fitted.config_ == Config(**(SIZES | {"epochs": 3}))


def test_fitting_again_starts_anew():
    one = head()
    first = one.fit(X, Y).transform(X)
    np.testing.assert_array_equal(one.fit(X, Y).transform(X), first)


def test_classes_may_be_strings_and_data_lists():
    names = np.array([f"class {label:02d}" for label in Y])
    fitted = head().fit(X.tolist(), names.tolist())
    assert fitted.classes_.tolist() == sorted(set(names))
    want = head().fit(X, Y).transform(X)
    np.testing.assert_array_equal(fitted.transform(X.tolist()), want)


def test_integer_data_is_taken_as_numbers():
    x = np.round(10 * X).astype(int)
    want = head().fit_transform(x.astype(float), Y)
    np.testing.assert_array_equal(head().fit_transform(x, Y), want)


def test_no_epochs_keep_the_head_as_drawn():
    fitted = head(epochs=0).fit(X, Y)
    assert fitted.losses_ == []
    assert fitted.transform(X).shape == (96, 8)


def test_data_is_not_changed():
    x, y = X.copy(), Y.copy()
    head().fit_transform(x, y)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)


def test_params_are_the_options():
    assert HierHead().get_params() == vars(Config())
    assert HierHead(tau=0.5).get_params(deep=False) == vars(Config(tau=0.5))
    one = HierHead()
    assert one.set_params(tau=0.5, seed=2) is one
    assert one.get_params() == vars(Config(tau=0.5, seed=2))
    one.get_params()["tau"] = 7.0
    assert one.get_params()["tau"] == 0.5


def test_unknown_params_are_refused_at_once():
    for make in (lambda: HierHead(taus=1), lambda: HierHead().set_params(taus=1)):
        with pytest.raises(
            ValueError, match=r"^unknown options \['taus'\]: expected \['activation"
        ):
            make()


def test_values_of_params_are_checked_by_fit():
    with pytest.raises(ValueError, match=r"^tau -1: expected a number, more than 0$"):
        head(tau=-1).fit(X, Y)


def test_params_set_after_fit_wait_for_the_next():
    fitted = head().fit(X, Y)
    z = fitted.transform(X)
    fitted.set_params(c=1.0)
    np.testing.assert_array_equal(fitted.transform(X), z)
    assert not np.array_equal(fitted.fit(X, Y).transform(X), z)


def test_it_can_be_pickled():
    fitted = head().fit(X, Y)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(fitted)).transform(X), fitted.transform(X)
    )


def test_transform_before_fit_is_refused():
    with pytest.raises(
        ValueError, match="^transform before fit: this HierHead has no weights yet$"
    ):
        HierHead().transform(X)


NAN = X.copy()
NAN[5, 1] = np.nan


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[0], Y, r"X float32 \(12,\): expected numbers of shape \(N, F\)"),
        (X[None], Y, r"X float32 \(1, 96, 12\): expected numbers"),
        (X[:0], Y[:0], r"X float32 \(0, 12\): expected numbers"),
        (X.astype(str), Y, r"X <U\d+ \(96, 12\): expected numbers"),
        (X * 1j, Y, r"X complex64 \(96, 12\): expected numbers"),
        (NAN, Y, "X is not finite in row 5"),
        (X, Y[:-1], r"y of shape \(95,\): expected \(96,\)"),
        (X, Y[:, None], r"y of shape \(96, 1\): expected \(96,\)"),
        (X, np.zeros(96), "y has one class: expected two or more"),
        (X[:12], Y[:12], "batch of 24 with 2 per class: expected at most 12"),
    ],
)
def test_odd_data_is_refused(x, y, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        head().fit(x, y)


def test_transform_refuses_another_width():
    with pytest.raises(ValueError, match=r"^X \(96, 11\): expected 12 columns, as in fit$"):
        head().fit(X, Y).transform(X[:, :11])
