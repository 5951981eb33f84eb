"""HierHead among scikit-learn's estimators, which the package itself never imports."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from synthetic import SIZES, clustered

from hier_ref.train import HierHead

X, Y = clustered()["features"], clustered()["labels"]


def head(**options):
    return HierHead(**(SIZES | {"epochs": 2} | options))


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
