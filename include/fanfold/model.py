"""Values passed between stages: outcomes, batches, plans, counts and the manifest."""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from operator import add
from typing import TYPE_CHECKING, Any, Self

from fanfold.messages import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanfold.messages import Texts

MANIFEST_VERSION = 1


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


@dataclass(frozen=True, slots=True)
class Forecast:
    """Expected cost of a run; ``seconds`` is from plan to dataset, None if unknown."""

    requests: int
    seconds: float | None
    basis: Basis


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
        batch_size: Items per batch; the last batch may have fewer.
        batches: Number of batches.
        started_at: When the run was first planned.
        items_per_request: Maximum number of items per request.
        key_column: Column of the dataset with the items' keys, if any.
        messages: The source's messages: English and Chinese text by id.
    """

    source: str
    items: int
    duplicates: int
    batch_size: int
    batches: int
    logical_date: str
    started_at: str
    forecast: Forecast
    items_per_request: int = 1
    quotas: Quotas = Quotas()
    key_column: str | None = None
    key_form: KeyForm = KeyForm()
    messages: Texts = field(default_factory=dict)

    def batch_of(self, position: int) -> int:
        """Return the batch number of the item at a position (from 0)."""
        return position // self.batch_size

    def as_json(self) -> dict[str, Any]:
        """Return the plan as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """Parse the result of :meth:`as_json`."""
        forecast = Forecast(**{**data["forecast"], "basis": Basis(data["forecast"]["basis"])})
        quotas = Quotas(**data.get("quotas", {}))
        key_form = KeyForm(**data.get("key_form", {}))
        return cls(**{**data, "forecast": forecast, "quotas": quotas, "key_form": key_form})


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
    """A published file; ``key`` is relative to the run's prefix, ``bytes`` is the file size."""

    key: str
    format: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Airflow's identifiers of a run; ``logical_date`` is in UTC."""

    dag_id: str
    run_id: str
    logical_date: datetime


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a run produced. Times are ISO 8601 in UTC."""

    dag_id: str
    run_id: str
    logical_date: str
    status: RunStatus
    counts: Counts
    files: tuple[FileEntry, ...]
    requests: int
    started_at: str
    finished_at: str
    version: int = MANIFEST_VERSION

    @property
    def moments(self) -> tuple[datetime, datetime]:
        """When the run was planned and when its dataset was complete (UTC)."""
        return datetime.fromisoformat(self.started_at), datetime.fromisoformat(self.finished_at)

    def as_json(self) -> dict[str, Any]:
        """Return the manifest as a JSON object, ``version`` first."""
        data = asdict(self)
        return {"version": data.pop("version"), **data, "files": [asdict(f) for f in self.files]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Manifest:
        """Parse the result of :meth:`as_json`."""
        return cls(
            **{
                **data,
                "status": RunStatus(data["status"]),
                "counts": Counts(**data["counts"]),
                "files": tuple(FileEntry(**entry) for entry in data["files"]),
            }
        )


def utc_text(moment: datetime) -> str:
    """Return a time as ISO 8601 in UTC with milliseconds, ending in ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
