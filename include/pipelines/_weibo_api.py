"""Weibo: user profiles by uid, from ``GET /2/users/show.json``.

Facts: "users/show", "account/rate_limit_status", "account/get_uid" and "error codes" of the open
platform (open.weibo.com/wiki). ``error_code`` decides, not the HTTP status, which is 400 or 403 for
nearly all errors. A response without one is not Weibo's: a proxy in front of it may send it.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from fanfold import (
    Api,
    BadConfiguration,
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
_CODE = re.compile(r"([0-9]{1,9})(?:\.0)?")  # a gateway may write whole numbers as 10023.0


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
        "weibo.owner": (
            "Weibo {code}: the account that authorised the access token is not a valid Weibo user; authorise "
            "the application with another one and put its token into the password of the connection",
            "微博 {code}：授权访问令牌的账号不是有效的微博用户；请用其他账号授权应用，再把新令牌填入连接的密码",
        ),
        "weibo.own_user": (
            "Weibo {code}: the application may only request the user of its access token; request "
            "permission for other users in Weibo's console",
            "微博 {code}：应用只能请求授权用户自己的数据；请在应用的控制台申请其他用户的权限",
        ),
        "weibo.no_api": (
            "Weibo {code}: there is no such API at the host of the connection; set the host of Weibo's API, "
            "such as https://api.weibo.com",
            "微博 {code}：连接的主机上没有这个接口；请填入微博接口的主机，例如 https://api.weibo.com",
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
    OWNER = "owner"
    FORBIDDEN = "forbidden"
    OWN_USER = "own_user"
    NO_API = "no_api"
    REQUEST = "request"
    UNKNOWN = "unknown"

    def message(self, code: int) -> Message:
        """Return what to say about a code of this kind."""
        return MESSAGES.message(f"weibo.{self}", code=code)


_KINDS: Mapping[ErrorKind, Sequence[int]] = {
    ErrorKind.MISSING: (20003,),
    # System error, service unavailable, remote service, pending tasks, time-out, RPC, security check to be
    # repeated, database, temporarily unavailable.
    ErrorKind.BUSY: (10001, 10002, 10003, 10009, 10010, 10011, 20014, 20607, 21331),
    # Requests of the IP address, the user, the API; logins; writes.
    ErrorKind.QUOTA: (10022, 10023, 10024, 20016, 20505, 20521, 20524, 21303, 21603),
    # App key missing (without a token), login, OAuth 1 (21304 to 21319, with tokens that expired or were
    # revoked), OAuth 2 (21322 to 21329, 21332).
    ErrorKind.TOKEN: (
        *(10006, 21301, 21302),
        *range(21304, 21320),
        *range(21322, 21330),
        21332,
    ),
    # A code of the system, so it is about the caller, as 10014 is, and not about the user that is requested.
    ErrorKind.OWNER: (10013,),
    # IP address, level of the app key, permissions and scope of the app, illegal or unruly account, IP address
    # or app, captcha, users of an app that is not approved, access denied.
    ErrorKind.FORBIDDEN: (
        *(10004, 10005, 10014, 10015, 10032, 20015, 20022, 20031, 20507),
        *(21321, 21330, 21337, 21601, 21701),
    ),
    ErrorKind.OWN_USER: (21335,),
    # No such API, HTTP method, API withdrawn, HTTPS needed.
    ErrorKind.NO_API: (10020, 10021, 10026, 21320),
    # Parameters; and what only requests that write are answered.
    ErrorKind.REQUEST: (
        *(10007, 10008, 10012, 10016, 10017, 10018, 10025),
        *(20001, 20002, *range(20005, 20010), 20012, 20013, *range(20017, 20022), 20032),
        *(20101, 20102, 20103, 20104, 20109, 20111),
        *(20201, 20202, 20203, 20204, 20301, 20302, 20303, 20305, 20306, 20307, 20401, 20402),
        *(20501, 20502, 20503, 20504, 20506, *range(20508, 20514), 20522, 20523),
        *(*range(20601, 20607), 20608, *range(20610, 20616), 20701, 20702, 20703, 20801, 20802),
        *(*range(20901, 20906), 21001, 21002, *range(21101, 21105)),
        *(*range(21501, 21505), 21602, 21702, 21703, 21901),
    ),
}
ERROR_CODES: Mapping[int, ErrorKind] = {
    code: kind for kind, codes in _KINDS.items() for code in codes
}
"""The published codes ("Error code" and "OAuth2" of the open platform); any other is retried as a
transient error."""

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
    if code is not None and ERROR_CODES.get(code) is ErrorKind.MISSING:
        raise CredentialRefused(ErrorKind.OWNER.message(code))
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
    found = _CODE.fullmatch(str(code))
    return int(found[1]) if found else 0


def error(
    code: int, response: Response
) -> CredentialRefused | BadConfiguration | QuotaSpent | ItemRefused | SourceBusy:
    """Return what to raise for an error code, by :data:`ERROR_CODES`."""
    kind = ERROR_CODES.get(code, ErrorKind.UNKNOWN)
    message = kind.message(code) if code else MESSAGES.message("weibo.no_code")
    if kind in _REFUSED:
        return CredentialRefused(message)
    if kind is ErrorKind.NO_API:
        return BadConfiguration(message)
    if kind is ErrorKind.QUOTA:
        return QuotaSpent(message, retry_after=retry_after(response.headers))
    if kind is ErrorKind.REQUEST:
        return ItemRefused(message)
    return SourceBusy(message, retry_after=retry_after(response.headers), overloaded=True)


_REFUSED = {ErrorKind.TOKEN, ErrorKind.OWNER, ErrorKind.FORBIDDEN, ErrorKind.OWN_USER}


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
