"""Fitted estimators as ONNX models, which run without Python.

The inputs and outputs of a model are in the units of the data, and in the precision of the rows
that it is converted for. The module needs the extra "onnx".
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from .._pipelines import best_of, final_estimator
from .._validation import check_flag, check_number, short_repr

if TYPE_CHECKING:
    from onnx import ModelProto

    from .._autoencoder.conditional import VAERegressor
    from .._autoencoder.vae import VAETransformer

__all__ = ["decoder_to_onnx", "register", "to_onnx"]


def to_onnx(
    estimator: Any, X: Any, *, return_std: bool = False, target_opset: int | None = None
) -> ModelProto:
    """Convert a fitted estimator, or a pipeline with estimators of skgen, to an ONNX model.

    The model of a regressor computes its predictive mean. For a VAERegressor this is the mean over
    128 draws of z, the default of ``predict``. The model of a VAETransformer computes latent means,
    and that of a basis the design matrix. skl2onnx converts scikit-learn's estimators around and
    within them.

    Parameters
    ----------
    estimator : estimator or Pipeline
        A fitted estimator. For a search such as GridSearchCV, the best estimator is converted.
    X : ndarray or DataFrame of shape (n_samples, n_features)
        Rows like those that the model will get. If X is an array, the model has one input; if it is
        a DataFrame, the model has one input per column. Inputs and outputs are float64 if X is
        float64, otherwise float32.
    return_std : bool, default=False
        If True, the model has a second output: the standard deviations of ``predict`` or
        ``transform``. The estimator, or the last step of the pipeline, must then be a regressor of
        skgen or a VAETransformer.
    target_opset : int, default=None
        Version of the ONNX operators, at least 18. None means the latest one that skl2onnx is
        tested with.

    Returns
    -------
    model : onnx.ModelProto
        The model. Its outputs are tables with one row for each row of X, even if a regressor has
        one target. The outputs of skgen's estimators are called "mean" and "std".

    Raises
    ------
    ValueError, TypeError
        If the estimator, or one within it, cannot be converted.
    ImportError
        If skl2onnx or onnxscript is not installed.

    See Also
    --------
    decoder_to_onnx : Convert the decoder of an autoencoder.
    register : Register skgen's converters, to call skl2onnx yourself.

    Examples
    --------
    >>> import onnxruntime
    >>> from sklearn.datasets import load_diabetes
    >>> from skgen import BayesianBasisRegressor
    >>> from skgen.onnx import to_onnx
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = BayesianBasisRegressor("polynomial").fit(X, y)
    >>> model = to_onnx(regressor, X, return_std=True)
    >>> session = onnxruntime.InferenceSession(model.SerializeToString())
    >>> mean, std = session.run(["mean", "std"], {"X": X})
    >>> bool(abs(mean[:, 0] - regressor.predict(X)).max() < 1e-9)
    True
    """
    opset = _check_opset(target_opset)
    return_std = check_flag(return_std, "return_std")
    check_is_fitted(estimator)
    estimator = best_of(estimator)
    table = _check_table(X, "X", getattr(estimator, "n_features_in_", None), "features")
    options = _options(estimator, return_std)
    register()
    import onnx
    import skl2onnx

    invalid = onnx.checker.ValidationError, onnx.shape_inference.InferenceError
    try:
        model = skl2onnx.to_onnx(estimator, table, target_opset=opset, options=options)
        onnx.checker.check_model(model, full_check=True)
    except (AttributeError, RuntimeError, *invalid) as error:
        reason, *_ = str(error).splitlines()
        raise ValueError(
            "`estimator` must be made of skgen's estimators and of those that skl2onnx can convert "
            f"in the precision of X; got {type(error).__name__} ({reason}) for "
            f"{short_repr(estimator)}. Replace the part that it names."
        ) from error
    return model


def decoder_to_onnx(
    estimator: VAETransformer | VAERegressor, Z: Any, *, target_opset: int | None = None
) -> ModelProto:
    """Convert the decoder of a fitted autoencoder to an ONNX model.

    The model computes the same as ``inverse_transform``: codes drawn from the prior become means of
    new data.

    Parameters
    ----------
    estimator : VAETransformer or VAERegressor
        The fitted estimator.
    Z : ndarray of shape (n_samples, n_components)
        Latent codes like those that the model will get. The model computes in float64 if Z is
        float64, otherwise in float32.
    target_opset : int, default=None
        Version of the ONNX operators, at least 18. None means the latest one that skl2onnx is
        tested with.

    Returns
    -------
    model : onnx.ModelProto
        The model, with an input "Z" and an output "mean". The decoder of a VAERegressor has a
        second input "X", with one row for each row of Z.

    Raises
    ------
    ValueError, TypeError
        If the estimator is no autoencoder, if it cannot be exported, or if Z is not a table of
        codes.
    ImportError
        If skl2onnx or onnxscript is not installed.

    See Also
    --------
    to_onnx : Convert the encoder, or another estimator.

    Examples
    --------
    >>> import numpy as np
    >>> import onnxruntime
    >>> from sklearn.datasets import load_iris
    >>> from skgen import VAETransformer
    >>> from skgen.onnx import decoder_to_onnx
    >>> vae = VAETransformer(2, max_iter=5, random_state=0).fit(load_iris().data)
    >>> Z = np.zeros((3, 2), dtype=np.float32)
    >>> session = onnxruntime.InferenceSession(decoder_to_onnx(vae, Z).SerializeToString())
    >>> session.run(["mean"], {"Z": Z})[0].shape
    (3, 4)
    """
    opset = _check_opset(target_opset)
    register()
    import skl2onnx

    from .._autoencoder.conditional import VAERegressor
    from .._autoencoder.vae import VAETransformer
    from ._networks import decoder_model

    if not isinstance(estimator, VAETransformer | VAERegressor):
        raise TypeError(
            "`estimator` must be a VAETransformer or a VAERegressor; got "
            f"{short_repr(estimator)}. Nothing else has a decoder; of a pipeline, give the step."
        )
    check_is_fitted(estimator)
    codes = _check_table(Z, "Z", estimator.module_.n_components, "latent dimensions")
    opset = opset or skl2onnx.get_latest_tested_opset_version()
    return decoder_model(estimator, double=codes.dtype == np.float64, opset=opset)


def register() -> None:
    """Register skgen's estimators with skl2onnx, for your own calls of ``skl2onnx.to_onnx``.

    With the argument ``options={id(estimator): {"return_std": True}}`` of such a call, the model
    also computes standard deviations.

    Raises
    ------
    ImportError
        If skl2onnx or onnxscript is not installed.

    See Also
    --------
    to_onnx : Convert an estimator; calls `register`.

    Examples
    --------
    >>> import skl2onnx
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skgen import BayesianBasisRegressor, onnx
    >>> X, y = load_diabetes(return_X_y=True)
    >>> pipeline = make_pipeline(StandardScaler(), BayesianBasisRegressor("sigmoid")).fit(X, y)
    >>> onnx.register()
    >>> model = skl2onnx.to_onnx(pipeline, X[:1])
    """
    try:
        import onnxscript  # noqa: F401, which torch's exporter needs
        import skl2onnx  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "skgen.onnx needs skl2onnx and onnxscript. Install them, for example as the extra "
            "skgen[onnx]."
        ) from error
    from . import _regression

    _regression.register()
    with suppress(ModuleNotFoundError):  # of torch, without which there is no autoencoder
        from . import _networks

        _networks.register()


def _check_opset(target_opset: Any) -> int | None:
    """Return the version of the operators, or raise if torch's exporter cannot write it."""
    if target_opset is None:
        return None
    remedy = "None is the latest that skl2onnx is tested with."
    return check_number(target_opset, "target_opset", low=18, high=99, integer=True, remedy=remedy)


def _check_table(rows: Any, name: str, n_columns: int | None, meaning: str) -> Any:
    """Return rows as an array or DataFrame, or raise unless they have ``n_columns`` columns."""
    table = rows if hasattr(rows, "dtypes") else np.asarray(rows)
    if len(np.shape(table)) != 2 or np.shape(table)[1] != (n_columns or np.shape(table)[1]):
        raise ValueError(
            f"`{name}` must be a table with one column for each of the {n_columns} {meaning}; got "
            f"{name} of shape {np.shape(table)}. Give rows like those that the model will be given."
        )
    return table


def _options(estimator: Any, return_std: bool) -> dict[int, dict[str, bool]]:
    """Options of skl2onnx for the last step, whose output is the pipeline's."""
    last = final_estimator(estimator)
    if not return_std:  # without zipmap, a classifier returns a table of probabilities
        return {id(last): {"zipmap": False}} if is_classifier(last) else {}
    if type(last).__name__ not in ("BayesianBasisRegressor", "VAETransformer", "VAERegressor"):
        raise TypeError(
            f"`return_std` must be False for {type(last).__name__}, whose standard deviations "
            "cannot be converted; got return_std=True. Leave it out."
        )
    return {id(last): {"return_std": True}}
