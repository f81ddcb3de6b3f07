"""A chart as a value: what it says, shows and tabulates, in both languages, undrawn.

The table beside a chart is made of the same bars that are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fanfold.stages.reporting.wording import full, percent

if TYPE_CHECKING:
    from fanfold.stages.reporting.wording import Text

Colour = Literal["main", "muted", "ok", "missing", "invalid", "failed"]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, and one row of the table.

    Attributes:
        label: What it stands for.
        value: Its length: a count.
        colour: Name of its colour.
        span: For a histogram: where it lies on the axis, in log10; None stands for the value 0.
        fallbacks: Other labels, for where the first cannot be drawn.
        details: Further cells of its row in the table, before the value.
    """

    label: Text
    value: int
    colour: Colour = "main"
    span: tuple[float, float] | None = None
    fallbacks: tuple[Text, ...] = ()
    details: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line in a histogram.

    Attributes:
        at: Its value on the axis; 0 is the bar of zeros.
        label: What it is.
    """

    at: float
    label: Text


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart, undrawn.

    Attributes:
        name: Stem of its files' names.
        kind: Horizontal bars, columns along years, or a histogram on a log scale.
        subject: What it is about: its heading.
        finding: What it shows, in one sentence: its title.
        summary: More key figures: with the finding, its text alternative.
        axis: What lies along the horizontal axis; None where the bars have their own labels.
        header: Header of the table: one cell for the label, each detail, the value, the share.
        bars: What is drawn, in order.
        marks: Lines across a histogram, from left to right.
        whole: What a share is a share of; 0 for charts without shares.
    """

    name: str
    kind: Literal["bars", "columns", "histogram"]
    subject: Text
    finding: Text
    summary: Text
    axis: Text | None
    header: tuple[Text, ...]
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...] = ()
    whole: int = 0

    @property
    def rows(self) -> list[tuple[Text, ...]]:
        """The table's rows."""
        return [
            (bar.label, *bar.details, full(bar.value))
            + ((percent(bar.value, self.whole),) if self.whole else ())
            for bar in self.bars
        ]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A chart without data.

    Attributes:
        name: Stem of the files that it does not have.
        why: A sentence that names it and says why.
    """

    name: str
    why: Text
