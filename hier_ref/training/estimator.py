"""HierHead: a trained head as an estimator with fit and transform (scikit-learn's convention)."""

import warnings
from dataclasses import fields, replace
from inspect import Parameter, Signature
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hier_ref.baselines.verdict import verdict
from hier_ref.ranges import shown
from hier_ref.training.batch import embed
from hier_ref.training.config import Config
from hier_ref.training.fitting import Fit
from hier_ref.training.tables import column_names, read_classes, read_features
from hier_ref.training.trainer import mean_losses
from hier_ref.training.tuning import tune

DEFAULTS = {option.name: option.default for option in fields(Config)}


def _beside(fit: Fit) -> tuple[dict[str, float], str]:
    """Return Recall@1 of the held-out classes without training, and the verdict on the head."""
    if not fit.validated:
        return {}, "no classes are held out, so nothing can be said"
    head = fit.among_judges(lambda f: embed(f, fit.kept, fit.config), fit.config.search_c)
    hits = fit.hits()
    words = verdict(head.rank < 1, hits, fit.labels[fit.judges])
    return {name: float(hit.mean()) for name, hit in hits.items()}, words


def _settled(features: NDArray, labels: NDArray, config: Config) -> tuple[Config, list[dict]]:
    """Return the options to train with, by a search where one is asked for, and its lines."""
    rows: list[dict] = []
    if config.tune:
        won = tune(features, labels, config, rows, lambda rows: None)
        config = replace(config, **won["options"])
    return config, rows


class HierHead:
    """A head trained with a metric loss and HIER, as an estimator: fit, then transform.

    Keyword arguments are the fields of `Config`, and attributes of the same names. After `fit`:
    `params_` (arrays by name), `classes_`, `config_` (with `tune` what its search chose, whose
    lines are `tuning_`), `n_features_in_`, `losses_` (mean losses of each epoch, those of a refit
    behind), `best_epoch_`, `validation_` (MAP@R of the held-out
    classes by epoch), `baselines_` (their Recall@1 without training, by name), `verdict_` (what
    the head of the search gains on them, in words) and, from a data frame, `feature_names_in_`.
    Where nothing is held out, `validation_` and `baselines_` are empty, and `verdict_` says so.
    """

    def __init__(self, **params: Any) -> None:
        """Take the options by name; their values are checked by `fit`, as estimators do."""
        vars(self).update(DEFAULTS)
        self.set_params(**params)

    def get_params(self, deep: bool = True) -> dict:
        """Return all options by name."""
        return {name: getattr(self, name) for name in DEFAULTS}

    def set_params(self, **params: Any) -> "HierHead":
        """Change some options; ValueError for a name that is none."""
        unknown = sorted(set(params) - set(DEFAULTS))
        if unknown:
            known = f"{shown(sorted(DEFAULTS))} (all: HierHead().get_params())"
            raise ValueError(f"unknown options {shown(unknown)}: expected {known}")
        vars(self).update(params)
        return self

    def __repr__(self) -> str:
        """Show the options that are not at their default."""
        params = self.get_params().items()
        changed = [f"{name}={v!r}" for name, v in params if repr(v) != repr(DEFAULTS[name])]
        return f"{type(self).__name__}({', '.join(changed)})"

    def fit(self, X: ArrayLike, y: ArrayLike) -> "HierHead":
        """Train on features X (N, F) and classes y (N,), integers or strings.

        Raises ValueError for options out of range, shapes that do not fit, values that are not
        finite, classes that are missing, fewer than two of them, too small ones to fill a batch,
        and too few for `tune`; TypeError for a sparse X.
        """
        features, names = read_features(X), column_names(X)
        labels = read_classes(y, len(features))
        config, self.tuning_ = _settled(features, labels, Config(**self.get_params()))
        fit = Fit(features, labels, config)
        self.losses_ = []
        while not fit.finished:
            self.losses_.append(mean_losses(fit.run_epoch()))
        self.config_, self.params_, self.classes_ = config, fit.params, fit.trainer.classes
        self.validation_, self.best_epoch_ = fit.scores, fit.best_epoch
        self.baselines_, self.verdict_ = _beside(fit)
        self.n_features_in_ = features.shape[1]
        vars(self).pop("feature_names_in_", None)
        if names is not None:
            self.feature_names_in_ = names
        return self

    def transform(self, X: ArrayLike) -> Any:
        """Map features (N, F) to points of the ball (N, D), an array or as `set_output` says.

        Raises ValueError before `fit`, and for features that are not those of `fit`.
        """
        self._check_fitted("transform")
        features = read_features(X)
        if features.shape[1] != self.n_features_in_:
            expected = f"expected {self.n_features_in_} columns, as in fit"
            raise ValueError(f"X {features.shape}: {expected}")
        self._check_names(column_names(X))
        return self._as_output(embed(features, self.params_, self.config_), X)

    def fit_transform(self, X: ArrayLike, y: ArrayLike) -> Any:
        """Train on X (N, F) and y (N,), then map X: points (N, D), as of `transform`."""
        return self.fit(X, y).transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray:
        """Return the names of the coordinates, (D,): hierhead0, hierhead1, ..."""
        self._check_fitted("get_feature_names_out")
        name = type(self).__name__.lower()
        return np.array([f"{name}{k}" for k in range(self.config_.embedding)], dtype=object)

    def set_output(self, *, transform: str | None = None) -> "HierHead":
        """Let `transform` return a "pandas" data frame or, by "default", an array; None: as before.

        Raises ValueError for another word.
        """
        if transform not in (None, "default", "pandas"):
            raise ValueError(f"set_output {shown(transform)}: expected default or pandas")
        if transform:
            self._sklearn_output_config = {"transform": transform}  # the name that `clone` copies
        return self

    def _as_output(self, z: NDArray, X: Any) -> Any:
        output = vars(self).get("_sklearn_output_config", {})
        if output.get("transform") != "pandas":
            return z
        import pandas

        index = X.index if hasattr(X, "columns") else None
        return pandas.DataFrame(z, columns=self.get_feature_names_out(), index=index)

    def _check_fitted(self, what: str) -> None:
        if not hasattr(self, "params_"):
            raise ValueError(f"{what} before fit: this HierHead has no weights yet")

    def _check_names(self, names: NDArray | None) -> None:
        """Refuse columns of other names than in fit; warn where names are missing on one side."""
        known = getattr(self, "feature_names_in_", None)
        if known is not None and names is not None:
            other = np.flatnonzero(names != known)
            if len(other):
                column, expected = shown(names[other[0]]), shown(known[other[0]])
                raise ValueError(f"X column {other[0]} is {column}: expected {expected}, as in fit")
        elif known is not None:
            message = "X does not have valid feature names, but HierHead was fitted with them"
            warnings.warn(message, stacklevel=3)
        elif names is not None:
            message = "X has feature names, but HierHead was fitted without them"
            warnings.warn(message, stacklevel=3)

    def __sklearn_tags__(self) -> Any:
        """Describe the estimator to scikit-learn: the only caller, so it is there to import."""
        from sklearn.utils import Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=True),
            transformer_tags=TransformerTags(preserves_dtype=[]),  # the option dtype decides
        )


_OPTIONS = [Parameter(name, Parameter.KEYWORD_ONLY, default=v) for name, v in DEFAULTS.items()]
vars(HierHead.__init__).update(  # for help() and scikit-learn's inspection
    __signature__=Signature([Parameter("self", Parameter.POSITIONAL_OR_KEYWORD), *_OPTIONS])
)
