"""Links to the source, for sphinx.ext.viewcode.

Classes call themselves by their public path, which is not where they are defined, and inherit
methods of classes that no page names; viewcode alone finds neither.
"""

import ast
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

Span = tuple[str, int, int]


def find_module(app, module: str, name: str) -> str | None:
    """Return the module with the source of ``name``, a function, a class or ``Class.method``."""
    owner_name, _, method = name.partition(".")
    owner = getattr(sys.modules[module], owner_name)
    if method:
        owner = _definer(owner, method)
    for home, loaded in _modules().items():
        if vars(loaded).get(owner.__name__) is owner and owner.__name__ in _definitions(loaded):
            return home
    return None


def find_source(app, module: str) -> tuple[str, dict[str, Span]]:
    """Return the source of a module, and the lines of each name in it, inherited ones too."""
    loaded = sys.modules[module]
    spans = dict(_definitions(loaded))
    for name, span in _definitions(loaded).items():
        owner_name, _, method = name.partition(".")
        owner = vars(loaded)[owner_name]
        for heir in _heirs(owner) if method else ():
            if _definer(heir, method) is owner:
                spans[f"{heir.__name__}.{method}"] = span
    return Path(loaded.__file__).read_text(), spans


def _modules() -> dict[str, ModuleType]:
    return {name: sys.modules[name] for name in sorted(sys.modules) if name.startswith("skgen.")}


@cache
def _definitions(module: ModuleType) -> dict[str, Span]:
    """Return the lines of functions, classes and methods; of overloads, the last one."""
    found = {}
    for outer in ast.parse(Path(module.__file__).read_text()).body:
        inner = outer.body if isinstance(outer, ast.ClassDef) else []
        for node, prefix in ((outer, ""), *((node, f"{outer.name}.") for node in inner)):
            if name := _defined_name(node):
                start = min(part.lineno for part in (node, *getattr(node, "decorator_list", ())))
                kind = "class" if isinstance(node, ast.ClassDef) else "def"
                found[prefix + name] = (kind, start, node.end_lineno)
    return found


def _defined_name(node: ast.stmt) -> str | None:
    """Return the name of a definition, or the new one in "inverse_transform = transform"."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name
    return None


def _definer(cls: type, method: str) -> type:
    return next(base for base in cls.__mro__ if method in vars(base))


def _heirs(cls: type) -> set[type]:
    return {heir for child in cls.__subclasses__() for heir in (child, *_heirs(child))}


def name_public_paths(app, pagename, templatename, context, doctree):
    """Mend the links back, for which viewcode takes one public path for all names of a module."""
    if pagename.startswith("_modules/"):
        back = r"/([\w.]+)\.(\w+)\.html#[\w.]+?\.\2\b"
        context["body"] = re.sub(back, r"/\1.\2.html#\1.\2", context["body"])


def setup(app):
    app.setup_extension("sphinx.ext.viewcode")
    app.connect("viewcode-follow-imported", find_module)
    app.connect("viewcode-find-source", find_source)
    app.connect("html-page-context", name_public_paths)
    return {"parallel_read_safe": True}
