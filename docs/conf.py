"""Builds the documentation: python -m sphinx -W --keep-going -b html docs docs/_build/html"""

import os
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))  # _gallery, _mathml and _sources

from docutils import nodes  # noqa: E402
from sphinx_gallery.directives import imgsgnode  # noqa: E402

import skgen  # noqa: E402

project = "skgen"
author = "the skgen developers"
copyright = author
version = release = skgen.__version__

extensions = [
    "_mathml",
    "_sources",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
if "READTHEDOCS" in os.environ:  # links to other libraries need a network, which CI may not have
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "scipy": ("https://docs.scipy.org/doc/scipy", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
    }
exclude_patterns = ["_build"]
templates_path = ["_templates"]

myst_enable_extensions = ["amsmath", "attrs_block", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

copybutton_prompt_text = r">>> |\.\.\. "  # lines of a session without prompts and output
copybutton_prompt_is_regexp = True

default_role = "py:obj"

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's Parameters say more
toc_object_entries_show_parents = "hide"  # the page's title names the class
numpydoc_show_class_members = False  # the class template lists them

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"(?<!/faces)\.py$",  # all are run but one, whose data is downloaded
    "within_subsection_order": "_gallery.Order",
    "reset_modules": ("_gallery.raise_on_warnings", "matplotlib"),
    "abort_on_example_error": True,
    "capture_repr": ("_repr_html_",),  # diagrams of estimators, no addresses of artists
    "parallel": 2,
    "doc_module": ("skgen",),
    "backreferences_dir": "api/generated/backreferences",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"skgen {release}"
html_static_path = ["_static"]
html_css_files = ["skgen.css"]
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "skgen"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,  # with the search in one line of 1280 pixels
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {
    page: [] for page in ("index", "install", "start", "choose", "benchmarks", "changelog")
}


def leave_to_scikit_learn(app, what, name, obj, skip, options):
    """Document the methods that skgen writes; those of scikit-learn are documented there."""
    home = getattr(obj, "__module__", None) or ""
    return True if callable(obj) and not home.startswith("skgen") else None


def end_where_code_ends(app, doctree):
    """Drop the empty line that a page's doctest needs before the fence."""
    for block in doctree.findall(nodes.literal_block):
        block.rawsource = block.astext().rstrip()
        block[:] = [nodes.Text(block.rawsource)]


def box_pictures(app, doctree):
    """Put pictures without caption or link into boxes, in which they scroll on a phone."""
    for picture in list(doctree.findall(lambda node: isinstance(node, (imgsgnode, nodes.image)))):
        if not isinstance(picture.parent, (nodes.section, nodes.document)):
            continue
        box = nodes.container(classes=["picture"])
        picture.replace_self(box)
        box += picture


def keep_percent_with_number(app, doctree):
    """Let no line end between a number and its percent sign."""
    for text in list(doctree.findall(nodes.Text)):
        joined = re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", text)
        if joined != text and not isinstance(text.parent, (nodes.literal, nodes.literal_block)):
            text.parent.replace(text, nodes.Text(joined))


def keep_initials(app, what, name, obj, options, lines):
    """Tell docutils that a reference's first author is no item of a list, "A." or "C."."""
    lines[:] = [re.sub(r"^(\.\. \[\S+\] [A-Z])\. ", r"\1\\. ", line) for line in lines]


def setup(app):
    app.connect("autodoc-skip-member", leave_to_scikit_learn)
    app.connect("autodoc-process-docstring", keep_initials, priority=900)  # after numpydoc
    app.connect("doctree-read", end_where_code_ends)
    app.connect("doctree-read", box_pictures)
    app.connect("doctree-read", keep_percent_with_number)
