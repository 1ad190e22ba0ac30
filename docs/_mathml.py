"""Formulas as MathML, which browsers draw themselves: no JavaScript, and nothing to download."""

import html
import itertools
import re
import unicodedata
from xml.etree import ElementTree

from docutils import nodes
from latex2mathml.converter import convert_to_element
from sphinx.util import logging

logger = logging.getLogger(__name__)

UNDERNEATH = {"argmax", "argmin", "inf", "lim", "max", "min", "sup"}


def mathml(node):
    """The MathML of a math node; what its LaTeX has that the converter lacks is a warning."""
    tex = node.astext().replace("{aligned}", "{align*}")
    block = isinstance(node, nodes.math_block)
    math = convert_to_element(tex, display="block" if block else "inline")
    elements = list(math.iter())
    for element in elements:
        element.text = html.unescape(element.text or "")
    for element in elements:
        if not understood(element):
            logger.warning("no MathML for %r in %r", element.text, tex, location=node)
        if "bold" in element.get("mathvariant", ""):
            embolden(element)
        if element.tag == "msub" and element[0].text in UNDERNEATH:
            element.tag = "munder"
        if element.tag in ("math", "mrow", "mtd"):
            space_functions(element)
    return ElementTree.tostring(math, encoding="unicode")


def understood(element):
    return not re.match(r"\\[A-Za-z]|&$", element.text) and (element.tag != "mo" or element.text)


def embolden(element):
    """Write bold letters as characters of their own: browsers ignore mathvariant="bold"."""
    style = element.attrib.pop("mathvariant").replace("-", " ")
    for letters in element.iter():
        letters.text = "".join(bold(letter, style) for letter in letters.text)


def bold(letter, style):
    if not letter.isalnum():
        return letter
    name = re.sub("LATIN |GREEK |LUNATE |LETTER ", "", unicodedata.name(letter))
    face = "bold" if letter.isdigit() else style  # no digits are bold italic
    return unicodedata.lookup(f"MATHEMATICAL {face} {name}")


def space_functions(row):
    """Put a thin space between a function and an argument without brackets: log x, not logx."""
    children = list(row)
    for function, argument in reversed(list(itertools.pairwise(children))):
        if is_function(function) and not opens(argument):
            row.insert(children.index(argument), ElementTree.Element("mspace", width="0.167em"))


def is_function(element):
    name = element[0] if element.tag in ("msub", "msup") else element
    return name.tag == "mi" and re.fullmatch("[a-z]{2,}", name.text)


def opens(element):
    return element.tag in ("mo", "mspace") or element.find("mo[@form='prefix']") is not None


def visit_math(translator, node):
    translator.body.append(mathml(node))
    raise nodes.SkipNode


def visit_displaymath(translator, node):
    number = f'<span class="eqno">({node["number"]})</span>' if node["number"] else ""
    start = translator.starttag(node, "div", CLASS="formula")
    translator.body.append(f"{start}{number}{mathml(node)}</div>\n")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displaymath, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
