"""Settings of the simulator, for the command line and the control endpoint."""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.errors import BadInput
from fanfold.simulator.people import POSTS_UNTIL, Age

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"
"""The sample functions, ``include/functions``."""
DEFAULT_TOKEN = "simulator-token"  # noqa: S105 - public on purpose, it protects nothing


@dataclass(frozen=True, slots=True)
class Check:
    """A check of a setting, the description of valid values, and the command line type."""

    expected: str
    accepts: Callable[[Any], bool]
    parse: Callable[[str], Any] = str


def _is_integer(value: object, maximum: float = 2**53 - 1) -> bool:
    return type(value) is int and 0 <= value <= maximum


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9


def _is_rates(value: object) -> bool:
    return (
        isinstance(value, dict)
        and all(map(_is_number, value.values()))
        and sum(value.values()) <= 1
    )


def _is_names(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


_LAST_DAY = 36_500
_CHINA_S = 8 * 3600
_INTEGER = Check("an integer from 0", _is_integer, int)
_OPTIONAL = Check("an integer from 0, or null", lambda v: v is None or _is_integer(v), int)
_NUMBER = Check("a number from 0", _is_number, float)
_DAY = Check(f"an integer from 0 to {_LAST_DAY}", lambda v: _is_integer(v, _LAST_DAY), int)
_MEMORY = Check("an integer from 128 to 10240", lambda v: _is_integer(v, 10_240) and v >= 128, int)
_WINDOW = Check("a number above 0", lambda v: _is_number(v) and v > 0, float)
_QUOTA_CODE = Check("10022, 10023 or 10024", lambda v: v in (10022, 10023, 10024), int)
_TOKEN = Check("a text that is not empty", lambda v: isinstance(v, str) and bool(v))
_FOLDER = Check("a folder", lambda v: isinstance(v, str) and Path(v).is_dir())
_URL = Check(
    "an http or https URL without a path",
    lambda v: isinstance(v, str) and re.fullmatch(r"https?://[\w.:\[\]-]+", v) is not None,
)
_RATES = Check("an object of rates by fault, together at most 1", _is_rates)
_BY_UID = Check("an object of faults by uid", _is_names)
_BY_PATH = Check("an object of faults by path", _is_names)


def _setting(default: Any, check: Check, text: str = "") -> Any:
    """Declare a setting; one with a help text is also a command line option."""
    metadata = {"check": check, "help": text}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a simulator; see ``docs/simulator.md``."""

    token: str = _setting(DEFAULT_TOKEN, _TOKEN)
    token_expires_after: int | None = _setting(
        None, _OPTIONAL, "requests after which the token expires"
    )
    latency_ms: float = _setting(0, _NUMBER, "latency of every response in milliseconds")
    jitter_ms: float = _setting(0, _NUMBER, "maximum additional latency, by item")
    quota_per_second: int | None = _setting(None, _OPTIONAL, "maximum requests per second")
    quota_per_hour: int | None = _setting(None, _OPTIONAL, "maximum requests per window")
    quota_window_s: float = _setting(3600, _WINDOW, "length of the window in seconds (3600)")
    quota_code: int = _setting(
        10023, _QUOTA_CODE, "Weibo error for a spent window: 10022, 10023 or 10024 (10023)"
    )
    error_rate: Mapping[str, float] = _setting({}, _RATES)
    uids: Mapping[str, str] = _setting({}, _BY_UID)
    paths: Mapping[str, str] = _setting({}, _BY_PATH)
    first_attempts: int | None = _setting(
        None, _OPTIONAL, "faults only on the first N requests for an item"
    )
    seed: int = _setting(0, _INTEGER, "random seed of the faults (0)")
    day: int = _setting(0, _DAY, "age of the simulated data in days (0)")
    hours: int | None = _setting(
        None, _OPTIONAL, "hours ahead of the clock; with it, also profiles follow the clock"
    )
    now: int | None = _setting(None, _OPTIONAL)
    retry_after_s: int = _setting(1, _INTEGER, "seconds in Retry-After (1)")
    slow_s: float = _setting(5, _NUMBER, "delay of the fault slow in seconds (5)")
    huge_bytes: int = _setting(64 * 1024 * 1024, _INTEGER, "size of the fault huge (64 MiB)")
    bomb_bytes: int = _setting(
        1024 * 1024 * 1024, _INTEGER, "inflated size of gzip_bomb and gzip_nested (1 GiB)"
    )
    trickle_s: float = _setting(
        1, _NUMBER, "seconds between the bytes of trickle and trickle_head (1)"
    )
    functions: str = _setting(
        str(FUNCTIONS), _FOLDER, "folder of the functions (include/functions)"
    )
    function_time_s: float = _setting(30, _WINDOW, "time limit of a function in seconds (30)")
    function_memory_mb: int = _setting(
        256, _MEMORY, "memory of a function in MiB, 128 to 10240 (256)"
    )
    redirect_to: str = _setting("http://elsewhere.invalid", _URL, "target of the fault redirect")

    def shown(self) -> dict[str, Any]:
        """Return the settings as JSON, without the token."""
        shown = asdict(self)
        del shown["token"]
        return shown

    @property
    def clock(self) -> int:
        """The time of the hot topics, in seconds since 1970."""
        return self._day + 3600 * (self.hours or 0)

    @property
    def _day(self) -> int:
        now = int(time.time()) if self.now is None else self.now
        return now + 86_400 * self.day

    @property
    def age(self) -> Age:
        """The age of the profiles: ``day``; with ``hours``, that at the clock.

        Then the newest posts are those of yesterday in China, so that none is in the future.
        """
        if self.hours is None:
            return Age(self.day)
        days, second = divmod(self._day + _CHINA_S, 86_400)
        yesterday = date(1970, 1, 1).toordinal() + days - 1
        hours = 24 + second // 3600 + self.hours
        return Age(max(0, yesterday - POSTS_UNTIL), hours)

    @property
    def has_faults(self) -> bool:
        """Whether any fault is configured."""
        return bool(self.error_rate or self.uids or self.paths)


CHECKS: dict[str, Check] = {each.name: each.metadata["check"] for each in fields(Settings)}
HELP: dict[str, str] = {each.name: each.metadata["help"] for each in fields(Settings)}


def changed(
    settings: Settings, changes: Mapping[str, Any], is_fault: Callable[[str], bool]
) -> Settings:
    """Return the settings with changed values; mappings are replaced as a whole.

    Raises:
        BadInput: Unknown setting or fault, or invalid value.
    """
    for name, value in changes.items():
        if name not in CHECKS:
            raise BadInput(f"There is no setting {name!r}; known are {', '.join(sorted(CHECKS))}")
        if not CHECKS[name].accepts(value):
            raise BadInput(f"{name} must be {CHECKS[name].expected}, not {str(value)[:80]!r}")
    new = replace(settings, **changes)
    for fault in (*new.error_rate, *new.uids.values(), *new.paths.values()):
        if not is_fault(fault):
            raise BadInput(f"There is no fault {fault!r}; see docs/simulator.md")
    return new
