"""The command line: ``python3 -m fanfold.cluster COMMAND``."""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.cluster import backups, environment, rolling, runs
from fanfold.cluster.compose import CommandFailed, Compose, docker, require_compose
from fanfold.errors import BadConfiguration, BadInput, FanfoldError
from fanfold.simulator.sample import SAMPLES, USERS

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).resolve().parents[3]
ENV_FILE = FOLDER / ".env"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line (None: that of the process).

    Raises:
        SystemExit: It is invalid (the message is on stderr) or asks for ``--help``.
    """
    parser = argparse.ArgumentParser(
        prog="python3 -m fanfold.cluster", description="The cluster of docker-compose.yaml."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="create .env if missing, build the images, start, wait")
    run = commands.add_parser("run", help="run a pipeline and show its result")
    run.add_argument("--pipeline", default="weibo_user_profiles", help="its name (%(default)s)")
    run.add_argument("--users", type=_users, help=f"number of simulated users ({USERS})")
    scale = commands.add_parser("scale", help="set the number of workers")
    scale.add_argument("workers", type=int)
    upgrade = commands.add_parser("upgrade", help="build this checkout and roll it out")
    upgrade.add_argument("version", help="tag of the new image, such as 0.1.1")
    for name, text in (("backup", "write a backup"), ("restore", "restore a backup")):
        commands.add_parser(name, help=text).add_argument("folder", type=Path)
    commands.add_parser("status", help="list the containers; exits with 1 if one is not healthy")
    commands.add_parser("doctor", help="check the installation, and each worker")
    return parser.parse_args(arguments)


def _users(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= runs.MAX_USERS:
        raise argparse.ArgumentTypeError(f"must be from 1 to {runs.MAX_USERS}, not {text[:40]!r}")
    return int(text)


def up(compose: Compose) -> int:
    """Build the images, start the cluster and wait until all its containers are healthy.

    Raises:
        CommandFailed: A build failed, or a container is not healthy in time.
    """
    compose.run("build", stdout=None)
    rolling.start(compose)
    print(f"Airflow: {compose.variables['FANFOLD_URL']} (login admin; the password is")
    print(f"AIRFLOW_ADMIN_PASSWORD in {compose.env_file}). `make cluster-down` stops it.")
    return 0


def run(compose: Compose, pipeline: str, users: int | None) -> int:
    """Run a pipeline; return 1 if it fails.

    The items are simulated users, or the default list of the DAG if its API is not simulated.

    Raises:
        BadInput: The pipeline has no simulated users.
        CommandFailed: Airflow is not running.
        Inconsistent: The run takes longer than an hour.
    """
    if users and pipeline not in SAMPLES:
        raise BadInput(f"There are simulated users only for {' and '.join(SAMPLES)}.")
    conf: dict[str, Any] = {}
    if users is None and pipeline in SAMPLES and _is_tryout(compose):
        users = USERS
        conf["update_latest"] = "yes"  # the sample is what a new installation shows
    if users:
        conf["user_ids"] = SAMPLES[pipeline].users(users)
    run_id = runs.start(compose, pipeline, conf)
    print(f"Triggered {pipeline}: {run_id}", flush=True)
    ended = runs.wait(compose, pipeline, run_id, timeout=3600)
    print(runs.summary(compose, pipeline, ended))
    return int(ended["state"] != "success")


def _is_tryout(compose: Compose) -> bool:
    return "tryout" in compose.variables.get("COMPOSE_PROFILES", "").split(",")


def upgrade(compose: Compose, version: str) -> int:
    """Build an image of this checkout under a new tag and roll it out.

    Raises:
        BadConfiguration: The tag is the one that is running.
        CommandFailed: The build failed, or a new container is not healthy in time.
    """
    if version == compose.variables.get("FANFOLD_VERSION", "0.1.0"):
        raise BadConfiguration(f"{version} is already running; give the new image another tag.")
    new = Compose(compose.folder, compose.env_file, {"FANFOLD_VERSION": version})
    new.run("build", stdout=None)
    rolling.upgrade(new, lambda step: print(step, flush=True))
    environment.change(compose.env_file, {"FANFOLD_VERSION": version})
    return 0


def status(compose: Compose) -> int:
    """List the containers; return 1 if there is none or one is not healthy."""
    found = compose.containers()
    for each in found:
        print(f"{each['Name']:<40} {each['Status']}")
    return int(not found or not all(map(rolling.is_healthy, found)))


def doctor(compose: Compose) -> int:
    """Check the installation in the scheduler's container, and each worker; return 1 if a check failed."""
    mark = secrets.token_hex(8)
    folder = "$FANFOLD_SHARED_DIR/.doctor-" + mark
    command = ("python", "-m", "fanfold.airflow.doctor", "--mark", mark)
    workers = [each["Name"] for each in compose.containers("airflow-worker")]
    failed = 0
    compose.execute("airflow-scheduler", "sh", "-c", f'touch "{folder}"')
    try:
        for name, ends in (("the installation", ()), *((name, ("--worker",)) for name in workers)):
            print(f"\n{name}", flush=True)
            try:
                if ends:
                    docker("exec", name, *command, *ends, stdout=None)
                else:
                    compose.run("exec", "--no-TTY", "airflow-scheduler", *command, stdout=None)
            except CommandFailed:
                failed = 1
    finally:
        compose.execute("airflow-scheduler", "sh", "-c", f'rm -f "{folder}"')
    return failed


def _call(given: argparse.Namespace, compose: Compose) -> int:
    match given.command:
        case "up":
            return up(compose)
        case "run":
            return run(compose, given.pipeline, given.users)
        case "upgrade":
            return upgrade(compose, given.version)
        case "status":
            return status(compose)
        case "doctor":
            return doctor(compose)
        case "scale":
            rolling.scale(compose, "airflow-worker", given.workers)
        case "backup":
            for path in backups.back_up(compose, given.folder):
                print(f"{path} {path.stat().st_size:,} bytes")
        case _:
            backups.restore(compose, given.folder)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    given = parse(arguments)
    try:
        require_compose()
        if given.command == "up":
            environment.ensure(ENV_FILE)
        elif not ENV_FILE.exists():
            raise BadConfiguration(f"{ENV_FILE} is missing: run `make cluster-up` first.")
        return _call(given, Compose(FOLDER, ENV_FILE))
    except FanfoldError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
