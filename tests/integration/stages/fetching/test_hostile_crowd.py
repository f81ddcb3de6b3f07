"""4,000 users while up to two fifths of all responses are hostile, with all faults at once."""

from __future__ import annotations

import contextlib

import pytest

from fanfold.errors import BatchIncomplete
from fanfold.model import Status
from fanfold.simulator.faults import KINDS
from fanfold.stages.fetching.backoff import Backoff
from fanfold.workspace.paths import Workspace

ABSENT = [str(number) for number in range(1, 81)]
KNOWN = [str(1404376560 + number) for number in range(3_920)]
USERS = [user for pair in zip(KNOWN, ABSENT, strict=False) for user in pair] + KNOWN[len(ABSENT) :]
AS_RECEIVED = {
    *("invalid", "invalid_negative", "invalid_text", "invalid_date", "invalid_nameless"),
    *("overflow", "huge_number", "infinite", "long_name", "html_name", "surrogates"),
}
"""Faults of a record that only a contract tells, or nobody."""
FAULTS = set(KINDS) - AS_RECEIVED


@pytest.fixture(scope="module")
def run(fetch_from, records_of, server):
    """``run(folder, several, **settings)``: outcomes and records, after retries of the batch."""

    def run(folder, several=1, **settings):
        server.reset()
        server.control(seed=3, retry_after_s=0, slow_s=0.05, trickle_s=0.1, **settings)
        workspace = Workspace(folder)
        options = {"several": several, "concurrency": 32, "read_timeout": 0.2}
        options["backoff"] = Backoff(attempts=4, first=0.05, cap=0.1)
        for _ in range(6):
            with contextlib.suppress(BatchIncomplete):
                fetch_from(workspace, server, USERS, **options)
            outcomes = workspace.batch(0).outcomes()
            if {each.status for each in outcomes.values()} == {Status.OK, Status.MISSING}:
                break
        return outcomes, records_of(workspace)

    return run


@pytest.fixture(scope="module")
def undisturbed(run, tmp_path_factory):
    return run(tmp_path_factory.mktemp("undisturbed"))[1]


@pytest.mark.parametrize(("several", "rate"), [(1, 0.2), (50, 0.4)])
def test_every_user_has_the_right_outcome_and_record(
    run, server, undisturbed, tmp_path, several, rate
):
    """One bad response of a request for 50 users affects 49 others."""
    rates = dict.fromkeys(sorted(FAULTS), rate / len(FAULTS))
    outcomes, records = run(tmp_path, several, error_rate=rates)
    faults = server.stats()["faults"]
    assert sum(faults.values()) > 100
    assert several > 1 or set(faults) == FAULTS
    assert set(outcomes) == set(USERS)
    missing = {user for user, outcome in outcomes.items() if outcome.status is Status.MISSING}
    assert missing >= set(ABSENT)
    assert len(missing) - len(ABSENT) <= faults.get("unknown", 0)
    assert records == {user: undisturbed[user] for user in USERS if user not in missing}
