"""README for a package index: its links, which lead to files here, lead to the pages' addresses."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


def with_addresses(text: str, site: str) -> str:
    """README with the addresses of pages and pictures in place of relative paths."""
    for path, address in (
        (r"docs/images/([\w.]+)", r"_images/\1"),
        (r"docs/(\w+)\.md", r"\1.html"),
        (r"CHANGELOG\.md", "changelog.html"),
        (r"examples", "auto_examples/index.html"),
    ):
        text = re.sub(rf"\]\({path}\)", rf"]({site}/{address})", text)
    return text


class ReadmeHook(MetadataHookInterface):
    """Gives the metadata their readme."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        text = with_addresses(text, metadata["urls"]["Documentation"])
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
