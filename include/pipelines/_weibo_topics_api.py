"""Weibo: the hot list of the hour, and for each topic its newest posts and its statistics by day.

Sources, open.weibo.com/wiki: "Trends/hourly/en" (V1), "2/search/topics" (advanced permission: the newest 200
posts, at most 50 a page), "C/2/search/trends/statistic" (commercial permission). The pages are old and differ in
their host; a connection has one, so a gateway that routes by path is needed if an application has all three. What
the pages do not say:

* The hour of the list is taken to be China's time.
* Whether a page may be shorter than asked for although it is not the last one, as elsewhere at Weibo: the
  next page is requested until one is empty.
* How deleted posts look. Elsewhere they have ``deleted: "1"``, without author and counts, or are left out.
* The id of a topic: ``1022:231522`` and the MD5 of its word, which fits ids and words in payloads that people
  published. An attribute ``topic_id`` of the item is used instead, if it has one.
* The codes of refused statistics. Only errors about the token, the quota, busy servers and what a proxy refuses
  fail the item; any other answer to the request for statistics is kept as a record, and the next run requests
  them again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from fanfold import Api, Call, Found, Listing, Pages, unexpected_response
from pipelines import _weibo_api as weibo

if TYPE_CHECKING:
    from fanfold import Item, Response

_HOURLY = "/trends/hourly.json"
_SEARCH = "/2/search/topics.json"
_STATISTIC = "/2/search/trends/statistic.json"
_CHINA = timezone(timedelta(hours=8))
MAX_PAGES = 4
"""Pages of 50 posts: the API has the newest 200 posts of a topic."""
DAYS = 7
"""Days of statistics; the API has 90."""
_NO_STATISTICS = {
    weibo.ErrorKind.FORBIDDEN,
    weibo.ErrorKind.OWN_USER,
    weibo.ErrorKind.NO_API,
    weibo.ErrorKind.REQUEST,
}
"""Errors that are kept as a record; there is no such API if the host is not that of commercial partners."""


@dataclass(frozen=True, slots=True)
class _Search(Call):
    """The request for a page of posts, and for what comes after the last one."""

    statistic: Call | None = None


def call(item: Item, as_of: datetime) -> Call:
    """Return the request for the first page of a topic's posts."""
    today = as_of.astimezone(_CHINA)
    days = {
        "topicId": str(item.attributes.get("topic_id") or topic_id(item.key)),
        "startDate": f"{today - timedelta(days=DAYS - 1):%Y%m%d}",
        "endDate": f"{today:%Y%m%d}",
    }
    query = {"q": item.key, "count": "50", "page": "1"}
    return _Search(_SEARCH, query, statistic=Call(_STATISTIC, days))


def topic_id(word: str) -> str:
    """Return the id of a topic."""
    return f"1022:231522{hashlib.md5(word.encode(), usedforsecurity=False).hexdigest()}"


def following(previous: Call, response: Response) -> Call | None:
    """Return the request for the next page of posts, or after the last one that for the statistics."""
    if not isinstance(previous, _Search):
        return None
    page = int(previous.query["page"])
    if response.body["statuses"] and page < MAX_PAGES:
        return replace(previous, query={**previous.query, "page": str(page + 1)})
    return previous.statistic


def read(item: Item, response: Response) -> Found:
    """Return the posts in a response, or the answer about statistics and then its days."""
    if response.path == _STATISTIC:
        return Found(_statistic(response))
    return Found(_body(response, "statuses", list)["statuses"])


def _statistic(response: Response) -> list[Any]:
    body = response.body
    code = weibo.error_code(body)
    if code is not None:
        if weibo.ERROR_CODES.get(code) not in _NO_STATISTICS:
            raise weibo.error(code, response)
    elif response.status >= 500 or response.status in {401, 403, 429}:
        raise unexpected_response(response)
    if not isinstance(body, dict):
        return [{"errno": f"HTTP {response.status}", "msg": "not JSON" if body is None else ""}]
    days = body.get("result") if str(body.get("errno")) == "1" else None
    answer = {"errno": None, **{name: value for name, value in body.items() if name != "result"}}
    return [answer, *days] if isinstance(days, list) else [answer]


def read_list(response: Response) -> list[dict[str, Any]]:
    """Return the topics of the newest hour in a response, with their rank."""
    lists = _body(response, "trends", dict)["trends"]
    times = {datetime.fromisoformat(text).replace(tzinfo=_CHINA): text for text in lists}
    newest = max(times, default=None)
    topics = lists[times[newest]] if newest else []
    return [
        {"topic": topic["name"], "rank": rank, "list_size": len(topics), "hour": newest.isoformat()}
        for rank, topic in enumerate(topics, start=1)
        if newest
    ]


def _body(response: Response, name: str, form: type) -> dict[str, Any]:
    """Return the body of a response, which has a field of this form."""
    body = response.body
    code = weibo.error_code(body)
    if code is not None:
        raise weibo.error(code, response)
    if response.status != 200 or not isinstance(body, dict) or not isinstance(body.get(name), form):
        raise unexpected_response(response)
    return body


API = replace(
    weibo.API,
    path="",
    query={},
    call=call,
    read=read,
    pages=Pages(following=following),
    several=None,
    listing=Listing(lambda _: Call(_HOURLY, {"base_app": "0"}), read_list),
)
