"""The default way to read a response: by its HTTP status, with the records at a dotted path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold.errors import CredentialRefused, ItemRefused, QuotaSpent, SourceBusy
from fanfold.messages import ENGINE
from fanfold.sources import Found, NotThere
from fanfold.sources.paging import MISSING, at_path
from fanfold.sources.responses import retry_after, unexpected_response

if TYPE_CHECKING:
    from fanfold.sources import Response


def read_by_status(response: Response, path: str = "") -> Found | NotThere:
    """Return the records at a path of a response, or that the item does not exist.

    Only the API's own JSON decides for good; a page is that of a proxy in front of it.

    Raises:
        CredentialRefused: The status is 401 or 403, with JSON.
        QuotaSpent: The status is 429.
        ItemRefused: The status is 400 or 422, with JSON.
        SourceBusy: Any other status, an invalid body, or no records at the path.
    """
    status = response.status
    if status == 204:
        return Found(())
    if status == 429:
        raise QuotaSpent(ENGINE.message("api.quota"), retry_after=retry_after(response.headers))
    if response.flaw:
        raise unexpected_response(response)
    if 200 <= status < 300:
        return _records(response, path)
    if status in {404, 410}:
        return NotThere(ENGINE.message("api.missing", status=status))
    if status in {401, 403}:
        raise CredentialRefused(ENGINE.message("api.token", status=status))
    if status in {400, 422}:
        raise ItemRefused(ENGINE.message("api.request", status=status))
    raise unexpected_response(response)


def _records(response: Response, path: str) -> Found:
    found = at_path(response.body, path)
    if isinstance(found, dict):
        return Found((found,))
    if isinstance(found, list) and all(isinstance(record, dict) for record in found):
        return Found(found)
    if not path:
        message_id = "api.not_a_record"
    else:
        message_id = "api.no_records" if found is MISSING else "api.not_records"
    raise SourceBusy(
        ENGINE.message(message_id, path=response.path, status=response.status, records=path)
    )
