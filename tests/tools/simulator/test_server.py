"""The simulator's HTTP server: keep-alive, pipelining, back-pressure, limits and statistics."""

import json

import pytest

from fanfold.simulator.counters import BoundedCounter


def read_answers(plain, wanted):
    """Read whole answers from a socket; return head and body of each."""
    answers = []
    with plain.makefile("rb") as stream:
        for _ in range(wanted):
            head = b"".join(iter(stream.readline, b"\r\n"))
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
            answers.append((head, stream.read(length)))
    return answers


def test_pipelined_requests_are_answered_in_order(simulator, client):
    """Also when the first is slow and the others could overtake it."""
    simulator.control(uids={"1404376560": "slow"}, slow_s=0.1)
    uids = [1404376560 + n for n in range(20)]
    with client.socket() as plain:
        plain.sendall(b"".join(map(client.request, uids)))
        assert [json.loads(body)["id"] for _, body in read_answers(plain, 20)] == uids


def test_one_connection_serves_many_requests_unless_the_client_asks_to_close(simulator, client):
    before = simulator.stats()["connections"]
    client.show_several(10)
    # The client's connection and that of the statistics.
    assert simulator.stats()["connections"] - before == 2
    for version in ("HTTP/1.0\r\n", "HTTP/1.1\r\nConnection: close\r\n"):
        with client.socket() as plain:
            plain.sendall(f"GET /2/account/get_uid.json {version}\r\n".encode())
            ((head, _),) = read_answers(plain, 1)
            assert b"Connection: close\r\n" in head
            assert plain.recv(1) == b""


def test_statistics_count_requests_paths_uids_and_concurrency(simulator, client):
    simulator.control(latency_ms=100)
    with client.socket() as one, client.socket() as two:
        for plain in (one, two):
            plain.sendall(client.request(1404376560))
        for plain in (one, two):
            read_answers(plain, 1)
    client.send("/api/v1/accounts/7")
    stats = simulator.stats()
    assert stats["requests"] == 3
    assert stats["paths"] == {"/2/users/show.json": 2, "/api/v1/accounts/{id}": 1}
    assert stats["uids"] == {"1404376560": 2, "7": 1}
    assert stats["most_in_flight"] == 2
    assert 2 <= stats["most_in_one_second"] <= 3
    assert simulator.stats("1404376560") == {"uid": "1404376560", "requests": 2}


def test_the_control_endpoints_refuse_what_they_do_not_know(client):
    headers = {"Authorization": f"Bearer {client.token}"}
    for answer in (
        client.send("/_control", "POST", headers, "not json"),
        client.send("/_control", "POST", headers, "[" * 9_999),
        client.send("/_control", "POST", headers, "[]"),
        client.send("/_nothing", "GET", headers),
        client.send("/_stats", "DELETE", headers),
    ):
        assert answer.status == 400
        assert "Authorization" not in answer.json["error"]


@pytest.mark.parametrize("authorization", ["", "Bearer other", "Bearer ", "Bearer \xff"])
def test_the_control_endpoints_want_the_token(simulator, client, tmp_path, authorization):
    """Otherwise any page of a browser could choose the folder whose functions are run."""
    headers = {"Authorization": authorization} if authorization else {}
    change = json.dumps({"functions": str(tmp_path)})
    for method, path in (
        ("POST", "/_control"),
        ("DELETE", "/_control"),
        ("GET", "/_stats?uids=all"),
    ):
        answer = client.send(path, method, headers, change)
        assert answer.status == 400
        assert answer.json["error"].startswith("Send the header Authorization")
    page = {"Authorization": f"Bearer {client.token}", "Origin": "http://rebound.example"}
    assert client.send("/_control", "POST", page, change).status == 400
    assert simulator.control()["functions"] != str(tmp_path)


def test_counts_by_uid_take_bounded_memory():
    counter = BoundedCounter(kept=3)
    assert [counter.add(key) for key in "aabcd"] == [1, 2, 1, 1, 1]
    assert (counter.counts, counter.evicted) == ({"b": 1, "c": 1, "d": 1}, 1)
    long = ["x" * 100_000 + end for end in "aab"]
    assert [counter.add(key) for key in long] == [1, 2, 1]
    assert max(map(len, counter.counts)) <= 64
