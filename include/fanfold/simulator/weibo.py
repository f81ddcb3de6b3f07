"""The Weibo API as documented: users, counts, quota, token and error codes."""

from __future__ import annotations

import json
import math
import zlib
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl

from fanfold.simulator import people
from fanfold.simulator.exchange import Reply, Request, Route

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
    return Reply(200, people.profile_json(uid, request.day))


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
    return Reply(
        200, b'{"users":[%s]}' % b",".join(people.profile_json(uid, request.day) for uid in uids)
    )


def _counts(request: Request) -> Reply:
    uids = _known_uids(request, _MOST_IN_COUNTS)
    if isinstance(uids, Reply):
        return uids
    names = ("id", "followers_count", "friends_count", "statuses_count")
    profiles = (people.profile(uid, request.day) for uid in uids)
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


ROUTES = {
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
