"""What each response of Mastodon means, and the text of a profile."""

from __future__ import annotations

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
from pipelines import _mastodon_api as mastodon

JSON_ERROR = {"error": "words"}
TOO_OLD = ("2.9.3", "3.3.0+glitch")
CURRENT = ("3.4.0", "4.6.0-alpha.1", "0.17.3 git-1", "2.7.2 (compatible; Pleroma 2.5.0)", None, 3.2)


def answer(status, body=None, **headers):
    return Response(status, CaseInsensitiveDict(headers), body, server="here.example")


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
        *((200, {"version": version}, None) for version in CURRENT),
        *((200, {"version": version}, BadConfiguration) for version in TOO_OLD),
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
        found = mastodon.read(Item("alice@example.social"), answer(200, record))
        assert found == Found(({**record, "server": "here.example"},))
    for status in (404, 410):
        assert isinstance(mastodon.read(Item("nobody"), answer(status, JSON_ERROR)), NotThere)


def test_an_account_that_the_server_does_not_show_has_its_own_reason():
    """The server was asked what it knows; of other servers' accounts that is not all that there are."""
    gone = answer(404, JSON_ERROR)
    suspended = {"id": "1", "acct": "a", "suspended": True, "followers_count": 0}
    for acct, response, reason in [
        ("a", answer(200, suspended), "mastodon.suspended"),
        ("a", gone, "mastodon.no_account"),
        ("a@here.example", gone, "mastodon.no_account"),
        ("a@there.example", gone, "mastodon.unknown_here"),
    ]:
        found = mastodon.read(Item(acct), response)
        assert isinstance(found, NotThere)
        assert found.message.id == reason, (acct, response)
    shown = mastodon.read(Item("a"), answer(200, {**suspended, "suspended": False}))
    assert isinstance(shown, Found)


@pytest.mark.parametrize(
    ("given", "key", "asked"),
    [
        ("@Alice", "alice", "alice"),
        ("alice@bücher.example", "alice@bücher.example", "alice@xn--bcher-kva.example"),
        ("ALICE@BÜCHER.Example", "alice@bücher.example", "alice@xn--bcher-kva.example"),
        ("alice@bu\u0308cher.example", "alice@bücher.example", "alice@xn--bcher-kva.example"),
        ("alice@XN--BCHER-KVA.example", "alice@bücher.example", "alice@xn--bcher-kva.example"),
        ("alice@straße.example", "alice@straße.example", "alice@xn--strae-oqa.example"),
        ("a@日本語。jp:3000", "a@日本語.jp:3000", "a@xn--wgv71a119e.jp:3000"),
        ("a@💩.example", "a@💩.example", "a@xn--ls8h.example"),
        ("a@xn--99999999.example", "a@xn--99999999.example", "a@xn--99999999.example"),
        ("a@xn--bcher-2pa.example", "a@xn--bcher-2pa.example", "a@xn--bcher-2pa.example"),
        ("陈静@a_b.example", "陈静@a_b.example", "陈静@a_b.example"),
    ],
)
def test_an_international_domain_is_shown_in_unicode_and_asked_as_punycode(given, key, asked):
    assert mastodon.check_item(given) == key
    assert mastodon.check_item(key) == key
    assert mastodon.call(Item(key)).query == {"acct": asked}


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "@", "a b", "a@", "a@b@c", "a/b", "a@b/c", "x" * 301),
        *(
            "a@b.c;true",
            "a@b.c,d@e.f",
            'a@b.c"',
            "a@b.c\0",
            "a@b.c\u200b",
            "a@b.c\ufeff",
            "a@b\ud800",
        ),
    ],
)
def test_what_no_server_calls_an_account_is_refused(wrong):
    with pytest.raises(ValueError, match="looks like alice"):
        mastodon.check_item(wrong)


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
        # How PHP shows a date of zeros.
        "-0001-11-30T00:00:00+00:00": None,
        "0000-00-00T00:00:00Z": None,
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
