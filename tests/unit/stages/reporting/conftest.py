"""Datasets that look like those of a run, and the files beside them."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from fanfold.model import Basis, Counts, Forecast, Manifest, Outcome, RunStatus
from fanfold.workspace.failure_groups import FailureGroups

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
FORECAST = Forecast(12_000, 61.0, Basis.QUOTA)

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
    """Return one row under the contract; followers are distributed as real ones are."""
    from fanfold.stages.processing.contract import SCHEMA, VERIFIED_TYPES
    from fanfold.stages.reporting.region_names import REGIONS

    created = AS_OF - timedelta(days=draw.uniform(1, 6000))
    age = (AS_OF - created).days
    followers = int(draw.lognormvariate(5, 2.5))
    statuses = int(draw.lognormvariate(4, 2))
    friends = draw.randint(0, 500)
    row = dict.fromkeys(SCHEMA.names) | {
        "source": "weibo",
        "user_id": str(1_000_000_000 + number),
        "screen_name": f"用户{number}",
        "name": draw.choice([None, f"名字{number}"]),
        "region": draw.choice([None, *REGIONS]),
        "gender": draw.choice("mfn"),
        "verified": draw.random() < 0.2,
        "verified_type": draw.choice([None, *VERIFIED_TYPES]),
        "followers_count": followers,
        "friends_count": friends,
        "statuses_count": statuses,
        "created_at": created,
        "last_status_at": draw.choice([None, AS_OF - timedelta(days=draw.uniform(-2, 900))]),
        "followers_to_friends": followers / friends if friends else None,
        "account_age_days": age,
        "statuses_per_day": statuses / max(age, 1),
        "as_of": AS_OF,
    }
    return row | changes


def users(count, seed=1, **changes):
    """Return ``count`` rows; ``changes`` apply to each."""
    draw = random.Random(seed)
    return [user(number, draw, **changes) for number in range(count)]


def manifest_of(rows, failures=(), **changes):
    """Return the manifest of a run with ``rows`` rows and these failures."""
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
    """The files of a run: its dataset and its failed items."""

    def __init__(self, folder):
        self.dataset = folder / "users.parquet"
        self.failures = folder / "failures.json"
        self.folder = folder / "report"
        self.manifest = None

    def write(self, rows, failures=(), row_group_size=None, **changes):
        """Write the files; ``changes`` go to the manifest."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        from fanfold.stages.processing.contract import SCHEMA

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
    """A run; the test writes its files."""
    return Run(tmp_path)


@pytest.fixture(scope="session")
def reported(tmp_path_factory, failures):
    """A run of 50 users with failures, and its report, drawn once."""
    run = Run(tmp_path_factory.mktemp("report"))
    run.write(users(50), failures, requests=12_345)
    return run, run.report(forecast=FORECAST)


def failure(key, status="failed", reason="Weibo 10001: the system is busy", **changes):
    """Return a line of ``failed.jsonl``."""
    return {
        "key": key,
        "status": status,
        "reason": reason,
        "attempts": 3,
        "at": "2026-03-01T00:00:30.000Z",
    } | changes


# Test modules cannot import a conftest: what they need of it are fixtures.
@pytest.fixture(scope="session", name="users")
def users_fixture():
    return users


@pytest.fixture(scope="session", name="user")
def user_fixture():
    return user


@pytest.fixture(scope="session", name="manifest_of")
def manifest_of_fixture():
    return manifest_of


@pytest.fixture(scope="session")
def failures():
    """Failures of each kind."""
    return [
        failure("17", "missing", "Weibo 20003: no such user"),
        failure("18", "missing", "Weibo 20003: no such user"),
        failure("x\u200by"),
        failure("<b>1</b>", "invalid", "", column="name", value="<i>", rule="a < b"),
    ]


@pytest.fixture(scope="session")
def hostile_names():
    """Names that may break a page, a chart or a parser."""
    return HOSTILE


@pytest.fixture(scope="session")
def as_of():
    """The logical date of the rows."""
    return AS_OF
