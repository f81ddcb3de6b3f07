from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest
from requests.structures import CaseInsensitiveDict

from fanfold.errors import CredentialRefused, ItemRefused, QuotaSpent, SourceBusy
from fanfold.sources import Found, NotThere, mastodon
from fanfold.sources.http import Response

JSON_ERROR = {"error": "words"}


def answer(status, body=None, **headers):
    return Response(status, CaseInsensitiveDict(headers), body)


def test_each_status_has_its_consequence():
    for status, body, kind in [
        (401, JSON_ERROR, CredentialRefused),
        (403, JSON_ERROR, CredentialRefused),
        (429, JSON_ERROR, QuotaSpent),
        (400, JSON_ERROR, ItemRefused),
        (422, JSON_ERROR, ItemRefused),
        (404, None, SourceBusy),
        (500, None, SourceBusy),
        (503, JSON_ERROR, SourceBusy),
        (200, None, SourceBusy),
        (200, {}, SourceBusy),
        (302, None, SourceBusy),
    ]:
        with pytest.raises(kind) as caught:
            mastodon.read("alice", answer(status, body))
        assert type(caught.value) is kind, (status, body)


def test_an_account_that_does_not_exist_is_an_answer():
    for status in (404, 410):
        assert isinstance(mastodon.read("nobody", answer(status, JSON_ERROR)), NotThere)


def test_an_account_is_found():
    assert mastodon.read("a", answer(200, {"id": "1"})) == Found({"id": "1"})


@pytest.mark.parametrize(
    ("reset", "moment"),
    [("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)), ("soon", None)],
)
def test_the_reset_of_a_spent_quota_is_passed_on_unless_malformed(reset, moment):
    with pytest.raises(QuotaSpent) as caught:
        mastodon.read("a", answer(429, JSON_ERROR, **{"X-RateLimit-Reset": reset}))
    assert caught.value.reset_at == moment


def test_an_account_becomes_a_row_of_the_contract():
    rows = mastodon.transform(
        [
            {
                "id": "23634",
                "acct": "alice",
                "display_name": "Alice 🐘",
                "note": "<p>Hi &amp; <b>hello</b><br>you</p><p>two</p>",
                "url": "https://example.social/@alice",
                "avatar": "https://example.social/a.png",
                "followers_count": 3,
                "following_count": 2,
                "statuses_count": 1,
                "created_at": "2016-03-16T00:00:00.000Z",
                "last_status_at": "2026-05-01",
                "fields": [{"name": "web", "value": "x", "verified_at": "2024-01-01T00:00:00Z"}],
            }
        ]
    )
    assert not rows.problems
    row = rows.frame.iloc[0]
    assert row["description"] == "Hi & hello\nyou\ntwo"
    assert row["friends_count"] == 2
    assert row["verified"]
    assert row["created_at"] == pd.Timestamp("2016-03-16T00:00:00Z")
    assert row["last_status_at"] == pd.Timestamp("2026-05-01T00:00:00Z")
