"""Faults of a body as JSON: not JSON, not an object, or JSON that readers disagree about."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fanfold.simulator.exchange import HTML, Delivery, Reply, deliver
from fanfold.simulator.faults.case import Case, kind
from fanfold.simulator.faults.profiles import other_id
from fanfold.simulator.faults.statuses import page

if TYPE_CHECKING:
    from collections.abc import Callable


@kind("truncated")
def _truncated(case: Case) -> Delivery:
    right = case.right()
    return deliver(replace(right, body=right.body[: len(right.body) // 2]))


@kind("not_json")
def _not_json(case: Case) -> Delivery:  # noqa: ARG001 - every fault has the same shape
    return deliver(Reply(200, page("Welcome to the Wi-Fi of this hotel"), HTML))


@kind("wrong_type")
def _wrong_type(case: Case) -> Delivery:
    """The right answer under a wrong content type and character set."""
    return deliver(replace(case.right(), content_type=b"text/html;charset=gb2312"))


def _always(name: str, body: bytes) -> None:
    """Register a fault that answers the same body to everything."""

    @kind(name)
    def _fixed(case: Case) -> Delivery:  # noqa: ARG001
        return deliver(Reply(200, body))


_always("empty", b"")
_always("null", b"null")
_always("list", b"[]")
_always("number", b"42")


def _rewritten(name: str, rewrite: Callable[[bytes, Case], bytes]) -> None:
    """Register a fault that changes the text of a right profile."""

    @kind(name)
    def _changed(case: Case) -> Delivery:
        right = case.right()
        if right.status != 200 or not right.body.startswith(b"{"):
            return deliver(right)
        return deliver(replace(right, body=rewrite(right.body, case)))


def _with_first(body: bytes, fields: bytes) -> bytes:
    return b"{" + fields + b"," + body[1:]


def _with_field(body: bytes, name: str, text: bytes) -> bytes:
    """The profile with the text of one value replaced, whatever JSON thinks of it."""
    mark = "\0replaced\0"
    marked = json.dumps(json.loads(body) | {name: mark}, ensure_ascii=False, separators=(",", ":"))
    return marked.encode().replace(json.dumps(mark).encode(), text)


_NOT_NUMBERS = (b"NaN", b"Infinity", b"-Infinity")

_rewritten("deep_json", lambda body, _: _with_first(body, _nested(100_000)))
_rewritten("nested_json", lambda body, _: _with_first(body, _nested(900)))
_rewritten(
    "nan",
    lambda body, case: _with_field(body, "followers_count", _NOT_NUMBERS[case.draw % 3]),
)
_rewritten("duplicate_keys", lambda body, _: _with_first(body, _contradiction(json.loads(body))))
_rewritten("invalid_utf8", lambda body, _: _with_first(body, b'"remark":"\xff\xfe\xc3("'))
_rewritten("long_number", lambda body, _: _with_field(body, "followers_count", b"9" * 10_000))


def _nested(levels: int) -> bytes:
    return b'"nested":' + b"[" * levels + b"]" * levels


def _contradiction(profile: dict[str, Any]) -> bytes:
    """Names that the profile has, with other values: readers that take the last see none of it."""
    other: dict[str, Any]
    other = {"id": other_id(profile), "followers_count": 0} if "id" in profile else {"users": []}
    return json.dumps(other).encode()[1:-1]
