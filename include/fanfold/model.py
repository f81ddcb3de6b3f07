"""The values that stages hand to each other: outcomes, batches, counts and the manifest."""

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
    """What became of an item."""

    OK = "ok"
    MISSING = "missing"
    INVALID = "invalid"
    FAILED = "failed"


class RunStatus(StrEnum):
    """What became of a run that reached its gate."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item.

    Attributes:
        key: The item's key.
        status: One of the four outcomes.
        reason: Why it is not ``ok``: one sentence; empty for ``ok``.
        attempts: Requests made for it, alone or together with others.
        at: When it was decided (ISO 8601, UTC).
        column: For ``invalid``: the column that breaks the contract.
        value: For ``invalid``: the value found there, shortened.
        rule: For ``invalid``: the rule that it breaks.
        shared: How many of its attempts are counted with another item of the same request.
        reason_id: Id of the message that the reason is, if it is one of a catalogue.
        reason_params: The parameters of that message.
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
        """Return an outcome whose reason is a message."""
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
        """Requests that count as this item's, so that the sum over all items is that of the run."""
        return self.attempts - (self.shared or 0)

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as a JSON object, without the fields that do not apply."""
        data: dict[str, Any] = {
            "key": self.key,
            "status": self.status,
            "reason": self.reason,
            "attempts": self.attempts,
            "at": self.at,
        }
        for name in ("reason_id", "reason_params", "column", "value", "rule", "shared"):
            if (value := getattr(self, name)) is not None:
                data[name] = value
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Outcome:
        """Return the outcome that :meth:`as_json` wrote."""
        return cls(**{**data, "status": Status(data["status"])})


@dataclass(frozen=True, slots=True)
class BatchRef:
    """A small reference to a batch: what the task mapping carries.

    Attributes:
        batch: Number of the batch, from 0.
        items: How many items it holds.
        label: What the Airflow UI shows for its mapped tasks.
    """

    batch: int
    items: int
    label: str

    def as_json(self) -> dict[str, Any]:
        """Return the reference as a JSON object, for XCom."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> BatchRef:
        """Return the reference that :meth:`as_json` wrote."""
        return cls(**data)


class Basis(StrEnum):
    """What a forecast rests on."""

    QUOTA = "quota"
    EARLIER_RUNS = "earlier runs"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run is expected to take.

    Attributes:
        requests: Requests, if none fails.
        seconds: From the plan to the dataset, or None where nothing is known.
        basis: What ``seconds`` rests on.
    """

    requests: int
    seconds: float | None
    basis: Basis


@dataclass(frozen=True, slots=True)
class Quotas:
    """What a run may ask for, as known when it was planned.

    Attributes:
        per_second: Budget of the connection or of the run, in requests per second, or None.
        per_hour: Budget of the connection in any 60 minutes, or None.
        limit: Requests that the source gives in a window, by its own word, or None.
        remaining: What was left of them.
        reset_at: When the next window begins (ISO 8601, UTC).
        window: Its length in seconds.
    """

    per_second: float | None = None
    per_hour: float | None = None
    limit: int | None = None
    remaining: int | None = None
    reset_at: str | None = None
    window: float | None = None


@dataclass(frozen=True, slots=True)
class KeyForm:
    """How the keys of a source differ from what people type, such as ``@Alice`` for ``alice``.

    Attributes:
        leading: Characters that no key begins with.
        lower: Whether keys are in lower case.
    """

    leading: str = ""
    lower: bool = False

    def canonical(self, typed: str) -> str:
        """Return what was typed in the form of a key."""
        key = typed.strip().lstrip(self.leading)
        return key.lower() if self.lower else key


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is about to do; ``plan.json`` holds it.

    Attributes:
        source: The source's name.
        items: Items to fetch, without duplicates.
        duplicates: Items left out because they stood in the list before.
        batch_size: Items of each batch but the last.
        batches: How many batches.
        logical_date: The date that the run stands for (ISO 8601, UTC).
        started_at: When the run was first planned (ISO 8601, UTC).
        forecast: What it is expected to take.
        items_per_request: Items that one request asks for, at most.
        quotas: What the run may ask for.
        key_column: The column of the dataset that holds the items' keys, if one does.
        key_form: What the keys of the source look like.
        messages: The source's own messages: English and Chinese text by id.
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
        """Return the batch of the item at a position of the plan, from 0."""
        return position // self.batch_size

    def as_json(self) -> dict[str, Any]:
        """Return the plan as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """Return the plan that :meth:`as_json` wrote."""
        told = data["forecast"]
        forecast = Forecast(told["requests"], told["seconds"], Basis(told["basis"]))
        quotas = Quotas(**data.get("quotas", {}))
        key_form = KeyForm(**data.get("key_form", {}))
        return cls(**{**data, "forecast": forecast, "quotas": quotas, "key_form": key_form})


@dataclass(frozen=True, slots=True)
class Counts:
    """Items of a run by outcome; ``planned`` is the sum of the other four."""

    planned: int = 0
    ok: int = 0
    missing: int = 0
    invalid: int = 0
    failed: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(*map(add, astuple(self), astuple(other)))


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of the dataset.

    Attributes:
        key: Object key, relative to the run's prefix (``users.parquet``).
        format: ``parquet``, ``csv.gz`` or ``jsonl``.
        rows: Rows in it, without a header.
        bytes: Its size.
        sha256: Its SHA-256, in hex.
    """

    key: str
    format: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Which run this is.

    Attributes:
        dag_id: The DAG.
        run_id: Airflow's run id, as it is.
        logical_date: The date that the run stands for (UTC).
    """

    dag_id: str
    run_id: str
    logical_date: datetime


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a run produced. ``started_at`` and ``finished_at`` are ISO 8601 in UTC."""

    dag_id: str
    run_id: str
    logical_date: str
    status: RunStatus
    counts: Counts
    files: tuple[FileEntry, ...]
    requests: int
    started_at: str
    finished_at: str
    version: int = field(default=MANIFEST_VERSION)

    @property
    def moments(self) -> tuple[datetime, datetime]:
        """When the run was planned and when its dataset was whole (UTC)."""
        return datetime.fromisoformat(self.started_at), datetime.fromisoformat(self.finished_at)

    def as_json(self) -> dict[str, Any]:
        """Return the manifest as a JSON object, in the order in which people read it."""
        data = asdict(self)
        return {"version": data.pop("version"), **data, "files": [asdict(f) for f in self.files]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Manifest:
        """Return the manifest that :meth:`as_json` wrote."""
        return cls(
            **{
                **data,
                "status": RunStatus(data["status"]),
                "counts": Counts(**data["counts"]),
                "files": tuple(FileEntry(**entry) for entry in data["files"]),
            }
        )


def utc_text(moment: datetime) -> str:
    """Return a moment as ISO 8601 in UTC with milliseconds, ending in ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
