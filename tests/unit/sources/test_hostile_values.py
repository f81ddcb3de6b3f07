"""Values that a hostile or a broken server may send, where the wire plays no part."""

import pytest

from fanfold.errors import SourceBusy
from fanfold.sources import Found, mastodon, weibo
from fanfold.sources.http import Response, unexpected_response
from fanfold.sources.strict_json import MAX_DEPTH, parse


def test_a_malformed_error_code_says_nothing_about_the_user():
    for code in (
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
    ):
        with pytest.raises(SourceBusy, match="an error without a valid code"):
            weibo.read("1404376560", Response(400, {}, {"error": "x", "error_code": code}))


def test_a_record_of_another_account_is_retried():
    for acct in ("bob", "bob@example.social", "", "alic"):
        with pytest.raises(SourceBusy, match="about another account"):
            mastodon.read("alice@example.social", Response(200, {}, {"id": "1", "acct": acct}))


def test_a_server_may_omit_its_own_name_from_its_accounts():
    for acct in ("alice", "Alice", "alice@example.social"):
        record = {"id": "1", "acct": acct}
        assert mastodon.read("alice@example.social", Response(200, {}, record)) == Found(record)


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
    for unit in (
        "<a ",
        "<!--",
        "<a b='",
        '<a b="',
        "<br ",
        "</p",
        "<![CDATA[",
        "&#x",
        "<",
        "<a \"'",
    ):
        text = mastodon._plain(unit * (1_000_000 // len(unit)))
        assert "<" in text or "&" in text, "an incomplete tag is text"


def test_a_body_that_is_no_document_says_why():
    for body, flaw in [
        (b"", "http.not_json"),
        (b"{", "http.not_json"),
        (b"\xff", "http.not_json"),
        (b'\xef\xbb\xbf{"id":1}', "http.not_json"),
        (b'{"id":NaN}', "http.not_a_number"),
        (b'[{"a":{"id":1,"id":1}}]', "http.duplicate_name"),
        (b"[" * 100_000, "http.too_deep"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "http.too_deep"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "http.too_deep"),
    ]:
        document, said = parse(body)
        assert document is None
        assert said == flaw
        assert unexpected_response(Response(200, {}, document, said)).message.id == flaw


def test_a_wide_body_and_one_of_64_levels_are_documents():
    for body in (
        b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
        b'[{"b":[]},' + b'{"a":' * (MAX_DEPTH - 1) + b"1" + b"}" * (MAX_DEPTH - 1) + b"]",
        b"[" + b"[]," * 5_000 + b"[]]",
        b"null",
        b'"' + b"[" * 100 + b'"',
    ):
        assert parse(body)[1] == ""


def test_a_user_who_occurs_twice_in_a_batch_is_requested_singly():
    """One of the two records belongs to another user."""
    users = [{"id": 5, "name": "a"}, {"id": 6, "name": "b"}, {"id": 5, "name": "c"}]
    answer = Response(200, {}, {"users": users})
    assert weibo.read_several(["5", "6", "7"], answer) == {"6": {"id": 6, "name": "b"}}
