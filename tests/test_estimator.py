"""HierHead: the estimator is the command's training, behind fit and transform."""

import copy
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
from synthetic import SIZES, call, clustered, save, words

from hier_ref.features.contract import read_features
from hier_ref.files import read_arrays
from hier_ref.runs.folder import HEAD
from hier_ref.train import HierHead as Public
from hier_ref.train import main
from hier_ref.training.config import Config
from hier_ref.training.estimator import HierHead

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
    assert fitted.params_.keys() | {"classes", "epoch", "run", "sha256"} == written.keys()
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
HOLES = X.astype(object)
HOLES[5, 1] = None
NAMES = [f"class {label}" for label in Y]


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
        (X, None, "HierHead requires y to be passed, but the target y is None"),
        (X, np.where(Y == 0, np.nan, Y), "y is nan in row 0: expected a class, an integer or"),
        (X, np.where(Y == 3, np.inf, Y), "y is inf in row 18: expected a class"),
        (X, Y + 0.5, "y is 0.5 in row 0: expected a class"),
        (X, Y * 1j, "y is complex128: expected classes, integers or strings"),
        (X, Y.astype("datetime64[D]"), r"y is datetime64\[D\]: expected classes"),
        (X, [None, *Y[1:]], "y is None in row 0: expected a class"),
        (X, [*NAMES[:5], np.nan, *NAMES[6:]], "y is nan in row 5: expected a class"),
        (X, [*NAMES[:5], 7, *NAMES[6:]], "y holds numbers and strings: expected one kind"),
        (X, [*Y[:5].tolist(), True, *Y[6:]], "y holds booleans and numbers: expected one kind"),
        (X, [[1, 2], *Y[1:]], "y"),
        (X, [b"a", *NAMES[1:]], "y holds bytes and strings: expected one kind"),
        (X, [10**30, *Y[1:]], "y is object: expected classes"),
        (X, 3, r"y of shape \(\): expected \(96,\)"),
        (np.ma.masked_greater(X, 1), Y, "X has masked entries: expected all of them"),
        (X, np.ma.masked_equal(Y, 3), "y has masked entries: expected all of them"),
        (np.zeros(3, [(f"field {k}", float) for k in range(99)]), Y, r"X .{40} \(3,\): expected"),
        (HOLES, Y, r"X object \(96, 12\): expected"),
        (X.astype("datetime64[s]"), Y, r"X datetime64\[s\] \(96, 12\): expected numbers"),
        (X > 0, Y, r"X bool \(96, 12\): expected numbers"),
        ([[1, 2], [3]], Y, "setting an array element with a sequence"),
        (X[:12], Y[:12], "batch of 24 with 2 per class: expected at most 12"),
    ],
)
def test_odd_data_is_refused(x, y, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        head().fit(x, y)


def test_transform_refuses_features_beyond_the_dtype():
    with pytest.raises(ValueError, match=r"^features up to .*e\+40: expected at most 3.4e\+38"):
        head().fit(X, Y).transform(X * np.float64(1e40))


def test_transform_refuses_another_width():
    with pytest.raises(ValueError, match=r"^X \(96, 11\): expected 12 columns, as in fit$"):
        head().fit(X, Y).transform(X[:, :11])


def test_a_sparse_matrix_is_refused():
    with pytest.raises(TypeError, match=r"^X is a sparse matrix \(96, 12\): expected a dense one"):
        head().fit(csr_array(X), Y)


@pytest.mark.parametrize(
    "classes",
    [
        Y.astype(np.uint8),
        Y.astype(float),
        Y.astype(object),
        Y % 2 == 0,
        np.array(NAMES).astype(bytes),
        np.array(NAMES, dtype=object),
        tuple(NAMES),
        (Y.astype(np.int64) << 40) - 2**50,
    ],
    ids=["uint8", "whole floats", "objects", "booleans", "bytes", "strings", "tuple", "huge"],
)
def test_classes_of_every_kind_keep_their_values(classes):
    fitted = head(epochs=0).fit(X, classes)
    assert fitted.classes_.tolist() == sorted(set(np.asarray(classes).tolist()))


def test_objects_that_are_numbers_are_taken_as_numbers():
    want = head(epochs=0).fit_transform(X.astype(float), Y)
    np.testing.assert_array_equal(head(epochs=0).fit_transform(X.astype(object), Y), want)


def test_options_are_attributes():
    one = head()
    assert (one.epochs, one.tau, HierHead().epochs) == (2, 0.1, Config().epochs)
    one.epochs = 3
    assert one.get_params()["epochs"] == 3
    assert len(one.fit(X, Y).losses_) == 3
    one.set_params(epochs=1)
    assert one.epochs == 1 and one.config_.epochs == 3
    one.epoch = 5  # no option: as any attribute of Python, of no effect
    assert "epoch" not in one.get_params()


def test_an_attribute_out_of_range_is_refused_by_fit():
    one = head()
    one.epochs = True
    with pytest.raises(ValueError, match="^epochs True: expected integers, at least 0$"):
        one.fit(X, Y)


def test_repr_shows_what_is_not_default_and_can_be_evaluated():
    assert repr(HierHead()) == "HierHead()"
    one = HierHead(tau=0.1, loss="PA", recall_at=(1, 10), epochs=3)
    assert repr(one) == "HierHead(loss='PA', epochs=3, recall_at=(1, 10))"
    assert eval(repr(one)).get_params() == one.get_params()


def test_the_signature_names_every_option_and_its_default():
    found = inspect.signature(HierHead).parameters
    assert {name: p.default for name, p in found.items()} == vars(Config())


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
def test_copies_are_as_fitted_as_the_original(again):
    fitted = head().fit(X, Y)
    other = again(fitted)
    assert other.get_params() == fitted.get_params()
    np.testing.assert_array_equal(other.transform(X), fitted.transform(X))


class Frame:
    """What the estimator needs of a data frame, without pandas."""

    def __init__(self, columns, values=X):
        self.columns, self.values = columns, values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


COLUMNS = [f"f{k}" for k in range(12)]


def test_columns_are_remembered_and_asked_for():
    fitted = head().fit(Frame(COLUMNS), Y)
    assert fitted.feature_names_in_.tolist() == COLUMNS
    np.testing.assert_array_equal(fitted.transform(Frame(COLUMNS)), head().fit(X, Y).transform(X))
    with pytest.raises(ValueError, match="^X column 0 is 'f11': expected 'f0', as in fit$"):
        fitted.transform(Frame(COLUMNS[::-1], X[:, ::-1]))
    fitted.fit(X, Y)
    assert not hasattr(fitted, "feature_names_in_")


def test_names_on_one_side_alone_are_warned_of():
    with pytest.warns(UserWarning, match="but HierHead was fitted with them"):
        head(epochs=0).fit(Frame(COLUMNS), Y).transform(X)
    with pytest.warns(UserWarning, match="but HierHead was fitted without them"):
        head(epochs=0).fit(X, Y).transform(Frame(COLUMNS))


def test_columns_named_by_numbers_have_no_names_and_a_mixture_is_refused():
    fitted = head(epochs=0).fit(Frame(list(range(12))), Y)
    assert not hasattr(fitted, "feature_names_in_")
    with pytest.raises(ValueError, match="^X has 11 columns of 12 named by strings: expected all$"):
        head().fit(Frame([0, *COLUMNS[1:]]), Y)


def test_coordinates_have_names_once_it_is_fitted():
    with pytest.raises(ValueError, match="^get_feature_names_out before fit"):
        head().get_feature_names_out()
    names = head(epochs=0, embedding=3).fit(X, Y).get_feature_names_out()
    assert names.tolist() == ["hierhead0", "hierhead1", "hierhead2"]


def test_set_output_takes_the_words_that_it_knows():
    one = head(epochs=0)
    assert one.set_output(transform="default") is one.set_output() is one
    assert type(one.fit_transform(X, Y)) is np.ndarray
    with pytest.raises(ValueError, match="^set_output 'arrow': expected default or pandas$"):
        one.set_output(transform="arrow")


def test_importing_the_estimator_imports_no_pandas():
    code = "import sys, hier_ref.train; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
