"""Mastodon: account profiles by ``acct``, from ``GET /api/v1/accounts/lookup``.

Most servers answer without a token. Facts: docs.joinmastodon.org, "accounts API methods" (lookup),
"Account" (entity) and "Rate limits" (``X-RateLimit-*``; the reset is an ISO 8601 time).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pandas as pd

from fanfold.errors import CredentialRefused, ItemRefused, QuotaSpent
from fanfold.sources import Call, Found, NotThere, Source
from fanfold.sources.http import busy_answer, retry_after
from fanfold.sources.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fanfold.sources.endpoint import Endpoint
    from fanfold.sources.http import Answer, Client

_LOOKUP = "/api/v1/accounts/lookup"
_ACCT = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?(?:@[a-z0-9.-]+(?::[0-9]+)?)?")


def check_item(item: str) -> str:
    """Return an ``acct`` in canonical form: without a leading @, in lower case."""
    acct = item.removeprefix("@").lower()
    if len(acct) > 300 or not _ACCT.fullmatch(acct):
        raise ValueError("a Mastodon account looks like alice or alice@example.social")
    return acct


def call(acct: str) -> Call:
    """Return the request for an account."""
    return Call(_LOOKUP, {"acct": acct})


def credentials(endpoint: Endpoint) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return the token, if there is one, as a bearer header."""
    return {}, {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}


def read(acct: str, answer: Answer) -> Found | NotThere:
    """Turn the answer for one account into its record, by HTTP status."""
    if answer.status == 200 and isinstance(answer.body, dict) and "id" in answer.body:
        return Found(answer.body)
    # A lone 404 page (a proxy's, say) is no word about the account: it has to be Mastodon's JSON.
    if answer.status in {404, 410} and isinstance(answer.body, dict) and "error" in answer.body:
        return NotThere(f"HTTP {answer.status}: there is no account {acct}")
    _refuse(answer)
    raise busy_answer(_LOOKUP, answer)


def check(client: Client) -> None:
    """Ask for the server's description, or with a token for its owner."""
    path = "/api/v1/accounts/verify_credentials" if client.endpoint.token else "/api/v2/instance"
    answer = client.get(Call(path))
    if answer.status == 429:
        return
    _refuse(answer)
    if answer.status != 200 or not isinstance(answer.body, dict):
        raise busy_answer(path, answer)


def quota_reset(client: Client) -> float | None:  # noqa: ARG001 - each 429 says it already
    """Return None: there is no other page to ask."""
    return None


def _refuse(answer: Answer) -> None:
    if answer.status in {401, 403}:
        raise CredentialRefused(
            f"Mastodon refuses the token (HTTP {answer.status}). Put a valid token into the "
            "password of the connection, or none where the server allows it."
        )
    if answer.status == 429:
        raise QuotaSpent(
            "Mastodon's quota is spent (HTTP 429)",
            reset_at=_reset(answer.headers),
            retry_after=retry_after(answer.headers),
        )
    if answer.status in {400, 422}:
        raise ItemRefused(f"Mastodon refuses the request (HTTP {answer.status})")


def _reset(headers: Mapping[str, str]) -> datetime | None:
    try:
        moment = datetime.fromisoformat(headers.get("X-RateLimit-Reset", ""))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def transform(records: Sequence[dict[str, Any]]) -> Rows:
    """Return the rows of accounts, with the columns of the contract that Mastodon knows.

    Mastodon verifies links, not people: ``verified`` is true where a link of the profile is.
    """
    rows = Rows([{**record, "verified": _has_verified_link(record)} for record in records])
    rows.constant("source", "mastodon")
    rows.text("user_id", "id")
    rows.text("screen_name", "acct")
    rows.text("name", "display_name")
    rows.text("description", "note", clean=_plain)
    rows.text("profile_url", "url")
    rows.text("avatar_url", "avatar")
    rows.flag("verified", "verified")
    rows.count("followers_count", "followers_count")
    rows.count("friends_count", "following_count")
    rows.count("statuses_count", "statuses_count")
    rows.moment("created_at", "created_at", _moment)
    rows.moment("last_status_at", "last_status_at", _moment)
    return rows


def _has_verified_link(record: dict[str, Any]) -> bool:
    fields = record.get("fields")
    return isinstance(fields, list) and any(
        isinstance(field, dict) and bool(field.get("verified_at")) for field in fields
    )


def _moment(text: str) -> pd.Timestamp:
    moment = pd.Timestamp(datetime.fromisoformat(text))
    return moment.tz_localize(UTC) if moment.tzinfo is None else moment.tz_convert(UTC)


class _Text(HTMLParser):
    """The text of a profile's HTML, a line a paragraph."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag == "br":
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "p":
            self.pieces.append("\n")


def _plain(html: str) -> str:
    parser = _Text()
    parser.feed(html)
    parser.close()
    return "".join(parser.pieces)


SOURCE = Source(
    name="mastodon",
    item_column="acct",
    identity_column=None,
    check_item=check_item,
    call=call,
    credentials=credentials,
    read=read,
    check=check,
    quota_reset=quota_reset,
    transform=transform,
)
