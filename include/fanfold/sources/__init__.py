"""Sources: where the records of an item come from.

A pipeline names its source as a value: :class:`Api`, :class:`Files`, :class:`Function` or
:class:`Compute`. It holds names and pure functions; sessions (``session``, ``functions``) and the fetch
stage send, wait, retry and write for all of them. This module imports no HTTP library: a pipeline module is imported in milliseconds.

The functions below get an :class:`~fanfold.model.Item`. Those that say so may also have a parameter
``as_of``, the logical date of the run (a ``datetime`` in UTC).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar

from fanfold.errors import BadPipeline
from fanfold.injection import unknown_parameters
from fanfold.messages import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from fanfold.messages import Texts
    from fanfold.model import Item
    from fanfold.sources.endpoint import Endpoint

T = TypeVar("T")
_TOKEN_PLACE = re.compile(
    # The name of a header is a token of RFC 9110, 5.6.2.
    r"bearer|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+( [ -~]+)?|(query|body):.+"
)
Record = Any
"""A JSON document: what an item consists of, as received."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request below an endpoint's URL.

    Attributes:
        path: Absolute path, quoted.
        query: Query parameters; never a secret.
        json: Body of a POST request, a JSON document; None for a GET request.
    """

    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    json: Any = None


@dataclass(frozen=True, slots=True)
class Response:
    """A response of a source.

    Attributes:
        status: HTTP status.
        headers: Case-insensitive headers.
        body: The JSON document, or None if the body is invalid.
        flaw: Message id of what is wrong with the body; "" if it is valid.
        path: Path of the request.
        server: The server that answered, as in :attr:`Endpoint.site`.
    """

    status: int
    headers: Mapping[str, str]
    body: Any
    flaw: str = "http.not_json"
    path: str = ""
    server: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The records of an item in one response; none at all is an answer, too."""

    records: Sequence[Record]

    def __post_init__(self) -> None:
        if isinstance(self.records, (dict, str)):  # its names or characters would be the records
            raise BadPipeline("Found and Several.read need a list of records: Found([record]).")


@dataclass(frozen=True, slots=True)
class NotThere:
    """The source reports that the item does not exist: an answer, not a failure.

    Attributes:
        reason: What the source reported, without the item's key, so that equal reasons are equal.
    """

    reason: Message | str

    @property
    def message(self) -> Message:
        """The reason as a message."""
        return self.reason if isinstance(self.reason, Message) else Message(self.reason)


@dataclass(frozen=True, slots=True)
class Page:
    """A further page of an item.

    Attributes:
        call: Its request.
        number: Its number; the first page of an item is 1.
        previous: Digest of the page before it.
    """

    call: Call
    number: int
    previous: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of a request for some items; items in neither mapping must be requested singly.

    Attributes:
        records: Records by key.
        missing: Reasons of the items that do not exist, by key.
        pause: Seconds until the source accepts further requests, or None.
        following: The next page of the only item, or None.
        gb_seconds: What the call of a function costs.
    """

    records: Mapping[str, Sequence[Record]]
    missing: Mapping[str, Message]
    pause: float | None = None
    following: Page | None = None
    gb_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Pages:
    """How to get the further pages of an item. Exactly one of the first four is set.

    A page that is the same as the one before it is the last.

    Attributes:
        token: Dotted path in the response to the token of the next page; it is sent as ``param``.
        link: Dotted path in the response to the URL of the next page, or ``Link`` for the header of
            RFC 8288 with ``rel="next"``. The URL must have the host of the connection.
        number: The first page number; ``param`` counts up until a page has no records.
        following: ``(call, response) -> Call | None`` returns the next request.
        param: Query parameter (of a GET) or field of the body (of a POST) with token or number.
        limit: Pages of an item; with more it is ``failed``.
        take: Pages to get of an item, such as those with its newest records; the others are not requested.
            None: all.
    """

    token: str = ""
    link: str = ""
    number: int | None = None
    following: Callable[[Call, Response], Call | None] | None = None
    param: str = "page"
    limit: int = 1000
    take: int | None = None

    def __post_init__(self) -> None:
        ways = (self.token, self.link, self.number is not None, self.following)
        if sum(map(bool, ways)) != 1:
            raise BadPipeline("Pages needs exactly one of token, link, number and following.")


@dataclass(frozen=True, slots=True)
class Several:
    """A request for several items.

    Attributes:
        max_items: Maximum number of items per request.
        call: Returns the request for some items.
        read: Returns the records in a response by key. Items that it omits are requested singly.
            Raises as :attr:`Api.read` does.
    """

    max_items: int
    call: Callable[[Sequence[Item]], Call]
    read: Callable[[Sequence[Item], Response], Mapping[str, Sequence[Record]]]


@dataclass(frozen=True, slots=True)
class Probe(Generic[T]):
    """A request that is not for items.

    Attributes:
        call: Returns the request for an endpoint; or several, each for sources that answer 404 or 410 to the
            one before it.
        read: Returns its result from the response. Raises as :attr:`Api.read` does.
    """

    call: Callable[[Endpoint], Call | Sequence[Call]]
    read: Callable[[Response], T]


@dataclass(frozen=True, slots=True)
class Listing:
    """A request for the items of a run.

    Attributes:
        call: ``(as_of)`` returns the request; ``as_of`` is the logical date of the run.
        read: Returns the items in the response: keys, or objects with the key as ``item_column`` and
            further attributes. Raises as :attr:`Api.read` does.
    """

    call: Callable[[datetime], Call]
    read: Callable[[Response], Sequence[Any]]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A JSON API over HTTP. Host, token and rate limits are those of an Airflow connection.

    Attributes:
        path: Path of the request for an item. ``{key}``, ``{as_of}`` (the logical date, as
            YYYY-MM-DD) and the names of attributes of the item in path, query and body are
            replaced; in the path they are quoted. Literal braces are doubled.
        query: Query parameters.
        json: Body of a POST request; without it the request is a GET.
        call: Instead of these: ``(item[, as_of])`` returns the request.
        records: Dotted path in the response to the record (an object) or the records (a list of
            objects); empty: the whole response.
        pages: How to get further pages, if there are any.
        read: Instead of ``records``: ``(item, response)`` returns :class:`Found` or
            :class:`NotThere`; raises ``CredentialRefused``, ``QuotaSpent``, ``SourceBusy`` or
            ``ItemRefused``. The default reads HTTP statuses: 2xx has records, 429 is a quota
            (``Retry-After``), and with JSON 404 and 410 are missing, 401 and 403 refuse the token, 400 and
            422 refuse the item. Everything else is retried. Where 404 and 410 come in no form of the
            API (a page, :func:`unexpected_response`), the item is ``missing`` if it gets that twice, and the
            source answers for other items.
        connection: Airflow connection. Default: ``<pipeline>_default``.
        token: Where the password of the connection goes: ``bearer``, ``header:<name>``,
            ``header:<name> <scheme>``, ``query:<name>``, or ``body:<name>`` for a field of the body of
            each POST request. A query is the worst: access logs contain it.
        several: Request for several items, if the API has one.
        listing: Request for the items of a run that is given none.
        check: Request that checks endpoint and token: for ``preflight`` and to probe an unavailable
            source. Default: a GET of ``/``, for which any response but 502, 503 and 504 will do.
        quota: Reads the quota of the endpoint's token.
        exhausted_for: Returns the seconds until the quota is renewed if this response used it up.
        history: Whether the source answers as of the logical date (``{as_of}`` in the request). Without, its
            rows have the values of today: backfills and logical dates in the past are refused.
        messages: Messages of the source: English and Chinese text by id.
    """

    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    call: Callable[..., Call] | None = None
    records: str = ""
    pages: Pages | None = None
    read: Callable[[Item, Response], Found | NotThere] | None = None
    connection: str = ""
    token: str = "bearer"  # noqa: S105 - a place, not a token
    several: Several | None = None
    listing: Listing | None = None
    check: Probe[None] | None = None
    quota: Probe[Quota | None] | None = None
    exhausted_for: Callable[[Response], float | None] | None = None
    history: bool = False
    messages: Texts = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.path) == bool(self.call):
            raise BadPipeline("Api needs either path or call.")
        if self.path and not self.path.startswith("/"):
            raise BadPipeline(f"Api: the path {self.path!r} must begin with '/'.")
        if not _TOKEN_PLACE.fullmatch(self.token):
            raise BadPipeline(
                f"Api: token={self.token!r} must be 'bearer', 'header:<name>', 'query:<name>' or "
                "'body:<name>'."
            )

    def items_per_request(self, endpoint: Endpoint) -> int:
        """Return the maximum number of items per request at an endpoint."""
        return min(endpoint.items_per_request, self.several.max_items) if self.several else 1


@dataclass(frozen=True, slots=True)
class Compute:
    """A Python function of the item, run in processes side by side. It needs no connection.

    Attributes:
        function: ``(item[, as_of])`` returns a record (a dict), or an iterable of records. An
            exception makes the item ``failed``.
        time_limit: Seconds for an item; its process is killed after it.
        processes: Number of processes of a batch; None: one for each processor.
    """

    function: Callable[..., Record | Iterable[Record]]
    history: ClassVar[bool] = True
    time_limit: float = 300.0
    processes: int | None = None
    messages: Texts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Function:
    """A function in the cloud, called for each item: AWS Lambda, Tencent SCF, or any HTTP function.

    The Airflow connection says which: one of type ``aws`` is Lambda; one with the extra
    ``{"service": "scf", "region": "ap-guangzhou"}`` Tencent SCF (login: SecretId, password: SecretKey); one
    of type ``http`` an address that takes a JSON document by POST and answers with one.

    A function that raises an exception makes the item ``failed``, with the exception's type and message;
    only a retry of the task calls it again. It is called again at once when it is throttled or exceeds its
    own time limit, and when the service fails. So it may run more than once for an item, with the same
    idempotency key each time, also in a retry or redrive of the run: a function with side effects should
    check the key.

    Attributes:
        name: Name or ARN (Lambda), name (SCF) or path (HTTP). Of several functions each gets the result
            of the one before it as its payload; one that fails is called again, those before it are not.
        payload: JSON document for the first function. ``{key}``, ``{as_of}`` (the logical date, as
            YYYY-MM-DD), ``{idempotency_key}`` and the names of attributes of the item in its texts are
            replaced; literal braces are doubled. Or ``(item[, as_of][, idempotency_key])`` returns it.
        records: Dotted path in the (last) result to the record (an object) or the records (a list of
            objects); empty: the whole result. A result of null, or null at the path, means that the item
            is ``missing``.
        read: Instead of ``records``: ``(item, result)`` returns :class:`Found` or :class:`NotThere`; raises
            ``ItemRefused``, or ``SourceBusy`` to call the function again.
        connection: Airflow connection. Default: ``<pipeline>_default``.
        qualifier: Version or alias of the functions (Lambda, SCF).
        namespace: Namespace of the functions (SCF); empty: ``default``.
        time_limit: Seconds to wait for a result. Lambda itself stops a function after 900 s at most, SCF a
            call that waits for the result after 300 s.
        memory_mb: Memory of the functions, for the cost at SCF, whose answers do not contain it. Without,
            the cost is computed from the memory that was used, and is too low.
        history: Whether the functions answer as of the logical date (``{as_of}``), as for :class:`Api`.
    """

    name: str | Sequence[str]
    payload: Any = field(
        default_factory=lambda: {"key": "{key}", "idempotency_key": "{idempotency_key}"}
    )
    records: str = ""
    read: Callable[[Item, Any], Found | NotThere] | None = None
    connection: str = ""
    qualifier: str = ""
    namespace: str = ""
    time_limit: float = 300.0
    memory_mb: int | None = None
    history: bool = False
    messages: Texts = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.names or not all(self.names):
            raise BadPipeline("Function needs the name of a function, or several.")
        if self.records and self.read:
            raise BadPipeline("Function: use records or read, not both.")
        if not self.time_limit > 0:
            raise BadPipeline("Function: time_limit must be above 0 seconds.")
        if callable(self.payload):
            unknown = unknown_parameters(self.payload, ("as_of", "idempotency_key"))
            if unknown:
                raise BadPipeline(
                    f"Function: payload has a parameter {unknown[0]!r}; after the item it may have "
                    "as_of and idempotency_key."
                )

    @property
    def names(self) -> tuple[str, ...]:
        """The functions, in the order in which they are called for an item."""
        return (self.name,) if isinstance(self.name, str) else tuple(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Files in object storage or a folder. An item is a file, its key is its URI (``s3://…``, ``file://…``).

    ``fetch`` downloads files as they are, ``process`` decodes them in slices: a file may be larger than
    memory. The attributes of an item are ``size`` (bytes), ``etag``, ``modified`` (ISO 8601, UTC) and
    ``date`` (YYYY-MM-DD) where the pattern that found it has ``{date}``.

    A record is a line of a CSV file (all values are texts, missing ones null), a JSON object of a JSONL
    file, or a row of a Parquet file.

    Attributes:
        format: ``csv``, ``jsonl`` or ``parquet``; empty: by the suffix of the file.
        compression: ``gzip``, ``zstd`` or ``none``; empty: by the suffix (``.gz``, ``.zst``).
        columns: Columns that the transform needs. With a mapping, the values are the names that a column
            has in files: ``{"order_id": ("Order", "amazon-order-id")}``. Names are compared without case
            and surrounding space. Default: the columns of the contract but ``item_column`` and
            ``row_column``. A file without one of them is ``invalid``, unless it is optional.
        optional: Columns that a file need not have; they are then null. Default, if ``columns`` is not
            given: the nullable columns of the contract.
        extra: What happens to further columns: they are dropped and named in log, manifest and page; kept
            as they are; or the file is ``invalid``.
        together: Column whose equal values in consecutive records belong together, such as the number
            of an order: a slice never ends between two of them.
        delimiter: Separates values of a CSV file.
        quote: Encloses values of a CSV file that contain the delimiter; empty: nothing does.
        encoding: That of CSV and JSONL files, as in Python. A file that begins with the byte order mark
            of UTF-8 is UTF-8. The mark is removed.
        header: Whether a CSV file begins with the names of its columns; without, ``columns`` are they.
        nulls: Values of a CSV file, not quoted, that are null.
        max_bytes: Size of a file; a larger one is ``invalid``.
        max_decoded_bytes: Size of a file after decompression.
        max_line_bytes: Length of a line, and of a value.
        connection: Airflow connection of the object storage.
    """

    history: ClassVar[bool] = True
    format: Literal["", "csv", "jsonl", "parquet"] = ""
    compression: Literal["", "gzip", "zstd", "none"] = ""
    columns: Mapping[str, str | Sequence[str]] | Sequence[str] = ()
    optional: Sequence[str] = ()
    extra: Literal["drop", "keep", "reject"] = "drop"
    together: str = ""
    delimiter: str = ","
    quote: str = '"'
    encoding: str = "utf-8"
    header: bool = True
    nulls: Sequence[str] = ("",)
    max_bytes: int = 16 << 30
    max_decoded_bytes: int = 64 << 30
    max_line_bytes: int = 4 << 20
    connection: str = "aws_default"
    messages: Texts = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.columns, str) or isinstance(self.optional, str):
            raise BadPipeline("Files: columns and optional are lists of names, not one text.")
        if len(self.delimiter) != 1 or len(self.quote) > 1:
            raise BadPipeline("Files: delimiter and quote are single characters.")
        if not f"{self.delimiter}{self.quote}".isascii() or self.delimiter in {
            "\n",
            "\r",
            self.quote,
        }:
            raise BadPipeline("Files: delimiter and quote are two different characters of ASCII.")
        if not self.header and not self.columns:
            raise BadPipeline("Files: without a header, columns must name the columns in order.")
        try:
            "".encode(self.encoding)
        except LookupError:
            raise BadPipeline(f"Files: there is no encoding {self.encoding!r}.") from None


Source = Api | Files | Function | Compute


class Session(Protocol):
    """Sends the requests of a source to an endpoint: ``ApiSession`` or ``FunctionSession``. Thread-safe.

    A context manager that closes its connections.

    Attributes:
        items_per_request: Maximum number of items per request.
        place: Where the requests go, for people: a URL without credentials, and the region of a cloud.
    """

    items_per_request: int
    place: str

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def fetch(self, items: Sequence[Item], page: Page | None = None) -> Reply:
        """Request some items, or a further page of one."""

    def check(self) -> None:
        """Check that the source is available and accepts its credentials."""

    def quota(self) -> Quota | None:
        """Return the quota that the source reports, or None."""
