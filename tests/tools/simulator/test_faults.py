import http.client
import json
import time

import pytest

from fanfold.errors import BadConfiguration, BadInput
from fanfold.simulator import faults
from fanfold.simulator.settings import Settings, changed

UID = "1404376560"


@pytest.fixture
def shown(simulator, client):
    """Ask for the uid under a fault."""

    def show(kind, **settings):
        simulator.control(uids={UID: kind}, **settings)
        return client.show(UID)

    return show


@pytest.mark.parametrize(
    ("kind", "status"), [("http_500", 500), ("http_502", 502), ("http_503", 503), ("http_429", 429)]
)
def test_http_errors(shown, kind, status):
    assert shown(kind).status == status


@pytest.mark.parametrize("kind", ["http_503", "http_429"])
def test_retry_after_tells_the_seconds_that_were_set(shown, kind):
    assert shown(kind, retry_after_s=7).headers["retry-after"] == "7"


def test_busy_is_one_of_weibos_four_codes_and_503_on_mastodon(simulator, client):
    simulator.control(error_rate={"busy": 1})
    codes = {int(client.show(str(1_404_376_560 + n)).json["error_code"]) for n in range(40)}
    assert codes == {10001, 10002, 10003, 10009}
    assert client.lookup("alice").status == 503


def test_unknown_denies_a_user_that_exists(simulator, client, shown):
    assert int(shown("unknown").json["error_code"]) == 20003
    simulator.control(uids={"alice": "unknown"})
    assert client.lookup("alice").status == 404


def test_drop_closes_before_any_byte(shown):
    with pytest.raises(http.client.RemoteDisconnected):
        shown("drop")


def test_drop_mid_closes_in_the_body(shown):
    with pytest.raises(http.client.IncompleteRead):
        shown("drop_mid")


def test_truncated_has_a_right_length_and_half_a_json(shown):
    answer = shown("truncated")
    assert answer.status == 200
    assert int(answer.headers["content-length"]) == len(answer.body) > 100
    with pytest.raises(ValueError, match=r"Unterminated|Expecting|delimiter"):
        json.loads(answer.body)


def test_not_json_is_a_page_with_200(shown):
    answer = shown("not_json")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.body.startswith(b"<html>")


def test_slow_takes_its_time(shown):
    start = time.monotonic()
    assert shown("slow", slow_s=0.2).json["idstr"] == UID
    assert time.monotonic() - start >= 0.2


def test_huge_is_right_json_after_many_blanks(shown):
    answer = shown("huge", huge_bytes=3_000_000)
    assert len(answer.body) > 3_000_000
    assert answer.json["idstr"] == UID


def test_endless_goes_on_until_the_client_leaves(simulator, client):
    simulator.control(uids={UID: "endless"})
    with client.socket() as bare:
        bare.sendall(b"GET /2/users/show.json?access_token=%s&uid=%s HTTP/1.1\r\n\r\n" % (
            client.token.encode(), UID.encode(),
        ))  # fmt: skip
        stream = bare.makefile("rb")
        head = b"".join(iter(stream.readline, b"\r\n"))
        assert b"Transfer-Encoding: chunked\r\n" in head
        assert b"Content-Length" not in head
        for _ in range(100):
            assert stream.readline() == b"10000\r\n"
            assert stream.read(0x10002) == b" " * 0x10000 + b"\r\n"
        stream.close()
    assert client.show("1404376561").status == 200, "others are served meanwhile and after"


def test_each_invalid_profile_has_one_thing_wrong(shown, simulator, client):
    right = client.show(UID).json
    assert shown("invalid_negative").json == {**right, "followers_count": -5}
    assert shown("invalid_text").json == {**right, "followers_count": "many"}
    assert shown("invalid_date").json == {**right, "created_at": "yesterday"}
    assert "screen_name" not in shown("invalid_nameless").json
    assert shown("invalid_other").json["id"] != right["id"]
    assert shown("invalid_other").json["idstr"] != right["idstr"]
    simulator.control(error_rate={"invalid": 1})
    spoilt = [client.show(str(1_404_376_560 + n)).json for n in range(40)]
    assert {each.get("followers_count") for each in spoilt} >= {-5, "many"}


def test_invalid_accounts_of_mastodon(simulator, client):
    right = client.lookup("alice").json
    simulator.control(uids={"alice": "invalid_other"})
    assert client.lookup("alice").json["id"] != right["id"]
    assert isinstance(client.lookup("alice").json["id"], str)
    simulator.control(uids={"alice": "invalid_nameless"})
    assert "acct" not in client.lookup("alice").json


def test_a_retry_can_succeed(simulator, client):
    simulator.control(uids={UID: "http_500"}, first_attempts=2)
    assert [client.show(UID).status for _ in range(4)] == [500, 500, 200, 200]


def test_a_path_can_have_a_fault_of_its_own(simulator, client):
    simulator.control(paths={"/2/account/rate_limit_status.json": "http_500"})
    assert client.weibo("account/rate_limit_status").status == 500
    assert client.show(UID).status == 200


def test_the_same_seed_brings_the_same_faults(simulator, client):
    def statuses(seed):
        simulator.control(error_rate={"http_500": 0.3, "http_502": 0.2}, seed=seed)
        return [client.show(str(1_404_376_560 + n % 50)).status for n in range(100)]

    first = statuses(1)
    assert statuses(1) == first
    assert statuses(2) != first
    assert first[:50] != first[50:], "a retry is drawn again"


def test_shares_are_met():
    settings = Settings(error_rate={"busy": 0.1, "drop": 0.05})
    drawn = [faults.chosen(settings, "", str(uid), 1) for uid in range(20_000)]
    assert drawn.count("busy") / 20_000 == pytest.approx(0.1, abs=0.01)
    assert drawn.count("drop") / 20_000 == pytest.approx(0.05, abs=0.01)


def test_every_fault_is_counted(simulator, client):
    simulator.control(uids={UID: "http_500"})
    client.show(UID)
    client.show("1404376561")
    stats = simulator.stats()
    assert stats["faults"] == {"http_500": 1}
    assert stats["statuses"] == {"500": 1, "200": 1}


def test_latency_delays_every_answer(simulator, client):
    simulator.control(latency_ms=50, jitter_ms=10)
    start = time.monotonic()
    for n in range(4):
        assert client.show(str(1_404_376_560 + n)).status == 200
    assert time.monotonic() - start >= 0.2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"latency": 5}, "no setting 'latency'"),
        ({"latency_ms": -1}, "latency_ms must be a number from 0"),
        ({"latency_ms": True}, "latency_ms must be"),
        ({"error_rate": {"busy": 0.7, "drop": 0.7}}, "together at most 1"),
        ({"error_rate": {"bsy": 0.1}}, "no fault 'bsy'"),
        ({"uids": {UID: "nonsense"}}, "no fault 'nonsense'"),
        ({"uids": [UID]}, "uids must be an object"),
        ({"quota_code": 1}, "quota_code must be"),
        ({"quota_window_s": 0}, "quota_window_s must be a number above 0"),
        ({"token": ""}, "token must be"),
    ],
)
def test_a_wrong_setting_is_named_and_changes_nothing(simulator, settings, said):
    with pytest.raises(BadConfiguration, match=said):
        simulator.control(seed=5, **settings)
    assert simulator.control()["seed"] == 0


def test_reset_returns_to_the_start_and_the_token_is_not_shown(simulator):
    changed_settings = simulator.control(seed=5, token="other")
    assert changed_settings["seed"] == 5
    assert "token" not in changed_settings
    assert simulator.control(reset=True, latency_ms=1)["seed"] == 0
    simulator.reset()
    assert simulator.control()["latency_ms"] == 0


def test_every_setting_has_a_check():
    defaults = Settings().shown() | {"token": "t"}
    assert changed(Settings(), defaults, faults.known).token == "t"
    for name in defaults:
        with pytest.raises(BadInput, match=f"^{name} must be"):
            changed(Settings(), {name: object()}, faults.known)


def test_every_kind_is_documented(request):
    page = (request.config.rootpath / "docs/simulator.md").read_text()
    missing = [name for name in faults.KINDS if f"`{name}`" not in page]
    missing += [name for name in Settings().shown() if f"`{name}`" not in page]
    assert missing == []
