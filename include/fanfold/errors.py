"""All Fanfold errors, grouped by how the caller can recover.

    FanfoldError
    ├── Fatal                     needs manual action; never retried
    │   ├── BadInput              invalid Param, items file or item
    │   ├── BadConfiguration      invalid or missing connection or environment variable
    │   ├── BadPipeline           invalid pipeline: its author has to change its code
    │   ├── CredentialRefused     the source rejected the token
    │   ├── ToleranceExceeded     more items failed than the run tolerates
    │   ├── LeftFailed            the selected items were fetched; other items failed earlier
    │   └── Inconsistent          workspace, sink and manifest disagree
    ├── ItemRefused               permanent failure of one item; the others continue
    └── Retriable                 transient; the same call may succeed later
        ├── SourceBusy            source overloaded, slow or unavailable
        │   └── QuotaSpent        quota exhausted until it resets
        ├── SinkUnavailable       object storage or database unavailable
        ├── WorkspaceUnavailable  shared directory full, read-only or not responding
        ├── RateLimitUnavailable  shared rate-limit state unavailable
        └── BatchIncomplete       some items of a batch failed; a retry fetches only these

Each message says what happened, to what, and what to do. Messages contain no secrets and no
response bodies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold.messages import Message

if TYPE_CHECKING:
    from datetime import datetime


class FanfoldError(Exception):
    """Base of all Fanfold errors; ``message`` is translatable, ``str(error)`` its English text.

    ``gb_seconds`` is what the call of a function that ended with it costs, ``connection`` the Airflow
    connection that it is about, if any.
    """

    gb_seconds = 0.0
    connection = ""

    def __init__(self, message: Message | str = "") -> None:
        super().__init__(str(message))
        self.message = message if isinstance(message, Message) else Message(message)


class Fatal(FanfoldError):  # noqa: N818 - the tree names recoveries, not "errors"
    """The run needs manual action."""


class BadInput(Fatal):
    """A Param, an items file or an item is invalid."""


class BadConfiguration(Fatal):
    """A connection or environment variable is invalid or missing; the message names its key."""


class BadPipeline(Fatal):
    """A pipeline is invalid; the message names the pipeline, what is wrong in it and where."""


class CredentialRefused(Fatal):
    """The source rejected the token of the connection."""


class ToleranceExceeded(Fatal):
    """More items failed than ``tolerated_failure_percentage`` allows."""


class LeftFailed(Fatal):
    """Items of a batch that failed earlier were not selected for the redrive."""


class Inconsistent(Fatal):
    """The workspace, a sink or the manifest disagree with each other."""


class ItemRefused(FanfoldError):  # noqa: N818
    """The source permanently rejects the request for this item; do not retry it."""


class Retriable(FanfoldError):  # noqa: N818
    """A transient error: the same call may succeed later."""


class SourceBusy(Retriable):
    """The source is overloaded, slow or unavailable.

    Attributes:
        retry_after: Seconds to wait, if the source asked for it.
        unavailable: No complete response: connection refused, reset or cut off.
        overloaded: The source reported an overload.
        not_found: Status of a response to the request for an item, if it is 404 or 410 in no form of the
            API: that of a proxy, or the source's for an item that does not exist; else 0.
        permanent: The error that it is if it does not pass, or None.
    """

    not_found = 0
    permanent: Fatal | None = None

    def __init__(
        self,
        message: Message | str,
        *,
        retry_after: float | None = None,
        unavailable: bool = False,
        overloaded: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.unavailable = unavailable
        self.overloaded = overloaded


class QuotaSpent(SourceBusy):
    """The quota is exhausted until ``reset_at`` (UTC; None if the source did not report it)."""

    def __init__(
        self,
        message: Message | str,
        *,
        reset_at: datetime | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.reset_at = reset_at


class SinkUnavailable(Retriable):
    """Object storage or the database is unreachable or overloaded."""


class WorkspaceUnavailable(Retriable):
    """The workspace is full, read-only, or its disk does not respond."""


class RateLimitUnavailable(Retriable):
    """The shared rate-limit state is unavailable; no request is sent without a permit."""


class BatchIncomplete(Retriable):
    """Some items of a batch failed after all their attempts.

    Attributes:
        refused: Whether the source refused all of them for good: a retry would be refused, too.
    """

    def __init__(self, message: Message | str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused
