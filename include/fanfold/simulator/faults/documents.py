"""Faults in the body as JSON: invalid, ambiguous, or of the wrong type."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fanfold.simulator.exchange import HTML, Delivery, Reply, deliver
from fanfold.simulator.faults.case import Case, always, kind
from fanfold.simulator.faults.profiles import other_id
from fanfold.simulator.faults.statuses import page

if TYPE_CHECKING:
    from collections.abc import Callable


@kind("truncated")
def _truncated(case: Case) -> Delivery:
    correct = case.correct()
    return deliver(replace(correct, body=correct.body[: len(correct.body) // 2]))


@kind("wrong_type")
def _wrong_type(case: Case) -> Delivery:
    """The correct response with a wrong content type and character set."""
    return deliver(replace(case.correct(), content_type=b"text/html;charset=gb2312"))


always("not_json", Reply(200, page("Welcome to the Wi-Fi of this hotel"), HTML))
always("empty", Reply(200, b""))
always("null", Reply(200, b"null"))
always("list", Reply(200, b"[]"))
always("number", Reply(200, b"42"))


def _body_fault(name: str, rewrite: Callable[[bytes, Case], bytes]) -> None:
    """Register a fault that changes the body of a correct profile."""

    @kind(name)
    def _changed(case: Case) -> Delivery:
        correct = case.correct()
        if correct.status != 200 or not correct.body.startswith(b"{"):
            return deliver(correct)
        return deliver(replace(correct, body=rewrite(correct.body, case)))


def _with_first(body: bytes, fields: bytes) -> bytes:
    return b"{" + fields + b"," + body[1:]


def _with_field(body: bytes, name: str, text: bytes) -> bytes:
    """Replace one value by arbitrary bytes."""
    mark = "\0replaced\0"
    marked = json.dumps(json.loads(body) | {name: mark}, ensure_ascii=False, separators=(",", ":"))
    return marked.encode().replace(json.dumps(mark).encode(), text)


_NOT_NUMBERS = (b"NaN", b"Infinity", b"-Infinity")

_body_fault("deep_json", lambda body, _: _with_first(body, _nested(100_000)))
_body_fault("nested_json", lambda body, _: _with_first(body, _nested(900)))
_body_fault(
    "nan",
    lambda body, case: _with_field(body, "followers_count", _NOT_NUMBERS[case.draw % 3]),
)
_body_fault("duplicate_keys", lambda body, _: _with_first(body, _contradiction(json.loads(body))))
_body_fault("invalid_utf8", lambda body, _: _with_first(body, b'"remark":"\xff\xfe\xc3("'))
_body_fault("long_number", lambda body, _: _with_field(body, "followers_count", b"9" * 10_000))


def _nested(levels: int) -> bytes:
    return b'"nested":' + b"[" * levels + b"]" * levels


def _contradiction(profile: dict[str, Any]) -> bytes:
    """Return fields of the profile with other values; they precede the original ones."""
    other: dict[str, Any]
    other = {"id": other_id(profile), "followers_count": 0} if "id" in profile else {"users": []}
    return json.dumps(other).encode()[1:-1]
