"""A stage is killed at each kill point and run again.

There are two days of the same list: the first is published and loaded, the second is killed. A
reader of ``latest.json`` always sees a whole run of one of them, and the results are those of an
undisturbed run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
from contextlib import closing
from functools import cache

import pytest

from fanfold.model import Plan, Status
from fanfold.simulator.process import running
from fanfold.workspace.files import read_json
from fanfold.workspace.paths import Workspace

STAGES = ("fetch", "process", "consolidate", "publish", "load")
SHORT = {"fetch": 4, "process": 2, "consolidate": 3, "publish": 3, "load": 3}
"""Kills of each stage in `make test`."""
KNOWN = [str(1404376560 + number) for number in range(14)]
USERS = [*KNOWN, "7", "8"]  # the last two do not exist
BROKEN = {KNOWN[3]: "http_500", KNOWN[9]: "http_500", KNOWN[12]: "invalid_text"}
FIRST_DAY = "2026-03-01T02:00:00+00:00"
SECOND_DAY = "2026-03-02T02:00:00+00:00"
RUN_OF = {day: f"scheduled__{day}" for day in (FIRST_DAY, SECOND_DAY)}
VARYING = {"loaded_at", "started_at", "finished_at", "requests"}
"""Columns of the warehouse that depend on when and how a run was done."""


@pytest.fixture(scope="module")
def simulator():
    with running() as server:
        server.control(uids=BROKEN)
        yield server


class World:
    """The folder, the bucket and the database of some runs; it can be copied."""

    def __init__(self, folder, s3, bucket, database):
        self.folder = folder
        self.s3 = s3
        self.bucket = bucket
        self.database = database
        s3.create_bucket(Bucket=bucket)

    def given(self, simulator, day, server):
        """Return the request for the stages of a day."""
        return {
            "workspace": str(self.folder / day[:10]),
            "run": RUN_OF[day],
            "date": day,
            "users": USERS,
            "batch_size": 8,
            "source": simulator.url,
            "token": simulator.token,
            "s3": {
                "url": server.url,
                "bucket": self.bucket,
                "access_key": server.access_key,
                "secret_key": server.secret_key,
            },
            "database": self.database.address,
        }

    def objects(self):
        """Return the bytes of every object by its key."""
        listed = self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {entry["Key"]: self.get(entry["Key"]) for entry in listed}

    def get(self, key):
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def copy(self, folder, bucket):
        """Return a copy in another folder, bucket and database."""
        shutil.copytree(self.folder, folder)
        copied = World(folder, self.s3, bucket, self.database.copy(bucket))
        for entry in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", []):
            source = {"Bucket": self.bucket, "Key": entry["Key"]}
            self.s3.copy_object(Bucket=bucket, Key=entry["Key"], CopySource=source)
        return copied

    def remove(self):
        shutil.rmtree(self.folder)
        self.database.remove()

    def latest(self):
        """Return the run that ``latest.json`` points to, after a check of all its objects."""
        latest = json.loads(self.get("users/latest.json"))
        document = self.get(latest["manifest"])
        assert hashlib.sha256(document).hexdigest() == latest["sha256"]
        manifest = json.loads(document)
        for entry in manifest["files"]:
            body = self.get(latest["prefix"] + entry["key"])
            assert len(body) == entry["bytes"], entry
            assert hashlib.sha256(body).hexdigest() == entry["sha256"], entry
        return manifest["run_id"]

    def result(self, day):
        """Return the results of a run, without times."""
        workspace = Workspace(self.folder / day[:10])
        manifest = read_json(workspace.manifest)
        files = {entry["key"]: entry for entry in manifest["files"]}
        published = self.objects()
        prefix = next(
            key.rpartition("/")[0] + "/" for key in published if f"date={day[:10]}" in key
        )
        for name, entry in files.items():
            body = published[prefix + name]
            assert hashlib.sha256(body).hexdigest() == entry["sha256"]
        # A second task fetches failed items again: more attempts, at another time.
        drop = {"at", "attempts"}
        failed = [
            {name: value for name, value in json.loads(line).items() if name not in drop}
            for list_ in ("failed.jsonl", "missing.jsonl")
            for line in (workspace.dataset / list_).read_text("utf-8").splitlines()
        ]
        return {
            "latest": self.latest(),
            "keys": sorted(published),
            "counts": manifest["counts"],
            # Dataset and folds, byte for byte.
            "files": {name: each["sha256"] for name, each in files.items() if each["table"]},
            "failed": failed,
            "rejected": (workspace.dataset / "rejected.jsonl").read_text("utf-8"),
            "warehouse": self.database.tables(),
        }


class SqliteFile:
    """A warehouse in a file."""

    def __init__(self, path):
        self.path = path
        self.address = str(path)

    def copy(self, name):
        path = self.path.with_name(f"{name}.db")
        with closing(sqlite3.connect(self.path)) as old, closing(sqlite3.connect(path)) as new:
            old.backup(new)
        return SqliteFile(path)

    def remove(self):
        self.path.unlink()

    def tables(self):
        with closing(sqlite3.connect(self.path)) as connection:
            return read_tables(connection.execute)


class PostgresDatabase:
    """A warehouse in a database of a server."""

    def __init__(self, server, name):
        self.server = server
        self.name = name
        self.address = server.parameters(name)

    def _administer(self, statement):
        import psycopg

        with psycopg.connect(**self.server.parameters(), autocommit=True) as connection:
            connection.execute(statement)

    def create(self):
        self._administer(f'CREATE DATABASE "{self.name}"')
        return self

    def copy(self, name):
        self._administer(f'CREATE DATABASE "{name}" TEMPLATE "{self.name}"')
        return PostgresDatabase(self.server, name)

    def remove(self):
        self._administer(f'DROP DATABASE "{self.name}" WITH (FORCE)')

    def tables(self):
        import psycopg

        with psycopg.connect(**self.address) as connection:
            return read_tables(connection.execute)


def read_tables(execute):
    """Return the rows of all tables, without times, ordered by key."""
    found = {}
    for table in ("user_profiles", "users_by_gender", "fanfold_runs"):
        cursor = execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3")
        names = [column[0] for column in cursor.description]
        found[table] = [
            {name: value for name, value in zip(names, row, strict=True) if name not in VARYING}
            for row in cursor.fetchall()
        ]
    return found


class Undisturbed:
    """The second day without a kill: the world before each stage, its kill points, the results."""

    def __init__(self, world, given, run_stages):
        self.given = given
        self.before = {}
        self.points = {}
        self._copies = 0
        for number, stage in enumerate(STAGES):
            copied = world.copy(world.folder.with_name(f"{number}"), f"{world.bucket}-{number}")
            self.before[stage] = copied
            said = run_stages(given(world, SECOND_DAY), stage, count=True)
            assert "error" not in said, said["trace"]
            self.points[stage] = said["points"]
        self.result = world.result(SECOND_DAY)

    def again(self, stage):
        """Return a new copy of the world before a stage."""
        self._copies += 1
        before = self.before[stage]
        name = f"{before.bucket}-{self._copies}"
        return before.copy(before.folder.with_name(name), name)


@pytest.fixture(scope="module")
def given(simulator, s3_server):
    """A function that returns the request for the stages of a day in a world."""
    return lambda world, day: world.given(simulator, day, s3_server)


@pytest.fixture(scope="module")
def undisturbed(request, tmp_path_factory, s3_client, given, run_stages):
    """A function that runs both days without a kill, with a warehouse of the given kind."""

    @cache
    def days(kind):
        folder = tmp_path_factory.mktemp("worlds")
        name = f"chaos-{kind}-{os.getpid()}"
        if kind == "sqlite":
            database = SqliteFile(folder / "warehouse.db")
        else:
            database = PostgresDatabase(request.getfixturevalue("postgres_server"), name).create()
        (folder / "start").mkdir()
        world = World(folder / "start", s3_client, name, database)
        said = run_stages(given(world, FIRST_DAY), "plan", *STAGES)
        assert "error" not in said, said["trace"]
        run_stages(given(world, SECOND_DAY), "plan")
        return Undisturbed(world, given, run_stages)

    return days


def kept_users(world):
    """Return the users with a kept answer on the second day."""
    workspace = Workspace(world.folder / SECOND_DAY[:10])
    plan = Plan.from_json(read_json(workspace.plan))
    return {
        key
        for batch in range(plan.batches)
        for key, outcome in workspace.batch(batch).outcomes().items()
        if outcome.status in {Status.OK, Status.MISSING}
    }


def requests_by_user(simulator):
    """Return the number of requests for each user so far."""
    return simulator.stats(all_uids=True)["uids"]


def not_requested_again(kept, asked, simulator):
    """Whether no user with a kept answer was requested since."""
    now = requests_by_user(simulator)
    return not [user for user in kept if now[user] != asked[user]]


@pytest.mark.parametrize(
    ("stage", "database"),
    # Only load uses the database.
    [*((stage, "sqlite") for stage in STAGES), ("load", "postgres")],
)
def test_a_stage_that_is_killed_anywhere_has_the_results_of_an_undisturbed_one(
    stage, database, undisturbed, given, run_stages, simulator, kills, chance, long_form
):
    whole = undisturbed(database)
    points = range(1, whole.points[stage] + 1)
    kind = f"task process in {stage}{' (Postgres)' if database == 'postgres' else ''}"
    later = STAGES[STAGES.index(stage) + 1 :]
    for number in points if long_form else sorted(chance.sample(points, SHORT[stage])):
        world = whole.again(stage)
        task = given(world, SECOND_DAY)
        where = ""
        # A third of them are killed twice, also during the repetition.
        for kill_at in (number, *chance.choice([[], [], [chance.choice(points)]])):
            kept, asked = kept_users(world), requests_by_user(simulator)
            said = run_stages(task, stage, kill_at=kill_at)
            assert "error" not in said, said["trace"]
            assert not_requested_again(kept, asked, simulator), where
            # The second attempt keeps the work of the first: it has fewer kill points.
            if said["signal"]:
                assert said["signal"] == signal.SIGKILL
                kills.kill(kind)
                where += f"killed at kill point {kill_at} of {points[-1]}, {said['point']}; "
                assert world.latest() in {RUN_OF[FIRST_DAY], RUN_OF[SECOND_DAY]}, where
        kept, asked = kept_users(world), requests_by_user(simulator)
        said = run_stages(task, stage, *later)
        assert "error" not in said, f"{where}: {said['trace']}"
        kills.recover(kind, said["seconds"][stage], where.count(";"))
        assert not_requested_again(kept, asked, simulator), where
        assert world.result(SECOND_DAY) == whole.result, where
        world.remove()
