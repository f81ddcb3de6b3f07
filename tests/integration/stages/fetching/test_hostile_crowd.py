"""1,500 users, ten a request, while two fifths of all responses are hostile, with all faults at once."""

from __future__ import annotations

import contextlib

from fanfold.errors import BatchIncomplete
from fanfold.model import Status
from fanfold.simulator import people
from fanfold.simulator.faults import KINDS
from fanfold.stages.fetching.backoff import Backoff

ABSENT = [str(number) for number in range(1, 31)]
KNOWN = [str(1404376560 + number) for number in range(1_470)]
USERS = [user for pair in zip(KNOWN, ABSENT, strict=False) for user in pair] + KNOWN[len(ABSENT) :]
AS_RECEIVED = {
    *("invalid", "invalid_negative", "invalid_text", "invalid_date", "invalid_nameless"),
    *("overflow", "huge_number", "infinite", "long_name", "html_name", "surrogates"),
    *("throttle", "function_error", "function_timeout", "function_too_large"),
}
"""Faults of a record that only a contract tells, or nobody, and those of functions."""
FAULTS = set(KINDS) - AS_RECEIVED


def test_every_user_has_the_right_outcome_and_record(fetch, workspace, simulator, records_of):
    """One bad response of a request for ten users affects nine others."""
    rates = dict.fromkeys(sorted(FAULTS), 0.4 / len(FAULTS))
    simulator.control(seed=3, retry_after_s=0, slow_s=0.05, trickle_s=0.1, error_rate=rates)
    backoff = Backoff(attempts=4, first=0.05, cap=0.1)
    for _ in range(6):
        with contextlib.suppress(BatchIncomplete):
            fetch(USERS, several=10, concurrency=32, read_timeout=0.2, backoff=backoff)
        outcomes = workspace.batch(0).outcomes()
        if {each.status for each in outcomes.values()} == {Status.OK, Status.MISSING}:
            break
    faults = simulator.stats()["faults"]
    assert sum(faults.values()) > 100
    assert set(outcomes) == set(USERS)
    missing = {user for user, outcome in outcomes.items() if outcome.status is Status.MISSING}
    assert missing >= set(ABSENT)
    assert len(missing) - len(ABSENT) <= faults.get("unknown", 0)
    records = records_of(workspace)
    assert records == {user: [people.profile(user)] for user in USERS if user not in missing}
