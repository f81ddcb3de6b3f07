"""The command line: ``python3 -m fanfold.cluster up|down|status|logs``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.cluster import environment
from fanfold.cluster.compose import Compose
from fanfold.errors import FanfoldError, SinkUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fanfold.cluster.compose import Container

FOLDER = Path(__file__).resolve().parents[3]
PATIENCE = 300.0
"""Seconds for a cluster to become healthy."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line (None: the process's own).

    Raises:
        SystemExit: It is wrong (the message is on stderr) or asks for ``--help``.
    """
    parser = argparse.ArgumentParser(prog="python3 -m fanfold.cluster", description=__doc__)
    parser.add_argument("--env-file", type=Path, default=FOLDER / ".env", help="secrets (.env)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="write .env where there is none, build, start, and wait")
    commands.add_parser("down", help="stop it; its volumes stay")
    commands.add_parser("status", help="say what runs")
    commands.add_parser("logs", help="show what its containers say")
    return parser.parse_args(arguments)


def up(compose: Compose) -> int:
    """Build and start the cluster, and wait until every part of it is well.

    Raises:
        SinkUnavailable: A part is not well in time; the message names it.
    """
    compose.run("build", "airflow-init", "simulator", quiet=False)
    compose.run("up", "--detach", quiet=False)
    until = time.monotonic() + PATIENCE
    while ill := [each for each in compose.containers() if not each.well and not _done(each)]:
        if time.monotonic() > until:
            named = ", ".join(f"{each.name} is {each.health or each.state}" for each in ill)
            raise SinkUnavailable(f"After {PATIENCE:g} s, {named}. See `make cluster-logs`.")
        time.sleep(1)
    print(f"Airflow: {compose.variables['FANFOLD_URL']} (login admin; {compose.env_file} holds")
    print("the password, AIRFLOW_ADMIN_PASSWORD). `make cluster-down` stops it.")
    return 0


def _done(container: Container) -> bool:
    """Whether it is the installation, which ends when it is done."""
    ended = container.state == "exited" and container.exit_code == 0
    return container.service == "airflow-init" and ended


def status(compose: Compose) -> int:
    """List the containers; return 1 where one is not well."""
    found = compose.containers()
    for each in found:
        print(f"{each.name:<40} {each.state} {each.health}")
    return int(not found or any(not each.well and not _done(each) for each in found))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    given = parse(arguments)
    try:
        if given.command == "up":
            environment.ensure(given.env_file)
        compose = Compose(FOLDER, given.env_file)
        match given.command:
            case "up":
                return up(compose)
            case "status":
                return status(compose)
            case "logs":
                compose.run("logs", "--tail", "200", quiet=False)
            case _:
                compose.run("down", quiet=False)
    except FanfoldError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
