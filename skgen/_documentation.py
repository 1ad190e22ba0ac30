"""Pages of the API reference: links to them, and the public paths that they name."""

import sys
from typing import Any

SITE = "https://skgen.readthedocs.io/en/latest"


class DocumentationLink:
    """Link from scikit-learn's HTML representation of an estimator to its page."""

    _doc_link_module = "skgen"
    _doc_link_template = f"{SITE}/api/generated/{{path}}.html"

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        cls, skgen = type(self), sys.modules["skgen"]
        module = "skgen" if cls.__name__ in skgen.__all__ else cls.__module__
        return {"path": f"{module}.{cls.__name__}"}


def register_parts(namespace: dict[str, Any]) -> dict[str, Any]:
    """Return the classes of a module that have a ``shortcut``, by it; they get its public path."""
    classes = [value for value in namespace.values() if isinstance(value, type)]
    parts = {cls.shortcut: cls for cls in classes if hasattr(cls, "shortcut")}
    for cls in parts.values():
        cls.__module__ = namespace["__name__"]
    return parts
