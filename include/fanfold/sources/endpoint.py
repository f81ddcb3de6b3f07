"""The endpoint of a source: an Airflow connection, parsed once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from fanfold.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_TIMEOUT = 5.0  # seconds
READ_TIMEOUT = 20.0  # seconds
_MOST = 1_000_000
"""Of any number in the extra: a socket rejects a timeout of centuries."""
SCF = "https://scf.tencentcloudapi.com"
_KNOWN_EXTRA = (
    "requests_per_second",
    "requests_per_minute",
    "requests_per_hour",
    "items_per_request",
    "connect_timeout",
    "read_timeout",
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A connection to a source.

    Attributes:
        connection: Connection id, for messages.
        url: Scheme, host, port and path, without a trailing slash: the paths of requests are below it.
        token: Access token, or None; not part of the representation.
        requests_per_second: Rate limit of the connection, or None: the lower one of ``requests_per_second``
            and a sixtieth of ``requests_per_minute`` in the extra, as requests are spread evenly.
        requests_per_hour: Rate limit of the connection per hour, or None.
        items_per_request: Maximum number of items per request, if the source supports several.
        connect_timeout: Seconds.
        read_timeout: Seconds between two reads.
        not_found_pages: Whether a 404 or 410 with a page instead of JSON says that an item does not exist.
        service: What it is: an HTTP server, or AWS Lambda or Tencent SCF (for functions).
        login: Id of the key whose secret is the token.
        region: Region of the service, or "".

    Raises:
        BadConfiguration: Token, login or region contain a character that does not print. White space
            around them is removed.
    """

    connection: str
    url: str
    token: str | None = field(default=None, repr=False)
    requests_per_second: float | None = None
    requests_per_hour: float | None = None
    items_per_request: int = 1
    connect_timeout: float = CONNECT_TIMEOUT
    read_timeout: float = READ_TIMEOUT
    not_found_pages: bool = False
    service: Literal["http", "lambda", "scf"] = "http"
    login: str = ""
    region: str = ""

    def __post_init__(self) -> None:
        token = stripped(self.connection, "password", self.token) or None
        object.__setattr__(self, "token", token)
        for name in ("login", "region"):
            object.__setattr__(self, name, stripped(self.connection, name, getattr(self, name)))

    @property
    def server(self) -> str:
        """Its address, for messages."""
        return self.url or f"AWS Lambda in {self.region or 'the default region'}"

    @property
    def scope(self) -> str:
        """What a quota belongs to: server, region, and a digest of the token that does not reveal it."""
        # Lambda's credentials may be a role or a profile that only the connection knows.
        server = self.connection if self.service == "lambda" else self.site
        secret = f"{self.region}\n{self.login}\n{self.token or ''}".encode()
        return f"{server}-{hashlib.blake2b(secret, digest_size=4).hexdigest()}"

    @property
    def site(self) -> str:
        """The server, without scheme and default port: what its ids belong to."""
        scheme, _, address = self.url.partition("://")
        host, slash, path = address.partition("/")
        host = host.lower().removesuffix(":443" if scheme == "https" else ":80")
        return host.removesuffix(".") + slash + path

    @classmethod
    def parse(  # noqa: PLR0913 - the fields of an Airflow connection
        cls,
        connection: str,
        *,
        host: str | None,
        port: int | None,
        schema: str | None,
        token: str | None,
        extra: Mapping[str, Any],
        field_name: str = "host",
    ) -> Endpoint:
        """Return the endpoint of an Airflow connection.

        ``host`` is a name (``api.weibo.com``, with https) or a URL, with or without port and path;
        ``field_name`` is its name in messages.

        Raises:
            BadConfiguration: A field is invalid; the message names connection and field.
        """
        url = _url(connection, field_name, host, port, schema)
        numbers = {name: _positive(connection, name, extra.get(name)) for name in _KNOWN_EXTRA}
        not_found_pages = extra.get("not_found_pages") or False
        if not isinstance(not_found_pages, bool):
            raise BadConfiguration(
                f"Connection {connection!r}: extra 'not_found_pages' must be true or false."
            )
        per_minute = numbers["requests_per_minute"]
        rates = (numbers["requests_per_second"], per_minute and per_minute / 60)
        return cls(
            connection=connection,
            url=url,
            token=token,
            requests_per_second=min(filter(None, rates), default=None),
            requests_per_hour=numbers["requests_per_hour"],
            items_per_request=max(1, int(numbers["items_per_request"] or 1)),
            connect_timeout=numbers["connect_timeout"] or CONNECT_TIMEOUT,
            read_timeout=numbers["read_timeout"] or READ_TIMEOUT,
            not_found_pages=not_found_pages,
        )


def function_endpoint(  # noqa: PLR0913 - the fields of an Airflow connection
    connection: str,
    *,
    conn_type: str | None,
    host: str | None,
    port: int | None,
    schema: str | None,
    login: str | None,
    token: str | None,
    extra: Mapping[str, Any],
) -> Endpoint:
    """Return the endpoint of functions (:class:`~fanfold.sources.Function`) that a connection describes.

    Its URL is "" for Lambda without ``endpoint_url`` in the extra: boto3 finds it.

    Raises:
        BadConfiguration: A field is invalid; the message names connection and field.
    """
    named = str(extra.get("service") or "")
    if conn_type != "aws" and named not in {"", "scf"}:
        raise BadConfiguration(
            f"Connection {connection!r}: extra 'service' must be 'scf' (Tencent SCF), not {named!r}. "
            "AWS Lambda needs a connection of type aws, an HTTP function one of type http."
        )
    service: Literal["http", "lambda", "scf"] = (
        "lambda" if conn_type == "aws" else "scf" if named else "http"
    )
    region = str(extra.get("region_name" if service == "lambda" else "region") or "")
    given = extra.get("endpoint_url") if service == "lambda" else host
    if service == "scf" and not (region and login and token):
        raise BadConfiguration(
            f"Connection {connection!r}: Tencent SCF needs the SecretId as login, the SecretKey as "
            "password, and the region in the extra: {'service': 'scf', 'region': 'ap-guangzhou'}."
        )
    if not f"{login or ''}{region}".isascii():
        raise BadConfiguration(f"Connection {connection!r}: login and region must be ASCII.")
    default = {"lambda": "https://lambda.amazonaws.com", "scf": SCF}.get(service)
    endpoint = Endpoint.parse(
        connection,
        host=given or default,
        port=port if service != "lambda" else None,
        schema=schema if service != "lambda" else None,
        token=token,
        extra=extra,
        field_name="extra 'endpoint_url'" if service == "lambda" else "host",
    )
    url = "" if service == "lambda" and not given else endpoint.url
    return replace(endpoint, url=url, service=service, login=login or "", region=region)


def _url(
    connection: str, field_name: str, host: str | None, port: int | None, schema: str | None
) -> str:
    """Return scheme, host, port and path of a connection; the messages have no values: a login may be in them."""
    where = f"Connection {connection!r}: "
    text = (host or "").strip()
    if not text:
        raise BadConfiguration(
            f"Connection {connection!r} has no {field_name}. Set it to the API's address, "
            "for example https://api.weibo.com."
        )
    if "://" not in text:
        scheme = (schema or "https").strip().lower()
        if scheme not in {"http", "https"}:
            raise BadConfiguration(
                f"{where}schema must be http or https, not {schema!r}. A path belongs to {field_name}: "
                "https://gateway.example.org/weibo."
            )
        text = f"{scheme}://{text}"
    try:
        parts = parse_url(text)
        name = parts.host or ""
        name.encode("idna")  # as the resolver does: fails for a label that is empty or too long
    except (LocationParseError, UnicodeError):
        parts, name = parse_url(""), ""
    is_plain = parts.auth is None and parts.query is None and parts.fragment is None
    if parts.scheme not in {"http", "https"} or not name.strip(".*") or "*" in name or not is_plain:
        raise BadConfiguration(
            f"{where}{field_name} must be a name or an http(s) URL, with a port from 1 to 65535 or none, "
            "an IPv6 address in brackets, and without login, query and fragment, for example "
            "https://gateway.example.org:8443/weibo."
        )
    chosen = port if parts.port is None and port is not None else parts.port
    if chosen is not None and not 0 < chosen < 65536:
        raise BadConfiguration(
            f"{where}port must be a number from 1 to 65535 or empty, not {chosen}."
        )
    netloc = name if chosen is None else f"{name}:{chosen}"
    return f"{parts.scheme}://{netloc}{(parts.path or '').rstrip('/')}"


def stripped(connection: str, name: str, text: str | None) -> str:
    """Return a credential of a connection without white space around it.

    Files and Kubernetes secrets often end with a line break. A control character inside would end in an error
    of an HTTP library that contains the header.

    Raises:
        BadConfiguration: It contains a character that does not print; the message does not contain it.
    """
    kept = (text or "").strip()
    if not kept.isprintable():
        raise BadConfiguration(
            f"Connection {connection!r}: the {name} contains a line break or another character that does not "
            "print. Enter it again, as one line."
        )
    return kept


def _positive(connection: str, name: str, value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = 0.0
    if not 0 < number <= _MOST:
        raise BadConfiguration(
            f"Connection {connection!r}: extra {name!r} must be a number above 0, up to {_MOST:,}, not "
            f"{value!r}."
        )
    return number
