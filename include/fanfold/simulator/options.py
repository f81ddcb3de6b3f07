"""The command line of the simulator."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.errors import BadInput
from fanfold.simulator import faults
from fanfold.simulator.settings import CHECKS, DEFAULT_TOKEN, HELP, Settings, changed

if TYPE_CHECKING:
    from collections.abc import Sequence

_OPTIONS = {name: text for name, text in HELP.items() if text}


@dataclass(frozen=True, slots=True)
class Options:
    """The parsed command line."""

    host: str
    port: int
    until_stdin_closes: bool
    settings: Settings


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parse a command line (default: ``sys.argv``).

    Raises:
        SystemExit: An option is invalid, or ``--help``.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    changes = {name: value for name in _OPTIONS if (value := getattr(given, name)) is not None}
    try:
        changes["token"] = _token(given.token, given.token_file)
        changes["error_rate"] = {name: _share(value) for name, value in _pairs(given.fault)}
        changes["uids"] = dict(_pairs(given.uid_fault))
        changes["paths"] = dict(_pairs(given.path_fault))
        settings = changed(Settings(), changes, faults.known)
    except BadInput as error:
        parser.error(str(error))
    return Options(given.host, given.port, given.until_stdin_closes, settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fanfold.simulator",
        usage="%(prog)s [options]",  # all of them would hide the error behind them
        description="Simulate the Weibo and Mastodon APIs, with faults on request.",
        epilog=f"Faults: {', '.join(faults.KINDS)}, or a Weibo error code.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    add("--port", type=int, default=0, help="port to listen on (0: any free port)")
    add("--until-stdin-closes", action="store_true", help="stop when stdin closes")
    add("--token", help=f"valid access token ({DEFAULT_TOKEN})")
    add("--token-file", type=Path, help="read the token from this file")
    rate = "share of the requests with a fault, such as http_500=0.05"
    add("--fault", action="append", default=[], metavar="FAULT=SHARE", help=rate)
    add("--uid-fault", action="append", default=[], metavar="UID=FAULT", help="fault for one uid")
    add(
        "--path-fault", action="append", default=[], metavar="PATH=FAULT", help="fault for one path"
    )
    for name, text in _OPTIONS.items():
        parse_value = CHECKS[name].parse
        metavar = {"functions": "FOLDER", "redirect_to": "URL"}.get(name, "N")
        add(f"--{name.replace('_', '-')}", type=parse_value, metavar=metavar, help=text)
    return parser


def _token(token: str | None, path: Path | None) -> str:
    if path is None:
        return DEFAULT_TOKEN if token is None else token
    if token is not None:
        raise BadInput("Use --token or --token-file, not both")
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"Cannot read --token-file {path}: {error}") from error


def _pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
    for text in texts:
        if "=" not in text:
            raise BadInput(f"{text!r} must have the form NAME=VALUE")
    return [(name, value) for name, _, value in (text.rpartition("=") for text in texts)]


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise BadInput(f"{text!r} must be a share from 0 to 1") from error
