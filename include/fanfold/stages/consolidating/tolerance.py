"""Whether the failures of a run are tolerated."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fanfold import formats
from fanfold.errors import ToleranceExceeded
from fanfold.messages import ENGINE
from fanfold.model import Status
from fanfold.workspace.failure_groups import read_groups

if TYPE_CHECKING:
    from fanfold.messages import Message
    from fanfold.model import Manifest
    from fanfold.workspace.failure_groups import Group
    from fanfold.workspace.paths import Workspace

_REASONS_SHOWN = 3


def exceeded(
    workspace: Workspace, manifest: Manifest, tolerated_items: float, tolerated_rows: float
) -> list[Message]:
    """Return which of the shares of lost items and of rejected rows are not tolerated.

    Args:
        workspace: That of the run.
        manifest: Its manifest.
        tolerated_items: Maximum percentage of ``failed`` and ``invalid`` items.
        tolerated_rows: Maximum percentage of rejected rows, of all rows that the
            transform returned for the run's items.

    Returns:
        A message with the most frequent reasons for each share that is larger.
    """
    counts = manifest.counts
    failures = counts.failed + counts.invalid
    rows = manifest.own_rows + manifest.same + manifest.rejected
    problems = []
    # As a percentage, which *Publish anyway* takes for the tolerance.
    if manifest.failure_percentage > tolerated_items:
        found = read_groups(workspace.failures)
        told = ENGINE.message(
            "tolerance.items",
            lost=failures,
            of=counts.planned,
            share=formats.percent(failures / counts.planned),
            limit=f"{tolerated_items:g}",
            reasons=_reasons([group for group in found if group.status is not Status.MISSING]),
        )
        problems.append(told)
    if manifest.rejected_percentage > tolerated_rows:
        told = ENGINE.message(
            "tolerance.rows",
            lost=manifest.rejected,
            of=rows,
            share=formats.percent(manifest.rejected / rows),
            limit=f"{tolerated_rows:g}",
            reasons=_reasons(read_groups(workspace.failures, of="rows")),
        )
        problems.append(told)
    return problems


def check_tolerance(
    workspace: Workspace, manifest: Manifest, tolerated_items: float, tolerated_rows: float
) -> None:
    """Check that :func:`exceeded` finds nothing; the arguments are the same.

    Raises:
        ToleranceExceeded: It does.
    """
    if problems := exceeded(workspace, manifest, tolerated_items, tolerated_rows):
        text = (
            f"{' '.join(map(str, problems))} Nothing was published. Fetched data is kept: clear "
            "`batch.fetch` with its downstream tasks to fetch only the failed items; after a change "
            "of the pipeline, clear `consolidate` with its downstream tasks."
        )
        # The run page has buttons beside the first sentence.
        raise ToleranceExceeded(replace(problems[0], text=text))


def _reasons(groups: list[Group]) -> str:
    """Return the most frequent reasons in one line, each with an item."""
    groups = sorted(groups, key=lambda group: -group.count)
    return "; ".join(
        f"{group.count} × {group.title}"
        + (f" (such as {group.examples[0][0]})" if group.examples else "")
        for group in groups[:_REASONS_SHOWN]
    )
