"""A matplotlib figure with artists placed in points, y downwards.

Drawing without matplotlib's axes takes about half the time and is the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

from fanfold.stages.reporting import style
from fanfold.stages.reporting.sanitising import width

if TYPE_CHECKING:
    from matplotlib.transforms import Transform


@dataclass(slots=True)
class Canvas:
    """A figure with the common width of all charts and a height in points."""

    height: float
    figure: Figure = field(init=False)
    _points: Transform = field(init=False)

    def __post_init__(self) -> None:
        size = (style.WIDTH / 72, self.height / 72)
        self.figure = Figure(figsize=size, dpi=72, facecolor=style.GROUND)
        self.figure.patch.set_gid("ground")
        flipped = Affine2D().scale(1 / 72, -1 / 72).translate(0, self.height / 72)
        self._points = flipped + self.figure.dpi_scale_trans

    def bar(self, x: float, y: float, across: float, down: float, colour: str) -> None:
        """Fill a rectangle from its upper left corner, unless it is empty."""
        if across > 0 and down > 0:
            self.figure.add_artist(
                Rectangle(
                    (x, y),
                    across,
                    down,
                    facecolor=colour,
                    linewidth=0,
                    transform=self._points,
                    zorder=self._next(),
                )
            )

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
        self.figure.add_artist(
            Line2D(
                (start[0], end[0]),
                (start[1], end[1]),
                color=colour,
                linewidth=thickness,
                linestyle=(0, (3, 2)) if dashed else "-",
                transform=self._points,
                zorder=self._next(),
            )
        )

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
        name: str | None = None,
    ) -> None:
        """Write one line of literal text with its baseline at ``y``."""
        self.figure.add_artist(
            Text(
                x,
                y,
                text,
                fontsize=size,
                color=colour,
                horizontalalignment=align,
                verticalalignment="baseline",
                fontweight="bold" if bold else "normal",
                parse_math=False,
                transform=self._points,
                gid=name,
                zorder=self._next(),
            )
        )

    def _next(self) -> int:
        """Return a z-order above all artists drawn so far."""
        return len(self.figure.get_children())


def extent(texts: list[str], size: float) -> float:
    """Return the approximate width of the widest text, in points."""
    return max((width(text) for text in texts), default=0) * size * 0.61
