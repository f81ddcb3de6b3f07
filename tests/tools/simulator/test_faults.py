"""Faults of the APIs, and the settings that choose them."""

import pytest

from fanfold.errors import BadConfiguration, BadInput
from fanfold.simulator import faults
from fanfold.simulator.settings import Settings, changed

UID = "1404376560"


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
