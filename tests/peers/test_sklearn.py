"""HierHead among scikit-learn's estimators, which the package itself never imports."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted
from synthetic import SIZES, clustered

from hier_ref.train import HierHead

X, Y = clustered()["features"], clustered()["labels"]


def head(**options):
    return HierHead(**(SIZES | {"epochs": 2} | options))


# Checks of scikit-learn that want another wording, or more than the package promises.
OTHERWISE = {
    "check_n_features_in_after_fitting": "refused in other words",
    "check_complex_data": "refused in other words",
    "check_estimators_empty_data_messages": "refused in other words",
    "check_fit2d_predict1d": "refused in other words",
    "check_fit2d_1feature": "one feature is a constant row (K40): refused in other words",
    "check_dtype_object": "an object that is no number: a ValueError, where it wants a TypeError",
}


def test_it_passes_the_checks_of_scikit_learn():
    sizes = {"embedding": 4, "proxies": 8, "batch": 4, "epochs": 2, "neighbours": 3, "triplets": 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it does not inherit from BaseEstimator
        found = check_estimator(HierHead(**sizes), on_fail=None, on_skip=None)
    failed = {check["check_name"] for check in found if check["status"] == "failed"}
    assert len(found) > 40
    assert failed <= set(OTHERWISE)


def test_importing_the_package_does_not_import_sklearn():
    code = "import sys, hier_ref.train; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_clone_has_the_options_and_is_not_fitted():
    fitted = head(tau=0.25, recall_at=(1, 5)).fit(X, Y)
    copy = clone(fitted)
    assert type(copy) is HierHead
    assert copy.get_params() == fitted.get_params()
    with pytest.raises(ValueError, match="transform before fit"):
        copy.transform(X)


def test_fitted_attributes_are_recognised():
    with pytest.raises(NotFittedError):
        check_is_fitted(head())
    check_is_fitted(head().fit(X, Y))


def test_a_pipeline_fits_and_transforms():
    pipeline = Pipeline([("scale", StandardScaler()), ("head", head())])
    z = pipeline.fit(X, Y).transform(X)
    scaled = StandardScaler().fit_transform(X)
    np.testing.assert_array_equal(z, head().fit(scaled, Y).transform(scaled))
    np.testing.assert_array_equal(clone(pipeline).fit_transform(X, Y), z)
    assert "HierHead" in repr(pipeline)


def test_a_pipeline_with_a_classifier_predicts():
    model = make_pipeline(StandardScaler(), head(epochs=8), KNeighborsClassifier(3))
    assert model.fit(X, Y).score(X, Y) > 0.5  # one of 16 classes by chance


def test_parameter_grids_reach_the_head():
    pipeline = Pipeline([("scale", StandardScaler()), ("head", head())])
    for params in ParameterGrid({"head__tau": [0.1, 0.2], "head__hier_weight": [0.0, 1.0]}):
        one = clone(pipeline).set_params(**params).fit(X, Y)
        assert one["head"].config_.tau == params["head__tau"]
        assert ("proxies" in one["head"].params_) == (params["head__hier_weight"] > 0)


def test_a_grid_search_runs():
    model = make_pipeline(head(), KNeighborsClassifier(1))
    search = GridSearchCV(
        model,
        {"hierhead__hier_weight": np.array([0.0, 0.5]), "hierhead__seed": np.arange(2)},
        cv=StratifiedKFold(2),
        error_score="raise",
    )
    assert set(search.fit(X, Y).best_params_) == {"hierhead__hier_weight", "hierhead__seed"}
    assert search.predict(X).shape == Y.shape


# pandas


def frame(x=X):
    return pd.DataFrame(x, columns=[f"f{k}" for k in range(x.shape[1])]).set_index(
        np.arange(len(x)) + 1000
    )


def test_a_data_frame_gives_a_data_frame_where_it_is_asked_for():
    model = make_pipeline(StandardScaler(), head()).set_output(transform="pandas")
    z = model.fit(frame(), Y).transform(frame())
    assert type(z) is pd.DataFrame
    assert z.columns.tolist() == [f"hierhead{k}" for k in range(8)]
    assert z.index.tolist() == frame().index.tolist()
    want = make_pipeline(StandardScaler(), head()).fit(X, Y).transform(X)
    np.testing.assert_array_equal(z.to_numpy(), want)
    again = clone(model).fit(frame(), Y).transform(frame())
    pd.testing.assert_frame_equal(again, z)
    assert type(model.set_output(transform="default").fit_transform(frame(), Y)) is np.ndarray


def test_the_columns_are_those_that_scikit_learn_sees():
    ours, theirs = head(epochs=0).fit(frame(), Y), StandardScaler().fit(frame())
    assert ours.feature_names_in_.tolist() == theirs.feature_names_in_.tolist()
    for one in (ours, theirs):
        with pytest.raises(ValueError, match="f11|same order"):
            one.transform(frame()[frame().columns[::-1]])
        with pytest.warns(UserWarning, match="X does not have valid feature names"):
            one.transform(X)


NAMES = pd.Series([f"class {label:02d}" for label in Y])
KINDS = (None, "object", "string", "category")


@pytest.mark.parametrize("kind", KINDS)
def test_classes_of_pandas_are_taken_as_they_are(kind):
    fitted = head(epochs=0).fit(X, NAMES if kind is None else NAMES.astype(kind))
    assert fitted.classes_.tolist() == sorted(set(NAMES))
    numbers = pd.Series(Y).astype("Int64" if kind == "string" else kind or "int64")
    assert head(epochs=0).fit(X, numbers).classes_.tolist() == list(range(16))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", [np.nan, None, pd.NA])
def test_missing_classes_of_pandas_are_refused_by_row(kind, missing):
    y = NAMES.copy().astype("object")
    y[7] = missing
    with pytest.raises(ValueError, match=r"^y is (nan|None|<NA>) in row 7: expected a class"):
        head().fit(X, y if kind is None else y.astype(kind))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (pd.Series(Y).astype("Int64").where(Y != 3), r"y is (<NA>|nan) in row 18"),
        (pd.Series(Y).where(Y != 3), r"y is nan in row 18"),
        (pd.to_datetime(pd.Series(Y), unit="D"), r"y is datetime64"),
        (pd.to_timedelta(pd.Series(Y), unit="D"), r"y is timedelta64"),
        (pd.period_range("2026", periods=96, freq="D"), r"y is Period"),
        (pd.DataFrame({"y": Y}), r"y of shape \(96, 1\)"),
    ],
)
def test_odd_classes_of_pandas_are_refused(y, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        head().fit(X, y)


@pytest.mark.parametrize("kind", ["float64", "Float64", "object"])
def test_frames_of_every_numeric_kind_are_numbers(kind):
    want = head(epochs=0).fit_transform(X.astype(float), Y)
    np.testing.assert_array_equal(head(epochs=0).fit_transform(frame().astype(kind), Y), want)


def test_a_missing_number_is_refused():
    holes = frame().astype("Float64")
    holes.iloc[3, 1] = pd.NA
    with pytest.raises(
        ValueError, match=r"^X (object \(96, 12\)|is not finite in row 3): expected"
    ):
        head().fit(holes, Y)


def test_repr_is_in_the_style_of_scikit_learn():
    assert repr(HierHead(epochs=3, loss="PA")) == "HierHead(loss='PA', epochs=3)"
    assert repr(make_pipeline(StandardScaler(), HierHead(epochs=3))).endswith(
        "HierHead(epochs=3))])"
    )
