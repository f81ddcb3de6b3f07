import asyncio
import json
import socket
import threading

import pytest

from fanfold.simulator.application import Application
from fanfold.simulator.server import MOST_BYTES, serve
from fanfold.simulator.settings import Settings

SHOW = "GET /2/users/show.json?access_token={}&uid={} HTTP/1.1\r\nHost: x\r\n\r\n"


def read_answers(bare, wanted):
    """Read whole answers from a bare socket; returns (head, body) of each."""
    answers = []
    with bare.makefile("rb") as stream:
        for _ in range(wanted):
            head = b"".join(iter(stream.readline, b"\r\n"))
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
            answers.append((head, stream.read(length)))
    return answers


def test_pipelined_requests_are_answered_in_order(simulator, client):
    """Also when the first is slow and the others could overtake it."""
    simulator.control(uids={"1404376560": "slow"}, slow_s=0.1)
    uids = [1404376560 + n for n in range(20)]
    with client.socket() as bare:
        bare.sendall("".join(SHOW.format(client.token, uid) for uid in uids).encode())
        assert [json.loads(body)["id"] for _, body in read_answers(bare, 20)] == uids


def test_a_request_may_come_byte_by_byte(client):
    with client.socket() as bare:
        bare.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in SHOW.format(client.token, 1404376560).encode():
            bare.sendall(bytes([byte]))
        ((head, body),) = read_answers(bare, 1)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert json.loads(body)["id"] == 1404376560


def test_one_connection_serves_many_requests(simulator, client):
    before = simulator.stats()["connections"]
    for n in range(10):
        client.show(str(1_404_376_560 + n))
    # The client's own connection and that of the statistics.
    assert simulator.stats()["connections"] - before == 2


@pytest.mark.parametrize("version", ["HTTP/1.0\r\n", "HTTP/1.1\r\nConnection: close\r\n"])
def test_a_client_that_wants_no_keep_alive_is_closed(client, version):
    with client.socket() as bare:
        bare.sendall(f"GET /2/account/get_uid.json {version}\r\n".encode())
        ((head, _),) = read_answers(bare, 1)
        assert b"Connection: close\r\n" in head
        assert bare.recv(1) == b""


def test_what_is_not_http_gets_400(client):
    with client.socket() as bare:
        bare.sendall(b"\x16\x03\x01\x02\x00")
        ((head, _),) = read_answers(bare, 1)
        assert head.startswith(b"HTTP/1.1 400 ")
        assert bare.recv(1) == b""


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /?",
        b"GET / HTTP/1.1\r\nX: ",
        b"POST /_control HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n",
    ],
    ids=["url", "header", "body"],
)
def test_a_request_has_a_largest_size(client, request_head):
    with client.socket() as bare:
        try:
            bare.sendall(request_head + b"x" * (MOST_BYTES + 1000))
            bare.sendall(b" HTTP/1.1\r\n\r\n")
            answer = bare.recv(100)
        except ConnectionError:  # closed with our bytes unread
            return
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_may_be_announced_with_expect_100(client):
    body = b'{"seed": 3}'
    with client.socket() as bare:
        bare.sendall(
            b"POST /_control HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
            % len(body)
        )
        assert bare.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        bare.sendall(body)
        ((_, answer),) = read_answers(bare, 1)
    assert json.loads(answer)["seed"] == 3


def test_a_client_that_does_not_read_is_waited_for(simulator, client):
    """It pipelines 20,000 requests and reads only then; the server does not answer into memory."""
    wanted = 20_000
    with client.socket() as bare:
        requests = SHOW.format(client.token, 1404376560).encode() * wanted
        writer = threading.Thread(target=bare.sendall, args=(requests,))
        writer.start()
        writer.join(0.5)
        assert simulator.stats()["requests"] < wanted, "the answers lie in the server's memory"
        answers = read_answers(bare, wanted)
        writer.join()
    assert len(answers) == wanted


def test_nothing_piles_up_for_a_client_that_does_not_read():
    """Neither answers in the write buffer nor requests that were read too early."""

    async def pipeline_without_reading():
        server, connections = await serve(Application(Settings()), "127.0.0.1", 0)
        loop = asyncio.get_running_loop()
        requests = SHOW.format("simulator-token", 1404376560).encode() * 50_000
        with socket.socket() as bare:
            bare.setblocking(False)  # noqa: FBT003 - the standard library's own signature
            await loop.sock_connect(bare, server.sockets[0].getsockname())
            writing = asyncio.create_task(loop.sock_sendall(bare, requests))
            while not connections or next(iter(connections))._transport.is_reading():  # noqa: ASYNC110 - the code under test has no event for it
                await asyncio.sleep(0)
            (connection,) = connections
            # asyncio's high-water mark, and the one answer that went over it.
            assert connection._transport.get_write_buffer_size() < 65_536 + 2_000
            writing.cancel()
            connection.close()
        server.close()
        await server.wait_closed()

    asyncio.run(asyncio.wait_for(pipeline_without_reading(), 20))


def test_statistics_tell_requests_paths_uids_and_what_was_at_once(simulator, client):
    simulator.control(latency_ms=100)
    with client.socket() as one, client.socket() as two:
        for bare in (one, two):
            bare.sendall(SHOW.format(client.token, 1404376560).encode())
        for bare in (one, two):
            read_answers(bare, 1)
    client.send("/api/v1/accounts/7")
    stats = simulator.stats()
    assert stats["requests"] == 3
    assert stats["paths"] == {"/2/users/show.json": 2, "/api/v1/accounts/{id}": 1}
    assert stats["uids"] == {"1404376560": 2, "7": 1}
    assert stats["most_in_flight"] == 2
    assert 2 <= stats["most_in_one_second"] <= 3
    assert simulator.stats("1404376560") == {"uid": "1404376560", "requests": 2}


def test_a_client_that_leaves_is_no_longer_in_flight(simulator, client):
    simulator.control(latency_ms=100)
    with client.socket() as bare:
        bare.sendall(SHOW.format(client.token, 1404376560).encode())
        while simulator.stats()["requests"] < 1:
            pass
    client.show("1404376560")  # is answered after the other would have been
    stats = simulator.stats()
    assert (stats["in_flight"], stats["connections_open"]) == (0, 2)  # ours and that of stats


def test_own_endpoints_refuse_what_they_do_not_know(client):
    for answer in (
        client.send("/_control", "POST", body="not json"),
        client.send("/_control", "POST", body="[]"),
        client.send("/_nothing"),
        client.send("/_stats", "DELETE"),
    ):
        assert answer.status == 400
        assert answer.json["error"]
