"""Weibo's hot topics: what each response means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from requests.structures import CaseInsensitiveDict

from fanfold import (
    BadConfiguration,
    CredentialRefused,
    Item,
    QuotaSpent,
    Response,
    SourceBusy,
)
from fanfold.errors import FanfoldError
from pipelines import _weibo_topics_api as api

SEARCH, STATISTIC = "/2/search/topics.json", "/2/search/trends/statistic.json"
AS_OF = datetime(2026, 11, 27, 20, 30, tzinfo=UTC)  # the next day in China
TOPIC = Item("614致敬法医")
DAY = {"day_key": "20261127", "read_cnt": "-"}


def answer(body, path=SEARCH, status=200, flaw="http.not_json"):
    return Response(status, CaseInsensitiveDict(), body, flaw if body is None else "", path)


def error(code, path=SEARCH, status=403):
    return answer({"error": "words", "error_code": code, "request": path}, path, status)


def read(response):
    return list(api.read(TOPIC, response).records)


def refusal(response):
    with pytest.raises(FanfoldError) as caught:
        read(response)
    return type(caught.value)


def test_the_requests_of_a_topic_are_four_pages_and_the_statistics_of_a_week_in_china():
    call = api.call(TOPIC, AS_OF)
    pages = []
    full = answer({"statuses": [{"id": 1}]})
    while call is not None and call.path == SEARCH:
        pages.append(call.query)
        call = api.following(call, full)
    assert pages == [{"q": TOPIC.key, "count": "50", "page": str(page)} for page in (1, 2, 3, 4)]
    assert (call.path, call.query) == (
        STATISTIC,
        {
            # The id of this topic in a payload that was published.
            "topicId": "1022:231522d0182b51fad8dc0d493aae36a6af229b",
            "startDate": "20261122",
            "endDate": "20261128",
        },
    )
    assert api.following(call, answer({"errno": 1, "result": []}, STATISTIC)) is None


def test_after_an_empty_page_come_the_statistics_of_the_given_topic():
    first = api.call(Item("x", {"topic_id": "1022:7"}), AS_OF)
    call = api.following(first, answer({"statuses": []}))
    assert (call.path, call.query["topicId"]) == (STATISTIC, "1022:7")


def test_posts_are_read_and_other_responses_are_retried():
    assert read(answer({"statuses": [{"id": 1}, {"id": 2}]})) == [{"id": 1}, {"id": 2}]
    for body in (None, [], {}, {"statuses": None}, {"statuses": {}}):
        assert refusal(answer(body)) is SourceBusy
    assert refusal(error(20003)) is SourceBusy, "says nothing about a topic"


@pytest.mark.parametrize("path", [SEARCH, STATISTIC])
def test_errors_about_token_quota_and_server_are_those_of_all_calls(path):
    for code, expected in ((21327, CredentialRefused), (10023, QuotaSpent), (10001, SourceBusy)):
        assert refusal(error(code, path)) is expected
        assert refusal(error(str(code), path)) is expected
    for status in (401, 403, 429, 500, 502, 503):
        assert refusal(answer(None, path, status)) is SourceBusy


def test_a_missing_permission_stops_the_search_but_costs_only_the_statistics():
    for code in (10004, 10005, 10014, 21335):
        assert refusal(error(code)) is CredentialRefused
        (record,) = read(error(code, STATISTIC))
        assert (record["errno"], record["error_code"]) == (None, code)
    assert refusal(error(10020)) is BadConfiguration
    (record,) = read(error(10020, STATISTIC, 404))
    assert record["error_code"] == 10020


@pytest.mark.parametrize("errno", [1, "1"])
def test_the_answer_comes_before_its_days(errno):
    body = {"errno": errno, "msg": "成功", "code": "B00001", "topic_id": "1022:7", "result": [DAY]}
    first, *days = read(answer(body, STATISTIC))
    assert first == {name: value for name, value in body.items() if name != "result"}
    assert days == [DAY]


@pytest.mark.parametrize(
    "body",
    [
        {"errno": -1, "msg": "no right", "code": "A1", "result": [DAY]},
        {"errno": 1},
        {"errno": 1, "result": "-"},
        {},
        [],
        None,  # the documented sample is not JSON
    ],
)
def test_other_answers_have_no_days_and_cost_no_post(body):
    (record,) = read(answer(body, STATISTIC))
    assert "errno" in record


def test_the_list_is_that_of_the_newest_hour_in_chinas_time():
    lists = {
        "2026-11-27 16:00": [{"name": "old", "query": "old"}],
        "2026-11-27 17:00": [{"name": "C#/1", "query": "x"}, {"name": "春运", "query": "春运"}],
    }
    found = api.read_list(answer({"trends": lists, "as_of": 1795770000}, "/trends/hourly.json"))
    assert found == [
        {"topic": topic, "rank": rank, "list_size": 2, "hour": "2026-11-27T17:00:00+08:00"}
        for rank, topic in ((1, "C#/1"), (2, "春运"))
    ]
    assert api.read_list(answer({"trends": {}})) == []


def test_a_list_that_cannot_be_read_is_an_error():
    for response, expected in (
        (answer({"trends": []}), SourceBusy),
        (answer(None), SourceBusy),
        (error(10014), CredentialRefused),
        (error(10023), QuotaSpent),
    ):
        with pytest.raises(expected):
            api.read_list(response)
