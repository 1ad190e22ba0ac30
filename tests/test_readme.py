"""README: its examples run as they stand, its links lead somewhere, and it is short."""

import re
from pathlib import Path

import pytest
from sklearn.utils.validation import check_is_fitted

import skgen

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"^## (.+?)\n.*?^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
LINKS = re.findall(r"\]\(([^)]*)\)", README)


@pytest.mark.parametrize(("title", "code"), EXAMPLES, ids=[title for title, _ in EXAMPLES])
def test_example_runs(title: str, code: str) -> None:
    names: dict[str, object] = {}
    exec(compile(code, f"README.md, {title}", "exec"), names)
    check_is_fitted(names["model"])
    assert type(names["model"]).__name__ == title.split(":")[0]


def test_there_is_an_example_of_each_model() -> None:
    draw = {"sample", "sample_y"}
    models = {name for name in skgen.__all__ if draw & set(dir(getattr(skgen, name)))}
    assert {title.split(":")[0] for title, _ in EXAMPLES} == models


@pytest.mark.parametrize("link", LINKS)
def test_link_leads_to_a_file(link: str) -> None:
    assert (ROOT / link).exists()


def test_it_can_be_read_in_a_minute() -> None:
    assert len(README.splitlines()) <= 90
    assert len(re.findall(r"^\|[-|]+\|$", README, re.MULTILINE)) <= 3
