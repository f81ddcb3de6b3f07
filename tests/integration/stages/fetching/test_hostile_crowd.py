"""4,000 users, and a fifth of all answers hostile, with all faults of the simulator at once."""

from __future__ import annotations

import contextlib

import pandas as pd
import pytest

from fanfold import sources
from fanfold.errors import BatchIncomplete
from fanfold.model import Outcome, RunIdentity, Status
from fanfold.rate_limit import Unlimited
from fanfold.simulator import faults
from fanfold.simulator.process import running
from fanfold.simulator.settings import Settings
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.session import Session
from fanfold.stages.consolidating import consolidate
from fanfold.stages.fetching import fetch_batch
from fanfold.stages.fetching.backoff import Backoff
from fanfold.stages.planning import write_plan
from fanfold.stages.processing import process_batch
from fanfold.stages.processing.contract import SCHEMA
from fanfold.workspace.files import read_jsonl, write_jsonl
from fanfold.workspace.paths import Workspace

AS_OF = pd.Timestamp("2026-08-01", tz="UTC")
RUN = RunIdentity("hostile", "once", AS_OF.to_pydatetime())
PATH = "/2/users/show.json"

RIGHT = {"", "slow", "bad_headers", "two_answers", "chunked", "gzip", "wrong_type"}
"""Answers that hold the right profile."""
STRANGE = {"html_name", "surrogates"}
"""Answers with another name and description, which cannot be distinguished from the right ones."""
NEVER_RIGHT = set(faults.KINDS) - RIGHT - STRANGE - {"unknown"}

STUBBORN = {str(1404300000 + number): kind for number, kind in enumerate(sorted(NEVER_RIGHT))}
"""Users of whom no answer ever is right."""
ABSENT = [str(number) for number in range(1, 81)]
KNOWN = [str(1404376560 + number) for number in range(3_920 - len(STUBBORN))]
USERS = [user for pair in zip(KNOWN, ABSENT, strict=False) for user in pair]
USERS += [*KNOWN[len(ABSENT) :], *STUBBORN]

BATCH = -(-(len(USERS) - len(STUBBORN)) // 3)
"""The stubborn ones, at the end, have a batch for themselves."""
ROUNDS = 6
SETTINGS = {
    "error_rate": dict.fromkeys(faults.KINDS, 0.2 / len(faults.KINDS)),
    "uids": STUBBORN,
    "seed": 3,
    "retry_after_s": 0,
    "slow_s": 0.05,
    "trickle_s": 0.1,
}


def outcomes_in(workspace, batch):
    return workspace.batch(batch).outcomes() | workspace.batch(batch).invalid()


def run(workspace, simulator, items_per_request=1):
    """Run the stages, and repeat the batches with unfinished items, as after clearing their tasks."""
    write_jsonl(workspace.listed, USERS)
    plan = write_plan(
        workspace,
        source="weibo",
        wanted_size=BATCH,
        logical_date="2026-08-01T00:00:00Z",
        started_at="2026-08-01T00:00:00Z",
    )
    source = sources.get("weibo")
    endpoint = Endpoint(
        "hostile_default",
        simulator.url,
        token=simulator.token,
        read_timeout=0.2,
        items_per_request=items_per_request,
    )
    left = range(plan.batches)
    for _ in range(ROUNDS):
        for batch in left:
            with Session(source, endpoint) as session, contextlib.suppress(BatchIncomplete):
                fetch_batch(
                    workspace.batch(batch),
                    session,
                    concurrency=32,
                    limiter=Unlimited(),
                    backoff=Backoff(attempts=4, first=0.05, cap=0.1),
                )
            process_batch(workspace.batch(batch), source, as_of=AS_OF)
        left = [batch for batch in left if unfinished(workspace, batch)]
        if not left:
            break
    manifest = consolidate(workspace, RUN, SCHEMA)
    outcomes = {}
    for batch in range(plan.batches):
        outcomes |= outcomes_in(workspace, batch)
    dataset = pd.read_parquet(workspace.dataset / "users.parquet").set_index("user_id")
    return manifest, outcomes, dataset


def unfinished(workspace, batch):
    return any(
        outcome.status in {Status.FAILED, Status.INVALID} and key not in STUBBORN
        for key, outcome in outcomes_in(workspace, batch).items()
    )


@pytest.fixture(scope="module")
def server():
    with running("--huge-bytes", str(2**30)) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def undisturbed(server, tmp_path_factory):
    """The dataset of a run in which all answers are right."""
    server.reset()
    return run(Workspace(tmp_path_factory.mktemp("undisturbed")), server)[2]


def test_every_user_has_the_right_outcome_when_a_fifth_of_all_answers_is_hostile(
    server, undisturbed, tmp_path
):
    server.reset()
    server.control(**SETTINGS)
    disturbed = Workspace(tmp_path / "disturbed")
    manifest, outcomes, dataset = run(disturbed, server)

    stats = server.stats()
    assert set(stats["faults"]) == set(faults.KINDS)
    assert 800 < sum(stats["faults"].values()) < 3_000
    # The last request for a user decides; the seed determines its answer.
    settings = Settings(error_rate=SETTINGS["error_rate"], uids=STUBBORN, seed=3)
    last = {
        user: faults.chosen(settings, PATH, user, outcome.attempts)
        for user, outcome in outcomes.items()
    }
    assert set(outcomes) == set(USERS)
    denied = {user for user in KNOWN if last[user] == "unknown"}
    for user, outcome in outcomes.items():
        if user in STUBBORN:
            assert outcome.status in {Status.FAILED, Status.INVALID}, outcome
            assert outcome.reason
        elif user in denied or user in ABSENT:
            assert outcome.status is Status.MISSING, outcome
        else:
            assert outcome.status is Status.OK, outcome
            assert last[user] in RIGHT | STRANGE

    # The dataset holds those that are ok, in order, each as in the undisturbed run.
    ok = [user for user in USERS if outcomes[user].status is Status.OK]
    assert list(dataset.index) == ok
    strange = [user for user in ok if last[user] in STRANGE]
    assert strange
    expected = undisturbed.loc[ok].copy()
    chosen = ["name", "description"]
    assert (dataset.loc[strange, chosen] != expected.loc[strange, chosen]).all(axis=None)
    expected.loc[strange, chosen] = dataset.loc[strange, chosen]
    pd.testing.assert_frame_equal(dataset, expected, check_categorical=False)

    # Each user is counted once; each that is not ok has a line with the reason.
    counts = manifest.counts
    assert counts.planned == len(USERS) == 4_000
    assert (counts.ok, counts.missing) == (len(ok), len(ABSENT) + len(denied))
    assert counts.invalid + counts.failed == len(STUBBORN)
    lines = [Outcome.from_json(line) for line in read_jsonl(disturbed.dataset / "failed.jsonl")]
    assert {each.key for each in lines} == set(USERS) - set(ok)
    assert len(lines) == 4_000 - len(ok)
    assert all(each.reason for each in lines)


def test_requests_for_50_users_survive_the_same(server, undisturbed, tmp_path):
    """Two fifths of the answers are hostile, as there are so few; one user spoils 49 others."""
    server.reset()
    rates = dict.fromkeys(faults.KINDS, 0.4 / len(faults.KINDS))
    server.control(**SETTINGS | {"error_rate": rates, "uids": {}})
    _, outcomes, dataset = run(Workspace(tmp_path), server, items_per_request=50)
    assert sum(server.stats()["faults"].values()) > 100
    # A user whom the answer omits is asked for alone, and may be denied then.
    denied = {user for user in USERS if outcomes[user].status is Status.MISSING} - {*ABSENT}
    assert len(denied) < 10
    ok = [user for user in USERS if user not in denied and user not in ABSENT]
    assert list(dataset.index) == ok
    chosen = ["name", "description"]
    expected = undisturbed.loc[ok]
    changed = dataset[chosen].fillna("") != expected[chosen].fillna("")
    assert changed.any(axis=1).sum() < 50
    pd.testing.assert_frame_equal(
        dataset.drop(columns=chosen), expected.drop(columns=chosen), check_categorical=False
    )
