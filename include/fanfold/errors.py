"""Every error that Fanfold raises, as a tree by what the caller can do about it.

    FanfoldError
    ├── Fatal                 the run cannot go on; a person has to act; never retried
    │   ├── BadInput          a Param, an items file or an item is wrong
    │   ├── BadConfiguration  a connection or an environment variable is wrong or missing
    │   ├── CredentialRefused the source refuses the token
    │   ├── ToleranceExceeded more items failed than the run tolerates
    │   ├── LeftFailed        what was selected is fetched; other items failed before
    │   └── Inconsistent      workspace, sink or manifest contradict each other
    ├── ItemRefused           this item fails, at once; the others go on
    └── Retriable             the same call may succeed later
        ├── SourceBusy        the source is overloaded, slow or away
        │   └── QuotaSpent    nothing more until a known time
        ├── SinkUnavailable   object storage or database is away
        ├── WorkspaceUnavailable  the shared directory is full, or its disk does not answer
        ├── RateLimitUnavailable  the shared rate-limit state is unavailable: no request without a permit
        └── BatchIncomplete   some items of a batch failed; a retry fetches only these

Every message says what happened, to what, and what to do about it. No message holds a secret or
a response body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold.messages import Message

if TYPE_CHECKING:
    from datetime import datetime


class FanfoldError(Exception):
    """The base of all errors of this project.

    Attributes:
        message: What happened; ``str(error)`` is its English text.
    """

    def __init__(self, message: Message | str = "") -> None:
        super().__init__(str(message))
        self.message = message if isinstance(message, Message) else Message(message)


class Fatal(FanfoldError):  # noqa: N818 - the tree names recoveries, not "errors"
    """The run cannot go on until a person acts."""


class BadInput(Fatal):
    """A Param, an items file or an item is wrong; the message names it."""


class BadConfiguration(Fatal):
    """A connection or an environment variable is wrong or missing; the message names its key."""


class CredentialRefused(Fatal):
    """The source refuses the token of the connection."""


class ToleranceExceeded(Fatal):
    """More items failed than ``tolerated_failure_percentage`` allows."""


class LeftFailed(Fatal):
    """Items of a batch that failed before were not selected to be fetched again."""


class Inconsistent(Fatal):
    """What lies in the workspace or in a sink contradicts what was written there."""


class ItemRefused(FanfoldError):  # noqa: N818
    """The source will never answer the request for this item; asking again is of no use."""


class Retriable(FanfoldError):  # noqa: N818
    """The same call may succeed later."""


class SourceBusy(Retriable):
    """The source is overloaded, slow or away.

    Attributes:
        retry_after: Seconds that the source asked to wait, or None.
        away: Whether no whole answer came at all: nothing listens, or it is broken off.
        overloaded: Whether the source says that it has too much to do.
    """

    def __init__(
        self,
        message: Message | str,
        *,
        retry_after: float | None = None,
        away: bool = False,
        overloaded: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.away = away
        self.overloaded = overloaded


class QuotaSpent(SourceBusy):
    """The source gives nothing more until its quota is reset.

    Attributes:
        reset_at: When the quota is reset (UTC), or None where the source does not say.
    """

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
    """Object storage or database cannot be reached or is overloaded."""


class WorkspaceUnavailable(Retriable):
    """The workspace takes no more: it is full, read-only, or its disk does not answer."""


class RateLimitUnavailable(Retriable):
    """The shared rate-limit state is unavailable; no request is sent without a permit."""


class BatchIncomplete(Retriable):
    """Some items of a batch failed although each was tried several times."""
