"""A plot with two axes: where values lie, the grid of counts, and the labels."""

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
"""Points under a plot: the labels of its ticks, and its title."""
_RIGHT = 16.0  # half a tick's label reaches beyond the axis


@dataclass(slots=True)
class Plot:
    """A plot of a chart.

    Attributes:
        chart: What is plotted.
        language: Of its texts.
        span: Values at the ends of the horizontal axis.
        above: Points between the title's band and the plot.
        left: Left end of the horizontal axis, in points.
        most: Value at the upper end of the vertical axis.
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
        """How much it takes below the title's band, in points."""
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
        """Return where a value lies from left to right."""
        share = (value - self.span[0]) / (self.span[1] - self.span[0])
        return self.left + share * (style.WIDTH - _RIGHT - self.left)

    def y(self, value: float) -> float:
        """Return where a count lies from top to bottom."""
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
        """Draw a bar that stands on the axis between two values."""
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
