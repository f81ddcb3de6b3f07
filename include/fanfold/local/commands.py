"""The command line: ``python -m fanfold.local run|up|down|status|airflow|doctor``, for the Makefile."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import psutil

from fanfold.errors import BadInput, FanfoldError
from fanfold.local import launcher
from fanfold.local.home import Home
from fanfold.local.processes import end_with_parent
from fanfold.local.progress import Screen
from fanfold.local.request import Request
from fanfold.local.settings import LAST_PORT, REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_USERS = 10_000_000
FIRST_FREE = 1024
"""Only root may listen on the ports below."""
PIPELINE = "weibo_user_profiles"
"""The pipeline of ``make run`` without PIPELINE."""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line in a sentence, without the usage of this program, which make calls."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(message)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line (None: that of this process).

    Raises:
        BadInput: It is invalid.
        SystemExit: It has ``--help``.
    """
    parser = _Parser(
        prog="python -m fanfold.local",
        description="Fanfold on this machine: a simulator, an S3 server and Airflow.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a pipeline once and print a summary")
    run.add_argument("--pipeline", default=PIPELINE, help=f"its name ({PIPELINE})")
    run.add_argument("--items", default="", help="list of keys, or path or URI of an items file")
    run.add_argument("--users", help="number of simulated users, instead of items")
    up = commands.add_parser("up", help="start a stack that keeps running")
    for each in (run, up):
        each.add_argument("--port", help="port of Airflow, if it is not running")
    commands.add_parser("down", help="stop the stack")
    commands.add_parser("status", help="show what runs")
    airflow = commands.add_parser("airflow", help="run a command of Airflow on the stack")
    airflow.add_argument("--arguments", default="", help="its arguments, quoted as in a shell")
    commands.add_parser("doctor", help="check the stack, and the machine that it runs on")
    given = parser.parse_args(arguments)
    if "port" in given:
        given.port = _number("PORT", given.port, FIRST_FREE, LAST_PORT)
    if given.command == "run":
        given.users = _number("USERS", given.users, 1, MOST_USERS)
        if given.users and given.items:
            raise BadInput("Set ITEMS or USERS, not both.")
    return given


def _number(name: str, text: str | None, least: int, most: int) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and least <= int(text[:20]) <= most):
        raise BadInput(f"{name} must be from {least} to {most}, not {text[:40]!r}.")
    return int(text)


def _words(text: str) -> list[str]:
    if not text.strip():
        raise BadInput('Set ARGS, such as `make airflow ARGS="dags list"`.')
    try:
        return shlex.split(text)
    except ValueError as error:
        raise BadInput(f"ARGS={text}: {error}.") from error


def _interrupt(*_: object) -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # the way out must not be interrupted
    raise KeyboardInterrupt


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0 if it succeeded and 1 if not."""
    if "make" in psutil.Process(os.getppid()).name():
        end_with_parent()  # a killed `make` stops its run; a shell may end before its command
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    try:
        given = parse(arguments)
        home = Home.default(REPOSITORY)
        home.check()
        if given.command == "airflow":
            return launcher.airflow(home, _words(given.arguments))
        if given.command == "doctor":
            return launcher.airflow(home, (), module="fanfold.airflow.doctor")
        with Screen() as screen:
            return _run(given, home, screen)
    except FanfoldError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.")
        return 1


def _run(given: argparse.Namespace, home: Home, screen: Screen) -> int:
    match given.command:
        case "run":
            request = Request(given.pipeline, given.items, given.users)
            return launcher.run(home, request, screen, port=given.port)
        case "up":
            return launcher.up(home, screen, port=given.port)
        case "down":
            return launcher.down(home, screen)
        case _:
            return launcher.status(home, screen)
