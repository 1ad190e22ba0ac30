"""The pages in docs/: their examples run, and the API reference leaves nothing out."""

import doctest
import importlib.util
import inspect
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from sklearn.base import BaseEstimator
from test_docstrings import public_modules

import skgen
from skgen._documentation import SITE

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
LISTED = re.findall(r"^   (skgen\.[\w.]+)$", (DOCS / "api.md").read_text(), re.MULTILINE)
"""The objects that api.md gives a page each, docs/api/generated/NAME.rst."""


def best_address(module: str, name: str) -> str:
    return f"skgen.{name}" if name in skgen.__all__ else f"{module}.{name}"


PUBLIC = {
    best_address(module.__name__, name): getattr(module, name)
    for module in public_modules()
    for name in module.__all__
}
ESTIMATORS = {
    name: obj
    for name, obj in PUBLIC.items()
    if isinstance(obj, type) and issubclass(obj, BaseEstimator)
}


SLOW_PAGES = {"autoencoder", "coming_from", "conditional", "dask", "extending", "onnx"}


def page_cases() -> list[Any]:
    """All pages; examples that fit many models are slow."""
    return [
        pytest.param(page, id=page.stem, marks=[pytest.mark.slow] * (page.stem in SLOW_PAGES))
        for page in PAGES
    ]


@pytest.mark.parametrize("page", page_cases())
def test_page(page: Path) -> None:
    if page.stem == "choose":
        pytest.importorskip("pandas", minversion="3")  # text has a dtype of its own
    assert doctest.testfile(str(page), module_relative=False, encoding="utf-8").failed == 0


def test_some_page_has_examples() -> None:
    parser = doctest.DocTestParser()
    assert any(parser.get_examples(page.read_text()) for page in PAGES)


def test_the_api_page_lists_every_public_object_once() -> None:
    assert sorted(LISTED) == sorted(PUBLIC)


spec = importlib.util.spec_from_file_location("_sources", DOCS / "_sources.py")
_sources = importlib.util.module_from_spec(spec)
spec.loader.exec_module(_sources)


def source_link(name: str) -> str:
    """The lines that the page of a public name, or of its method, links to."""
    path, method = (name, "") if name in PUBLIC else name.rsplit(".", 1)
    module, _, short = path.rpartition(".")
    name_in_module = f"{short}.{method}" if method else short
    home = _sources.find_module(None, module, name_in_module)
    code, spans = _sources.find_source(None, home)
    _, start, end = spans[name_in_module]
    return "".join(code.splitlines(keepends=True)[start - 1 : end])


@pytest.mark.parametrize("name", LISTED)
def test_sources_are_found_for_every_public_name_and_method(name: str) -> None:
    """Methods as `inspect` finds them; it misses classes, whose module is their public one."""
    obj = PUBLIC[name]
    if not isinstance(obj, type):
        assert source_link(name) == inspect.getsource(obj)
        return
    assert re.search(rf"^class {obj.__name__}\b", source_link(name), re.MULTILINE)
    for method, function in inspect.getmembers(obj, inspect.isfunction):
        if method.startswith("_") or not function.__module__.startswith("skgen"):
            continue
        found = source_link(f"{name}.{method}")
        is_alias = function.__name__ != method
        alias = f"    {method} = {function.__name__}\n"
        assert found == (alias if is_alias else inspect.getsource(function))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_html_representation_links_to_the_page_of_the_api_reference(name: str) -> None:
    links = re.findall(r'href="([^"#]*)', ESTIMATORS[name]()._repr_html_())
    assert f"{SITE}/api/generated/{name}.html" in links
    assert not [link for link in links if "scikit-learn.org" in link]


def test_a_subclass_of_a_user_links_to_no_page_of_ours() -> None:
    class Mine(skgen.GaussianBasis):
        pass

    assert SITE not in Mine()._repr_html_()


def test_pyproject_names_the_same_site() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["urls"]["Documentation"] == SITE
