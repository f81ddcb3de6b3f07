from datetime import UTC, datetime, timedelta

from fanfold.simulator import fediverse


def test_lookup_answers_the_account_and_needs_no_token(client):
    answer = client.lookup("alice")
    assert answer.status == 200
    assert answer.json == fediverse.account("alice")
    assert client.lookup("Alice").json == answer.json


def test_an_account_is_found_by_its_id(client):
    account = client.lookup("alice").json
    assert client.send(f"/api/v1/accounts/{account['id']}").json == account


def test_who_does_not_exist_is_404(client):
    for answer in (
        client.lookup("nobody7"),
        client.lookup(""),
        client.send("/api/v1/accounts/lookup"),
        client.send("/api/v1/accounts/not-a-number"),
        client.send(f"/api/v1/accounts/{fediverse.id_of('nobody')}"),
    ):
        assert (answer.status, answer.json) == (404, {"error": "Record not found"})


def test_a_token_that_is_sent_must_be_right(client):
    assert client.lookup("alice", Authorization=f"Bearer {client.token}").status == 200
    answer = client.lookup("alice", Authorization="Bearer wrong")
    assert (answer.status, answer.json) == (401, {"error": "The access token is invalid"})


def test_credentials_are_verified(client):
    path = "/api/v1/accounts/verify_credentials"
    assert client.send(path).status == 401
    answer = client.send(path, headers={"Authorization": f"Bearer {client.token}"})
    assert answer.json["acct"] == "simulator"


def test_an_expired_token_stops_only_those_who_send_it(simulator, client):
    simulator.control(token_expires_after=0)
    assert client.lookup("alice").status == 200
    assert client.lookup("alice", Authorization=f"Bearer {client.token}").status == 401


def test_the_quota_is_told_in_headers_and_ends_in_429(simulator, client):
    simulator.control(quota_per_hour=2, quota_window_s=60)
    answers = [client.lookup("alice") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].json == {"error": "Too many requests"}
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"2"}
    reset = datetime.fromisoformat(answers[2].headers["x-ratelimit-reset"])
    assert timedelta(0) < reset - datetime.now(UTC) <= timedelta(seconds=60)


def test_the_instance_introduces_itself(client):
    assert client.send("/api/v2/instance").json["domain"] == fediverse.DOMAIN
