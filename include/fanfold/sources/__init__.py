"""Sources: one module each, which turns an item into a request and a response into a record.

A source module defines ``SOURCE``, a :class:`Source` of pure functions. It does not send requests,
retry, wait or write files: ``session`` and the stages do that for all sources.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fanfold.errors import BadConfiguration
from fanfold.model import KeyForm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fanfold.messages import Message, Texts
    from fanfold.sources.endpoint import Endpoint
    from fanfold.sources.http import Call, Response
    from fanfold.sources.rows import Rows

T = TypeVar("T")
_NOT_SOURCES = frozenset({"deadline", "endpoint", "http", "rows", "session", "strict_json"})


@dataclass(frozen=True, slots=True)
class Found:
    """The record of an item, as received."""

    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NotThere:
    """The source reports that the item does not exist: an answer, not a failure.

    Attributes:
        reason: What the source reported, without the item's key, so that equal reasons are equal.
    """

    reason: Message


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of a request for some items; items in neither mapping must be requested singly.

    Attributes:
        records: Records by key.
        missing: Reasons of the items that do not exist, by key.
        pause: Seconds until the source accepts further requests, or None.
    """

    records: Mapping[str, dict[str, Any]]
    missing: Mapping[str, Message]
    pause: float | None = None


@dataclass(frozen=True, slots=True)
class Several:
    """A request for several items.

    Attributes:
        max_items: Maximum number of items per request.
        call: Returns the request for some keys.
        read: Returns the records in a response by key. Items that it omits are requested singly.
            Raises as :attr:`Source.read` does.
    """

    max_items: int
    call: Callable[[Sequence[str]], Call]
    read: Callable[[Sequence[str], Response], dict[str, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Probe(Generic[T]):
    """A request that is not for items.

    Attributes:
        call: Returns the request for an endpoint.
        read: Returns its result from the response. Raises as :attr:`Source.read` does.
    """

    call: Callable[[Endpoint], Call]
    read: Callable[[Response], T]


@dataclass(frozen=True, slots=True)
class Quota:
    """The quota that a source reports; None for what it does not report.

    Attributes:
        remaining: Requests left.
        reset_in: Seconds until the quota is renewed.
        limit: Requests per window.
        window: Length of a window in seconds.
    """

    remaining: int | None
    reset_in: float | None
    limit: int | None
    window: float


@dataclass(frozen=True, slots=True)
class Source:
    """A source, as pure functions.

    Attributes:
        name: Its name, as in the DAG and in the ``source`` column.
        item_column: Name of the items column in a CSV, JSONL or Parquet file.
        identity_column: Column of the contract that must equal the item's key, or None if they
            differ (an account name whose record has a number as its id).
        check_item: Returns an item in canonical form; raises ``ValueError`` that describes a valid
            item.
        call: Returns the request for an item.
        credentials: Returns query parameters and headers that carry an endpoint's token.
        read: Returns :class:`Found` or :class:`NotThere` from a response; raises
            ``CredentialRefused``, ``QuotaSpent``, ``SourceBusy`` or ``ItemRefused``.
        check: Checks endpoint and token; for ``preflight`` and to probe an unavailable source.
        quota: Reads the quota of the endpoint's token.
        transform: Pure function from records to rows with the columns of the contract; values that
            it cannot read become problems of :class:`~fanfold.sources.rows.Rows`.
        exhausted_for: Returns the seconds until the quota is renewed if this response used it up,
            else None.
        several: Request for several items, if the source has one.
        key_form: Form of the keys, so that the run page finds what people type.
        messages: Messages of the source: English and Chinese text by id, ``<name>.<id>``.
    """

    name: str
    item_column: str
    identity_column: str | None
    check_item: Callable[[str], str]
    call: Callable[[str], Call]
    credentials: Callable[[Endpoint], tuple[Mapping[str, str], Mapping[str, str]]]
    read: Callable[[str, Response], Found | NotThere]
    check: Probe[None]
    quota: Probe[Quota | None]
    transform: Callable[[Sequence[dict[str, Any]]], Rows]
    exhausted_for: Callable[[Response], float | None] | None = None
    several: Several | None = None
    key_form: KeyForm = field(default_factory=KeyForm)
    messages: Texts = field(default_factory=dict)

    def items_per_request(self, endpoint: Endpoint) -> int:
        """Return the maximum number of items per request at an endpoint."""
        return min(endpoint.items_per_request, self.several.max_items) if self.several else 1


def get(name: str) -> Source:
    """Return the source of that name.

    Raises:
        BadConfiguration: There is no such source; the message lists the existing ones.
    """
    known = sorted(
        module.name for module in pkgutil.iter_modules(__path__) if module.name not in _NOT_SOURCES
    )
    if name not in known:
        raise BadConfiguration(f"There is no source {name!r}; available: {', '.join(known)}.")
    source: Source = importlib.import_module(f"{__name__}.{name}").SOURCE
    return source
