"""Generative models with scikit-learn's interface."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import bases as bases
    from . import likelihoods as likelihoods
    from . import metrics as metrics
    from . import networks as networks
    from . import onnx as onnx
    from . import plotting as plotting
    from . import priors as priors
    from ._autoencoder.conditional import VAERegressor
    from ._autoencoder.imputer import VAEImputer
    from ._autoencoder.vae import VAETransformer
    from ._files.container import ModelFileError
    from ._files.files import load, save
    from ._regression.estimator import BayesianBasisRegressor
    from ._versions import show_versions
    from .bases import FourierBasis, GaussianBasis, SigmoidBasis
    from .metrics import mean_log_predictive_density

__version__ = "0.1.0"

# Loaded when first asked for (PEP 562): a name costs nothing until it is used.
_HOMES = {
    "BayesianBasisRegressor": "_regression.estimator",
    "FourierBasis": "bases",
    "GaussianBasis": "bases",
    "ModelFileError": "_files.container",
    "SigmoidBasis": "bases",
    "VAEImputer": "_autoencoder.imputer",
    "VAERegressor": "_autoencoder.conditional",
    "VAETransformer": "_autoencoder.vae",
    "load": "_files.files",
    "mean_log_predictive_density": "metrics",
    "save": "_files.files",
    "show_versions": "_versions",
}
_SUBMODULES = ["bases", "likelihoods", "metrics", "networks", "onnx", "plotting", "priors"]

__all__ = [
    "BayesianBasisRegressor",
    "FourierBasis",
    "GaussianBasis",
    "ModelFileError",
    "SigmoidBasis",
    "VAEImputer",
    "VAERegressor",
    "VAETransformer",
    "load",
    "mean_log_predictive_density",
    "save",
    "show_versions",
]


def __getattr__(name: str) -> Any:
    if name not in (*_SUBMODULES, *_HOMES):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._versions import import_module

    module = import_module(f"{__name__}.{_HOMES.get(name, name)}")
    return getattr(module, name) if name in _HOMES else module


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBMODULES, "__version__"])
