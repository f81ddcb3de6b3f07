"""Messages to people, through the Airflow connection ``notify_default``.

A notice is sent at most once: a marker file is created before it is sent, and removed if that fails. Only
where the disk does not permit the file, a notice may be sent again.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

CONNECTION = "notify_default"
"""The connection whose type and fields say where notices go."""
STATES = "states"
"""Key of its extra: a list of the states that are sent; without it, all are."""


class State(StrEnum):
    """What a notice is about."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    EMPTY = "empty"
    FAILED = "failed"
    LATE = "late"
    WAITING_QUOTA = "waiting for quota"
    WAITING_APPROVAL = "waiting for approval"
    MAINTENANCE = "maintenance"
    DISK = "disk filling up"


@dataclass(frozen=True, slots=True)
class Notice:
    """A message to people: plain text only, without secrets.

    Attributes:
        state: What it is about.
        title: One line.
        paragraphs: Sentences and lists; a line each.
        facts: Names and values, for a table.
        links: Texts and absolute URLs.
        pictures: PNG files of charts.
    """

    state: State
    title: str
    paragraphs: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    pictures: tuple[Path, ...] = ()


def send_once(notice: Notice, marker: Path) -> bool:
    """Send a notice unless ``marker`` exists, and create it; never raises.

    If it cannot be sent, a warning is logged and the marker removed.

    Returns:
        Whether it was sent. Without a connection ``notify_default``, or if it does not want the state, it is
        not, and nothing is created.
    """
    try:
        return _send_once(notice, marker)
    except Exception as error:  # noqa: BLE001 - no notice may fail what it is about
        log.warning(
            "The notice %r was not sent through the connection %s: %s. Check the connection, and that "
            "its server can be reached from this component.",
            notice.state.value,
            CONNECTION,
            masked(f"{type(error).__name__}: {error}"),
        )
        return False


def _send_once(notice: Notice, marker: Path) -> bool:
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    from fanfold.airflow.notifications.channels import send

    if marker.exists():
        return False
    try:
        connection: Connection = Connection.get(CONNECTION)
    except AirflowNotFoundException:
        return False
    wanted = connection.extra_dejson.get(STATES)
    if wanted and notice.state not in wanted:
        return False
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch(exist_ok=False)
    except FileExistsError:  # another process sends it
        return False
    except OSError as error:  # perhaps what the notice is about; then twice is better than never
        log.warning("%s cannot be created (%s): the notice may be sent again.", marker, error)
    try:
        texts = ("title", "paragraphs", "facts", "links")
        send(connection, replace(notice, **{name: masked(getattr(notice, name)) for name in texts}))
    except BaseException:
        with suppress(OSError):
            marker.unlink()
        raise
    return True


def masked(value: Any) -> Any:
    """Return texts with Airflow's mask for each secret that this process knows."""
    from airflow.sdk.log import redact  # type: ignore[attr-defined] # not in its __all__

    return redact(value)
