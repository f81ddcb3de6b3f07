"""Messages to people, through the Airflow connection ``notify_default``."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


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

    Returns:
        Whether it was sent. Without a connection ``notify_default``, it is not, and nothing is created.
    """
    log.debug("%s: not sent, so there is no %s.", notice.title, marker)
    return False
