"""Check a source before a run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fanfold.errors import SourceBusy

if TYPE_CHECKING:
    from fanfold.sources import Session

_ATTEMPTS = 3


def check_source(session: Session, pause: float = 1.0) -> None:
    """Check endpoint and token of a source.

    A host that has no such API is misconfigured, unless one of three attempts, ``pause`` seconds apart,
    succeeds: a proxy may answer 404 while it is restarted.

    Raises:
        BadConfiguration: There is no such API at the host; the message names it.
        CredentialRefused: The source rejected the token.
        SourceBusy: The source is unavailable.
    """
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(pause)
        try:
            return session.check()
        except SourceBusy as error:
            if error.permanent is None:
                raise
            permanent = error.permanent
    raise permanent
