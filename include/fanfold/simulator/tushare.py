"""tushare's API over the simulated stock market: ``daily`` and ``adj_factor``.

All requests are POSTs to ``/`` with ``api_name``, ``token``, ``params`` and ``fields`` in the JSON body. Answers
have HTTP status 200 and a business code. As at tushare, rows are newest first and cut off at :data:`ROWS`,
volume is in lots of 100 shares and turnover in 1,000 yuan, suspended days have no bar but a factor, and
an unknown symbol has no rows.

Volume and turnover of a day are preliminary in requests up to two days later (by ``end_date``), for one symbol in
four.

Source: tushare.pro/document/2?doc_id=27 and 28 (interfaces), document/1?doc_id=130 (protocol). Codes of errors
are not documented but 2002: 40101 and 40203 with these texts are quoted in many public projects, the others
are assumed.
"""

from __future__ import annotations

import json
import re
import zlib
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fanfold.simulator import market
from fanfold.simulator.exchange import Reply, Request, Route

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TOKEN_REQUIRED = True
ROWS = 5000
"""Maximum number of rows of an answer."""
FIELDS = {
    "daily": (
        "ts_code", "trade_date", "open", "high", "low", "close", "pre_close", "change", "pct_chg",
        "vol", "amount",
    ),
    "adj_factor": ("ts_code", "trade_date", "adj_factor"),
}  # fmt: skip
_DAY = re.compile(r"[0-9]{8}")
_LONGEST_SUSPENSION = timedelta(days=60)
_QUOTA = "抱歉，您每分钟最多访问该接口{limit}次，权限的具体详情访问：https://tushare.pro/document/1?doc_id=108。"
_TOKEN = (40101, "您的token不对，请确认。")
# Weibo code -> code and text.
_ERRORS = {
    **dict.fromkeys((10022, 10023, 10024), (40203, _QUOTA)),
    10014: (40203, "抱歉，您没有接口访问权限，权限的具体详情访问：https://tushare.pro/document/1?doc_id=108。"),
    10016: (-2001, "必填参数"),
    10017: (-2001, "参数错误"),
    10020: (-2001, "请指定正确的接口名"),
    21327: _TOKEN,
    21332: _TOKEN,
    99999: (99999, "?"),
}  # fmt: skip
_BUSY = (50101, "系统内部错误")


def _document(request: Request) -> Mapping[str, Any]:
    try:
        found = json.loads(request.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _params(request: Request) -> Mapping[str, Any]:
    found = _document(request).get("params")
    return found if isinstance(found, dict) else {}


def token(request: Request) -> str | None:
    """Return the token, a field of the body."""
    found = _document(request).get("token")
    return found if isinstance(found, str) else None


def quota_headers(request: Request) -> bytes:  # noqa: ARG001 - exchange.Api
    """There are no rate limit headers."""
    return b""


def error(request: Request, code: int) -> Reply:
    """Return the error that corresponds to a Weibo error code; an unknown symbol is an answer without rows."""
    name = _document(request).get("api_name")
    if code == 20003 and name in FIELDS:
        return _table(_fields(request, name), [])
    number, text = _ERRORS.get(code, _BUSY)
    text = text.replace("{limit}", str(request.quota.limit))
    return _json({"code": number, "msg": text, "data": None})


def _json(content: Mapping[str, Any]) -> Reply:
    number = zlib.crc32(repr(content).encode())
    body = {"request_id": f"{number:08x}", **content}
    return Reply(200, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())


def _table(fields: Iterable[str], rows: list[dict[str, Any]]) -> Reply:
    names = list(fields)
    items = [[row[name] for name in names] for row in rows[:ROWS]]
    data = {"fields": names, "items": items, "has_more": len(rows) > ROWS}
    return _json({"code": 0, "msg": "", "data": data})


def _fields(request: Request, name: str) -> list[str]:
    known = FIELDS[name]
    asked = _document(request).get("fields") or ""
    return [each for each in str(asked).split(",") if each in known] or list(known)


def _answer(request: Request) -> Reply:
    name = _document(request).get("api_name")
    if name not in FIELDS:
        return error(request, 10020)
    params = _params(request)
    codes = _symbols(request)
    days = [params.get(each) or "" for each in ("trade_date", "start_date", "end_date")]
    if not all(isinstance(day, str) and (not day or _DAY.fullmatch(day)) for day in days):
        return error(request, 10017)
    try:
        day, first, last = (date.fromisoformat(day) if day else None for day in days)
    except ValueError:
        return error(request, 10017)
    if not (codes or day):
        return error(request, 10016)
    today = (datetime.now(UTC) + timedelta(hours=8)).date()
    first, last = day or first or market.FIRST_DAY, day or last or today
    rows_of = _bars if name == "daily" else _factors
    rows = [row for code in codes or market.SYMBOLS for row in rows_of(code, first, last)]
    rows.sort(key=lambda row: row["trade_date"], reverse=True)
    return _table(_fields(request, name), rows)


def _bars(symbol: str, first: date, last: date) -> list[dict[str, Any]]:
    found = []
    for bar in market.bars(symbol, first, last):
        change = bar.close - bar.before
        reported = 0.9 if is_preliminary(symbol, bar.day, last) else 1.0
        found.append(
            {
                "ts_code": symbol,
                "trade_date": f"{bar.day:%Y%m%d}",
                "open": bar.open,
                "high": bar.high,
                "low": bar.low,
                "close": bar.close,
                "pre_close": bar.before,
                "change": round(change, 2),
                "pct_chg": round(100 * change / bar.before, 4),
                "vol": round(bar.volume * reported) / 100,
                "amount": round(bar.amount * reported) / 1000,
            }
        )
    return found


def is_preliminary(symbol: str, day: date, until: date) -> bool:
    """Return whether volume and turnover of a day are preliminary in a request up to another one."""
    return (until - day).days <= 2 and zlib.crc32(f"{symbol} {day}".encode()) % 4 == 0


def _factors(symbol: str, first: date, last: date) -> list[dict[str, Any]]:
    known = {bar.day: bar.factor for bar in market.bars(symbol, first - _LONGEST_SUSPENSION, last)}
    factor, found = None, []
    for day in market.sessions(first - _LONGEST_SUSPENSION, last):
        factor = known.get(day, factor)
        if day >= first and factor is not None:
            found.append({"ts_code": symbol, "trade_date": f"{day:%Y%m%d}", "adj_factor": factor})
    return found


def _symbols(request: Request) -> list[str]:
    codes = _params(request).get("ts_code")
    return [code for code in codes.split(",") if code] if isinstance(codes, str) else []


_ROUTE = Route(_answer, _symbols, method="POST")


def route(request: Request) -> Route | None:
    """Return the route of a request, if it is a POST to ``/`` that is not signed for Tencent's SCF."""
    is_ours = request.method == "POST" and request.path == "/"
    return _ROUTE if is_ours and not request.authorization.startswith("TC3-") else None


def template(path: str) -> str:
    """Return the path itself."""
    return path
