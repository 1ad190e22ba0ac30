"""The examples of the pages in docs/ run as they stand."""

import doctest
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_page(page: Path) -> None:
    assert doctest.testfile(str(page), module_relative=False, encoding="utf-8").failed == 0


def test_some_page_has_examples() -> None:
    parser = doctest.DocTestParser()
    assert any(parser.get_examples(page.read_text()) for page in PAGES)
