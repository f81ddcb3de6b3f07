"""A chart as a matplotlib figure, for a PNG, and as SVG elements, for the page.

All positions are in points, y downwards. Drawing without matplotlib's axes takes about half the time
and is the same on every machine. The SVG has presentation attributes instead of ``style``, which the
page's content security policy blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from xml.etree import ElementTree as ET

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

from fanfold.stages.reporting import style
from fanfold.stages.reporting.sanitising import width

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.transforms import Transform

_ANCHORS = {"left": "start", "center": "middle", "right": "end"}


@dataclass(slots=True)
class Canvas:
    """A drawing with the common width of all charts and a height in points."""

    height: float
    figure: Figure = field(init=False)
    _points: Transform = field(init=False)
    _svg: ET.Element = field(default_factory=lambda: ET.Element("svg"))

    def __post_init__(self) -> None:
        size = (style.WIDTH / 72, self.height / 72)
        self.figure = Figure(figsize=size, dpi=72, facecolor=style.GROUND)
        flipped = Affine2D().scale(1 / 72, -1 / 72).translate(0, self.height / 72)
        self._points = flipped + self.figure.dpi_scale_trans

    def svg(self) -> str:
        """Return what is drawn so far, cropped to the part between title and foot."""
        height = self.height - style.TITLE_HEIGHT - style.FOOT_HEIGHT
        self._svg.set("viewBox", f"0 {style.TITLE_HEIGHT:g} {style.WIDTH:g} {height:g}")
        self._svg.set("aria-hidden", "true")
        self._svg.set("focusable", "false")
        return ET.tostring(self._svg, encoding="unicode")

    def bar(self, x: float, y: float, across: float, down: float, colour: str) -> None:
        """Fill a rectangle from its upper left corner, unless it is empty."""
        if across <= 0 or down <= 0:
            return
        self._add(Rectangle((x, y), across, down, facecolor=colour, linewidth=0))
        self._element("rect", x=x, y=y, width=across, height=down, fill=colour)

    def line(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        colour: str,
        *,
        thickness: float = 0.8,
        dashed: bool = False,
    ) -> None:
        """Draw a line."""
        (x1, y1), (x2, y2) = start, end
        line = Line2D((x1, x2), (y1, y2), color=colour, linewidth=thickness)
        element = self._element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=colour)
        element.set("stroke-width", f"{thickness:g}")
        if dashed:
            line.set_linestyle((0, (3, 2)))
            element.set("stroke-dasharray", f"{3 * thickness:g} {2 * thickness:g}")
        self._add(line)

    def text(  # noqa: PLR0913 - position, and style by name
        self,
        text: str,
        x: float,
        y: float,
        *,
        size: float,
        colour: str = style.INK,
        align: Literal["left", "center", "right"] = "left",
        bold: bool = False,
    ) -> None:
        """Write one line of literal text with its baseline at ``y``."""
        weight = "bold" if bold else "normal"
        artist = Text(x, y, text, color=colour, fontsize=size, fontweight=weight, parse_math=False)
        artist.set(fontfamily=style.families(), horizontalalignment=align)
        self._add(artist)
        element = self._element("text", x=x, y=y, fill=colour)
        element.set("font-size", f"{size:g}")
        element.set("font-weight", weight)
        element.set("text-anchor", _ANCHORS[align])
        element.text = text

    def _add(self, artist: Artist) -> None:
        artist.set(transform=self._points, zorder=1)  # one z-order: in the order of drawing
        self.figure.add_artist(artist)

    def _element(self, tag: str, **attributes: float | str) -> ET.Element:
        written = {
            name: value if isinstance(value, str) else f"{value:.5g}"
            for name, value in attributes.items()
        }
        return ET.SubElement(self._svg, tag, written)


def extent(texts: list[str], size: float) -> float:
    """Return the approximate width of the widest text, in points."""
    return max((width(text) for text in texts), default=0) * size * 0.61
