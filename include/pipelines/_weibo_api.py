"""Weibo: user profiles by uid, from ``GET /2/users/show.json``.

Facts: "users/show", "account/rate_limit_status", "account/get_uid" and "error codes" of the open
platform (open.weibo.com/wiki). ``error_code`` decides, not the HTTP status, which is 400 or 403 for
nearly all errors.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from fanfold import (
    Api,
    Call,
    Catalogue,
    CredentialRefused,
    Found,
    ItemRefused,
    KeyForm,
    NotThere,
    Probe,
    Quota,
    QuotaSpent,
    Several,
    SourceBusy,
    retry_after,
    unexpected_response,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fanfold import Item, Message, Response

_SHOW = "/2/users/show.json"
_SHOW_BATCH = "/2/users/show_batch/other.json"
_GET_UID = "/2/account/get_uid.json"
_RATE_LIMIT = "/2/account/rate_limit_status.json"
_UID = re.compile(r"[0-9]{1,19}")
_CANONICAL = re.compile(r"[1-9][0-9]{0,17}")
_CODE = re.compile(r"[0-9]{1,9}")


MESSAGES = Catalogue(
    {
        "weibo.other_user": (
            "{path}: HTTP 200, the response is about another user",
            "{path}：HTTP 200，响应是另一个用户的",
        ),
        "weibo.missing": ("Weibo {code}: no such user", "微博 {code}：没有这个用户"),
        "weibo.busy": ("Weibo {code}: service unavailable", "微博 {code}：服务不可用"),
        "weibo.quota": ("Weibo {code}: the quota is used up", "微博 {code}：配额已用完"),
        "weibo.token": (
            "Weibo {code}: access token rejected; put a new one into the password of the connection",
            "微博 {code}：访问令牌被拒绝；请重新授权应用，再把新令牌填入连接的密码",
        ),
        "weibo.forbidden": (
            "Weibo {code}: IP address or application not permitted; request it in Weibo's console",
            "微博 {code}：此 IP 地址或应用没有权限；请在应用的控制台申请",
        ),
        "weibo.request": ("Weibo {code}: invalid request", "微博 {code}：请求无效"),
        "weibo.unknown": ("Weibo {code}: undocumented error", "微博 {code}：文档没有列出的错误"),
        "weibo.no_code": (
            "Weibo returned an error without a valid code",
            "微博返回的错误没有有效的错误码",
        ),
    }
)


class ErrorKind(StrEnum):
    """What an error code of Weibo means for the fetch; the value is the end of the message's id."""

    MISSING = "missing"
    BUSY = "busy"
    QUOTA = "quota"
    TOKEN = "token"
    FORBIDDEN = "forbidden"
    REQUEST = "request"
    UNKNOWN = "unknown"

    def message(self, code: int) -> Message:
        """Return what to say about a code of this kind."""
        return MESSAGES.message(f"weibo.{self}", code=code)


ERROR_CODES: Mapping[int, ErrorKind] = {
    10001: ErrorKind.BUSY,  # system error
    10002: ErrorKind.BUSY,  # service unavailable
    10003: ErrorKind.BUSY,  # remote service error
    10009: ErrorKind.BUSY,  # too many pending tasks
    10004: ErrorKind.FORBIDDEN,  # IP limit: this address may not ask
    10005: ErrorKind.FORBIDDEN,  # the application needs a higher level
    10006: ErrorKind.REQUEST,  # source (app key) missing
    10014: ErrorKind.FORBIDDEN,  # insufficient app permissions
    10016: ErrorKind.REQUEST,  # a required parameter is missing
    10017: ErrorKind.REQUEST,  # a parameter's value is invalid
    10022: ErrorKind.QUOTA,  # requests of this IP
    10023: ErrorKind.QUOTA,  # requests of this user
    10024: ErrorKind.QUOTA,  # requests of this API
    20003: ErrorKind.MISSING,  # user does not exist
    21314: ErrorKind.TOKEN,  # token used
    21315: ErrorKind.TOKEN,  # token expired
    21316: ErrorKind.TOKEN,  # token revoked
    21317: ErrorKind.TOKEN,  # token rejected
    21318: ErrorKind.TOKEN,  # OAuth 1 token rejected
    21319: ErrorKind.TOKEN,  # authorisation withdrawn by the user
    21327: ErrorKind.TOKEN,  # token expired
    21332: ErrorKind.TOKEN,  # token invalid
}
"""The documented codes; any other is treated as a transient error and retried."""

VERIFIED_TYPES: Mapping[int, str] = {
    -1: "none",
    0: "person",
    1: "government",
    2: "company",
    3: "media",
    4: "school",
    5: "website",
    6: "application",
    7: "organisation",
    200: "talent",
    220: "talent",
    400: "deceased",
}

PROVINCES: Mapping[int, str] = {
    11: "北京", 12: "天津", 13: "河北", 14: "山西", 15: "内蒙古", 21: "辽宁", 22: "吉林",
    23: "黑龙江", 31: "上海", 32: "江苏", 33: "浙江", 34: "安徽", 35: "福建", 36: "江西",
    37: "山东", 41: "河南", 42: "湖北", 43: "湖南", 44: "广东", 45: "广西", 46: "海南",
    50: "重庆", 51: "四川", 52: "贵州", 53: "云南", 54: "西藏", 61: "陕西", 62: "甘肃",
    63: "青海", 64: "宁夏", 65: "新疆", 71: "台湾", 81: "香港", 82: "澳门", 100: "其他",
    400: "海外",
}  # fmt: skip
"""Weibo's province codes: those of GB/T 2260, and two of its own."""

SERVER = "weibo.com"
"""Weibo's uids are the same behind every host, so the column ``server`` does not have that of the request."""

FIELDS: Mapping[str, str] = {
    "user_id": "id",
    "screen_name": "screen_name",
    "name": "name",
    "description": "description",
    "location": "location",
    "region": "province",
    "gender": "gender",
    "url": "url",
    "profile_url": "profile_url",
    "avatar_url": "avatar_large",
    "verified": "verified",
    "verified_type": "verified_type",
    "verified_reason": "verified_reason",
    "followers_count": "followers_count",
    "friends_count": "friends_count",
    "statuses_count": "statuses_count",
    "favourites_count": "favourites_count",
    "mutual_followers_count": "bi_followers_count",
    "created_at": "created_at",
    "last_status_at": "status.created_at",
}
"""Field of a record by column of the dataset; ``region`` and ``verified_type`` are codes
(:data:`PROVINCES`, :data:`VERIFIED_TYPES`), times are text (:func:`moment`)."""


def check_item(item: str) -> str:
    """Return a uid in canonical form."""
    if _CANONICAL.fullmatch(item):  # nearly all are, and there may be millions
        return item
    if not _UID.fullmatch(item) or not 0 < int(item) < 2**63:
        raise ValueError("a Weibo uid is a number of up to 19 digits, such as 1404376560")
    return str(int(item))


def read(item: Item, response: Response) -> Found | NotThere:
    """Return the profile in a response, by ``error_code``."""
    body = response.body
    code = error_code(body)
    if code is not None:
        if ERROR_CODES.get(code) is ErrorKind.MISSING:
            return NotThere(ErrorKind.MISSING.message(code))
        raise error(code, response)
    if response.status != 200 or not isinstance(body, dict) or "id" not in body:
        raise unexpected_response(response)
    # A response that belongs to another request must not be stored under this key.
    if str(body["id"]) != item.key:
        raise SourceBusy(MESSAGES.message("weibo.other_user", path=_SHOW))
    return Found((body,))


def call_several(items: Sequence[Item]) -> Call:
    """Return the request for up to 50 profiles; for commercial partners only."""
    return Call(_SHOW_BATCH, {"uids": ",".join(item.key for item in items)})


def read_several(items: Sequence[Item], response: Response) -> dict[str, list[dict[str, Any]]]:
    """Return the requested profiles in a response by uid.

    Weibo omits users that do not exist, and users that it hides temporarily.
    """
    body = response.body
    code = error_code(body)
    if code is not None:
        # Caused by one of the users; all are requested singly.
        if ERROR_CODES.get(code) is ErrorKind.MISSING:
            return {}
        raise error(code, response)
    users = body.get("users") if isinstance(body, dict) else None
    if response.status != 200 or not isinstance(users, list):
        raise unexpected_response(response)
    found = [(str(user["id"]), user) for user in users if isinstance(user, dict) and "id" in user]
    # Of two profiles with one id at least one is wrong: neither is used.
    count = Counter(uid for uid, _ in found)
    requested = {item.key for item in items}
    return {uid: [user] for uid, user in found if uid in requested and count[uid] == 1}


def read_check(response: Response) -> None:
    """Check the response to the request for the token's owner."""
    code = error_code(response.body)
    if code is not None and ERROR_CODES.get(code) is not ErrorKind.QUOTA:
        raise error(code, response)
    if code is None and not (isinstance(response.body, dict) and "uid" in response.body):
        raise unexpected_response(response)


def read_quota(response: Response) -> Quota | None:
    """Return the quota in a ``rate_limit_status``: the lower one of user and IP address."""
    body = response.body
    if not isinstance(body, dict):
        return None
    seconds = body.get("reset_time_in_seconds")
    return Quota(
        remaining=_least(body, "remaining_ip_hits", "remaining_user_hits"),
        reset_in=float(seconds) if isinstance(seconds, (int, float)) and seconds >= 0 else None,
        limit=_least(body, "ip_limit", "user_limit"),
        window=3600.0,
    )


def _least(body: Mapping[str, Any], *names: str) -> int | None:
    counts = [body.get(name) for name in names]
    return min((n for n in counts if isinstance(n, int) and n >= 0), default=None)


def error_code(body: Any) -> int | None:
    """Return the error code of a body, 0 if it is not a number, None if there is no error."""
    code = body.get("error_code") if isinstance(body, dict) else None
    if code is None:
        return None
    # int() alone would accept 20003.5 and digits of other scripts.
    return int(code) if _CODE.fullmatch(str(code)) else 0


def error(
    code: int, response: Response
) -> CredentialRefused | QuotaSpent | ItemRefused | SourceBusy:
    """Return what to raise for an error code, by :data:`ERROR_CODES`."""
    kind = ERROR_CODES.get(code, ErrorKind.UNKNOWN)
    message = kind.message(code) if code else MESSAGES.message("weibo.no_code")
    if kind in {ErrorKind.TOKEN, ErrorKind.FORBIDDEN}:
        return CredentialRefused(message)
    if kind is ErrorKind.QUOTA:
        return QuotaSpent(message, retry_after=retry_after(response.headers))
    if kind is ErrorKind.REQUEST:
        return ItemRefused(message)
    return SourceBusy(message, retry_after=retry_after(response.headers), overloaded=True)


def moment(text: str) -> datetime:
    """Parse ``Fri Aug 28 00:00:00 +0800 2009``, independently of the locale."""
    _, month, day, clock, zone, year = text.split()
    hour, minute, second = clock.split(":")
    if not _ZONE.fullmatch(zone):
        raise ValueError(text)
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:]))
    # A pandas Timestamp takes ten times as long.
    local = datetime(
        int(year), _MONTHS.get(month, 0), int(day), int(hour), int(minute), int(second), tzinfo=UTC
    )
    return local - offset if zone[0] == "+" else local + offset


_ZONE = re.compile(r"[+-][0-9]{4}")
_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, start=1)}

API = Api(
    connection="weibo_default",
    path=_SHOW,
    query={"uid": "{key}"},
    read=read,
    # Weibo also takes a query parameter, but that would reach access logs.
    token="header:Authorization OAuth2",
    several=Several(max_items=50, call=call_several, read=read_several),
    check=Probe(lambda _: Call(_GET_UID), read_check),
    quota=Probe(lambda _: Call(_RATE_LIMIT), read_quota),
    messages=MESSAGES.texts,
)
KEY_FORM = KeyForm(leading="0")
