"""What each response of Mastodon means, and the text of a profile."""

from __future__ import annotations

from datetime import UTC, datetime

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
from pipelines import _mastodon_api as mastodon

JSON_ERROR = {"error": "words"}


def answer(status, body=None, **headers):
    return Response(status, CaseInsensitiveDict(headers), body)


def test_each_status_has_its_consequence():
    for status, body, kind in [
        *((status, JSON_ERROR, CredentialRefused) for status in (401, 403)),
        *((status, JSON_ERROR, ItemRefused) for status in (400, 422)),
        # The page of a proxy, such as a challenge, or its JSON decides nothing.
        *(
            (status, body, SourceBusy)
            for status in (200, 302, 400, 401, 403, 404, 410, 422, 500)
            for body in (None, {"message": "Attention Required!"}, [])
        ),
        (429, JSON_ERROR, QuotaSpent),
        (503, JSON_ERROR, SourceBusy),
        (200, {}, SourceBusy),
    ]:
        with pytest.raises(kind) as caught:
            mastodon.read(Item("alice"), answer(status, body))
        assert type(caught.value) is kind, (status, body)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"uri": "x"}, None),
        (422, JSON_ERROR, None),  # the token of an application, which has no owner
        (429, None, None),
        (401, JSON_ERROR, CredentialRefused),
        (403, JSON_ERROR, CredentialRefused),
        *((status, None, SourceBusy) for status in (200, 401, 403, 404, 422, 503)),
        (404, JSON_ERROR, SourceBusy),
    ],
)
def test_the_check_knows_a_bad_token_from_one_without_an_owner(status, body, kind):
    if kind is None:
        mastodon.read_check(answer(status, body))
    else:
        with pytest.raises(kind) as caught:
            mastodon.read_check(answer(status, body))
        assert type(caught.value) is kind


def test_an_account_is_found_or_does_not_exist():
    """A server may omit its own name from its accounts."""
    for acct in ("alice", "Alice", "alice@example.social"):
        record = {"id": "1", "acct": acct}
        assert mastodon.read(Item("alice@example.social"), answer(200, record)) == Found(
            ({**record, "server": ""},)
        )
    for status in (404, 410):
        assert isinstance(mastodon.read(Item("nobody"), answer(status, JSON_ERROR)), NotThere)


def test_a_record_of_another_account_is_retried():
    for acct in ("bob", "bob@example.social", "", "alic"):
        with pytest.raises(SourceBusy, match="about another account"):
            mastodon.read(Item("alice@example.social"), answer(200, {"id": "1", "acct": acct}))


def test_the_reset_of_a_spent_quota_is_passed_on_and_a_malformed_one_ignored():
    reset = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
    for header, expected in {"2026-01-02T03:04:05.678Z": reset, "soon": None}.items():
        with pytest.raises(QuotaSpent) as caught:
            mastodon.read(Item("a"), answer(429, JSON_ERROR, **{"X-RateLimit-Reset": header}))
        assert caught.value.reset_at == expected


def test_times_without_a_zone_are_in_utc():
    texts = {
        "2016-03-16T00:00:00.000Z": datetime(2016, 3, 16, tzinfo=UTC),
        "2016-03-16T02:00:00+02:00": datetime(2016, 3, 16, tzinfo=UTC),
        "2026-05-01": datetime(2026, 5, 1, tzinfo=UTC),
    }
    assert {text: mastodon.moment(text) for text in texts} == texts


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
    assert {note: mastodon.plain_text(note) for note in texts} == texts


def test_a_note_of_a_megabyte_is_parsed_in_linear_time():
    """A parser whose time grows with the square of the length would take hours."""
    units = ["<a ", "<!--", "<a b='", '<a b="', "<br ", "</p", "<![CDATA[", "&#x", "<", "<a \"'"]
    for unit in units:
        text = mastodon.plain_text(unit * (1_000_000 // len(unit)))
        assert "<" in text or "&" in text, "an incomplete tag is text"
