"""The house: which room may import which, what stays outside, and what the front door shows."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import skgen

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "skgen"

# The boxes of the house by level: each imports from levels below its own, or from within itself.
LEVELS = (
    {"_documentation", "_threads", "_validation", "_versions", "_files.container"},
    {"_parameters", "_pipelines", "_schema"},
    {"_table", "bases", "likelihoods", "priors", "networks", "metrics"},
    {"_regression", "_autoencoder"},
    {"plotting", "onnx", "_files"},
    {"__init__"},
)

SUBMODULES = {"bases", "likelihoods", "metrics", "networks", "onnx", "plotting", "priors"}

# The files of each wing by level, likewise; "*" is any file that no level names: a part.
WINGS = {
    "bases": ({"_kernels", "_placement", "_edges", "_base"}, {"_inducing"}, {"*"}, {""}),
    "likelihoods": ({"_base", "_bins"}, {"_choices"}, {"*"}, {"_mixed"}, {""}),
    "priors": ({"_base"}, {"_diagonal_mixture"}, {"*"}, {""}),
    "_regression": (
        {"", "newton", "rows"},
        {"target"},
        {"predictive"},
        {"conjugate"},
        {"relevance"},
        {"spectrum", "source", "dask"},
        {"precisions"},
        {"design"},
        {"stream", "marginal_likelihood"},
        {"loo"},
        {"basis_search"},
        {"noise"},
        {"estimator"},
    ),
    "_autoencoder": (
        {"", "batches", "building", "checkpoint", "factors", "row_noise"},
        {"distributed", "graphs", "model", "ridge"},
        {"importance", "linear_start", "training"},
        {"fitting", "missing"},
        {"vae", "conditional"},
        {"imputer"},
    ),
    "_files": ({"", "container", "foreign"}, {"tables"}, {"files"}),
    "onnx": ({"_regression"}, {"_networks"}, {""}),
    "plotting": (
        {"_docstrings", "_drawing", "_inputs"},
        {"_calibration", "_images", "_latent", "_posterior", "_predictive"},
        {"_manifold"},
        {""},
    ),
}

WITHOUT_TORCH = (
    "bases", "metrics", "plotting", "_regression", "onnx._regression", "_documentation",
    "_parameters", "_pipelines", "_schema", "_table", "_threads", "_validation", "_files.container",
    "_files.foreign", "_files.tables", "_autoencoder.row_noise", "_autoencoder.ridge",
    "_autoencoder.factors",
)  # fmt: skip
WITHOUT_SKLEARN = (
    "likelihoods", "networks", "priors", "_autoencoder.model", "_autoencoder.batches",
    "_autoencoder.building", "_autoencoder.importance",
    "_autoencoder.checkpoint", "_autoencoder.distributed", "_autoencoder.row_noise",
    "_autoencoder.ridge", "_autoencoder.factors", "_autoencoder.linear_start", "_parameters",
    "_schema", "_validation",
)  # fmt: skip

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


def dotted(path: Path) -> str:
    """The path of a module below skgen, a package's own file as the package: "bases._fourier"."""
    parts = path.relative_to(HOUSE).with_suffix("").parts
    return ".".join(parts) if parts == ("__init__",) else ".".join(parts).removesuffix(".__init__")


MODULES = {dotted(path): path for path in sorted(HOUSE.rglob("*.py"))}


def is_within(module: str, places: Iterable[str]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def imports(module: str, nodes: Iterator[ast.AST]) -> set[str]:
    """Absolute dotted names that the import statements among the nodes of a module bring in."""
    path = MODULES[module].relative_to(ROOT)
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = path.parts[: len(path.parts) - node.level] if node.level else ()
            start = ".".join(filter(None, [*package, node.module]))
            names |= {f"{start}.{alias.name}" for alias in node.names}
    return names


def all_imports(module: str) -> set[str]:
    return imports(module, ast.walk(ast.parse(MODULES[module].read_text())))


def packages(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def ours(names: set[str]) -> set[str]:
    """Modules of skgen among imported names; a name that is no module belongs to its package."""
    found = set()
    for name in names:
        parts = name.split(".")
        if parts[0] == "skgen":
            below = [".".join(parts[1:stop]) for stop in range(len(parts), 1, -1)]
            found.add(next((place for place in below if place in MODULES), "__init__"))
    return found


def level(module: str) -> int:
    """The level of the box that a module is in; the most particular entry counts."""
    entries = {box: index for index, boxes in enumerate(LEVELS) for box in boxes}
    box = module if module in entries else module.split(".")[0]
    assert box in entries, f"give {module} a level in LEVELS of tests/test_architecture.py"
    return entries[box]


def wing_level(module: str) -> int:
    wing, _, name = module.partition(".")
    levels = WINGS[wing]
    found = [index for index, names in enumerate(levels) if name in names]
    found += [index for index, names in enumerate(levels) if names == {"*"}]
    assert found, f"give {module} a level in WINGS of tests/test_architecture.py"
    return found[0]


def outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run when the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from outside_functions(node)


def python(code: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downward(module):
    wing = module.split(".")[0]
    if wing in WINGS:
        wing_level(module)
    for other in ours(all_imports(module)) - {module}:
        if wing in WINGS and other.split(".")[0] == wing:
            assert wing_level(other) < wing_level(module), f"{module} imports {other}"
        else:
            assert level(other) < level(module), f"{module} imports {other}"


def test_the_house_is_small_enough_to_take_in():
    assert len(LEVELS) <= 6
    names = {path.relative_to(HOUSE).parts[0] for path in HOUSE.rglob("*.py")} | {"py.typed"}
    assert len(names) <= 20
    assert all(sum(map(len, levels)) <= 18 for levels in WINGS.values())


@pytest.mark.parametrize("module", MODULES)
def test_walls(module):
    seen = packages(all_imports(module))
    tree = ast.parse(MODULES[module].read_text())
    assert "matplotlib" not in packages(imports(module, outside_functions(tree)))
    if is_within(module, WITHOUT_TORCH):
        assert not seen & {"torch", "skorch"}
    if is_within(module, WITHOUT_SKLEARN):
        assert not seen & {"sklearn", "skorch"}
    if module != "_autoencoder.training":
        assert "skorch" not in seen


@pytest.mark.slow
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


WITHOUT_EXTRA = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "skorch", "tqdm"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())

import matplotlib
import numpy as np
import onnxruntime
import skgen

matplotlib.use("agg")
X, path = np.linspace(0, 1, 30)[:, None], sys.argv[1]
y = np.sin(6 * X[:, 0])
model = skgen.BayesianBasisRegressor(skgen.bases.GaussianBasis(9)).fit(X, y)
skgen.plotting.PredictiveDisplay.from_estimator(model, X, y)
assert skgen.metrics.mean_log_predictive_density(model, X, y) > 0
skgen.save(model, path)
mean, std = skgen.load(path).predict(X, return_std=True)
model = skgen.onnx.to_onnx(model, X, return_std=True)
session = onnxruntime.InferenceSession(model.SerializeToString())
for found, expected in zip(session.run(None, {"X": X}), (mean, std), strict=True):
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-6)
for use in (lambda: skgen.VAETransformer, lambda: skgen.VAERegressor, lambda: skgen.likelihoods,
            lambda: skgen.load(sys.argv[2])):
    try:
        use()
    except ImportError as error:
        assert "the extra skgen[vae]" in str(error)
    else:
        raise AssertionError("no error")
"""


def test_the_regressor_needs_no_torch(tmp_path):
    stored = ROOT / "tests" / "data" / "files" / "0.1.0" / "VAETransformer.safetensors"
    python(WITHOUT_EXTRA, str(tmp_path / "model"), str(stored))


def test_dir_and_star_show_exactly_the_public_names():
    namespace: dict[str, object] = {}
    exec("from skgen import *", namespace)
    assert namespace.keys() - {"__builtins__"} == set(skgen.__all__)
    assert set(dir(skgen)) - set(skgen.__all__) == {*SUBMODULES, "__version__"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("bases", "likelihoods") else pytest.mark.slow)
        for name in sorted(SUBMODULES)
    ],
)
def test_submodules_need_no_import_of_their_own(name):
    python(f"import skgen; assert skgen.{name}.__name__ == 'skgen.{name}'")


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
