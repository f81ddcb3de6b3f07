"""tushare: daily bars and adjustment factors of A-shares, from ``daily`` and ``adj_factor``.

All requests are POSTs to one address, with the token in the body; answers have HTTP status 200 and a business
code. Facts: tushare.pro/document/1?doc_id=130 (protocol), document/2?doc_id=27 (``daily``) and 28
(``adj_factor``). Of the codes only 2002 (no permission) is documented there. 40101 (token) and 40203 (quota, or
no permission) are quoted in many public projects; 40203 is decided by its text, and so is any other code.

An answer has at most some thousands of rows, the newest first: 6,000 of ``daily`` by its page, 5,000 by others,
and no page has the limit of ``adj_factor``. So an answer of :data:`FULL` rows or more is taken to be cut off, and
the rows before it are requested up to its oldest day. ``has_more`` in answers is undocumented; if it is true,
an answer is cut off, too. No request has an offset: rows that arrive between two pages would move it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from fanfold import (
    Api,
    Call,
    Catalogue,
    CredentialRefused,
    Found,
    ItemRefused,
    NotThere,
    Pages,
    Probe,
    QuotaSpent,
    SourceBusy,
    unexpected_response,
)

if TYPE_CHECKING:
    from fanfold import Item, Response

DAILY = "daily"
FACTORS = "adj_factor"
FIELDS = {
    DAILY: ("ts_code", "trade_date", "open", "high", "low", "close", "vol", "amount"),
    FACTORS: ("ts_code", "trade_date", "adj_factor"),
}
FULL = 1000
"""Rows of an answer that may have been cut off: less than any limit that tushare documents for bars (2,000)."""
LOT = 100
"""Shares in a lot, the unit of ``vol``."""
THOUSAND = 1000
"""Yuan in the unit of ``amount``."""
CHINA = timedelta(hours=8)
_SYMBOL = re.compile(r"[0-9]{6}\.(SH|SZ|BJ)")
_DAY = re.compile(r"[0-9]{8}")
_CODE = re.compile(r"(-?[0-9]{1,9})(?:\.0)?")  # a gateway may write whole numbers as 40203.0
_QUOTA = re.compile(r"最多访问|频率|频次")
_HOURS = re.compile(r"每(个)?小时|每(天|日)")
_PERMISSION = re.compile(r"权限|积分")
_ADDRESSES = re.compile(r"IP.{0,4}(超限|超过)", re.IGNORECASE)
_TOKEN = re.compile(r"token", re.IGNORECASE)

_MESSAGES = Catalogue(
    {
        "tushare.missing": ("tushare has no bars of this symbol", "Tushare 没有这个代码的行情"),
        "tushare.quota": ("tushare {code}: the quota is used up", "Tushare {code}：调用次数已用完"),
        "tushare.token": (
            "tushare {code}: token rejected; put that of your account into the password of the connection",
            "Tushare {code}：token 被拒绝；请把您账号的 token 填入连接的密码",
        ),
        "tushare.permission": (
            "tushare {code}: the token has no permission for daily or adj_factor, which needs 2,000 points",
            "Tushare {code}：token 没有 daily 或 adj_factor 的权限（后者需要 2000 积分）",
        ),
        "tushare.addresses": (
            "tushare {code}: the token is used from more IP addresses than its account may have; stop the other "
            "programs that use it, or use another token",
            "Tushare {code}：使用此 token 的 IP 数量超限；请停止其他使用它的程序，或换用其他 token",
        ),
        "tushare.request": ("tushare {code}: invalid request", "Tushare {code}：请求无效"),
        "tushare.unknown": (
            "tushare {code}: undocumented error",
            "Tushare {code}：文档没有列出的错误",
        ),
        "tushare.other": (
            "tushare: the answer is about something else than the request",
            "Tushare：响应与请求不符",
        ),
        "tushare.no_factors": (
            "tushare: there are bars, but no adjustment factors",
            "Tushare：有行情，但没有复权因子",
        ),
        "tushare.order": (
            "tushare: the rows of a long answer are not the newest first, so it may lack some",
            "Tushare：较长的响应没有按日期从新到旧排列，可能不完整",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Window(Call):
    """A request for the rows of a symbol, from ``since`` (or the first) to ``until``, both as YYYYMMDD.

    Attributes:
        until: The last day that is wanted of both interfaces.
        before: Oldest day of the answer before this one, which this one must begin with; or "".
    """

    until: str = ""
    before: str = ""


def check_item(item: str) -> str:
    """Return a symbol in canonical form."""
    symbol = item.upper()
    if not _SYMBOL.fullmatch(symbol):
        raise ValueError("a symbol is six digits and the exchange, such as 600519.SH or 000001.SZ")
    return symbol


def china_day(moment: datetime) -> str:
    """Return the day in China of a time in UTC, as YYYYMMDD."""
    return f"{moment + CHINA:%Y%m%d}"


def call(item: Item, as_of: datetime) -> Window:
    """Return the first request for a symbol: its bars since the attribute ``since``, or all."""
    until = china_day(as_of)
    since = str(item.attributes.get("since") or "").replace("-", "")
    return _window(DAILY, item.key, since, until)


def _window(api_name: str, symbol: str, since: str, until: str, before: str = "") -> Window:
    params = {"ts_code": symbol, "start_date": since, "end_date": before or until}
    document = {
        "api_name": api_name,
        "params": {name: value for name, value in params.items() if value},
        "fields": ",".join(FIELDS[api_name]),
    }
    return Window("/", json=document, until=until, before=before)


def read(item: Item, response: Response) -> Found | NotThere:
    """Return the rows in a response; each is a record with its interface as ``api_name``."""
    api_name, rows, _ = _table(response)
    if any(row["ts_code"] != item.key for row in rows):
        raise SourceBusy(_MESSAGES.message("tushare.other"))
    # Only the first answer can be empty: each further one begins with the last row of that before it.
    if not rows and api_name == DAILY and not item.attributes.get("since"):
        return NotThere(_MESSAGES.message("tushare.missing"))
    return Found([{"api_name": api_name, **row} for row in rows])


def following(before: Call, response: Response) -> Window | None:
    """Return the request after this one: older rows if the answer may be cut off, then the factors."""
    assert isinstance(before, Window)
    api_name, rows, has_more = _table(response)
    params = before.json["params"]
    symbol, since = params["ts_code"], params.get("start_date", "")
    days = [row["trade_date"] for row in rows]
    if (
        api_name != before.json["api_name"]
        or not all(since <= day <= params["end_date"] for day in days)
        or (before.before and before.before not in days)
    ):
        raise SourceBusy(_MESSAGES.message("tushare.other"))
    if api_name == FACTORS and not rows:  # factors are only requested where there are bars
        raise SourceBusy(_MESSAGES.message("tushare.no_factors"))
    if (len(rows) >= FULL or has_more) and days and days[-1] != before.before:
        if not all(newer >= older for newer, older in pairwise(days)):
            raise SourceBusy(_MESSAGES.message("tushare.order"))
        return _window(api_name, symbol, since, before.until, before=days[-1])
    if api_name == DAILY and (rows or before.before):
        return _window(FACTORS, symbol, since, before.until)
    return None


def _table(response: Response) -> tuple[str, list[dict[str, Any]], bool]:
    """Return the interface that a response is of, its rows as objects, and whether it says that it is cut off."""
    body = response.body
    code = body.get("code") if isinstance(body, dict) else None
    found = _CODE.fullmatch(str(code))
    if response.status != 200 or not found:
        raise unexpected_response(response)
    if int(found[1]):
        raise _error(int(found[1]), str(body.get("msg")))
    data = body.get("data")
    fields, items = (data.get("fields"), data.get("items")) if isinstance(data, dict) else (0, 0)
    if not isinstance(fields, list) or not isinstance(items, list):
        raise unexpected_response(response)
    # Their order need not be that of the request.
    api_name = next((name for name, known in FIELDS.items() if {*map(str, fields)} == {*known}), "")
    if not api_name:
        raise unexpected_response(response)
    rows = [
        dict(zip(fields, item, strict=True))
        for item in items
        if isinstance(item, list) and len(item) == len(fields)
    ]
    if len(rows) < len(items) or not all(_DAY.fullmatch(str(row["trade_date"])) for row in rows):
        raise unexpected_response(response)
    return api_name, rows, data.get("has_more") is True


def _error(code: int, text: str) -> CredentialRefused | QuotaSpent | ItemRefused | SourceBusy:
    """Return what a business code means, by its text: 40203 is a quota as well as a permission.

    The text itself is not shown: it may repeat what was sent. The text of a quota also contains "permission".
    """
    if _ADDRESSES.search(text):
        return CredentialRefused(_MESSAGES.message("tushare.addresses", code=code))
    if _QUOTA.search(text):
        # The engine waits an hour at most, then tries again: so a quota a day is found renewed, too.
        seconds = 3600.0 if _HOURS.search(text) else 60.0
        return QuotaSpent(_MESSAGES.message("tushare.quota", code=code), retry_after=seconds)
    if code == 40101 or _TOKEN.search(text):
        return CredentialRefused(_MESSAGES.message("tushare.token", code=code))
    if code == 2002 or _PERMISSION.search(text):
        return CredentialRefused(_MESSAGES.message("tushare.permission", code=code))
    if code == 40203:
        return QuotaSpent(_MESSAGES.message("tushare.quota", code=code), retry_after=60.0)
    # "查询数据失败，请确认参数" is also what the server says when its own query fails.
    if "参数" in text and "失败" not in text:
        return ItemRefused(_MESSAGES.message("tushare.request", code=code))
    return SourceBusy(_MESSAGES.message("tushare.unknown", code=code), overloaded=True)


def _read_check(response: Response) -> None:
    try:
        _table(response)
    except QuotaSpent:  # the token is good
        return


# The interface that needs more points than the other; any day will do.
_CHECK = _window(FACTORS, "000001.SZ", "20240102", "20240102")

API = Api(
    connection="tushare_default",
    call=call,
    read=read,
    pages=Pages(following=following),
    token="body:token",
    history=True,  # each window ends with the logical date
    check=Probe(lambda _: _CHECK, _read_check),
    messages=_MESSAGES.texts,
)
