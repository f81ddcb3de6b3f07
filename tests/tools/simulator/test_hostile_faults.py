"""What hostile kinds of faults put on the wire, byte by byte."""

import gzip
import http.client
import json
import socket
import tracemalloc
import zlib
from contextlib import closing
from dataclasses import replace
from itertools import islice

import pytest

from fanfold.simulator import faults, fediverse, people, weibo
from fanfold.simulator.exchange import Reply, Request
from fanfold.simulator.settings import Settings

UID = "1404376560"


@pytest.fixture
def wire(simulator, client):
    """Ask for the uid under a fault on a bare socket; returns what comes until ``until``."""

    def ask(kind, until=b"\r\n\r\n", uid=UID, **settings):
        simulator.control(uids={uid: kind}, **settings)
        with client.socket() as bare:
            bare.sendall(
                b"GET /2/users/show.json?access_token=%s&uid=%s HTTP/1.1\r\n\r\n"
                % (client.token.encode(), uid.encode())
            )
            came = b""
            while until is None or until not in came:
                block = bare.recv(65_536)
                if not block:
                    break
                came += block
        return came

    return ask


@pytest.fixture
def shown(simulator, client):
    def show(kind, uid=UID, **settings):
        simulator.control(uids={uid: kind}, **settings)
        return client.show(uid)

    return show


def case_of(right):
    request = Request("GET", "/2/users/show.json", {})
    return faults.Case(request, weibo, lambda: replace(right), Settings(), 7)


def fediverse_account(acct):
    return json.dumps(fediverse.account(acct)).encode()


def body_of(came):
    return came.partition(b"\r\n\r\n")[2]


def test_a_redirect_points_to_the_same_path_of_the_host_that_was_set(simulator, client):
    simulator.control(error_rate={"redirect": 1}, redirect_to="http://127.0.0.1:7")
    answers = [client.show(str(1_404_376_560 + number)) for number in range(40)]
    assert {answer.status for answer in answers} == {301, 302, 303, 307, 308}
    assert {answer.headers["location"] for answer in answers} == {
        "http://127.0.0.1:7/2/users/show.json"
    }


def test_odd_codes_are_json_and_no_code(simulator, client):
    simulator.control(error_rate={"odd_code": 1})
    answers = [client.show(str(1_404_376_560 + number)) for number in range(60)]
    codes = {repr(answer.json["error_code"]) for answer in answers}
    assert {"'many'", "[]", "True", "inf", "20003.5", "'２０００３'"} <= codes


def test_odd_retry_afters_are_no_seconds(simulator, client):
    simulator.control(error_rate={"odd_retry_after": 1})
    values = {
        client.show(str(1_404_376_560 + number)).headers["retry-after"] for number in range(40)
    }
    assert {"soon", "-5", ""} <= values


def test_a_reset_in_the_middle_is_one(shown):
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        shown("reset_mid")


def test_a_reset_is_not_an_orderly_end(simulator, client):
    simulator.control(uids={UID: "reset_mid"})
    with closing(socket.create_connection(("127.0.0.1", client.port), timeout=10)) as bare:
        bare.sendall(
            b"GET /2/users/show.json?access_token=%s&uid=%s HTTP/1.1\r\n\r\n"
            % (client.token.encode(), UID.encode())
        )
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: bare.recv(65_536), b""))


@pytest.mark.parametrize("kind", ["trickle", "trickle_head"])
def test_a_trickle_is_right_in_the_end(simulator, client, kind):
    simulator.control(uids={UID: kind}, trickle_s=0.0001)
    assert client.show(UID).json["idstr"] == UID
    assert client.show("1404376561").status == 200


def test_others_are_served_while_an_answer_trickles(simulator, client):
    simulator.control(uids={UID: "trickle"}, trickle_s=100)
    with client.socket() as bare:
        bare.sendall(
            b"GET /2/users/show.json?access_token=%s&uid=%s HTTP/1.1\r\n\r\n"
            % (client.token.encode(), UID.encode())
        )
        assert bare.recv(65_536).startswith(b"HTTP/1.1 200 OK\r\n")
        assert client.show("1404376561").status == 200
        assert simulator.stats()["in_flight"] == 1


def test_what_is_not_http_has_no_head(simulator, client):
    simulator.control(error_rate={"not_http": 1})
    for number in range(12):
        client.close()
        with pytest.raises(http.client.HTTPException):
            client.show(str(1_404_376_560 + number))


def test_many_headers_are_200_kilobytes(wire):
    came = wire("many_headers")
    assert came.count(b"\r\nX-Header-") == 10_000
    assert len(came) > 200_000


def test_lengths_that_lie(wire, client):
    right = client.show(UID).body
    came = wire("length_long", right[-10:])
    assert b"Content-Length: %d\r\n" % (len(right) + 1_000) in came
    assert body_of(came) == right
    came = wire("length_short", right[-10:])
    assert b"Content-Length: %d\r\n" % (len(right) // 2) in came
    assert body_of(came) == right
    assert wire("two_lengths", right[-10:]).count(b"\r\nContent-Length: ") == 2


def test_two_answers_come_for_one_request(wire):
    came = wire("two_answers", b"does not exists")
    assert came.count(b"HTTP/1.1 ") == 2
    assert b'"idstr":"1404376560"' in came


def test_chunks_are_allowed_ones(shown):
    assert shown("chunked").json["idstr"] == UID


def test_a_chunk_size_that_is_no_number(wire):
    assert b"\r\n\r\nmany\r\n" in wire("bad_chunks", None)


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("endless_header", b"x" * 100_000),
        ("endless_continue", b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000),
        ("endless_chunk_size", b"0" * 100_000),
        ("endless_trailer", b"X-Trailer: yes\r\n" * 4_000),
    ],
)
def test_what_is_endless_goes_on(wire, kind, part):
    assert part in wire(kind, part)


def test_compressed_answers(shown, client):
    right = client.show(UID).body
    assert gzip.decompress(shown("gzip").body) == right
    assert shown("gzip_broken").body == right
    with pytest.raises(EOFError):
        gzip.decompress(shown("gzip_cut").body)


def test_a_bomb_is_a_thousandth_of_what_it_inflates_to(wire):
    body = body_of(wire("gzip_bomb", None, bomb_bytes=64 * 1024 * 1024))
    assert len(body) < 70_000
    inflated = zlib.decompressobj(wbits=31).decompress(body)
    assert len(inflated) == 64 * 1024 * 1024 == inflated.count(b" ")


def test_a_nested_bomb_holds_a_gigabyte_in_a_few_kilobytes(wire):
    assert len(wire("gzip_nested", None)) < 10_000
    body = body_of(wire("gzip_nested", None, bomb_bytes=64 * 1024 * 1024))
    inner = zlib.decompressobj(wbits=31).decompress(body)
    inflated = zlib.decompressobj(wbits=31).decompress(inner)
    assert len(inflated) == 64 * 1024 * 1024 == inflated.count(b" ")


def test_a_wrong_type_has_the_right_body(shown, client):
    right = client.show(UID).body
    answer = shown("wrong_type")
    assert answer.headers["content-type"] == "text/html;charset=gb2312"
    assert answer.body == right


@pytest.mark.parametrize(
    ("kind", "body"), [("empty", b""), ("null", b"null"), ("list", b"[]"), ("number", b"42")]
)
def test_bodies_that_are_no_object(shown, kind, body):
    assert (shown(kind).status, shown(kind).body) == (200, body)


def test_lists_in_lists(shown):
    body = shown("deep_json").body
    assert b"[" * 100_000 + b"]" * 100_000 in body
    with pytest.raises(RecursionError):
        json.loads(body)
    assert shown("nested_json").body.count(b"[") >= 900


def test_numbers_that_are_none(simulator, client):
    simulator.control(error_rate={"nan": 1})
    bodies = [client.show(str(1_404_376_560 + number)).body for number in range(20)]
    found = {body.partition(b'"followers_count":')[2].partition(b",")[0] for body in bodies}
    assert found == {b"NaN", b"Infinity", b"-Infinity"}


def test_a_long_number_has_10_000_digits(shown):
    assert b'"followers_count":' + b"9" * 10_000 + b"," in shown("long_number").body


def test_names_that_stand_twice(shown):
    pairs = json.loads(shown("duplicate_keys").body, object_pairs_hook=list)
    assert [name for name, _ in pairs].count("id") == 2
    assert len({value for name, value in pairs if name == "id"}) == 2


def test_bytes_that_are_no_utf8(shown):
    with pytest.raises(UnicodeDecodeError):
        shown("invalid_utf8").body.decode()


def test_strange_profiles_are_json_and_differ_in_one_thing(shown, client):
    right = client.show(UID).json
    assert shown("overflow").json == {**right, "followers_count": 2**63}
    assert shown("huge_number").json == {**right, "followers_count": 10**400}
    assert shown("infinite").json == {**right, "followers_count": float("inf")}
    assert len(shown("long_name").json["name"]) == 1_000_000
    assert "<script>" in shown("html_name").json["name"]
    assert b"\\ud83d" in shown("surrogates").body
    assert "\0" in shown("surrogates").json["name"]
    shapes = shown("wrong_shapes").json
    assert shapes.keys() == right.keys()
    assert {type(value) for value in shapes.values()} == {dict, list, bool}


@pytest.mark.parametrize("kind", sorted(faults.KINDS))
def test_every_kind_knows_what_to_do_with_every_right_answer(kind):
    """An account, users in a batch, counts, an empty batch, an error, another API's page."""
    bodies = [
        (200, fediverse_account("alice")),
        (200, b'{"users":[%s]}' % people.profile_json(UID)),
        (200, b'[{"id":1404376560,"followers_count":5}]'),
        (200, b'{"users":[]}'),
        (200, b"[]"),
        (404, b'{"error":"Record not found"}'),
    ]
    for status, body in bodies:
        case = case_of(Reply(status, body))
        assert faults.delivery(kind, case).fault == kind


def test_one_user_of_a_batch_is_spoilt():
    body = b'{"users":[%s,%s]}' % (people.profile_json(UID), people.profile_json("1404376561"))
    delivery = faults.delivery("invalid_negative", case_of(Reply(200, body)))
    users = json.loads(body_of(delivery.payload))["users"]
    assert sorted(user["followers_count"] < 0 for user in users) == [False, True]


@pytest.mark.parametrize("kind", sorted(faults.KINDS))
def test_no_body_is_held_in_memory(kind):
    """The first thousand blocks of what is streamed, or of a name of 1 MB, take some MB at once."""
    case = case_of(Reply(200, people.profile_json(UID)))
    tracemalloc.start()
    try:
        delivery = faults.delivery(kind, case)
        for _ in islice(delivery.more or (), 1_000):
            pass
        assert tracemalloc.get_traced_memory()[1] < 16_000_000
    finally:
        tracemalloc.stop()
