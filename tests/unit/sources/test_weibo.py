"""The table of Weibo's error codes, code by code, and the transform of its records."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest
from requests.structures import CaseInsensitiveDict

from fanfold.errors import CredentialRefused, FanfoldError, ItemRefused, QuotaSpent, SourceBusy
from fanfold.sources import Found, NotThere, weibo
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.http import Response

BUSY = [10001, 10002, 10003, 10009]
QUOTA = [10022, 10023, 10024]
REFUSED = [10004, 10014, 21314, 21315, 21316, 21317, 21318, 21319, 21327, 21332]
OUR_FAULT = [10006, 10016, 10017]


def answer(body, status=200, **headers):
    return Response(status, CaseInsensitiveDict(headers), body)


def error(code, status=400, **headers):
    body = {"error": "some words", "error_code": code, "request": "/2/users/show.json"}
    return answer(body, status, **headers)


def refusal(body, status):
    with pytest.raises(FanfoldError) as caught:
        weibo.read("1", answer(body, status))
    return caught.value


def test_each_code_has_its_consequence_whatever_the_http_status():
    kinds = {
        **dict.fromkeys(BUSY, SourceBusy),
        **dict.fromkeys(QUOTA, QuotaSpent),
        **dict.fromkeys(REFUSED, CredentialRefused),
        **dict.fromkeys(OUR_FAULT, ItemRefused),
    }
    assert sorted(weibo.ERROR_CODES) == sorted([20003, *kinds])
    for code, status, as_type in itertools.product(kinds, (200, 400, 403), (int, str)):
        found = refusal({"error": "words", "error_code": as_type(code)}, status)
        assert type(found) is kinds[code], (code, status, as_type)
        assert str(code) in str(found)


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
    assert weibo.read_several(["5", "6", "7"], answer({"users": users})) == {"6": users[1]}


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
        weibo.read("1", error(10009, 503, **{"Retry-After": "17"}))
    assert caught.value.retry_after == 17


def test_a_profile_is_found_or_there_is_no_such_user():
    assert weibo.read("1", answer({"id": 1})) == Found({"id": 1})
    for code in (20003, "20003"):
        assert isinstance(weibo.read("7", error(code)), NotThere)


def test_the_token_is_no_part_of_an_address_or_a_representation():
    endpoint = Endpoint("weibo_default", "http://x", token="s3cret")
    query, headers = weibo.credentials(endpoint)
    assert not query
    assert headers == {"Authorization": "OAuth2 s3cret"}
    assert "s3cret" not in repr(endpoint)


def one(**fields):
    record = {
        "id": 1404376560,
        "screen_name": "张伟",
        "followers_count": 10,
        "friends_count": 5,
        "statuses_count": 3,
        "created_at": "Fri Aug 28 00:00:00 +0800 2009",
    }
    rows = weibo.transform([{**record, **fields}])
    return rows.frame.iloc[0], rows.problems


def test_dates_become_utc_and_a_missing_status_leaves_the_last_post_empty():
    assert one()[0]["created_at"] == pd.Timestamp("2009-08-27T16:00:00Z")
    assert pd.isna(one()[0]["last_status_at"])
    status = {"created_at": "Tue May 24 18:04:53 +0800 2011"}
    row, _ = one(created_at="Fri Aug 28 00:30:00 -0330 2009", status=status)
    assert row["created_at"] == pd.Timestamp("2009-08-28T04:00:00Z")
    assert row["last_status_at"] == pd.Timestamp("2011-05-24T10:04:53Z")


def test_a_province_is_a_number_or_text_and_an_unknown_one_or_type_costs_no_row():
    assert {one(province=province)[0]["region"] for province in (44, "44", "044")} == {"广东"}
    row, problems = one(province=77, verified_type=77)
    assert not problems
    assert pd.isna(row["region"])
    assert row["verified_type"] == "other"


def test_a_value_that_cannot_be_read_is_a_problem_with_column_and_value():
    for column, value in [
        *(("followers_count", value) for value in ("many", 10**30, 1.5, True, float("inf"))),
        ("friends_count", {"n": 1}),
        ("created_at", "yesterday"),
        ("created_at", "Fri Aug 99 00:00:00 +0800 2009"),
        ("created_at", 1251388800),
        ("screen_name", ["x"]),
        ("verified", "yes"),
    ]:
        _, problems = one(**{column: value})
        assert [(problem.row, problem.column) for problem in problems] == [(0, column)], value
        assert problems[0].value


def test_text_is_trimmed_and_safe_to_store():
    row, _ = one(screen_name=" a\0b\ud800 ", description="", name="  ")
    assert row["screen_name"] == "ab?"
    assert pd.isna(row["description"])
    assert pd.isna(row["name"])
