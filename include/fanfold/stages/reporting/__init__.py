"""Report: the charts of a run as one self-contained page, plus PNG files.

The page depends only on the dataset, ``failures.json`` and the manifest: the same run gives the same
bytes. The dataset is read as a stream, so memory does not grow with its items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fanfold.messages import ENGINE, Catalogue
from fanfold.stages.reporting.aggregates import aggregate
from fanfold.stages.reporting.chart import Chart, LeftOut
from fanfold.stages.reporting.charts import charts_of
from fanfold.stages.reporting.document import page_of
from fanfold.stages.reporting.rendering import path_of, render
from fanfold.stages.reporting.sanitising import plain
from fanfold.stages.reporting.wording import same, say
from fanfold.workspace.failure_groups import read_groups
from fanfold.workspace.files import whole_file

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.messages import Texts
    from fanfold.model import Forecast, Manifest

PAGE = "report.html"
_REASONS_SHOWN = 25
"""Reasons of an outcome that the page lists."""


@dataclass(frozen=True, slots=True)
class Report:
    """The files of a report: the page, and ``chart-<name>.png``."""

    page: Path
    charts: tuple[Path, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, the page last."""
        return (*self.charts, self.page)


def write_report(  # noqa: PLR0913 - what a report shows
    dataset: Path,
    failures: Path,
    manifest: Manifest,
    folder: Path,
    *,
    forecast: Forecast | None = None,
    messages: Texts | None = None,
) -> Report:
    """Write the report of a run to a folder; replace an earlier report.

    Raises:
        Inconsistent: ``dataset`` or ``failures`` is missing or cannot be read.
    """
    data = aggregate(dataset)
    date = manifest.logical_date[:10]
    foot = say("foot", dag=same(plain(manifest.dag_id, 50)), date=same(plain(date)))
    planned = charts_of(data, manifest.counts)
    drawn = [render(chart, folder, foot=foot) for chart in planned if isinstance(chart, Chart)]
    left_out = [chart for chart in planned if isinstance(chart, LeftOut)]
    for chart in left_out:
        path_of(folder, chart.name).unlink(missing_ok=True)
    page = page_of(
        manifest,
        Catalogue(ENGINE.texts, messages or {}),
        data=data,
        charts=drawn,
        left_out=left_out,
        failures=read_groups(failures, _REASONS_SHOWN),
        forecast=forecast,
    )
    with whole_file(folder / PAGE) as temporary:
        temporary.write_text(page, "utf-8", newline="\n")
    return Report(folder / PAGE, tuple(chart.file for chart in drawn))
