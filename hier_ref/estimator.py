"""HierHead: a trained head as an estimator with fit and transform (scikit-learn's convention)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hier_ref.config import Config
from hier_ref.training import Trainer, embed, mean_losses


class HierHead:
    """A head trained with a metric loss and HIER, as an estimator: fit, then transform.

    Keyword arguments are the fields of `Config`. After `fit`: `params_` (arrays by name),
    `classes_`, `config_`, `n_features_in_` and `losses_` (mean losses of each epoch).
    """

    def __init__(self, **params):
        """Take the options by name; their values are checked by `fit`, as estimators do."""
        self._params = dict(vars(Config()))
        self.set_params(**params)

    def get_params(self, deep: bool = True) -> dict:
        """Return all options by name."""
        return dict(self._params)

    def set_params(self, **params) -> "HierHead":
        """Change some options; ValueError for a name that is none."""
        unknown = set(params) - set(self._params)
        if unknown:
            raise ValueError(f"unknown options {sorted(unknown)}: expected {sorted(self._params)}")
        self._params |= params
        return self

    def fit(self, X: ArrayLike, y: ArrayLike) -> "HierHead":
        """Train on features X (N, F) and integer or string classes y (N,).

        Raises ValueError for options out of range, shapes that do not fit, values that are not
        finite, fewer than two classes, and classes too small to fill a batch.
        """
        X, y = _checked(X, y)
        self.config_ = Config(**self._params)
        trainer = Trainer(X, y, self.config_)
        self.losses_ = [mean_losses(trainer.run_epoch()) for _ in range(self.config_.epochs)]
        self.params_, self.classes_ = trainer.params, trainer.classes
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: ArrayLike) -> NDArray:
        """Map features (N, F) to points of the ball (N, D)."""
        if not hasattr(self, "params_"):
            raise ValueError("transform before fit: this HierHead has no weights yet")
        X, _ = _checked(X)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(f"X {X.shape}: expected {self.n_features_in_} columns, as in fit")
        return embed(X, self.params_, self.config_)

    def fit_transform(self, X: ArrayLike, y: ArrayLike) -> NDArray:
        """Train on X and y, then map X."""
        return self.fit(X, y).transform(X)

    def __sklearn_tags__(self):
        """Describe the estimator to scikit-learn: the only caller, so it is there to import."""
        from sklearn.utils import Tags, TargetTags, TransformerTags

        target = TargetTags(required=True)
        return Tags(estimator_type=None, target_tags=target, transformer_tags=TransformerTags())


def _checked(X: ArrayLike, y: ArrayLike | None = None) -> tuple[NDArray, NDArray | None]:
    X = np.asarray(X)
    if X.ndim != 2 or not X.size or X.dtype.kind not in "fiu":
        raise ValueError(f"X {X.dtype} {X.shape}: expected numbers of shape (N, F)")
    bad = np.flatnonzero(~np.isfinite(X).all(1))
    if len(bad):
        raise ValueError(f"X is not finite in row {bad[0]}")
    if y is not None:
        y = np.asarray(y)
        if y.shape != X.shape[:1]:
            raise ValueError(f"y of shape {y.shape}: expected ({len(X)},)")
        if len(np.unique(y)) < 2:
            raise ValueError("y has one class: expected two or more")
    return X, y
