"""Datasets of users that look like those of a run, and the files beside them."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fanfold.model import Counts, Manifest, Outcome, RunStatus
from fanfold.stages.processing.contract import SCHEMA, VERIFIED_TYPES
from fanfold.stages.reporting.region_names import REGIONS
from fanfold.workspace.failure_groups import FailureGroups

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)

HOSTILE = (
    "<script>alert(1)</script>",
    "$x^2$ and $\\frac{1}{0$",
    "مرحبا بالعالم",
    "\u202eevil\u202c name",
    "nul\x00bell\x07tab\tline\nend",
    "\u200b\u200b\u200d",
    "小明🎉的微博",
    "长" * 10_000,
    "a" * 10_000,
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }} {% raw %}",
    "]]> & &amp; <!-- -->",
    "e" + "\u0301" * 500,
    "\ufffe\uffff\ue000",
    "👨\u200d👩\u200d👧",
    "ไทย हिन्दी 한국어",
)


def user(number, draw, **changes):
    """Return one row under the contract, as people are: most have few followers."""
    created = AS_OF - timedelta(days=draw.uniform(1, 6000))
    age = (AS_OF - created).days
    followers = int(draw.lognormvariate(5, 2.5))
    statuses = int(draw.lognormvariate(4, 2))
    friends = draw.randint(0, 500)
    row = {
        "source": "weibo",
        "user_id": str(1_000_000_000 + number),
        "screen_name": f"用户{number}",
        "name": draw.choice([None, f"名字{number}"]),
        "description": None,
        "location": None,
        "region": draw.choice([None, *REGIONS]),
        "gender": draw.choice("mfn"),
        "url": None,
        "profile_url": None,
        "avatar_url": None,
        "verified": draw.random() < 0.2,
        "verified_type": draw.choice([None, *VERIFIED_TYPES]),
        "verified_reason": None,
        "followers_count": followers,
        "friends_count": friends,
        "statuses_count": statuses,
        "favourites_count": None,
        "mutual_followers_count": None,
        "created_at": created,
        "last_status_at": draw.choice([None, AS_OF - timedelta(days=draw.uniform(-2, 900))]),
        "followers_to_friends": followers / friends if friends else None,
        "account_age_days": age,
        "statuses_per_day": statuses / max(age, 1),
        "as_of": AS_OF,
    }
    return row | changes


def users(count, seed=1, **changes):
    """Return as many rows; ``changes`` hold in each."""
    draw = random.Random(seed)
    return [user(number, draw, **changes) for number in range(count)]


def manifest_of(rows, failures=(), **changes):
    """Return the manifest of a run with as many rows and these failures."""
    tally = {
        status: sum(failure["status"] == status for failure in failures)
        for status in ("missing", "invalid", "failed")
    }
    planned = rows + len(failures)
    return Manifest(
        **{
            "dag_id": "weibo_user_profiles",
            "run_id": "manual__2026-03-01T00:00:00+00:00",
            "logical_date": "2026-03-01T00:00:00.000Z",
            "status": RunStatus.PARTIAL if failures else RunStatus.COMPLETE,
            "counts": Counts(planned=planned, ok=rows, **tally),
            "files": (),
            "requests": planned,
            "started_at": "2026-03-01T00:00:01.000Z",
            "finished_at": "2026-03-01T00:01:31.500Z",
            **changes,
        }
    )


class Run:
    """The files of a run: a dataset and what is not in it."""

    def __init__(self, folder):
        self.dataset = folder / "users.parquet"
        self.failures = folder / "failures.json"
        self.folder = folder / "report"
        self.manifest = None

    def write(self, rows, failures=(), row_group_size=None, **changes):
        """Write the files; ``changes`` go to the manifest."""
        pq.write_table(
            pa.Table.from_pylist(list(rows), SCHEMA), self.dataset, row_group_size=row_group_size
        )
        groups = FailureGroups()
        for failure in failures:
            groups.add(Outcome.from_json(failure))
        self.failures.write_text(json.dumps([group.as_json() for group in groups.groups()]))
        self.manifest = manifest_of(len(rows), failures, **changes)
        return self

    def report(self, **options):
        """Write the report."""
        from fanfold.stages.reporting import write_report

        return write_report(self.dataset, self.failures, self.manifest, self.folder, **options)


@pytest.fixture
def run(tmp_path):
    """A run whose files are to be written."""
    return Run(tmp_path)


def failure(key, status="failed", reason="Weibo 10001: the system is busy", **changes):
    """Return a line of ``failed.jsonl``."""
    return {
        "key": key,
        "status": status,
        "reason": reason,
        "attempts": 3,
        "at": "2026-03-01T00:00:30.000Z",
    } | changes


# Test modules cannot import this one: what they need of it are fixtures.
@pytest.fixture(scope="session", name="users")
def users_fixture():
    """``users(count, **changes)``: as many rows."""
    return users


@pytest.fixture(scope="session", name="user")
def user_fixture():
    """``user(number, draw, **changes)``: one row."""
    return user


@pytest.fixture(scope="session", name="failure")
def failure_fixture():
    """``failure(key, ...)``: a line of ``failed.jsonl``."""
    return failure


@pytest.fixture(scope="session", name="failures")
def failures_fixture():
    """Some failures of each kind."""
    return [
        failure("17", "missing", "Weibo 20003: no such user"),
        failure("18", "missing", "Weibo 20003: no such user"),
        failure("x\u200by"),
        failure("<b>1</b>", "invalid", "", column="name", value="<i>", rule="a < b"),
    ]


@pytest.fixture(scope="session", name="manifest_of")
def manifest_of_fixture():
    """``manifest_of(rows, failures, **changes)``: a manifest."""
    return manifest_of


@pytest.fixture(params=range(len(HOSTILE)), ids=[repr(name[:20]) for name in HOSTILE])
def hostile_name(request):
    """A name that may break what shows it."""
    return HOSTILE[request.param]


@pytest.fixture(scope="session")
def hostile_names():
    """All of these names."""
    return HOSTILE


@pytest.fixture(scope="session")
def as_of():
    """The logical date of the rows."""
    return AS_OF
