"""Faults of the APIs, and the settings that choose them."""

import pytest

from fanfold.errors import BadConfiguration, BadInput
from fanfold.simulator import faults
from fanfold.simulator.settings import Settings, changed

UID = "1404376560"


def test_http_errors_have_their_status_and_retry_after(shown):
    for status in (500, 502, 503, 429):
        answer = shown(f"http_{status}", retry_after_s=7)
        assert answer.status == status
        assert answer.headers.get("retry-after") == ("7" if status in {503, 429} else None)


def test_busy_is_one_of_weibos_four_codes_and_503_on_mastodon(simulator, client):
    simulator.control(error_rate={"busy": 1})
    codes = {int(answer.json["error_code"]) for answer in client.show_several(40)}
    assert codes == {10001, 10002, 10003, 10009}
    assert client.lookup("alice").status == 503


def test_each_invalid_profile_has_one_error(shown, simulator, client):
    right = client.show(UID).json
    assert shown("invalid_negative").json == {**right, "followers_count": -5}
    assert shown("invalid_text").json == {**right, "followers_count": "many"}
    assert shown("invalid_date").json == {**right, "created_at": "yesterday"}
    assert "screen_name" not in shown("invalid_nameless").json
    assert shown("invalid_other").json["id"] != right["id"]
    simulator.control(uids={"alice": "invalid_nameless"})
    assert "acct" not in client.lookup("alice").json


def test_a_fault_may_end_after_some_attempts(simulator, client):
    simulator.control(uids={UID: "http_500"}, first_attempts=2)
    assert [client.show(UID).status for _ in range(4)] == [500, 500, 200, 200]
    stats = simulator.stats()
    assert stats["faults"] == {"http_500": 2}
    assert stats["statuses"] == {"500": 2, "200": 2}


def test_the_same_seed_gives_the_same_faults(simulator, client):
    def statuses(seed):
        simulator.control(error_rate={"http_500": 0.3, "http_502": 0.2}, seed=seed)
        return [answer.status for _ in range(2) for answer in client.show_several(50)]

    first = statuses(1)
    assert statuses(1) == first
    assert statuses(2) != first
    assert first[:50] != first[50:], "a retry is drawn again"


def test_a_wrong_setting_is_named_and_changes_nothing(simulator):
    for settings, said in [
        ({"latency": 5}, "no setting 'latency'"),
        ({"latency_ms": -1}, "latency_ms must be a number from 0"),
        ({"error_rate": {"busy": 0.7, "drop": 0.7}}, "together at most 1"),
        ({"error_rate": {"bsy": 0.1}}, "no fault 'bsy'"),
        ({"uids": {UID: "nonsense"}}, "no fault 'nonsense'"),
        ({"quota_window_s": 0}, "quota_window_s must be a number above 0"),
    ]:
        with pytest.raises(BadConfiguration, match=said):
            simulator.control(seed=5, **settings)
    assert simulator.control()["seed"] == 0


def test_every_setting_is_checked():
    defaults = Settings().shown() | {"token": "t"}
    assert changed(Settings(), defaults, faults.known).token == "t"
    for name in defaults:
        with pytest.raises(BadInput, match=f"^{name} must be"):
            changed(Settings(), {name: object()}, faults.known)


def test_every_fault_and_setting_is_documented(request):
    page = (request.config.rootpath / "docs/simulator.md").read_text()
    names = [*faults.KINDS, *Settings().shown()]
    assert [name for name in names if f"`{name}`" not in page] == []
