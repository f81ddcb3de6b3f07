"""4,000 users while up to two fifths of all responses are hostile, with all faults at once."""

from __future__ import annotations

import contextlib

import pandas as pd
import pytest

from fanfold import sources
from fanfold.errors import BatchIncomplete
from fanfold.model import Status
from fanfold.simulator.faults import KINDS
from fanfold.stages.fetching.backoff import Backoff
from fanfold.stages.processing import process_batch
from fanfold.workspace.paths import Workspace

ABSENT = [str(number) for number in range(1, 81)]
KNOWN = [str(1404376560 + number) for number in range(3_920)]
USERS = [user for pair in zip(KNOWN, ABSENT, strict=False) for user in pair] + KNOWN[len(ABSENT) :]
STRANGE = ["name", "description"]
"""Columns that two of the faults change in a way that no client can notice."""


@pytest.fixture(scope="module")
def run(fetch_from, server):
    """``run(folder, several, **settings)``: the outcomes and the rows, after retries of the batch."""

    def run(folder, several=1, **settings):
        server.reset()
        server.control(seed=3, retry_after_s=0, slow_s=0.05, trickle_s=0.1, **settings)
        batch = Workspace(folder).batch(0)
        options = {"several": several, "concurrency": 32, "read_timeout": 0.2}
        options["backoff"] = Backoff(attempts=4, first=0.05, cap=0.1)
        for _ in range(6):
            with contextlib.suppress(BatchIncomplete):
                fetch_from(Workspace(folder), server, USERS, **options)
            process_batch(batch, sources.get("weibo"), as_of=pd.Timestamp("2026-08-01", tz="UTC"))
            outcomes = batch.outcomes() | batch.invalid()
            if {each.status for each in outcomes.values()} == {Status.OK, Status.MISSING}:
                break
        return outcomes, pd.read_parquet(batch.rows_file).set_index("item")

    return run


@pytest.fixture(scope="module")
def undisturbed(run, tmp_path_factory):
    return run(tmp_path_factory.mktemp("undisturbed"))[1]


@pytest.mark.parametrize(("several", "rate"), [(1, 0.2), (50, 0.4)])
def test_every_user_has_the_right_outcome_and_row(
    run, server, undisturbed, tmp_path, several, rate
):
    """One bad response of a request for 50 users affects 49 others."""
    rates = dict.fromkeys(KINDS, rate / len(KINDS))
    outcomes, rows = run(tmp_path, several, error_rate=rates)
    faults = server.stats()["faults"]
    assert sum(faults.values()) > 100
    assert several > 1 or set(faults) == set(KINDS)
    assert set(outcomes) == set(USERS)
    missing = {user for user, outcome in outcomes.items() if outcome.status is Status.MISSING}
    assert missing >= set(ABSENT)
    assert len(missing) - len(ABSENT) <= faults.get("unknown", 0)
    assert list(rows.index) == [user for user in USERS if user not in missing]
    expected = undisturbed.loc[rows.index]
    changed = (rows[STRANGE].fillna("") != expected[STRANGE].fillna("")).any(axis=1).sum()
    assert 0 < changed <= several * (faults["html_name"] + faults["surrogates"])
    pd.testing.assert_frame_equal(
        rows.drop(columns=STRANGE), expected.drop(columns=STRANGE), check_categorical=False
    )
