"""Everything that can be set, by the command line and by the control endpoint alike."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from fanfold.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LAST_DAY = 36_500
DEFAULT_TOKEN = "simulator-token"  # noqa: S105 - public on purpose, it protects nothing


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one simulator; ``docs/simulator.md`` explains each."""

    token: str = DEFAULT_TOKEN
    token_expires_after: int | None = None
    latency_ms: float = 0
    jitter_ms: float = 0
    quota_per_second: int | None = None
    quota_per_hour: int | None = None
    quota_window_s: float = 3600
    quota_code: int = 10023
    error_rate: Mapping[str, float] = field(default_factory=dict)
    uids: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    first_attempts: int | None = None
    seed: int = 0
    day: int = 0
    retry_after_s: int = 1
    slow_s: float = 5
    huge_bytes: int = 64 * 1024 * 1024
    bomb_bytes: int = 1024 * 1024 * 1024
    trickle_s: float = 1
    redirect_to: str = "http://elsewhere.invalid"

    def shown(self) -> dict[str, Any]:
        """The settings as JSON, without the token."""
        shown = asdict(self)
        del shown["token"]
        return shown

    @property
    def has_faults(self) -> bool:
        """Whether any fault is asked for."""
        return bool(self.error_rate or self.uids or self.paths)


def changed(
    settings: Settings, changes: Mapping[str, Any], kinds: Callable[[str], bool]
) -> Settings:
    """Return the settings with some of them changed.

    Args:
        settings: Where to start from.
        changes: Values by name, as they came from JSON; ``error_rate``, ``uids`` and ``paths``
            replace the whole former mapping.
        kinds: Whether a kind of fault exists.

    Raises:
        BadInput: A name is not known or a value is out of its range; nothing is changed.
    """
    known = {each.name for each in fields(settings)}
    for name, value in changes.items():
        if name not in known:
            raise BadInput(f"There is no setting {name!r}; known are {', '.join(sorted(known))}")
        expected = _CHECKS[name]
        if not expected[0](value):
            raise BadInput(f"{name} must be {expected[1]}, not {str(value)[:80]!r}")
    new = replace(settings, **changes)
    for kind in (*new.error_rate, *new.uids.values(), *new.paths.values()):
        if not kinds(kind):
            raise BadInput(f"There is no fault {kind!r}; docs/simulator.md lists them")
    return new


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _whole_or_none(value: object) -> bool:
    return value is None or _whole(value)


def _days(value: object) -> bool:
    return isinstance(value, int) and _whole(value) and value <= _LAST_DAY


def _rates(value: object) -> bool:
    return (
        isinstance(value, dict) and all(map(_number, value.values())) and sum(value.values()) <= 1
    )


def _names(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _address(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"https?://[\w.:\[\]-]+", value) is not None


_WHOLE = (_whole, "a whole number from 0")
_WHOLE_OR_NONE = (_whole_or_none, "a whole number from 0, or null")
_NUMBER = (_number, "a number from 0")
_CHECKS: dict[str, tuple[Callable[[object], bool], str]] = {
    "token": (lambda value: isinstance(value, str) and bool(value), "a text that is not empty"),
    "token_expires_after": _WHOLE_OR_NONE,
    "latency_ms": _NUMBER,
    "jitter_ms": _NUMBER,
    "quota_per_second": _WHOLE_OR_NONE,
    "quota_per_hour": _WHOLE_OR_NONE,
    "quota_window_s": (lambda value: _number(value) and bool(value), "a number above 0"),
    "quota_code": (lambda value: value in {10022, 10023, 10024}, "10022, 10023 or 10024"),
    "error_rate": (_rates, "an object of shares by fault, together at most 1"),
    "uids": (_names, "an object of faults by uid"),
    "paths": (_names, "an object of faults by path"),
    "first_attempts": _WHOLE_OR_NONE,
    "seed": _WHOLE,
    "day": (_days, f"a whole number from 0 to {_LAST_DAY}"),
    "retry_after_s": _WHOLE,
    "slow_s": _NUMBER,
    "huge_bytes": _WHOLE,
    "bomb_bytes": _WHOLE,
    "trickle_s": _NUMBER,
    "redirect_to": (_address, "an http or https address without a path"),
}
