"""tushare: its codes, and which requests a symbol takes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from requests.structures import CaseInsensitiveDict

from fanfold import (
    CredentialRefused,
    Found,
    Item,
    ItemRefused,
    NotThere,
    QuotaSpent,
    Response,
    SourceBusy,
)
from fanfold.errors import FanfoldError
from fanfold.simulator import market, tushare
from fanfold.simulator.exchange import Request
from pipelines import _tushare_api as api

# exchange-calendars warns about pandas.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values")

SYMBOL = "600519.SH"
AS_OF = datetime(2026, 3, 2, 10, tzinfo=UTC)
DETAILS = "，权限的具体详情访问：https://tushare.pro/document/1?doc_id=108。"
CODES = [
    (40203, "抱歉，您每分钟最多访问该接口500次" + DETAILS, QuotaSpent, 60),
    (40203, "抱歉，您每小时最多访问该接口1次" + DETAILS, QuotaSpent, 3600),
    (40203, "抱歉，您每天最多访问该接口2次" + DETAILS, QuotaSpent, 3600),
    (40203, "抱歉，您访问该接口的频率超限", QuotaSpent, 60),
    (40203, "", QuotaSpent, 60),
    (40203, "抱歉，您没有接口(adj_factor)访问权限" + DETAILS, CredentialRefused, None),
    (2002, "没有权限", CredentialRefused, None),
    (2002, None, CredentialRefused, None),
    (40001, "抱歉，您的积分不足", CredentialRefused, None),
    (40101, "您的token不对，请确认。", CredentialRefused, None),
    (40101, "", CredentialRefused, None),
    (-2001, "参数错误", ItemRefused, None),
    ("50101", "系统内部错误", SourceBusy, None),
    (50101, "查询数据失败，请确认参数！可以反馈管理员协助您排查问题", SourceBusy, None),
    (40203, "抱歉，您的IP数量超限，最大数量为5个！", CredentialRefused, None),
    (40204, "在线Ip数量超限, 请联系管理员获取权限", CredentialRefused, None),
    (99999, "?", SourceBusy, None),
]


def answer(body, status=200):
    return Response(status, CaseInsensitiveDict(), body)


def refusal(body, status=200):
    with pytest.raises(FanfoldError) as caught:
        api.read(Item(SYMBOL), answer(body, status))
    return caught.value


def table(api_name, *rows, **data):
    return answer(
        {"code": 0, "data": {"fields": list(api.FIELDS[api_name]), "items": [*rows], **data}}
    )


def bar(day, symbol=SYMBOL):
    return [symbol, day, 9.4, 9.6, 9.3, 9.5, 1000.0, 950.5]


def sent(call, *, announced=True):
    """The response of the simulator to a request; ``announced`` says when it is cut off."""
    request = Request("POST", "/", {}, body=json.dumps(call.json).encode())
    body = json.loads(tushare.route(request).answer(request).body)
    if not announced:
        del body["data"]["has_more"]
    return answer(body)


def fetched(item, as_of, **options):
    """All records of a symbol, and the requests for them."""
    records, calls = [], [api.call(item, as_of)]
    while calls[-1] is not None:
        response = sent(calls[-1], **options)
        records += api.read(item, response).records
        calls.append(api.following(calls[-1], response))
    return records, calls[:-1]


def window(call):
    params = call.json["params"]
    assert params["ts_code"] == SYMBOL
    assert call.json["fields"] == ",".join(api.FIELDS[call.json["api_name"]])
    return call.json["api_name"], params.get("start_date"), params["end_date"]


@pytest.mark.parametrize(("code", "text", "kind", "pause"), CODES)
def test_code_and_text_decide_what_an_error_means(code, text, kind, pause):
    found = refusal({"code": code, "msg": text, "data": None})
    assert type(found) is kind
    assert getattr(found, "retry_after", None) == pause
    assert f"tushare {code}: " in str(found)
    assert type(refusal({"code": float(code), "msg": text})) is kind


def test_the_text_of_an_error_is_not_repeated():
    """It may contain the token that was sent."""
    for code in (40101, 40203, 2002, -2001, 1):
        found = refusal({"code": code, "msg": "参数: my-token", "data": {"token": "my-token"}})
        assert "my-token" not in f"{found} {found.message}"


@pytest.mark.parametrize(
    "body",
    [
        *(None, [], {}, "x", {"code": None}, {"code": True}, {"code": "many"}, {"code": 0.5}),
        *({"code": 0, "data": data} for data in (None, [], {}, {"fields": [], "items": []})),
        {"code": 0, "data": {"fields": [["ts_code"], {}], "items": []}},
        table("daily", bar("20260302")[:-1]).body,
        table("daily", [SYMBOL, None, 1, 1, 1, 1, 1, 1]).body,
        table("daily", {"ts_code": SYMBOL}).body,
        table("daily", bar("20260302", "000001.SZ")).body,
    ],
)
def test_an_answer_of_another_form_is_retried(body):
    assert type(refusal(body)) is SourceBusy
    assert type(refusal({"code": 0}, 502)) is SourceBusy


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize(
    ("rows", "until"), [(5000, datetime(2040, 6, 1, tzinfo=UTC)), (1200, AS_OF)]
)
def test_a_history_longer_than_an_answer_is_complete(monkeypatch, rows, until, announced):
    """6,600 bars by 5,000, and 2,700 by a lower limit that nobody has announced."""
    monkeypatch.setattr(tushare, "ROWS", rows)
    records, calls = fetched(Item(SYMBOL), until, announced=announced)
    bars = market.bars(SYMBOL, market.FIRST_DAY, until.date())
    assert len(bars) > 1.2 * rows
    for name, field, expected in (
        ("daily", "close", {f"{each.day:%Y%m%d}": each.close for each in bars}),
        ("adj_factor", "adj_factor", {f"{each.day:%Y%m%d}": each.factor for each in bars}),
    ):
        found = {each["trade_date"]: each[field] for each in records if each["api_name"] == name}
        assert {day: found.get(day) for day in expected} == expected
    windows = [window(call) for call in calls]
    assert all(start is None for _, start, _ in windows)
    assert len(windows) == len({*windows}) <= 10


def test_a_known_symbol_takes_one_request_of_each_interface_from_since_to_the_day_in_china():
    item = Item(SYMBOL, {"since": "2026-02-23"})
    records, calls = fetched(item, datetime(2026, 3, 2, 23, tzinfo=UTC))
    assert [window(call) for call in calls] == [
        ("daily", "20260223", "20260303"),
        ("adj_factor", "20260223", "20260303"),
    ]
    days = {
        f"{each.day:%Y%m%d}" for each in market.bars(SYMBOL, date(2026, 2, 23), date(2026, 3, 3))
    }
    for name in api.FIELDS:
        assert {each["trade_date"] for each in records if each["api_name"] == name} == days


def test_no_rows_are_missing_the_first_time_and_nothing_new_later():
    assert isinstance(api.read(Item("999999.SH"), table("daily")), NotThere)
    known = Item(SYMBOL, {"since": "2026-02-23"})
    assert api.read(known, table("daily")) == Found([])
    assert api.following(api.call(known, AS_OF), table("daily")) is None


def test_an_answer_that_does_not_fit_the_request_is_retried():
    first = api.call(Item(SYMBOL, {"since": "2026-02-23"}), AS_OF)
    second = replace(first, before="20260226")
    factors = api.following(first, table("daily", bar("20260302")))
    long = [bar(f"{day:%Y%m%d}") for day in market.sessions(date(2020, 1, 1), AS_OF.date())]
    for call, response, reason in [
        (first, table("adj_factor"), "something else"),
        (first, table("daily", bar("20260303")), "something else"),
        (first, table("daily", bar("20260220")), "something else"),
        (second, table("daily", bar("20260225")), "something else"),
        (factors, table("daily", bar("20260302")), "something else"),
        (factors, table("adj_factor"), "no adjustment factors"),
        (api.call(Item(SYMBOL), AS_OF), table("daily", *long), "newest first"),
    ]:
        with pytest.raises(SourceBusy, match=reason):
            api.following(call, response)


def test_the_token_is_checked_by_the_interface_that_needs_more_points():
    call = api.API.check.call(None)
    assert call.json["api_name"] == "adj_factor"
    api.API.check.read(sent(call))
    api.API.check.read(answer({"code": 40203, "msg": "抱歉，您每分钟最多访问该接口5次" + DETAILS}))
    with pytest.raises(CredentialRefused):
        api.API.check.read(answer({"code": 40203, "msg": "抱歉，您没有接口访问权限" + DETAILS}))


def test_symbols_are_canonical():
    assert api.check_item("600519.sh") == SYMBOL
    for wrong in (
        "600519",
        "SH600519",
        "600519.SH,000001.SZ",
        "６００５１９.SH",
        "600519.SH\n",
        "",
    ):
        with pytest.raises(ValueError, match="six digits"):
            api.check_item(wrong)
