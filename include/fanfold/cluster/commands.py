"""The command line: ``python3 -m fanfold.cluster COMMAND``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.cluster import backups, environment, rolling, runs
from fanfold.cluster.compose import Compose
from fanfold.errors import BadConfiguration, FanfoldError

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).resolve().parents[3]
MOST_USERS = 10_000
"""The longest list that a DAG run takes as a Param."""
A_RUN = 3600.0
"""Seconds for a run of the sample."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line (None: the process's own).

    Raises:
        SystemExit: It is wrong (the message is on stderr) or asks for ``--help``.
    """
    parser = argparse.ArgumentParser(
        prog="python3 -m fanfold.cluster",
        description="The cluster of docker-compose.yaml: start, run, upgrade, back up, stop.",
    )
    parser.add_argument("--env-file", type=Path, default=FOLDER / ".env", help="secrets (.env)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="write .env where there is none, build, start, and wait")
    run = commands.add_parser("run", help="run the sample through it, and show what came out")
    run.add_argument("--users", type=_users, default=300, help="how many users (300)")
    scale = commands.add_parser("scale", help="run so many workers")
    scale.add_argument("workers", type=int)
    upgrade = commands.add_parser("upgrade", help="build this checkout, and put it under each part")
    upgrade.add_argument("version", help="what the new image is called, such as 0.1.1")
    for name, text in (("backup", "write a backup"), ("restore", "put a backup in place")):
        commands.add_parser(name, help=text).add_argument("folder", type=Path)
    commands.add_parser("down", help="stop it; its volumes stay")
    commands.add_parser("status", help="say what runs")
    commands.add_parser("logs", help="show what its containers say")
    return parser.parse_args(arguments)


def _users(text: str) -> int:
    try:
        users = int(text)
    except ValueError:
        users = 0
    if not 1 <= users <= MOST_USERS:
        raise argparse.ArgumentTypeError(f"USERS must be from 1 to {MOST_USERS}, not {text[:40]!r}")
    return users


def _build(compose: Compose) -> None:
    images = [rolling.INSTALLATION, *(["simulator"] if "tryout" in compose.profiles else [])]
    compose.run("build", *images, quiet=False)


def up(compose: Compose) -> int:
    """Build and start the cluster, and wait until every part of it is well.

    Raises:
        Refused: Compose refuses.
        SinkUnavailable: A part is not well in time; the message names it.
    """
    _build(compose)
    compose.run("up", "--detach", "--no-build", quiet=False)
    rolling.wait_until_well(compose)
    print(f"Airflow: {compose.variables['FANFOLD_URL']} (login admin; the password is")
    print(f"AIRFLOW_ADMIN_PASSWORD in {compose.env_file}). `make cluster-down` stops it.")
    return 0


def run(compose: Compose, users: int) -> int:
    """Run the sample; return 1 where it fails.

    Raises:
        Away: The API server does not answer.
    """
    api = runs.airflow(compose)
    run_id = runs.start(api, users)
    print(f"Triggered {runs.PIPELINE} for {users} users: {run_id}", flush=True)
    ended = runs.wait(api, run_id, patience=A_RUN)
    print(runs.summary(compose, api, ended))
    return int(ended["state"] != "success")


def upgrade(compose: Compose, version: str) -> int:
    """Build an image of this checkout under a new name, and roll it out.

    Raises:
        BadConfiguration: The name is that of the image that runs.
        Refused: Docker or Compose refuses.
        SinkUnavailable: A new container is not well in time.
    """
    if version == compose.variables.get("FANFOLD_VERSION", "0.1.0"):
        raise BadConfiguration(f"{version} runs already; give the new image another name.")
    new = Compose(compose.folder, compose.env_file, changed={"FANFOLD_VERSION": version})
    _build(new)
    rolling.upgrade(new, lambda step: print(step, flush=True))
    environment.change(compose.env_file, {"FANFOLD_VERSION": version})
    return 0


def status(compose: Compose) -> int:
    """List the containers; return 1 where one is not well."""
    found = compose.containers()
    for each in found:
        state = "done" if rolling.done(each) else f"{each.state} {each.health}".rstrip()
        print(f"{each.name:<40} {state}")
    return int(not found or any(not each.well and not rolling.done(each) for each in found))


def _call(given: argparse.Namespace, compose: Compose) -> int:
    match given.command:
        case "up":
            return up(compose)
        case "run":
            return run(compose, given.users)
        case "upgrade":
            return upgrade(compose, given.version)
        case "status":
            return status(compose)
        case "scale":
            rolling.scale(compose, "airflow-worker", given.workers)
        case "backup":
            for path in backups.back_up(compose, given.folder):
                print(f"{path} {path.stat().st_size:,} bytes")
        case "restore":
            backups.restore(compose, given.folder)
        case "logs":
            compose.run("logs", "--tail", "200", quiet=False)
        case _:
            compose.run("down", quiet=False)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    given = parse(arguments)
    try:
        if given.command == "up":
            environment.ensure(given.env_file)
        elif not given.env_file.exists():
            raise BadConfiguration(f"There is no {given.env_file}: start with `make cluster-up`.")
        return _call(given, Compose(FOLDER, given.env_file.absolute()))
    except FanfoldError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
