"""Versions that skgen runs with, and packages that an extra installs."""

import importlib
import platform
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from threadpoolctl import threadpool_info

PACKAGES = (
    "skgen", "numpy", "scipy", "scikit-learn", "torch", "skorch", "safetensors", "threadpoolctl",
    "pandas", "polars", "matplotlib", "dask", "onnx", "onnxruntime",
)  # fmt: skip

NEEDED_BY_AUTOENCODERS = {"torch", "skorch", "tqdm"}


def import_module(name: str) -> ModuleType:
    """Import a module of skgen; if a package is missing, raise and name the extra."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name in NEEDED_BY_AUTOENCODERS:
            raise ImportError(
                "the autoencoders of skgen and their parts need torch and skorch; "
                f"{error.name} is not installed. Install the extra skgen[vae]."
            ) from error
        raise


def show_versions() -> None:
    """Print the versions of Python, of packages and of numerical libraries, for reports of faults.

    See Also
    --------
    sklearn.show_versions : The same for scikit-learn.

    Examples
    --------
    >>> import skgen
    >>> skgen.show_versions()
    system: ...
    python: ...
    skgen: ...
    """
    print(f"system: {platform.platform()}")
    print(f"python: {platform.python_version()}")
    for name in PACKAGES:
        print(f"{name}: {_installed_version(name)}")
    for library in threadpool_info():
        kind, threads = library["internal_api"], library["num_threads"]
        print(f"{kind}: {library['version']}, threads: {threads}")


def _installed_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
