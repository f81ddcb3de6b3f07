"""What the responses of all sources have in common: errors and ``Retry-After``."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fanfold.errors import SourceBusy
from fanfold.messages import ENGINE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanfold.sources import Response


# Some servers send decimals, which the RFC does not have.
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a ``Retry-After`` header (RFC 9110, 10.2.3), or None."""
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    if _SECONDS.fullmatch(value):
        return float(value)
    from email.utils import parsedate_to_datetime  # imports much, for a header that few APIs send

    try:
        until = parsedate_to_datetime(value)
        # Relative to the server's clock if it sends its time: the local clock may be wrong.
        now = parsedate_to_datetime(headers["Date"]) if "Date" in headers else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def unexpected_response(response: Response) -> SourceBusy:
    """Return the error for a response that the source has no rule for, such as the page of a proxy."""
    is_page = response.body is None and response.flaw == "http.not_json"
    if response.status == 407:
        message_id = "http.proxy"
    elif 300 <= response.status < 400:
        message_id = "http.redirect"
    elif is_page and response.status in {400, 401, 403}:
        message_id = "http.barred"
    elif is_page and response.status >= 400:
        message_id = "http.page"
    elif response.body is None and response.flaw:
        message_id = response.flaw
    else:
        message_id = "http.unexpected"
    return SourceBusy(
        ENGINE.message(message_id, path=response.path, status=response.status),
        retry_after=retry_after(response.headers),
        overloaded=response.status in {429, 503},
    )
