"""Faults in the values of a profile, in well-formed JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fanfold.simulator.exchange import Delivery, deliver
from fanfold.simulator.faults.case import KINDS, Case, kind

if TYPE_CHECKING:
    from collections.abc import Callable


def _profile_fault(name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Register a fault that changes one correct profile of a response."""

    @kind(name)
    def _changed(case: Case) -> Delivery:
        correct = case.correct()
        document = json.loads(correct.body)
        profiles = _profiles(document) if correct.status == 200 else []
        if not profiles:
            return deliver(correct)
        change(profiles[case.draw % len(profiles)])
        text = json.dumps(document, ensure_ascii=False)
        # A lone surrogate has no UTF-8 and is written as a JSON escape.
        return deliver(replace(correct, body=text.encode(errors="backslashreplace")))


def _profiles(document: Any) -> list[dict[str, Any]]:
    """Return the profiles of a response: one, or a list."""
    if isinstance(document, dict):
        document = document.get("users", [document])
    return [each for each in document if "id" in each]


def other_id(profile: dict[str, Any]) -> int | str:
    """Return another id; Weibo's are numbers, Mastodon's are strings."""
    other = int(profile["id"]) ^ 1
    return other if isinstance(profile["id"], int) else str(other)


def _of_another(profile: dict[str, Any]) -> None:
    profile["id"] = other_id(profile)
    if "idstr" in profile:
        profile["idstr"] = str(profile["id"])
    for name in ("acct", "username"):
        if name in profile:
            profile[name] = f"other_{profile[name]}"


_profile_fault("invalid_negative", lambda profile: profile.update(followers_count=-5))
_profile_fault("invalid_text", lambda profile: profile.update(followers_count="many"))
_profile_fault("invalid_date", lambda profile: profile.update(created_at="yesterday"))
_profile_fault(
    "invalid_nameless", lambda profile: [profile.pop(key, None) for key in ("screen_name", "acct")]
)
_profile_fault("invalid_other", _of_another)
_INVALID = sorted(name for name in KINDS if name.startswith("invalid_"))


@kind("invalid")
def _invalid(case: Case) -> Delivery:
    """One of the invalid profiles above."""
    return KINDS[_INVALID[case.draw % len(_INVALID)]](case)


def _names(profile: dict[str, Any], text: str) -> None:
    """Set the free text fields."""
    for name in ("name", "display_name", "description", "note"):
        if name in profile:
            profile[name] = text


_HOSTILE_HTML = "<script>alert(1)</script><![evil[x]]><!DOCTYPE [<img src=x onerror=alert(1)> <b"

_profile_fault("overflow", lambda profile: profile.update(followers_count=2**63))
_profile_fault("huge_number", lambda profile: profile.update(followers_count=10**400))
_profile_fault("long_name", lambda profile: _names(profile, "x" * 1_000_000))
_profile_fault("html_name", lambda profile: _names(profile, _HOSTILE_HTML))
_profile_fault("surrogates", lambda profile: _names(profile, "half \ud83d and nul \0 end"))


@kind("infinite")
def _infinite(case: Case) -> Delivery:
    """A count of 1e999, which is infinite as a float."""
    correct = case.correct()
    start, _, rest = correct.body.partition(b'"followers_count":')
    count = len(rest) - len(rest.lstrip(b"0123456789"))
    if not count:
        return deliver(correct)
    return deliver(replace(correct, body=start + b'"followers_count":1e999' + rest[count:]))


_SHAPES: tuple[Any, ...] = ({"value": [1]}, [[]], [None, {}], True, {})


def _wrong_shapes(profile: dict[str, Any]) -> None:
    for number, name in enumerate(profile):
        profile[name] = _SHAPES[number % len(_SHAPES)]


_profile_fault("wrong_shapes", _wrong_shapes)
