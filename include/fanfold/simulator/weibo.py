"""The Weibo API as documented: users, counts, quota, token and error codes."""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl

from fanfold.simulator import people, topics
from fanfold.simulator.exchange import Reply, Request, Route
from fanfold.simulator.vocabulary import MONTHS, WEEKDAYS

_TOKEN_SINCE = 1_767_225_600  # 2026-01-01
_TOKEN_LIFE_S = 157_679_999
_OWN_UID = 1_404_376_560
_CHINA = timezone(timedelta(hours=8))
_MOST_IN_SHOW_BATCH = 50
_MOST_IN_COUNTS = 100

# Code -> HTTP status and text. Source: open.weibo.com/wiki/Error_code
ERRORS = {
    10001: (400, "System error!"),
    10002: (503, "Service unavailable!"),
    10003: (400, "Remote service error!"),
    10004: (403, "IP limit!"),
    10005: (403, "Permission denied, need a high level appkey!"),
    10006: (400, "Source paramter(appkey) is missing"),
    10007: (400, "Unsupport mediatype (%s)!"),
    10008: (400, "Param error, see doc for more info"),
    10009: (400, "Too many pending tasks, system is busy!"),
    10010: (400, "Job expired!"),
    10011: (400, "RPC error!"),
    10012: (400, "Illegal request!"),
    10013: (400, "Invalid weibo user!"),
    10014: (403, "Insufficient app permissions!"),
    10016: (400, "Miss required parameter (%s), see doc for more info"),
    10017: (400, "Parameter (%s)'s value invalid, see doc for more info"),
    10018: (400, "Request body length over limit"),
    10020: (404, "Request Api not found!"),
    10021: (405, "HTTP method is not suported for this request!"),
    10022: (403, "IP requests out of rate limit!"),
    10023: (403, "User requests out of rate limit!"),
    10024: (403, "User requests for (%s) out of rate limit!"),
    20003: (400, "User does not exists!"),
    21314: (400, "token_used"),
    21315: (400, "token_expired"),
    21316: (400, "token_revoked"),
    21317: (400, "token_rejected"),
    21319: (400, "accessor_revoked"),
    21327: (403, "expired_token"),
    21332: (403, "invalid_access_token"),
}
TOKEN_REQUIRED = True


def error(request: Request, code: int, about: str = "") -> Reply:
    """Return an error; as on Weibo, its code is a number or a string."""
    status, text = ERRORS.get(code, (400, "Unknown error!"))
    about = about or request.path.removeprefix("/2").removesuffix(".json")
    as_text = zlib.crc32(repr((request.path, sorted(request.query.items()))).encode()) & 1
    body = {
        "error": text.replace("%s", about),
        "error_code": str(code) if as_text else code,
        "request": request.path,
    }
    return _json(body, status)


def _json(value: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def token(request: Request) -> str | None:
    """Return the token: a parameter, a form field or an ``OAuth2`` header."""
    given = request.query.get("access_token")
    if given is None and request.body:
        given = dict(parse_qsl(request.body.decode("utf-8", "replace"))).get("access_token")
    if given is None and request.authorization.startswith("OAuth2 "):
        given = request.authorization.removeprefix("OAuth2 ")
    return given


def quota_headers(request: Request) -> bytes:  # noqa: ARG001 - exchange.Api
    """Weibo has no rate limit headers."""
    return b""


# Routes


def _requested_user(request: Request) -> list[str]:
    uid = request.query.get("uid")
    return [uid if uid is not None else request.query.get("screen_name", "")]


def _requested_uids(request: Request) -> list[str]:
    return request.query.get("uids", "").split(",")


def _show(request: Request) -> Reply:
    uid = request.query.get("uid")
    if uid is None:
        name = request.query.get("screen_name")
        if not name:
            return error(request, 10016, "uid or screen_name")
        uid = people.uid_of_name(name)
    elif not (uid.isascii() and uid.isdigit()):
        return error(request, 10017, "uid")
    if uid is None or not people.exists(uid):
        return error(request, 20003)
    return Reply(200, people.profile_json(uid, request.settings.age))


def _known_uids(request: Request, most: int) -> list[str] | Reply:
    uids = [uid for uid in _requested_uids(request) if uid]
    if not uids:
        return error(request, 10016, "uids")
    if len(uids) > most or not all(uid.isascii() and uid.isdigit() for uid in uids):
        return error(request, 10017, "uids")
    return [uid for uid in uids if people.exists(uid)]


def _show_batch(request: Request) -> Reply:
    uids = _known_uids(request, _MOST_IN_SHOW_BATCH)
    if isinstance(uids, Reply):
        return uids
    profiles = (people.profile_json(uid, request.settings.age) for uid in uids)
    return Reply(200, b'{"users":[%s]}' % b",".join(profiles))


def _counts(request: Request) -> Reply:
    uids = _known_uids(request, _MOST_IN_COUNTS)
    if isinstance(uids, Reply):
        return uids
    names = ("id", "followers_count", "friends_count", "statuses_count")
    profiles = (people.profile(uid, request.settings.age) for uid in uids)
    return _json([{name: profile[name] for name in names} for profile in profiles])


def _rate_limit_status(request: Request) -> Reply:
    quota = request.quota
    remaining, reset_in = quota.state()
    reset = datetime.now(_CHINA) + timedelta(seconds=reset_in)
    return _json(
        {
            "ip_limit": quota.limit,
            "limit_time_unit": "HOURS",
            "remaining_ip_hits": remaining,
            "remaining_user_hits": remaining,
            "reset_time": f"{reset:%Y-%m-%d %H:%M:%S}",
            "reset_time_in_seconds": math.ceil(reset_in),
            "user_limit": quota.limit,
            "api_rate_limits": [],
        }
    )


def _get_token_info(request: Request) -> Reply:  # noqa: ARG001 - exchange.Route
    token = {"uid": _OWN_UID, "appkey": "1352222456", "scope": None}
    return _json(token | {"create_at": _TOKEN_SINCE, "expire_in": _TOKEN_LIFE_S})


def _get_uid(request: Request) -> Reply:  # noqa: ARG001
    return _json({"uid": _OWN_UID})


# Hot topics. Sources: trends/hourly (V1), 2/search/topics and C/2/search/trends/statistic in the wiki.

_MOST_IN_SEARCH = 200
_MOST_ON_PAGE = 50
_MOST_DAYS = 90
_TOPIC = "1022:231522"


def topic_id(word: str) -> str:
    """Return the id of a topic: a prefix and the MD5 of its word, as in payloads of Weibo."""
    return _TOPIC + hashlib.md5(word.encode(), usedforsecurity=False).hexdigest()


_WORD_OF_ID = {topic_id(word): word for word in topics.WORDS}


def _hourly(request: Request) -> Reply:
    hour = datetime.fromtimestamp(request.now // 3600 * 3600, _CHINA)
    listed = [{"name": word, "query": word} for word in topics.hot(request.now)]
    return _json({"trends": {f"{hour:%Y-%m-%d %H:%M}": listed}, "as_of": request.now})


def _requested_topic(request: Request) -> list[str]:
    query = request.query
    page = query.get("page", "1")
    return [query.get("q", "") + (f" {page}" if page != "1" else "")]


def _search_topics(request: Request) -> Reply:
    word = request.query.get("q", "")
    count, page = (request.query.get(name, few) for name, few in (("count", "10"), ("page", "1")))
    if not word:
        return error(request, 10016, "q")
    if not (count.isdigit() and 0 < int(count) <= _MOST_ON_PAGE):
        return error(request, 10017, "count")
    if not (page.isdigit() and int(page)):
        return error(request, 10017, "page")
    found = topics.newest(word, request.now, _MOST_IN_SEARCH)
    begin = (int(page) - 1) * int(count)
    statuses = [_status(post, request) for post in found[begin : begin + int(count)]]
    return _json({"statuses": statuses, "total_number": len(found)})


def _status(post: topics.Post, request: Request) -> dict[str, Any]:
    identity = {"id": post.id, "mid": str(post.id), "idstr": str(post.id)}
    if post.is_deleted(request.now):
        return identity | {"text": "抱歉，此微博已被作者删除。", "deleted": "1"}
    user = people.profile(post.uid, request.settings.age)
    user.pop("status", None)
    reposts, comments, likes = post.counts(request.now)
    created = datetime.fromtimestamp(post.created, _CHINA)
    return identity | {
        # No locale: strftime would write the names of another language.
        "created_at": f"{WEEKDAYS[created.weekday()]} {MONTHS[created.month - 1]} {created:%d %H:%M:%S %z %Y}",
        "text": post.text,
        "source": '<a href="http://app.weibo.example/t/feed" rel="nofollow">微博网页版</a>',
        "truncated": False,
        "reposts_count": reposts,
        "comments_count": comments,
        "attitudes_count": likes,
        "user": user,
    }


def _requested_topic_id(request: Request) -> list[str]:
    return [request.query.get("topicId", "")]


def _statistic(request: Request) -> Reply:
    word = _WORD_OF_ID.get(request.query.get("topicId", ""), "")
    try:
        first, last = (
            datetime.strptime(request.query.get(name, ""), "%Y%m%d").replace(tzinfo=UTC).date()
            for name in ("startDate", "endDate")
        )
    except ValueError:
        return error(request, 10017, "startDate, endDate")
    if not word or not 0 <= (last - first).days < _MOST_DAYS:
        return _json({"errno": -1, "msg": "参数错误", "code": "A00001"})
    found = [_day(each) for each in topics.days(word, first, last, request.now)]
    topic = {"topic_id": request.query["topicId"], "result": found}
    return _json({"errno": 1, "msg": "成功", "code": "B00001"} | topic)


def _day(found: topics.Day | date) -> dict[str, str]:
    """Return the figures of a day: texts, "-" for what is missing."""
    names = ("read_cnt", "mention_cnt", "original_num", "topic_star")
    if isinstance(found, date):
        return {"day_key": f"{found:%Y%m%d}"} | dict.fromkeys(names, "-")
    star = min(1000, 100 * len(str(found.reads)) + found.mentions % 100)
    texts = (f"{found.reads}.0", f"{found.mentions}.0", str(found.accounts), f"{star / 100:.2f}")
    return {"day_key": f"{found.day:%Y%m%d}"} | dict(zip(names, texts, strict=True))


ROUTES = {
    "/trends/hourly.json": Route(_hourly, lambda _: ["trends/hourly"]),
    "/2/search/topics.json": Route(_search_topics, _requested_topic),
    "/2/search/trends/statistic.json": Route(_statistic, _requested_topic_id),
    "/2/users/show.json": Route(_show, _requested_user),
    "/2/users/show_batch/other.json": Route(_show_batch, _requested_uids),
    "/2/users/counts.json": Route(_counts, _requested_uids),
    "/2/account/rate_limit_status.json": Route(_rate_limit_status),
    "/2/account/get_uid.json": Route(_get_uid),
    "/oauth2/get_token_info": Route(_get_token_info, method="POST"),
}


def route(request: Request) -> Route | None:
    """Return the route of a request, if the API has one."""
    return ROUTES.get(request.path)


def template(path: str) -> str:
    """Return the path itself."""
    return path
