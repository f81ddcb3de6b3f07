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
        *((status, JSON_ERROR, CredentialRefused) for status in (401, 403)),
        *((status, JSON_ERROR, ItemRefused) for status in (400, 422)),
        *((status, None, SourceBusy) for status in (200, 302, 404, 500)),
        (429, JSON_ERROR, QuotaSpent),
        (503, JSON_ERROR, SourceBusy),
        (200, {}, SourceBusy),
    ]:
        with pytest.raises(kind) as caught:
            mastodon.read("alice", answer(status, body))
        assert type(caught.value) is kind, (status, body)


def test_an_account_is_found_or_does_not_exist():
    """A server may omit its own name from its accounts."""
    for acct in ("alice", "Alice", "alice@example.social"):
        record = {"id": "1", "acct": acct}
        assert mastodon.read("alice@example.social", answer(200, record)) == Found(record)
    for status in (404, 410):
        assert isinstance(mastodon.read("nobody", answer(status, JSON_ERROR)), NotThere)


def test_a_record_of_another_account_is_retried():
    for acct in ("bob", "bob@example.social", "", "alic"):
        with pytest.raises(SourceBusy, match="about another account"):
            mastodon.read("alice@example.social", answer(200, {"id": "1", "acct": acct}))


def test_the_reset_of_a_spent_quota_is_passed_on_and_a_malformed_one_ignored():
    reset = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
    for header, expected in {"2026-01-02T03:04:05.678Z": reset, "soon": None}.items():
        with pytest.raises(QuotaSpent) as caught:
            mastodon.read("a", answer(429, JSON_ERROR, **{"X-RateLimit-Reset": header}))
        assert caught.value.reset_at == expected


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


def test_a_note_is_its_text():
    texts = {
        "<p>Hi &amp; <b>hello</b><br>you</p><p>two</p>": "Hi & hello\nyou\ntwo\n",
        '<a href="https://x/?a>b" rel="me">link</a>': "link",
        "1 < 2 <3 &lt;b&gt;": "1 < 2 <3 <b>",
        "<![evil[x]]>": "",
        "<!DOCTYPE [<b": "<!DOCTYPE [<b",
        "<P>x</P><BR/>y": "x\n\ny",
        "<pre>x</pre>": "x",
        "&#x110000; &#0; &nope;": "� � &nope;",
    }
    assert {note: mastodon._plain(note) for note in texts} == texts


def test_a_note_of_a_megabyte_is_parsed_in_linear_time():
    """A parser whose time grows with the square of the length would take hours."""
    units = ["<a ", "<!--", "<a b='", '<a b="', "<br ", "</p", "<![CDATA[", "&#x", "<", "<a \"'"]
    for unit in units:
        text = mastodon._plain(unit * (1_000_000 // len(unit)))
        assert "<" in text or "&" in text, "an incomplete tag is text"
