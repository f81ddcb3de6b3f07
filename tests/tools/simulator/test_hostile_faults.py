"""The bytes that hostile faults put on the wire."""

import gzip
import http.client
import json
import tracemalloc
import zlib
from dataclasses import replace
from itertools import islice

import pytest

from fanfold.simulator import faults, fediverse, people, weibo
from fanfold.simulator.exchange import Reply, Request
from fanfold.simulator.settings import Settings

UID = "1404376560"


@pytest.fixture
def wire(simulator, client):
    """Send a request under a fault on a plain socket; return what is received up to ``until``."""

    def ask(kind, until=b"\r\n\r\n", **settings):
        simulator.control(uids={UID: kind}, **settings)
        with client.socket() as plain:
            plain.sendall(client.request(UID))
            received = b""
            while until is None or until not in received:
                block = plain.recv(65_536)
                if not block:
                    break
                received += block
        return received

    return ask


def case_of(right):
    request = Request("GET", "/2/users/show.json", {})
    return faults.Case(request, weibo, lambda: replace(right), Settings(), 7)


def body_of(received):
    return received.partition(b"\r\n\r\n")[2]


def test_faults_with_variants_have_them_all(simulator, client):
    def answers(kind, **settings):
        simulator.control(error_rate={kind: 1}, **settings)
        return client.show_several(60)

    redirects = answers("redirect", redirect_to="http://127.0.0.1:7")
    assert {answer.status for answer in redirects} == {301, 302, 303, 307, 308}
    assert {answer.headers["location"] for answer in redirects} == {
        "http://127.0.0.1:7/2/users/show.json"
    }
    codes = {repr(answer.json["error_code"]) for answer in answers("odd_code")}
    assert {"'many'", "[]", "True", "inf", "20003.5", "'２０００３'"} <= codes
    waits = {answer.headers["retry-after"] for answer in answers("odd_retry_after")}
    assert {"soon", "-5", ""} <= waits
    bodies = [answer.body for answer in answers("nan")]
    found = {body.partition(b'"followers_count":')[2].partition(b",")[0] for body in bodies}
    assert found == {b"NaN", b"Infinity", b"-Infinity"}


def test_a_reset_is_not_an_orderly_close(client, simulator):
    simulator.control(uids={UID: "reset_mid"})
    with client.socket() as plain:
        plain.sendall(client.request(UID))
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: plain.recv(65_536), b""))


def test_a_trickle_is_complete_and_others_are_served_meanwhile(simulator, client, shown):
    for kind in ("trickle", "trickle_head"):
        assert shown(kind, trickle_s=0.0001).json["idstr"] == UID
    simulator.control(uids={UID: "trickle"}, trickle_s=100)
    with client.socket() as plain:
        plain.sendall(client.request(UID))
        assert plain.recv(65_536).startswith(b"HTTP/1.1 200 OK\r\n")
        assert client.show("1404376561").status == 200


def test_an_answer_that_is_not_http_has_no_head(simulator, client):
    simulator.control(error_rate={"not_http": 1})
    for number in range(12):
        client.close()
        with pytest.raises(http.client.HTTPException):
            client.show(str(1_404_376_560 + number))


def test_content_lengths_are_wrong(wire, client):
    right = client.show(UID).body
    for kind, length in (("length_long", len(right) + 1_000), ("length_short", len(right) // 2)):
        received = wire(kind, right[-10:])
        assert b"Content-Length: %d\r\n" % length in received
        assert body_of(received) == right
    assert wire("two_lengths", right[-10:]).count(b"\r\nContent-Length: ") == 2
    assert wire("two_answers", b"does not exists").count(b"HTTP/1.1 ") == 2
    assert wire("many_headers").count(b"\r\nX-Header-") == 10_000
    assert b"\r\n\r\nmany\r\n" in wire("bad_chunks", None)


def test_endless_answers_do_not_end(wire):
    for kind, part in {
        "endless": b" " * 0x10000,
        "endless_header": b"x" * 100_000,
        "endless_continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000,
        "endless_chunk_size": b"0" * 100_000,
        "endless_trailer": b"X-Trailer: yes\r\n" * 4_000,
    }.items():
        assert part in wire(kind, part), kind


def test_compressed_answers(shown, wire, client):
    right = client.show(UID).body
    assert gzip.decompress(shown("gzip").body) == right
    assert shown("gzip_broken").body == right
    with pytest.raises(EOFError):
        gzip.decompress(shown("gzip_cut").body)
    size = 4 * 1024 * 1024
    bomb = zlib.decompressobj(wbits=31).decompress(
        body_of(wire("gzip_bomb", None, bomb_bytes=size))
    )
    nested = body_of(wire("gzip_nested", None, bomb_bytes=size))
    inner = zlib.decompressobj(wbits=31).decompress(nested)
    assert bomb == zlib.decompressobj(wbits=31).decompress(inner) == b" " * size


def test_bodies_that_are_no_object_and_profiles_with_strange_values(shown, client):
    right = client.show(UID)
    bodies = {"empty": b"", "null": b"null", "list": b"[]", "number": b"42"}
    assert {kind: shown(kind).body for kind in bodies} == bodies
    assert shown("chunked").json["idstr"] == UID
    assert shown("not_json").body.startswith(b"<html>")
    answer = shown("wrong_type")
    assert (answer.headers["content-type"], answer.body) == (
        "text/html;charset=gb2312",
        right.body,
    )
    assert b"[" * 100_000 + b"]" * 100_000 in shown("deep_json").body
    assert shown("nested_json").body.count(b"[") >= 900
    assert b'"followers_count":' + b"9" * 10_000 + b"," in shown("long_number").body
    pairs = json.loads(shown("duplicate_keys").body, object_pairs_hook=list)
    assert len({value for name, value in pairs if name == "id"}) == 2
    with pytest.raises(UnicodeDecodeError):
        shown("invalid_utf8").body.decode()
    for kind, count in {
        "overflow": 2**63,
        "huge_number": 10**400,
        "infinite": float("inf"),
    }.items():
        assert shown(kind).json == {**right.json, "followers_count": count}
    assert len(shown("long_name").json["name"]) == 1_000_000
    assert "<script>" in shown("html_name").json["name"]
    assert b"\\ud83d" in shown("surrogates").body
    shapes = shown("wrong_shapes").json
    assert shapes.keys() == right.json.keys()
    assert {type(value) for value in shapes.values()} == {dict, list, bool}


def test_every_fault_applies_to_every_answer_and_holds_no_body_in_memory():
    """An account, a batch of users, counts, an empty batch, an error, a page of another API."""
    answers = [
        (200, people.profile_json(UID)),
        (200, json.dumps(fediverse.account("alice")).encode()),
        (200, b'{"users":[%s]}' % people.profile_json(UID)),
        (200, b'[{"id":1404376560,"followers_count":5}]'),
        (200, b'{"users":[]}'),
        (200, b"[]"),
        (404, b'{"error":"Record not found"}'),
    ]
    for kind in sorted(faults.KINDS):
        tracemalloc.start()
        try:
            for answer in answers:
                delivery = faults.delivery(kind, case_of(Reply(*answer)))
                assert delivery.fault == kind
                for _ in islice(delivery.more or (), 50):
                    pass
            assert tracemalloc.get_traced_memory()[1] < 16_000_000, kind
        finally:
            tracemalloc.stop()


def test_one_user_of_a_batch_is_invalid():
    body = b'{"users":[%s,%s]}' % (people.profile_json(UID), people.profile_json("1404376561"))
    delivery = faults.delivery("invalid_negative", case_of(Reply(200, body)))
    users = json.loads(body_of(delivery.payload))["users"]
    assert sorted(user["followers_count"] < 0 for user in users) == [False, True]
