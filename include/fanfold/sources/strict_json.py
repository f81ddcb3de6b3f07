"""Strict JSON: documents that parsers accept but read differently are rejected."""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 64
"""Nested objects and lists; a later stage may fail to write deeper documents."""


class _InvalidDocumentError(ValueError):
    """The message id of the reason."""


def parse(body: bytes) -> tuple[Any, str]:
    """Return the JSON document of a body and "", or None and the message id of what is wrong.

    A byte order mark before it is ignored (RFC 8259, section 8.1).
    """
    try:
        document = _DECODER.decode(body.decode("utf-8-sig"))
    except _InvalidDocumentError as error:
        return None, str(error)
    except ValueError:
        return None, "http.not_json"
    except RecursionError:
        return None, "http.too_deep"
    # Few brackets cannot be deep; this is the case for nearly all responses.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and is_too_deep(document):
        return None, "http.too_deep"
    return document, ""


def is_too_deep(document: Any) -> bool:
    """Return whether an object or list has more than :data:`MAX_DEPTH` levels."""
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for each in level
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True


def _reject_constant(_: str) -> Any:
    raise _InvalidDocumentError("http.not_a_number")


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        # Which of the values counts is undefined (RFC 8259, section 4).
        raise _InvalidDocumentError("http.duplicate_name")
    return document


_DECODER = json.JSONDecoder(parse_constant=_reject_constant, object_pairs_hook=_unique_names)
