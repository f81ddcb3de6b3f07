"""Hostile faults; each one's effect on a fetch is in tests/integration/stages/fetching."""

import json
import tracemalloc
from dataclasses import replace
from itertools import islice

from fanfold.simulator import faults, fediverse, people, weibo
from fanfold.simulator.exchange import Reply, Request
from fanfold.simulator.settings import Settings

UID = "1404376560"


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


def test_a_trickle_is_complete_and_others_are_served_meanwhile(simulator, client, shown):
    assert shown("trickle", trickle_s=0.0001).json["idstr"] == UID
    simulator.control(uids={UID: "trickle"}, trickle_s=100)
    with client.socket() as plain:
        plain.sendall(client.request(UID))
        assert plain.recv(65_536).startswith(b"HTTP/1.1 200 OK\r\n")
        assert client.show("1404376561").status == 200


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
