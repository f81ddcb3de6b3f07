"""The command line of the simulator."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.errors import BadInput
from fanfold.simulator import faults
from fanfold.simulator.settings import DEFAULT_TOKEN, Settings, changed

if TYPE_CHECKING:
    from collections.abc import Sequence

_SINGLE: dict[str, tuple[type, str]] = {
    "latency_ms": (float, "milliseconds that every answer waits"),
    "jitter_ms": (float, "further milliseconds, from 0 to this, by item"),
    "quota_per_second": (int, "requests per second; more are refused"),
    "quota_per_hour": (int, "requests per window; more are refused"),
    "quota_window_s": (float, "seconds of the window (3600)"),
    "quota_code": (int, "Weibo's error for a spent window: 10022, 10023 or 10024 (10023)"),
    "first_attempts": (int, "faults only on the first N requests for an item"),
    "seed": (int, "chooses which requests get which fault (0)"),
    "day": (int, "days for which the simulated world has gone on (0)"),
    "retry_after_s": (int, "seconds in Retry-After (1)"),
    "slow_s": (float, "seconds that the fault slow takes (5)"),
    "huge_bytes": (int, "bytes of the fault huge (64 MiB)"),
    "bomb_bytes": (int, "bytes that the faults gzip_bomb and gzip_nested inflate to (1 GiB)"),
    "trickle_s": (float, "seconds between the bytes of trickle and trickle_head (1)"),
    "redirect_to": (str, "address that the fault redirect points to"),
    "token_expires_after": (int, "requests after which the token is expired"),
}


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    host: str
    port: int
    port_file: Path | None
    until_stdin_closes: bool
    settings: Settings


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parse a command line (None: the process's own).

    Raises:
        SystemExit: It is wrong (the message is on stderr) or asks for ``--help``.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    changes = {name: value for name in _SINGLE if (value := getattr(given, name)) is not None}
    try:
        changes["token"] = _token(given.token, given.token_file)
        changes["error_rate"] = {name: _share(value) for name, value in _pairs(given.fault)}
        changes["uids"] = dict(_pairs(given.uid_fault))
        changes["paths"] = dict(_pairs(given.path_fault))
        settings = changed(Settings(), changes, faults.known)
    except BadInput as error:
        parser.error(str(error))
    return Options(given.host, given.port, given.port_file, given.until_stdin_closes, settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fanfold.simulator",
        description="A server that speaks the Weibo and the Mastodon API, with faults on request.",
        epilog=f"Faults: {', '.join(faults.KINDS)}, or the number of a Weibo error.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    add("--port", type=int, default=0, help="port to listen on (0: a free one)")
    add("--port-file", type=Path, help="write the port into this file when listening")
    add("--until-stdin-closes", action="store_true", help="end when stdin is closed")
    add("--token", help=f"the access token that is right ({DEFAULT_TOKEN})")
    add("--token-file", type=Path, help="read the token from this file")
    rate = "answer this share of the requests with a fault, such as http_500=0.05"
    add("--fault", action="append", default=[], metavar="FAULT=SHARE", help=rate)
    add("--uid-fault", action="append", default=[], metavar="UID=FAULT", help="a fault for one uid")
    add("--path-fault", action="append", default=[], metavar="PATH=FAULT", help="one for a path")
    for name, (kind, text) in _SINGLE.items():
        metavar = "URL" if kind is str else "N"
        add(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=text)
    return parser


def _token(token: str | None, path: Path | None) -> str:
    if path is None:
        return DEFAULT_TOKEN if token is None else token
    if token is not None:
        raise BadInput("Give --token or --token-file, not both")
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"--token-file {path} cannot be read: {error}") from error


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
