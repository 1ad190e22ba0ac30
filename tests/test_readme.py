"""README's Python examples run as they stand."""

import re
from pathlib import Path

import pytest
from sklearn.utils.validation import check_is_fitted

README = (Path(__file__).parents[1] / "README.md").read_text()
EXAMPLES = re.findall(r"^## (.+?)\n.*?^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("title", "code"), EXAMPLES, ids=[title for title, _ in EXAMPLES])
def test_example_runs(title: str, code: str) -> None:
    names: dict[str, object] = {}
    exec(compile(code, f"README.md, {title}", "exec"), names)
    check_is_fitted(names.get("model", names.get("search")))


def test_there_is_an_example_for_each_promise() -> None:
    assert [title for title, _ in EXAMPLES] == [
        "Regression", "Sequential updates", "Grid search", "Latent space and new data",
        "Tables as they come", "Pictures",
    ]  # fmt: skip
