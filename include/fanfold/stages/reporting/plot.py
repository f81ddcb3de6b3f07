"""A plot with two axes: scales, grid and labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from matplotlib.ticker import MaxNLocator

from fanfold.stages.reporting import style
from fanfold.stages.reporting.canvas import extent
from fanfold.stages.reporting.wording import short

if TYPE_CHECKING:
    from fanfold.messages import Language
    from fanfold.stages.reporting.canvas import Canvas
    from fanfold.stages.reporting.chart import Bar, Chart

PLOT_HEIGHT = 150.0
BELOW = 38.0
"""Points below a plot, for tick labels and axis title."""
_RIGHT = 16.0  # room for half a tick label


@dataclass(slots=True)
class Plot:
    """The axes of a chart.

    Attributes:
        span: Values at the ends of the horizontal axis.
        above: Points between title and plot.
        left: Left end of the horizontal axis, in points.
        most: Value at the top of the vertical axis.
    """

    chart: Chart
    language: Language
    span: tuple[float, float]
    above: float = 16.0
    left: float = field(init=False)
    most: float = field(init=False)
    _ticks: list[tuple[float, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.most = 1.05 * max(bar.value for bar in self.chart.bars)
        locator = MaxNLocator(5, integer=True, steps=[1, 2, 2.5, 5, 10])
        values = [float(value) for value in locator.tick_values(0, self.most)]
        self._ticks = [
            (value, short(value).in_language(self.language))
            for value in values
            if 0 <= value <= self.most
        ]
        self.left = 13 + extent([label for _, label in self._ticks], style.TICK_SIZE)

    @property
    def height(self) -> float:
        """Height below the title, in points."""
        return self.above + PLOT_HEIGHT + BELOW

    @property
    def top(self) -> float:
        """The upper end of the vertical axis."""
        return style.TITLE_HEIGHT + self.above

    @property
    def bottom(self) -> float:
        """The lower end of the vertical axis."""
        return self.top + PLOT_HEIGHT

    def x(self, value: float) -> float:
        """Return the horizontal position of a value."""
        share = (value - self.span[0]) / (self.span[1] - self.span[0])
        return self.left + share * (style.WIDTH - _RIGHT - self.left)

    def y(self, value: float) -> float:
        """Return the vertical position of a count."""
        return self.bottom - value / self.most * PLOT_HEIGHT

    def draw(self, canvas: Canvas) -> None:
        """Draw grid and labels."""
        right = style.WIDTH - _RIGHT
        for value, label in self._ticks:
            y = self.y(value)
            canvas.line((self.left, y), (right, y), style.GRID if value else style.QUIET)
            _write(canvas, label, self.left - 5, y + 0.36 * style.TICK_SIZE, "right")
        if self.chart.axis:
            title = self.chart.axis.in_language(self.language)
            _write(canvas, title, (self.left + right) / 2, self.bottom + 32, "center")

    def column(self, canvas: Canvas, low: float, high: float, bar: Bar) -> None:
        """Draw a vertical bar between two values of the horizontal axis."""
        left, top = self.x(low), self.y(bar.value)
        colour = style.COLOURS[bar.colour]
        canvas.bar(left, top, self.x(high) - left, self.bottom - top, colour)

    def tick(self, canvas: Canvas, value: float, label: str) -> None:
        """Label a value of the horizontal axis."""
        _write(canvas, label, self.x(value), self.bottom + 15, "center")


def _write(
    canvas: Canvas, text: str, x: float, y: float, align: Literal["center", "right"]
) -> None:
    canvas.text(text, x, y, size=style.TICK_SIZE, colour=style.QUIET, align=align)
