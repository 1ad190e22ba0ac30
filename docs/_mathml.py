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
BREAKS = set("=≈∼<>≤≥+−")
"""After these a line may end within a formula, as in TeX."""
LONG = 24
"""Letters of a formula that a phone's line may not hold."""


def mathml(node):
    """The MathML of a math node; what its LaTeX has that the converter lacks is a warning."""
    tex = node.astext().replace("{aligned}", "{align*}")
    block = isinstance(node, nodes.math_block)
    math = convert_to_element(tex, display="block" if block else "inline")
    elements = list(math.iter())
    for element in elements:
        element.text = html.unescape(element.text or "")
        if element.text == "~":  # the converter's \sim, as if it were a letter
            element.tag, element.text = "mo", "∼"
    bars = (element for element in elements if element.text == "|")
    for bar, form in zip(bars, itertools.cycle(("prefix", "postfix"))):
        bar.set("form", form)  # else they are spaced like a relation
    for element in elements:
        if not understood(element):
            logger.warning("no MathML for %r in %r", element.text, tex, location=node)
        if "bold" in element.get("mathvariant", ""):
            embolden(element)
        if element.tag == "msub" and element[0].text in UNDERNEATH:
            element.tag = "munder"
        if element.tag in ("math", "mrow", "mtd"):
            space_functions(element)
    long = not block and len("".join(math.itertext())) > LONG
    parts = broken(math) if long else [math]
    return "".join(ElementTree.tostring(part, encoding="unicode") for part in parts)


def broken(math):
    """A formula as several, side by side: browsers break no line within one."""
    row = list(math[0])
    parts, start = [], 0
    for end, (before, sign) in enumerate(itertools.pairwise(row), start=2):
        if sign.tag == "mo" and sign.text in BREAKS and before.text not in BREAKS:
            sign.set("form", "infix")  # not the end of anything
            parts.append(row[start:end])
            start = end
    for part in [*parts, row[start:]]:
        piece = ElementTree.Element("math", math.attrib)
        ElementTree.SubElement(piece, "mrow").extend(part)
        yield piece


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
