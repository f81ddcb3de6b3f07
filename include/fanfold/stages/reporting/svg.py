"""Convert a figure to SVG for a file and for the page.

matplotlib's SVG has ``style`` attributes, which a strict content security policy blocks, and ids
that repeat between charts. Styles become presentation attributes, and ids are removed.
"""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from matplotlib.backends.backend_svg import FigureCanvasSVG

from fanfold.stages.reporting import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SPACE = "{http://www.w3.org/2000/svg}"
_NUMBER = re.compile(r"-?\d+\.\d+")
_NO_TURN = re.compile(r"rotate\(-?0(\.0*)? ")
_GROUND = "ground"
_CROPPED = re.compile(r"title-\d+|foot")
# Declarations of matplotlib that are not SVG attributes or are redundant.
_DROPPED = {"font", "font-family", "text-align", "white-space"}
_DEFAULTS = {
    "stroke-linejoin": "round",
    "stroke-linecap": "butt",
    "font-family": style.BROWSER_FONTS,
}


@dataclass(frozen=True, slots=True)
class Svg:
    """A chart as an SVG file, and as an element without title, foot, background and size."""

    document: str
    inline: str


def to_svg(figure: Figure, *, title: str) -> Svg:
    """Return a figure as deterministic SVG with its text as text."""
    written = io.BytesIO()
    with style.settings(), warnings.catch_warnings():
        # The browser draws the text, so missing fonts do not matter here.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
        FigureCanvasSVG(figure).print_figure(written, format="svg", metadata={"Date": None})
    root = ET.fromstring(written.getvalue())  # noqa: S314 - written by matplotlib above
    _clean(root)
    root.attrib.update(_DEFAULTS)
    box = [float(part) for part in root.attrib["viewBox"].split()]
    name = ET.Element("title")
    name.text = title
    root.insert(0, name)
    root.attrib["xmlns"] = _SPACE[1:-1]
    document = '<?xml version="1.0" encoding="UTF-8"?>\n' + _text(_without_ids(root))
    root.remove(name)
    _crop(root)
    height = box[3] - style.TITLE_HEIGHT - style.FOOT_HEIGHT
    inline = {
        "viewBox": f"0 {style.TITLE_HEIGHT:g} {box[2]:g} {height:g}",
        "aria-hidden": "true",
        "focusable": "false",
    }
    kept = {name: root.attrib[name] for name in ("stroke-linejoin", "stroke-linecap")}
    root.attrib = inline | kept
    return Svg(document, _text(_without_ids(root)))


def _text(root: ET.Element) -> str:
    return ET.tostring(root, encoding="unicode", short_empty_elements=True)


def _clean(element: ET.Element) -> None:
    """Turn styles into attributes and remove redundant markup, recursively."""
    element.tag = element.tag.removeprefix(_SPACE)
    element.tail = None
    if element.tag != "text":
        element.text = None
    for name, value in _declarations(element.attrib.pop("style", "")):
        if name not in _DROPPED:
            element.attrib[name] = value.removesuffix("px") if name == "font-size" else value
    if _NO_TURN.match(element.attrib.get("transform", "")):
        del element.attrib["transform"]
    for name in ("d", "x", "y", "transform"):
        if name in element.attrib:
            flat = " ".join(element.attrib[name].split())
            element.attrib[name] = _NUMBER.sub(lambda found: f"{float(found[0]):.4g}", flat)
    for child in list(element):
        if child.tag in {f"{_SPACE}metadata", f"{_SPACE}defs"}:
            element.remove(child)
        else:
            _clean(child)


def _declarations(text: str) -> list[tuple[str, str]]:
    return [
        (name.strip(), value.strip())
        for name, colon, value in (part.partition(":") for part in text.split(";"))
        if colon
    ]


def _crop(element: ET.Element) -> None:
    """Remove title, foot and background."""
    for child in list(element):
        name = child.attrib.get("id", "")
        if name == _GROUND or _CROPPED.fullmatch(name):
            element.remove(child)
        else:
            _crop(child)


def _without_ids(root: ET.Element) -> ET.Element:
    """Return a copy without ids and without groups that have no attributes."""
    copy = ET.Element(root.tag, {name: v for name, v in root.attrib.items() if name != "id"})
    copy.text = root.text
    for child in root:
        made = _without_ids(child)
        if made.tag == "g" and not made.attrib:
            copy.extend(made)
        else:
            copy.append(made)
    return copy
