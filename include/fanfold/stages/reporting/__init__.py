"""Report: the charts of a pipeline as one self-contained page.

The page depends only on the run's tables, ``failures.json``, the manifest and the pipeline: the same
run gives the same bytes. Its size does not grow with the rows: a chart has at most 5,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fanfold.errors import Inconsistent
from fanfold.messages import ENGINE, Catalogue
from fanfold.pipeline import DATASET
from fanfold.stages.reporting.charts import charts_of, check_charts
from fanfold.stages.reporting.document import page_of
from fanfold.stages.reporting.pictures import write_pictures
from fanfold.workspace.failure_groups import read_groups
from fanfold.workspace.files import whole_file

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.messages import Texts
    from fanfold.model import Manifest
    from fanfold.pipeline import Pipeline
    from fanfold.workspace.paths import Workspace

__all__ = ["PAGE", "Report", "check_charts", "write_report"]

PAGE = "report.html"
_REASONS_SHOWN = 25
"""Reasons of an outcome, and rules of rejected rows, that the page lists."""


@dataclass(frozen=True, slots=True)
class Report:
    """The files of a report: the page, and its charts as pictures if they are asked for."""

    page: Path
    pictures: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, the page last."""
        return (*self.pictures, self.page)


def write_report(
    workspace: Workspace,
    pipeline: Pipeline,
    manifest: Manifest,
    *,
    messages: Texts | None = None,
) -> Report:
    """Write the report of a run to its workspace; replace an earlier report.

    Args:
        workspace: The run's folder, with its tables and ``failures.json``.
        pipeline: Its charts are drawn.
        manifest: What the run produced.
        messages: The texts of the source's reasons.

    Raises:
        BadPipeline: The query, the finding or the specification of a chart is wrong.
        Inconsistent: A table or ``failures.json`` is missing or cannot be read.
    """
    tables = {name: workspace.table(name) for name in pipeline.tables}
    for name, path in tables.items():
        if not path.exists():
            raise Inconsistent(f"{path}, the table {name!r}, is missing; clear consolidate.")
    tables[DATASET] = tables[pipeline.dataset]
    charts = charts_of(pipeline, tables, workspace.spill)
    page = page_of(
        manifest,
        pipeline,
        Catalogue(ENGINE.texts, messages or {}),
        charts=charts,
        failures=read_groups(workspace.failures, _REASONS_SHOWN),
        rejected=read_groups(workspace.failures, _REASONS_SHOWN, of="rows"),
    )
    pictures = write_pictures(charts, workspace.report)
    with whole_file(workspace.report / PAGE) as temporary:
        temporary.write_text(page, "utf-8", newline="\n")
    return Report(workspace.report / PAGE, pictures)
