"""The command line: ``python -m fanfold.local run|up|down|status``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import TYPE_CHECKING

import psutil

from fanfold.errors import FanfoldError
from fanfold.local import launcher
from fanfold.local.home import Home
from fanfold.local.processes import end_with_parent
from fanfold.local.request import Request
from fanfold.local.settings import REPOSITORY
from fanfold.simulator.sample import USERS

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_USERS = 10_000_000
PIPELINE = "weibo_user_profiles"
"""The pipeline of ``make run`` without PIPELINE."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line (None: that of this process).

    Raises:
        SystemExit: It is invalid (the message is on stderr) or has ``--help``.
    """
    parser = argparse.ArgumentParser(
        prog="python -m fanfold.local",
        description="Fanfold on this machine: a simulator, an S3 server and Airflow.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a pipeline once and print a summary")
    run.add_argument("--pipeline", default=PIPELINE, help=f"its name ({PIPELINE})")
    items = run.add_mutually_exclusive_group()
    items.add_argument("--items", default="", help="list of keys, or path or URI of an items file")
    items.add_argument("--users", type=_users, help=f"number of simulated users ({USERS})")
    commands.add_parser("up", help="start a stack that keeps running")
    commands.add_parser("down", help="stop the stack")
    commands.add_parser("status", help="show what runs")
    return parser.parse_args(arguments)


def _users(text: str) -> int:
    try:
        users = int(text)
    except ValueError:
        users = 0
    if not 1 <= users <= MOST_USERS:
        raise argparse.ArgumentTypeError(f"USERS must be from 1 to {MOST_USERS}, not {text[:40]!r}")
    return users


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    given = parse(arguments)
    home = Home.default(REPOSITORY)
    if "make" in psutil.Process(os.getppid()).name():
        end_with_parent()  # a killed `make` stops its run; a shell may end before its command
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        home.check()
        if given.command == "run":
            return launcher.run(home, Request(given.pipeline, given.items, given.users))
        commands = {"up": launcher.up, "down": launcher.down, "status": launcher.status}
        return commands[given.command](home)
    except FanfoldError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.")
        return 130
