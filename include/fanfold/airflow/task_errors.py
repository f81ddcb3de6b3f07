"""Keep why a task failed for the run page and ``make run``."""

from __future__ import annotations

import contextlib
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException, AirflowTaskTimeout

from fanfold.airflow import settings
from fanfold.errors import FanfoldError
from fanfold.messages import ENGINE
from fanfold.model import utc_text
from fanfold.workspace.errors import TaskError, write_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fanfold.messages import Message

log = logging.getLogger(__name__)


@contextlib.contextmanager
def recorded() -> Iterator[None]:
    """Write the error that ends the block, which is a try of the current task, to the workspace."""
    try:
        yield
    except AirflowSkipException:
        raise
    except (Exception, AirflowTaskTimeout) as error:
        try:
            _write(error)
        except Exception as another:  # noqa: BLE001 - the task's own error is the one to raise
            log.info("Its reason is not kept for the run page: %r.", another)
        raise


def _write(error: BaseException) -> None:
    context = get_current_context()
    instance = context["ti"]
    write_error(
        settings.workspace_of(context),
        TaskError(
            instance.task_id,
            -1 if instance.map_index is None else instance.map_index,
            instance.try_number,
            utc_text(datetime.now(UTC)),
            _message(error),
            getattr(error, "connection", "") if isinstance(error, FanfoldError) else "",
        ),
    )


def _message(error: BaseException) -> Message:
    if isinstance(error, FanfoldError):
        return error.message
    from fanfold.sources.author_errors import last_line

    # Without its text, which may contain a header or a URL with a token.
    at = last_line(error, "pipelines") or last_line(error, "fanfold")
    return ENGINE.message("task.unexpected", type=type(error).__name__, at=at)
