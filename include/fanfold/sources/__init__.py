"""Sources: the connectors that turn an item into a record, one file each.

A source is a module here that defines ``SOURCE``, a :class:`Source`. It says how to ask for an
item, how to read an answer and how records become rows; it neither retries, nor waits, nor writes
files: the stages do that for all sources alike.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fanfold.errors import BadConfiguration
from fanfold.model import KeyForm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fanfold.messages import Message, Texts
    from fanfold.sources.endpoint import Endpoint
    from fanfold.sources.http import Answer, Client
    from fanfold.sources.rows import Rows


@dataclass(frozen=True, slots=True)
class Call:
    """One GET request: a path below the endpoint's host, its query and what it asks for.

    Attributes:
        path: Absolute path, already quoted.
        query: Parameters to send; no secret among them.
    """

    path: str
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """The source knows the item: its record, as it came."""

    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NotThere:
    """The source says that there is no such item: an answer, not a failure.

    Attributes:
        reason: What the source said, without the item's key: it is the same for many items.
    """

    reason: Message


@dataclass(frozen=True, slots=True)
class Several:
    """A call that asks for several items at once.

    Attributes:
        most: Items that one request may ask for.
        call: The request that asks for some items.
        read: Turns its answer into the records of those that it holds, by key. An item that the
            answer omits is looked up singly. Raises as :attr:`Source.read` does.
    """

    most: int
    call: Callable[[Sequence[str]], Call]
    read: Callable[[Sequence[str], Answer], dict[str, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Quota:
    """What a source says of the quota of a token.

    Attributes:
        remaining: Requests left, or None where it does not say.
        reset_in: Seconds until it is full again, or None where it does not say.
        limit: Requests that a full quota holds, or None where it does not say.
        window: Seconds for which a full quota is given.
    """

    remaining: int | None
    reset_in: float | None
    limit: int | None
    window: float


@dataclass(frozen=True, slots=True)
class Source:
    """A connector.

    Attributes:
        name: Its name, as in the DAG and in the ``source`` column.
        item_column: The column that holds the items in a CSV, JSONL or Parquet file.
        identity_column: The column that must hold the item's own key, or None where items and keys
            differ (an account name that the source answers with a number).
        check_item: Returns an item in its canonical form, or raises ``ValueError`` with what an
            item looks like.
        call: The request that asks for an item.
        credentials: The query parameters and headers that carry the token of an endpoint.
        read: Turns an answer into :class:`Found` or :class:`NotThere`, or raises
            ``CredentialRefused``, ``QuotaSpent``, ``SourceBusy`` or ``ItemRefused``.
        check: Raises one of the errors above where the endpoint cannot be used; for ``preflight``.
        quota: Asks the endpoint what is left of its quota; None where it does not tell.
        transform: Pure function from records, in order, to rows with the columns of the contract;
            values that cannot be read are noted in :class:`~fanfold.sources.rows.Rows`.
        spent: Reads from the headers of any answer for how many seconds nothing more is given; None
            where it gives more. Sources whose headers do not tell have no such function.
        several: A call for several items at once, where there is one.
        key_form: What keys look like, so that the run page finds what people type.
        messages: The source's own reasons: English and Chinese text by id, ``<name>.<id>``.
    """

    name: str
    item_column: str
    identity_column: str | None
    check_item: Callable[[str], str]
    call: Callable[[str], Call]
    credentials: Callable[[Endpoint], tuple[Mapping[str, str], Mapping[str, str]]]
    read: Callable[[str, Answer], Found | NotThere]
    check: Callable[[Client], None]
    quota: Callable[[Client], Quota | None]
    transform: Callable[[Sequence[dict[str, Any]]], Rows]
    spent: Callable[[Answer], float | None] | None = None
    several: Several | None = None
    key_form: KeyForm = field(default_factory=KeyForm)
    messages: Texts = field(default_factory=dict)

    def together(self, allowed: int) -> int:
        """Return how many items one request asks for, where the connection allows so many."""
        return min(allowed, self.several.most) if self.several else 1


def get(name: str) -> Source:
    """Return the source of that name.

    Raises:
        BadConfiguration: There is no such source; the message lists those that there are.
    """
    known = sorted(
        module.name
        for module in pkgutil.iter_modules(__path__)
        if module.name not in {"endpoint", "http", "rows"}
    )
    if name not in known:
        raise BadConfiguration(f"There is no source {name!r}; there are: {', '.join(known)}.")
    source: Source = importlib.import_module(f"{__name__}.{name}").SOURCE
    return source
