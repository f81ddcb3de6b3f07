"""Ask an API for the items of a run."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

from fanfold.errors import QuotaSpent, SourceBusy
from fanfold.stages.fetching.backoff import MAX_PAUSE, Backoff, pause_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fanfold.rate_limit import RateLimiter
    from fanfold.sources.session import ApiSession


def list_items(
    session: ApiSession,
    limiter: RateLimiter,
    backoff: Backoff = Backoff(),  # noqa: B008 - frozen
) -> Sequence[Any]:
    """Return the items that the API lists; the request has a permit and is repeated as those for items are.

    Raises:
        CredentialRefused: The source rejected the token.
        QuotaSpent: The quota is used up for longer than the limiter waits.
        SourceBusy: No valid response in all attempts.
        BadConfiguration: There is no such API, in all attempts.
        ItemRefused: The source will never answer this request.
    """
    never = threading.Event()
    for attempt in itertools.count(1):
        limiter.acquire(never)
        try:
            return session.list_items()
        except SourceBusy as error:
            pause = error.retry_after
            if isinstance(error, QuotaSpent):
                pause = pause_of(error, session)
            if pause is not None:
                limiter.pause(min(pause, MAX_PAUSE), error.message)
            delay = backoff.wait_after(attempt)
            if delay is None:
                raise error.permanent or error from None
            never.wait(delay)
    raise AssertionError  # the loop does not end
