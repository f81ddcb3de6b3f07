"""Draw a chart as a PNG in English and as SVG elements in each language."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fanfold.messages import LANGUAGES
from fanfold.stages.reporting import style
from fanfold.stages.reporting.drawing import draw, draw_frame
from fanfold.stages.reporting.wording import Text, same
from fanfold.workspace.files import whole_file

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.stages.reporting.chart import Bar, Chart

_SYMBOLS = {"So", "Sk", "Mn", "Cf"}  # emoji, skin tones, variation selectors, joiners


@dataclass(frozen=True, slots=True)
class Rendered:
    """A drawn chart: its SVG elements for the page, and its PNG file."""

    chart: Chart
    inline: Text
    file: Path


def path_of(folder: Path, name: str) -> Path:
    """Return the path of a chart's PNG."""
    return folder / f"chart-{name}.png"


def render(chart: Chart, folder: Path, *, foot: Text) -> Rendered:
    """Draw a chart and write its PNG; ``foot`` is a line of text under it."""
    path = path_of(folder, chart.name)
    fitting = _drawable(chart)
    canvas = draw(fitting, "en")
    draw_frame(canvas, fitting.finding.en, foot.en if style.drawable(foot.en) else "")
    with whole_file(path) as temporary:
        canvas.figure.savefig(
            temporary,
            format="png",
            dpi=style.PIXELS_PER_INCH,
            metadata={"Software": None},
            # Half the time of the default level for little more size.
            pil_kwargs={"compress_level": 3},
        )
    inline = Text(*(draw(chart, language).svg() for language in LANGUAGES))
    return Rendered(chart, inline, path)


def _drawable(chart: Chart) -> Chart:
    """Return the chart with labels that the installed fonts can draw."""
    bars = tuple(replace(bar, label=_label(bar)) for bar in chart.bars)
    finding = chart.finding
    for before, after in zip(chart.bars, bars, strict=True):
        if not style.drawable(finding.en):
            finding = Text(finding.en.replace(before.label.en, after.label.en), finding.zh)
    return replace(chart, bars=bars, finding=finding)


def _label(bar: Bar) -> Text:
    for label in (bar.label, *bar.fallbacks):
        text = without_undrawable_symbols(label.en)
        if text and style.drawable(text):
            return same(text)
    return bar.label


def without_undrawable_symbols(text: str) -> str:
    """Remove emoji and accents that the installed fonts cannot draw."""
    kept = "".join(
        char for char in text if style.drawable(char) or unicodedata.category(char) not in _SYMBOLS
    )
    return kept.strip() if any(char.isalnum() for char in kept) else ""
