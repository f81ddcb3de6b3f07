"""Faults of a profile: well-formed JSON with something wrong, or only strange, in it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fanfold.simulator.exchange import Delivery, deliver
from fanfold.simulator.faults.case import KINDS, Case, kind

if TYPE_CHECKING:
    from collections.abc import Callable


def _spoilt(name: str, spoil: Callable[[dict[str, Any]], object]) -> None:
    """Register a fault that changes a right profile; of several in one answer, one."""

    @kind(name)
    def _changed(case: Case) -> Delivery:
        right = case.right()
        document = json.loads(right.body)
        profiles = _profiles(document) if right.status == 200 else []
        if not profiles:
            return deliver(right)
        spoil(profiles[case.draw % len(profiles)])
        text = json.dumps(document, ensure_ascii=False)
        # Half a surrogate pair has no UTF-8; as an escape, JSON takes it.
        return deliver(replace(right, body=text.encode(errors="backslashreplace")))


def _profiles(document: Any) -> list[dict[str, Any]]:
    """The profiles in an answer: itself, or those that it lists."""
    if isinstance(document, dict):
        document = document.get("users", [document])
    return [each for each in document if "id" in each]


def other_id(profile: dict[str, Any]) -> int | str:
    """The id of another user; Weibo's is a number, Mastodon's a text."""
    other = int(profile["id"]) ^ 1
    return other if isinstance(profile["id"], int) else str(other)


def _of_another(profile: dict[str, Any]) -> None:
    profile["id"] = other_id(profile)
    if "idstr" in profile:
        profile["idstr"] = str(profile["id"])
    for name in ("acct", "username"):
        if name in profile:
            profile[name] = f"other_{profile[name]}"


_spoilt("invalid_negative", lambda profile: profile.update(followers_count=-5))
_spoilt("invalid_text", lambda profile: profile.update(followers_count="many"))
_spoilt("invalid_date", lambda profile: profile.update(created_at="yesterday"))
_spoilt(
    "invalid_nameless", lambda profile: [profile.pop(key, None) for key in ("screen_name", "acct")]
)
_spoilt("invalid_other", _of_another)
_INVALID = sorted(name for name in KINDS if name.startswith("invalid_"))


@kind("invalid")
def _invalid(case: Case) -> Delivery:
    """One of the invalid profiles above."""
    return KINDS[_INVALID[case.draw % len(_INVALID)]](case)


def _names(profile: dict[str, Any], text: str) -> None:
    """Set the names that people choose themselves, and their description."""
    for name in ("name", "display_name", "description", "note"):
        if name in profile:
            profile[name] = text


_HOSTILE_HTML = "<script>alert(1)</script><![evil[x]]><!DOCTYPE [<img src=x onerror=alert(1)> <b"


_spoilt("overflow", lambda profile: profile.update(followers_count=2**63))
_spoilt("huge_number", lambda profile: profile.update(followers_count=10**400))
_spoilt("long_name", lambda profile: _names(profile, "x" * 1_000_000))
_spoilt("html_name", lambda profile: _names(profile, _HOSTILE_HTML))
_spoilt("surrogates", lambda profile: _names(profile, "half \ud83d and nul \0 end"))


@kind("infinite")
def _infinite(case: Case) -> Delivery:
    """A count of 1e999: JSON, and infinite for who reads it as a float."""
    right = case.right()
    start, _, rest = right.body.partition(b'"followers_count":')
    count = len(rest) - len(rest.lstrip(b"0123456789"))
    if not count:
        return deliver(right)
    return deliver(replace(right, body=start + b'"followers_count":1e999' + rest[count:]))


_SHAPES: tuple[Any, ...] = ({"value": [1]}, [[]], [None, {}], True, {})


def _wrong_shapes(profile: dict[str, Any]) -> None:
    for number, name in enumerate(profile):
        profile[name] = _SHAPES[number % len(_SHAPES)]


_spoilt("wrong_shapes", _wrong_shapes)
