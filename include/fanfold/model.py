"""Values passed between stages: outcomes, batches, plans, counts and the manifest."""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import asdict, astuple, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from operator import add
from typing import TYPE_CHECKING, Any, Self

from fanfold.messages import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanfold.messages import Texts

MANIFEST_VERSION = 3


@dataclass(frozen=True, slots=True)
class Item:
    """One element of the list.

    Attributes:
        key: Its key.
        attributes: Further values of it: the other columns of the items file or query.
    """

    key: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Status(StrEnum):
    """The outcome of an item."""

    OK = "ok"
    MISSING = "missing"
    INVALID = "invalid"
    FAILED = "failed"


class RunStatus(StrEnum):
    """The outcome of a run whose failures were tolerated."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one item.

    Attributes:
        reason: One sentence; empty for ``ok``.
        attempts: Requests made for the item, including those shared with other items.
        at: Time of the outcome (ISO 8601, UTC).
        column, value, rule: For ``invalid``: the violated rule and the value, shortened.
        shared: How many attempts are counted for another item of the same request.
        gb_seconds: Cost of the calls of functions, failed ones too: billed duration times memory, in
            seconds times GB (2^30 bytes).
        refused: Whether the source refuses the item for good, or its function raised: another request
            would fail in the same way.
        reason_id, reason_params: The reason as a catalogue message, if it is one.
    """

    key: str
    status: Status
    reason: str = ""
    attempts: int = 0
    at: str = ""
    column: str | None = None
    value: str | None = None
    rule: str | None = None
    shared: int | None = None
    gb_seconds: float | None = None
    refused: bool | None = None
    reason_id: str | None = None
    reason_params: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, key: str, status: Status, reason: Message, **fields: Any) -> Self:
        """Return an outcome with a message as its reason."""
        return cls(
            key,
            status,
            reason.text,
            reason_id=reason.id or None,
            reason_params=reason.params or None,
            **fields,
        )

    @property
    def message(self) -> Message:
        """The reason as a message."""
        return Message(self.reason, self.reason_id or "", self.reason_params or {})

    @property
    def requests(self) -> int:
        """Requests counted for this item; the sum over all items is the run's total."""
        return self.attempts - (self.shared or 0)

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as a JSON object without unset fields."""
        return {
            name: value for name in self.__slots__ if (value := getattr(self, name)) is not None
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Outcome:
        """Parse the result of :meth:`as_json`."""
        return cls(**{**data, "status": Status(data["status"])})


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that breaks the contract, as in ``rejected.jsonl``.

    Attributes:
        item: Key of its item.
        row: Its position among the rows of the item, from 1; of a record whose transform raised an
            exception, the position among the item's records.
        column: The column with the first value that breaks a rule; empty for an exception.
        value: The value, shortened; for an exception its text.
        rule: The rule, or the exception with the line of the pipeline's code that raised it.
    """

    item: str
    row: int
    column: str
    value: str
    rule: str


@dataclass(frozen=True, slots=True)
class BatchRef:
    """Reference to a batch (a number from 0), passed through XCom to its mapped tasks."""

    batch: int
    items: int
    label: str

    def as_json(self) -> dict[str, Any]:
        """Return the reference as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> BatchRef:
        """Parse the result of :meth:`as_json`."""
        return cls(**data)


class Basis(StrEnum):
    """What a forecast is based on."""

    QUOTA = "quota"
    EARLIER_RUNS = "earlier runs"
    UNKNOWN = "unknown"


Seconds = tuple[float, float]
"""A range of durations: the lowest and the highest, in seconds."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Expected cost of a run; ``seconds`` is from its plan to its end, None if unknown."""

    requests: int
    seconds: Seconds | None
    basis: Basis

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Parse the forecast in ``plan.json``."""
        seconds = data["seconds"]
        known = tuple(seconds) if isinstance(seconds, list) else None  # a number before 0.2
        return cls(data["requests"], known, Basis(data["basis"]))


@dataclass(frozen=True, slots=True)
class Quotas:
    """Rate limits and the quota reported by the source at planning time; None means not set.

    Attributes:
        per_second: Requests per second of the connection or the run.
        per_hour: Requests of the connection in any 60 minutes.
        limit: Requests per window of the source.
        remaining: Requests left in the window.
        reset_at: Start of the next window (ISO 8601, UTC).
        window: Length of the window in seconds.
    """

    per_second: float | None = None
    per_hour: float | None = None
    limit: int | None = None
    remaining: int | None = None
    reset_at: str | None = None
    window: float | None = None


@dataclass(frozen=True, slots=True)
class KeyForm:
    """How to normalize user input to a key: leading characters to strip, lower case."""

    leading: str = ""
    lower: bool = False

    def canonical(self, typed: str) -> str:
        """Return user input as a key."""
        key = typed.strip().lstrip(self.leading)
        return key.lower() if self.lower else key


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a run, stored in ``plan.json``. Times are ISO 8601 in UTC.

    Attributes:
        items: Number of items, without duplicates.
        duplicates: Number of repeated items that were dropped.
        conflicts: How many different attributes the dropped items had beside those of the first.
        starts: Position of the first item of each batch, from 0.
        bytes: Size of all items, if they are files.
        started_at: When the run was first planned.
        items_per_request: Maximum number of items per request.
        requests_per_item: Number of requests that an item takes, one after the other.
        key_column: Column of the dataset with the items' keys, if any.
        messages: The source's messages: English and Chinese text by id.
        pipeline: Name of the pipeline; empty for a plan of another version.
        noun: What an item is, in English and Chinese.
        dataset: Name of the dataset.
        row_key: Columns that identify a row of the dataset.
        folds: Names of the folds.
        table_prefix: Prefix of the names of the warehouse tables.
        label: Column with a name of the row for people; empty if there is none.
        measure: Column by which changes are ranked; empty if there is none.
        not_compared: Columns that a comparison of two runs ignores.
        mode: ``snapshot`` or ``merge``.
        places: Where the requests go: URLs, regions and buckets.
        items_from: Where the list of items comes from; None in a plan of an earlier version.
    """

    source: str
    items: int
    duplicates: int
    starts: tuple[int, ...]
    logical_date: str
    started_at: str
    forecast: Forecast
    items_per_request: int = 1
    requests_per_item: int = 1
    quotas: Quotas = Quotas()
    key_column: str | None = None
    key_form: KeyForm = KeyForm()
    messages: Texts = field(default_factory=dict)
    pipeline: str = ""
    noun: tuple[str, str] = ("item", "条目")
    dataset: str = ""
    row_key: tuple[str, ...] = ()
    folds: tuple[str, ...] = ()
    table_prefix: str = ""
    label: str = ""
    measure: str = ""
    not_compared: tuple[str, ...] = ()
    conflicts: int = 0
    bytes: int = 0
    mode: str = "snapshot"
    places: tuple[str, ...] = ()
    items_from: Message | None = None

    @property
    def batches(self) -> int:
        """Number of batches."""
        return len(self.starts)

    def batch_of(self, position: int) -> int:
        """Return the batch number of the item at a position (from 0)."""
        return bisect_right(self.starts, position) - 1

    def items_of(self, batch: int) -> int:
        """Return the number of items of a batch."""
        end = self.starts[batch + 1] if batch + 1 < self.batches else self.items
        return end - self.starts[batch]

    def as_json(self) -> dict[str, Any]:
        """Return the plan as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """Parse the result of :meth:`as_json`."""
        forecast = Forecast.from_json(data["forecast"])
        quotas = Quotas(**data.get("quotas", {}))
        key_form = KeyForm(**data.get("key_form", {}))
        made: dict[str, Any] = {"forecast": forecast, "quotas": quotas, "key_form": key_form}
        made |= {
            name: tuple(data[name])
            for name in ("starts", "noun", "row_key", "folds", "not_compared", "places")
            if name in data
        }
        if data.get("items_from"):
            made["items_from"] = Message(**data["items_from"])
        return cls(**{**data, **made})


@dataclass(frozen=True, slots=True)
class Counts:
    """Number of items by outcome; ``planned`` is the sum of the other four."""

    planned: int = 0
    ok: int = 0
    missing: int = 0
    invalid: int = 0
    failed: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(*map(add, astuple(self), astuple(other)))


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A published file.

    Attributes:
        key: Its name, relative to the run's prefix.
        format: ``parquet``, ``csv.gz`` or ``jsonl``; in mode ``merge`` also ``state`` and ``ledger``, two
            Parquet files.
        rows: Number of its rows or lines.
        bytes: Its size.
        sha256: Its digest, in hex.
        table: The dataset or fold that it holds; empty for the others.
    """

    key: str
    format: str
    rows: int
    bytes: int
    sha256: str
    table: str = ""


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Airflow's identifiers of a run; ``logical_date`` is in UTC."""

    dag_id: str
    run_id: str
    logical_date: datetime


def _percentage(part: int, of: int) -> float:
    return part * 100 / of if of else 0.0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a run produced. Times are ISO 8601 in UTC.

    Attributes:
        counts: Items by outcome.
        rows: Rows of the dataset.
        rejected: Rows that broke the contract; ``rejected.jsonl`` lists them.
        repeated: Rows of the dataset whose key an earlier row has, too.
        same: Rows that are not in the dataset because an earlier item has given the row with their key;
            ``same.jsonl`` lists them. Their items are ``ok``.
        differing: How many of these have other values than the row in the dataset.
        code: Digest of the pipeline's code.
        dropped_columns: Columns of files that the pipeline does not name, and the number of files that
            have them.
        gb_seconds: Cost of the calls of functions, failed ones too: billed duration times memory, in
            seconds times GB (2^30 bytes).
        places: Where the items came from: URLs, regions and buckets that were asked for them.
        updates_latest: Whether ``latest.json`` was to point to the run: not if it had items of its own.
        mode: ``snapshot`` or ``merge``. The other fields are for ``merge``.
        run_rows: Rows of the run's own items.
        superseded: Rows that are not in the dataset because a newer row has their key.
        deleted: Keys that are not in the dataset because their newest row is deleted.
        pending: Files of this and earlier runs that are failed or invalid: the dataset has no rows of them,
            or those of an earlier version.
        base: SHA-256 of the manifest of the published dataset that the rows were merged into; empty if
            there was none.
        generation: That of the base plus one.
        rows_version: Digest of the code that makes rows; rows of different ones are not merged.
        listed: The last date (YYYY-MM-DD) that a run with the DAG's own list of files has searched; empty
            if none has.
    """

    dag_id: str
    run_id: str
    logical_date: str
    status: RunStatus
    counts: Counts
    files: tuple[FileEntry, ...]
    requests: int
    started_at: str
    finished_at: str
    rows: int = 0
    rejected: int = 0
    repeated: int = 0
    same: int = 0
    differing: int = 0
    code: str = ""
    dropped_columns: Mapping[str, int] = field(default_factory=dict, hash=False)
    mode: str = "snapshot"
    run_rows: int = 0
    superseded: int = 0
    deleted: int = 0
    pending: int = 0
    base: str = ""
    generation: int = 0
    rows_version: str = ""
    listed: str = ""
    gb_seconds: float = 0.0
    places: tuple[str, ...] = ()
    updates_latest: bool = True
    version: int = MANIFEST_VERSION

    @property
    def failure_percentage(self) -> float:
        """Failed and invalid items, of all items of the run."""
        return _percentage(self.counts.failed + self.counts.invalid, self.counts.planned)

    @property
    def rejected_percentage(self) -> float:
        """Rejected rows, of all rows that the transform returned for the run's items."""
        return _percentage(self.rejected, self.own_rows + self.same + self.rejected)

    def file_of(self, table: str, form: str = "parquet") -> FileEntry:
        """Return the file of a dataset or fold.

        Raises:
            KeyError: The run has no such file.
        """
        for entry in self.files:
            if (entry.table, entry.format) == (table, form):
                return entry
        raise KeyError(table)

    def most_dropped(self, number: int) -> list[tuple[str, int]]:
        """Return some dropped columns and the number of their files, those in most files first."""
        found = self.dropped_columns.items()
        return sorted(found, key=lambda column: (-column[1], column[0]))[:number]

    @property
    def moments(self) -> tuple[datetime, datetime]:
        """When the run was planned and when its dataset was complete (UTC)."""
        return datetime.fromisoformat(self.started_at), datetime.fromisoformat(self.finished_at)

    def as_json(self) -> dict[str, Any]:
        """Return the manifest as a JSON object, ``version`` first."""
        data = asdict(self)
        return {"version": data.pop("version"), **data, "files": [asdict(f) for f in self.files]}

    def document(self) -> bytes:
        """Return the content of ``manifest.json`` in object storage."""
        return (json.dumps(self.as_json(), ensure_ascii=False, indent=1) + "\n").encode()

    @property
    def own_rows(self) -> int:
        """Rows of the run's own items."""
        return self.run_rows if self.mode == "merge" else self.rows

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Manifest:
        """Parse the result of :meth:`as_json`."""
        return cls(
            **{
                **data,
                "status": RunStatus(data["status"]),
                "counts": Counts(**data["counts"]),
                "places": tuple(data.get("places", ())),
                "files": tuple(FileEntry(**entry) for entry in data["files"]),
            }
        )


def utc_text(moment: datetime) -> str:
    """Return a time as ISO 8601 in UTC with milliseconds, ending in ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
