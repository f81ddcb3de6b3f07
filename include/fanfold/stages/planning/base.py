"""Decide what a run in mode ``merge`` does with the published dataset that it is merged into."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fanfold.errors import BadInput
from fanfold.sources import Files
from fanfold.sources.version import rows_version
from fanfold.workspace.base import BaseRef

if TYPE_CHECKING:
    from fanfold.model import Manifest
    from fanfold.pipeline import Pipeline

log = logging.getLogger(__name__)


def choose_base(pipeline: Pipeline, published: Manifest | None, earlier_rows: str) -> BaseRef:
    """Return what becomes of the rows of the published dataset.

    Args:
        pipeline: A pipeline in mode ``merge``.
        published: Manifest of its published dataset, if there is one that can be merged into.
        earlier_rows: The Param: ``auto``, ``keep`` or ``rebuild``.

    Raises:
        BadInput: Rows of an API or a function were made by other code, and ``earlier_rows`` is
            ``auto``: what it would have returned on earlier days cannot be fetched again.
    """
    if published is None:
        return BaseRef()
    rebuild = earlier_rows == "rebuild"
    current = rows_version(pipeline)
    if published.rows_version != current and earlier_rows == "auto":
        if not isinstance(pipeline.source, Files):
            raise BadInput(
                f"The published rows of {pipeline.dataset!r} (run {published.run_id!r}) were made by other "
                f"code (version {published.rows_version}, now {current}), and rows of both are not mixed. "
                "Trigger a new run with earlier_rows=keep to merge them all the same, or with "
                "earlier_rows=rebuild for a dataset of the rows of that run only."
            )
        log.warning(
            "The code that makes rows has changed since run %r: all files are read again.",
            published.run_id,
        )
        rebuild = True
    return BaseRef(published.generation, rebuild=rebuild, keep=earlier_rows == "keep")
