"""The house: which room may import which, what stays outside, and what the front door shows."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import skgen

ROOT = Path(__file__).parents[1]
MODULES = {path.stem: path for path in sorted((ROOT / "skgen").glob("**/*.py"))}

RANK = {
    "__init__": 9,
    "plotting": 8,
    "onnx": 9,
    "_onnx_networks": 8,
    "_latent_displays": 7,
    "_predictive_displays": 7,
    "_onnx_regression": 7,
    "_drawing": 6,
    "metrics": 7,
    "_files": 7,
    "_schemas": 6,
    "_regressor": 6,
    "_vae": 6,
    "_adaptation": 5,
    "_dask": 5,
    "_training": 5,
    "_objective": 4,
    "_spreads": 4,
    "_design": 3,
    "_evidence": 2,
    "bases": 2,
    "_elbo": 2,
    "_distributed": 2,
    "_checkpoint": 1,
    "_kernels": 1,
    "_placement": 1,
    "_posterior": 1,
    "_rows": 1,
    "_blocks": 0,
    "_container": 0,
    "_noise": 1,
    "likelihoods": 1,
    "networks": 1,
    "_documentation": 0,
    "_images": 0,
    "_validation": 0,
}

NUMPY_SIDE = {
    "_adaptation",
    "_spreads",
    "_dask",
    "_placement",
    "_blocks",
    "_container",
    "_design",
    "_documentation",
    "_drawing",
    "_evidence",
    "_images",
    "_kernels",
    "_latent_displays",
    "_noise",
    "_objective",
    "_posterior",
    "_predictive_displays",
    "_onnx_regression",
    "_regressor",
    "_validation",
    "bases",
    "metrics",
    "onnx",
    "plotting",
}
TORCH_SIDE = {"_checkpoint", "_distributed", "_elbo", "_rows", "likelihoods", "networks"}

TOP_LEVEL = {
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "docs",
    "examples",
    "pyproject.toml",
    "skgen",
    "tests",
}


def imports(nodes: Iterator[ast.AST]) -> set[str]:
    """Absolute dotted names that the import statements among the nodes of a module bring in."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(filter(None, ["skgen" if node.level else "", node.module]))
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def all_imports(module: str) -> set[str]:
    return imports(ast.walk(ast.parse(MODULES[module].read_text())))


def packages(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def rooms(names: set[str]) -> set[str]:
    """Modules of skgen among imported names; a name that is no module belongs to __init__."""
    inside = [name.split(".") for name in names if name.split(".")[0] == "skgen"]
    return {parts[1] if parts[1:] and parts[1] in MODULES else "__init__" for parts in inside}


def outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run when the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from outside_functions(node)


def python(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_rank(module):
    assert module in RANK, f"give skgen/{module}.py a rank in the table RANK of {__file__}"


@pytest.mark.parametrize("module", sorted(MODULES.keys() & RANK.keys()))
def test_imports_run_downward(module):
    upward = {room for room in rooms(all_imports(module)) if RANK[room] >= RANK[module]}
    assert not upward, f"{module} (rank {RANK[module]}) imports {upward}, which is not below it"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_walls(module):
    packages_seen = packages(all_imports(module))
    at_import = packages(imports(outside_functions(ast.parse(MODULES[module].read_text()))))
    assert "matplotlib" not in at_import
    if module in NUMPY_SIDE:
        assert not packages_seen & {"torch", "skorch"}
    if module in TORCH_SIDE:
        assert not packages_seen & {"sklearn", "skorch"}
    if module != "_training":
        assert "skorch" not in packages_seen


def test_each_module_imports_alone():
    """In one process, since third-party packages take most of the time, and each without ours."""
    names = [f"skgen.{module}".removesuffix(".__init__") for module in MODULES]
    python(
        "import importlib, sys\n"
        f"for name in {sorted(names)}:\n"
        "    for ours in [loaded for loaded in sys.modules if loaded.split('.')[0] == 'skgen']:\n"
        "        del sys.modules[ours]\n"
        "    importlib.import_module(name)\n"
    )


def test_importing_skgen_imports_nothing_heavy():
    python("import skgen, sys; assert not {'sklearn', 'scipy', 'torch'} & set(sys.modules)")


def test_the_regressor_never_imports_torch():
    python(
        "import sys, numpy as np, skgen\n"
        "X = np.linspace(0, 1, 20)[:, None]\n"
        "skgen.BayesianBasisRegressor().fit(X, X[:, 0]).predict(X, return_std=True)\n"
        "assert not {'torch', 'skorch', 'matplotlib'} & set(sys.modules)\n"
    )


def test_dir_and_star_show_exactly_the_public_names():
    namespace: dict[str, object] = {}
    exec("from skgen import *", namespace)
    assert namespace.keys() - {"__builtins__"} == set(skgen.__all__)
    assert sorted(dir(skgen)) == sorted(skgen.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        skgen.no_such_name  # noqa: B018


def test_version_is_that_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert skgen.__version__ == project["version"]


def test_top_level_of_the_repository():
    try:
        files = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    names = {file.split("/")[0] for file in files}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL
