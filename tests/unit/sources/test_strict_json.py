"""Which bodies are strict JSON documents."""

from fanfold import Response, unexpected_response
from fanfold.sources.strict_json import MAX_DEPTH, parse


def test_a_body_that_is_no_document_says_why():
    for body, flaw in [
        (b"", "http.not_json"),
        (b"{", "http.not_json"),
        (b"\xff", "http.not_json"),
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


def test_a_byte_order_mark_is_no_part_of_a_document():
    """RFC 8259, section 8.1: parsers may ignore it."""
    assert parse(b'\xef\xbb\xbf{"id":1}') == ({"id": 1}, "")
    assert parse(b'\xef\xbb\xbf\xef\xbb\xbf{"id":1}')[1] == "http.not_json"
