"""The table of Weibo's error codes, code by code."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from requests.structures import CaseInsensitiveDict

from fanfold import (
    BadConfiguration,
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
from pipelines import _weibo_api as weibo

# fmt: off
KINDS = {
    SourceBusy: [10001, 10002, 10003, 10009, 10010, 10011, 20014, 20607, 21331],
    QuotaSpent: [10022, 10023, 10024, 21303],
    CredentialRefused: [
        10004, 10005, 10006, 10013, 10014, 10032, 20015, 20022, 20031, 21301, 21302, 21304, 21310,
        21314, 21315, 21316, 21317, 21318, 21319, 21321, 21324, 21327, 21330, 21332, 21335, 21337,
    ],
    BadConfiguration: [10020, 10021, 21320],
    ItemRefused: [
        10007, 10008, 10012, 10016, 10017, 10018, 20001, 20002, 20009, 20101, 20508, 21901,
    ],
}
# fmt: on


def answer(body, status=200, **headers):
    return Response(status, CaseInsensitiveDict(headers), body)


def error(code, status=400, **headers):
    body = {"error": "some words", "error_code": code, "request": "/2/users/show.json"}
    return answer(body, status, **headers)


def refusal(body, status):
    with pytest.raises(FanfoldError) as caught:
        weibo.read(Item("1"), answer(body, status))
    return caught.value


def test_each_code_has_its_consequence_whatever_the_http_status():
    for kind, codes in KINDS.items():
        for code, status, as_type in itertools.product(codes, (200, 400, 403), (int, str, float)):
            found = refusal({"error": "words", "error_code": as_type(code)}, status)
            assert type(found) is kind, (code, status, as_type)
            assert str(code) in str(found)
            assert "undocumented" not in str(found)


def test_a_published_code_has_one_consequence():
    assert len(weibo.ERROR_CODES) == sum(map(len, weibo._KINDS.values()))
    for codes in ("10001-10018", "10020-10024", "20001-20003", "20005-20009", "20012-20022"):
        first, last = map(int, codes.split("-"))
        assert set(range(first, last + 1)) <= weibo.ERROR_CODES.keys()


def test_the_check_says_that_the_account_of_the_token_is_no_user():
    for code in (10013, 20003):
        with pytest.raises(CredentialRefused, match=f"{code}: the account that authorised"):
            weibo.read_check(error(code))


def test_an_unknown_or_malformed_code_is_retried_and_says_nothing_about_the_user():
    undocumented = refusal({"error_code": "99999"}, 400)
    assert type(undocumented) is SourceBusy
    assert "Weibo 99999: undocumented" in str(undocumented)
    malformed = [
        "many",
        "",
        [],
        {},
        float("inf"),
        -1,
        True,
        20003.5,
        "２０００３",
        10**400,
        "9" * 5000,
    ]
    for code in malformed:
        found = refusal({"error": "x", "error_code": code}, 400)
        assert type(found) is SourceBusy, code
        assert "without a valid code" in str(found), code


def test_a_user_who_occurs_twice_in_a_batch_is_requested_singly():
    """One of the two records belongs to another user."""
    users = [{"id": 5, "name": "a"}, {"id": 6, "name": "b"}, {"id": 5, "name": "c"}]
    items = [Item("5"), Item("6"), Item("7")]
    assert weibo.read_several(items, answer({"users": users})) == {"6": [users[1]]}


def test_an_answer_of_unknown_form_is_retried():
    for body, status in [
        *((body, 200) for body in (None, [], {})),
        *((None, 502), ({"id": 1}, 500), ("x", 404), (None, 302)),
    ]:
        found = refusal(body, status)
        assert type(found) is SourceBusy, body
        assert f"HTTP {status}" in str(found)
    assert "redirect not followed" in str(found)


def test_retry_after_is_passed_on():
    with pytest.raises(SourceBusy) as caught:
        weibo.read(Item("1"), error(10009, 503, **{"Retry-After": "17"}))
    assert caught.value.retry_after == 17


def test_a_profile_is_found_or_there_is_no_such_user():
    assert weibo.read(Item("1"), answer({"id": 1})) == Found(({"id": 1},))
    for code in (20003, "20003"):
        assert isinstance(weibo.read(Item("7"), error(code)), NotThere)


def test_a_record_of_another_user_is_retried():
    for uid in (2, "2", "01", None, True):
        with pytest.raises(SourceBusy, match="about another user"):
            weibo.read(Item("1"), answer({"id": uid}))


def test_times_are_parsed_in_any_locale():
    texts = {
        "Fri Aug 28 00:00:00 +0800 2009": datetime(2009, 8, 27, 16, tzinfo=UTC),
        "Fri Aug 28 00:30:00 -0330 2009": datetime(2009, 8, 28, 4, tzinfo=UTC),
    }
    assert {text: weibo.moment(text) for text in texts} == texts
    for text in ("yesterday", "Fri Aug 99 00:00:00 +0800 2009", "Fri Aug 28 00:00:00 UTC 2009"):
        with pytest.raises(ValueError):  # noqa: PT011 - of datetime, or of ours
            weibo.moment(text)
