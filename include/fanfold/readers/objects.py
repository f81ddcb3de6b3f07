"""Find the files of a run: URIs, patterns, and manifest files that list URIs.

For a dataset that files are merged into, only new and changed ones are read: the ledger of the published
dataset has the files that are in it. Failed files are read again in each run, invalid ones only when they
have changed: otherwise an uncorrected file would be a failure of every later run. Listings and the ledger
are sorted by URI and read side by side: memory is bounded by the files that are named one by one.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from fanfold.errors import BadInput
from fanfold.model import Status, utc_text
from fanfold.readers.patterns import Pattern
from fanfold.readers.values import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fanfold.readers.files import Located
    from fanfold.readers.patterns import Window
    from fanfold.storage.locations import Found, Locations
    from fanfold.workspace.base import LedgerRow

log = logging.getLogger(__name__)

FACTS = ("size", "etag", "modified")
"""Attributes of a file that its listing has."""
_AGAIN = (Status.FAILED, Status.INVALID)
_REQUESTS = 16
"""HEAD requests at the same time."""
_BLOCK = 1_000
"""Files of which those without facts are requested together."""
_NAMED_FILES = 1_000_000
"""URIs of a list, which are in memory: about 1 GB."""
_Named = tuple[str, dict[str, Any] | None, "LedgerRow | None"]
"""A file with its attributes, None if it is only in the ledger, and its row in the ledger."""


@dataclass(slots=True)
class FileCounts:
    """What became of the files that were found.

    Attributes:
        dated: Whether a pattern has a date.
        listed: Files below the prefixes of the patterns.
        outside: Files whose date is outside the window.
        unchanged: Files that are in the published dataset as they are.
        invalid: Files that were invalid and are unchanged: they would be invalid again.
        again: Files of earlier runs that are read again: they failed, or all are.
        gone: Failed files of earlier runs that do not exist any more, and have rows in the dataset.
        planned: Files to read.
    """

    dated: bool = False
    listed: int = 0
    outside: int = 0
    unchanged: int = 0
    invalid: int = 0
    again: int = 0
    gone: int = 0
    planned: int = 0

    def text(self, window: Window) -> str:
        """Return the counts for the log."""
        parts = (
            f"{self.listed} files listed" + (f" for the dates {window}" if self.dated else ""),
            f"{self.outside} outside them" if self.outside else "",
            f"{self.unchanged} unchanged since they were published" if self.unchanged else "",
            f"{self.invalid} invalid and unchanged" if self.invalid else "",
            f"{self.gone} that failed in earlier runs are gone" if self.gone else "",
            f"{self.planned} to read" + (f" ({self.again} of them again)" if self.again else ""),
        )
        return ", ".join(filter(None, parts))


def find_files(  # noqa: PLR0913 - the facts of a listing
    entries: Iterable[Located],
    locations: Locations,
    window: Window,
    *,
    folder: str = "",
    ledger: Iterable[LedgerRow] | None = None,
    rebuild: bool = False,
    counts: FileCounts,
) -> Iterator[Located]:
    """Yield the files of a run, sorted by URI, each once, with size, ETag and time.

    A file that is named, and does not exist, has none of them: its fetch reports it.

    Args:
        entries: What the run's Param or manifest file has. Strings of a Param may be patterns, all other
            entries are URIs, with the facts of the file if they have them.
        locations: Where files may be.
        window: Dates of the files of patterns with a date.
        folder: URI of a folder, with ``/`` at its end, that other keys than URIs are relative to.
        ledger: In mode ``merge``, the files of the published dataset, sorted by URI.
        rebuild: Read all files of ``ledger`` again.
        counts: Gets the counts of the files.

    Raises:
        BadInput: An entry is no URI or pattern, has wrong facts, or its location is not allowed.
        BadConfiguration: A location cannot be listed.
        SourceBusy: The storage is unavailable.
    """
    named, patterns = _parsed(entries, locations, folder)
    listings = (_listed(pattern, locations, window, counts) for pattern in patterns)
    again = (*_AGAIN, Status.OK) if rebuild else _AGAIN
    candidates = _with_ledger(merge(named, *listings, key=itemgetter(0)), ledger or (), again)
    needed = FACTS if ledger is not None else FACTS[:2]
    for uri, attributes, row, found in _with_facts(candidates, locations, needed):
        # Without rows in the dataset nothing is lost: it is read, is missing, and not pending any more.
        if attributes is None and found is None and not rebuild and row and row.rows:
            counts.gone += 1
            log.warning(
                "%s failed in an earlier run and does not exist any more. The dataset keeps its "
                "earlier rows: name it in a run to remove them.",
                uri,
            )
            continue
        facts = _facts(found) if found else {}
        facts |= attributes or ({"date": row.date} if row and row.date else {})
        same = row and (facts.get("etag"), facts.get("size")) == (row.etag, row.size)
        if row and same and not rebuild and row.status in (Status.OK, Status.INVALID):
            counts.unchanged += row.status == Status.OK
            counts.invalid += row.status == Status.INVALID
            continue
        counts.planned += 1
        counts.again += row is not None and (rebuild or row.status != Status.OK)
        yield "file", counts.planned, uri, facts


def _parsed(
    entries: Iterable[Located], locations: Locations, folder: str
) -> tuple[list[tuple[str, dict[str, Any]]], list[Pattern]]:
    """Return the files that are named, sorted, with their attributes, and the patterns."""
    named: list[tuple[str, dict[str, Any]]] = []
    patterns: list[Pattern] = []
    for kind, number, value, attributes in entries:
        text = "" if value is None else str(value).strip()
        where = f"{kind} {number}"
        if kind == "item":  # messages do not show the content of a file
            where += f" ({shortened(value)})"
        if kind == "item" and attributes is None and Pattern.is_pattern(text):
            patterns.append(Pattern(text))
        elif text:
            uri = _absolute(text, folder, where)
            locations.check(uri, uri if kind == "item" else where)
            named.append((uri, _attributes(attributes or {}, where)))
            if len(named) > _NAMED_FILES:
                raise BadInput(
                    f"There are more than {_NAMED_FILES:,} URIs of files, the limit of a list. Use patterns, "
                    "or split it and trigger several runs."
                )
    return sorted(named, key=itemgetter(0)), patterns


def _absolute(text: str, folder: str, where: str) -> str:
    if text.startswith(("s3://", "file:///")):
        return text
    if not folder or "://" in text:
        raise BadInput(
            f"{where} must be a URI such as s3://bucket/key or file:///folder/file. Correct it and "
            "trigger a new run."
        )
    if text.startswith("/"):
        scheme, rest = folder.split("://", 1)
        return f"{scheme}://{rest.split('/', 1)[0]}{text}"
    return folder + text


def _attributes(attributes: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the attributes of an entry with its facts as a listing has them."""
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        fact = name.strip().lower()
        if fact not in FACTS:
            found[name] = value
            continue
        if value is None or value == "":
            continue
        try:
            found[fact] = _fact(fact, str(value))
        except ValueError:
            raise BadInput(
                f"{where}: {fact} must be "
                f"{'a number of bytes' if fact == 'size' else 'a time in ISO 8601'}."
            ) from None
    return found


def _fact(name: str, text: str) -> str | int:
    if name == "etag":
        return text.strip('"')
    if name == "modified":
        moment = datetime.fromisoformat(text)
        return utc_text(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(text)
    return int(text)


def _listed(
    pattern: Pattern, locations: Locations, window: Window, counts: FileCounts
) -> Iterator[tuple[str, dict[str, Any]]]:
    counts.dated |= pattern.has_date
    for prefix in pattern.prefixes(window):
        for found in locations.list(prefix):
            counts.listed += 1
            day = pattern.match(found.uri)
            if day and not window.includes(day):
                counts.outside += 1
            elif day is not None and _includes(pattern, window, found.target):
                log.warning("%s is left out: it is a link to %s.", found.uri, found.target)
            elif day is not None:
                yield found.uri, _facts(found) | ({"date": day} if day else {})


def _includes(pattern: Pattern, window: Window, uri: str) -> bool:
    day = pattern.match(uri) if uri else None
    return day is not None and (not day or window.includes(day))


def _facts(found: Found) -> dict[str, Any]:
    return {name: getattr(found, name) for name in FACTS}


def _with_ledger(
    found: Iterable[tuple[str, dict[str, Any]]], ledger: Iterable[LedgerRow], again: Sequence[str]
) -> Iterator[_Named]:
    """Yield each file once, with its row in the ledger, and those that have a status in ``again``."""
    rows = ((row.item, row) for row in ledger)
    both: Iterator[tuple[str, Any]] = merge(found, rows, key=itemgetter(0))
    for uri, group in groupby(both, key=itemgetter(0)):
        attributes: dict[str, Any] | None = None
        row: LedgerRow | None = None
        for _, value in group:
            if not isinstance(value, dict):
                row = value
            elif attributes is None:
                attributes = value
        if attributes is not None or (row and row.status in again):
            yield uri, attributes, row


def _with_facts(
    candidates: Iterator[_Named], locations: Locations, needed: Iterable[str]
) -> Iterator[tuple[str, dict[str, Any] | None, LedgerRow | None, Found | None]]:
    """Yield each file with what HEAD reports of it, if its attributes lack some of the needed facts."""
    with ThreadPoolExecutor(_REQUESTS) as pool:
        while block := list(islice(candidates, _BLOCK)):
            unknown = [
                uri for uri, known, _ in block if known is None or not known.keys() >= {*needed}
            ]
            heads = dict(zip(unknown, pool.map(locations.head, unknown), strict=True))
            for uri, attributes, row in block:
                yield uri, attributes, row, heads.get(uri)
