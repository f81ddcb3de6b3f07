"""Mastodon: trending hashtags, and the newest statuses of a hashtag.

``GET /api/v1/trends/tags`` lists the hashtags that are used more than usual, with their uses and accounts
of the last seven days; ``GET /api/v1/timelines/tag/{hashtag}`` has their public statuses, the newest
first. Both are public on most servers. A server that shows timelines to its users only answers 401
(since 4.5) or 422 (before) without a token. Then use another server, or a token with ``read:statuses``.

Facts: docs.joinmastodon.org, "trends", "timelines" (40 statuses a page, ``Link`` header) and "Tag"
(entity: days are midnights as Unix time; all numbers are texts); 422 and the 20 tags of a page:
``app/controllers/api/base_controller.rb`` of Mastodon.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from fanfold import (
    Call,
    Catalogue,
    CredentialRefused,
    Found,
    KeyForm,
    Listing,
    NotThere,
    Pages,
    Probe,
    unexpected_response,
)
from pipelines import _mastodon_api as mastodon

if TYPE_CHECKING:
    from fanfold import Item, Response
    from fanfold.sources.endpoint import Endpoint

_TRENDS = "/api/v1/trends/tags"
_TIMELINE = "/api/v1/timelines/tag/"
_TAGS = "20"
"""Hashtags that a server lists at most."""
_STATUSES = "40"
"""Statuses of a page at most."""
NONE = "no statuses"
_MESSAGES = Catalogue(
    {
        "mastodon.no_tag": ("HTTP {status}: no such hashtag", "HTTP {status}：没有这个话题标签"),
        "mastodon.anonymous": (
            "The server shows hashtags only to its users, or rejected the token (HTTP {status}); put a valid "
            "token with read:statuses into the password, or use the host of another server",
            "该服务器只向其用户显示话题标签，或者拒绝了令牌（HTTP {status}）；请在连接的密码里填入有 read:statuses "
            "权限的有效令牌，或者换一台服务器",
        ),
    }
)
# Servers have their own rules for signs; these would change the path of a request.
_TAG = re.compile(r"(?!\.+$)[^\s\x00-\x1f\x7f#/?]{1,200}")


def check_item(item: str) -> str:
    """Return a hashtag in canonical form: without #, in lower case, composed (NFC)."""
    tag = unicodedata.normalize("NFC", item.removeprefix("#").lower())
    if not _TAG.fullmatch(tag):
        raise ValueError("a hashtag is one word of letters, digits and '_', such as caturday")
    return tag


def read(item: Item, response: Response) -> Found | NotThere:
    """Return the statuses in a response, each with the ``server`` that gave its id.

    For none it is a record :data:`NONE`: the topic itself has rows, too.
    """
    if _is_list(response):
        return Found(
            [{**each, "server": response.server} for each in response.body or [{NONE: True}]]
        )
    if _is_unknown(response):
        return NotThere(_MESSAGES.message("mastodon.no_tag", status=response.status))
    _raise_for_status(response)
    raise unexpected_response(response)


def read_trends(response: Response) -> list[dict[str, Any]]:
    """Return the trending hashtags in a response: ``topic``, ``rank`` from 1, ``list_size``, ``hour``, ``days``.

    The hour (ISO 8601, UTC) is that of the response's ``Date``: the list has no time, and there are no earlier
    ones, whatever the logical date of the run.
    """
    if not _is_list(response):
        _raise_for_status(response)
        raise unexpected_response(response)
    date = response.headers.get("Date")
    now = parsedate_to_datetime(date).astimezone(UTC) if date else datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0).isoformat()
    return [
        {
            "topic": tag["name"],
            "rank": rank,
            "list_size": len(response.body),
            "hour": hour,
            "days": [
                {
                    "day": f"{datetime.fromtimestamp(int(each['day']), UTC):%Y-%m-%d}",
                    "uses": int(each["uses"]),
                    "accounts": int(each["accounts"]),
                }
                for each in tag.get("history") or ()
            ],
        }
        for rank, tag in enumerate(response.body, start=1)
    ]


def read_check(response: Response) -> None:
    """Check the response to a request for one status; the server need not know the hashtag."""
    if response.status != 429 and not _is_list(response) and not _is_unknown(response):
        _raise_for_status(response)
        raise unexpected_response(response)


def _is_list(response: Response) -> bool:
    """Whether a response has a list of objects."""
    body = response.body
    return (
        response.status == 200
        and isinstance(body, list)
        and all(isinstance(each, dict) for each in body)
    )


def _is_unknown(response: Response) -> bool:
    """Whether Mastodon says that there is no such hashtag."""
    return response.status == 404 and mastodon.is_error(response)


def _raise_for_status(response: Response) -> None:
    if response.status in {401, 403, 422} and mastodon.is_error(response):
        raise CredentialRefused(_MESSAGES.message("mastodon.anonymous", status=response.status))
    mastodon.raise_for_status(response)


def trends(as_of: datetime) -> Call:
    """Return the request for the hashtags that trend now."""
    return Call(_TRENDS, {"limit": _TAGS})


def check_call(endpoint: Endpoint) -> Call:
    """Return a request for one status, with or without a token."""
    return Call(f"{_TIMELINE}fediverse", {"limit": "1"})


API = replace(
    mastodon.API,
    call=None,
    path=f"{_TIMELINE}{{key}}",
    query={"limit": _STATUSES},
    read=read,
    pages=Pages(link="Link", take=5),
    listing=Listing(trends, read_trends),
    check=Probe(check_call, read_check),
    messages={**mastodon.API.messages, **_MESSAGES.texts},
)
KEY_FORM = KeyForm(leading="#", lower=True)
