"""The endpoint of a source: an Airflow connection, parsed once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from fanfold.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_TIMEOUT = 5.0  # seconds
READ_TIMEOUT = 20.0  # seconds
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
        connection: Connection id, for messages and as the scope of the rate limit.
        url: Scheme, host and port, without a trailing slash.
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

    @property
    def site(self) -> str:
        """The server, without scheme and default port: what its ids belong to."""
        scheme, _, address = self.url.partition("://")
        host, slash, path = address.partition("/")
        return host.lower().removesuffix(":443" if scheme == "https" else ":80") + slash + path

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
    ) -> Endpoint:
        """Return the endpoint of an Airflow connection.

        ``host`` is a name (``api.weibo.com``, with https) or a URL.

        Raises:
            BadConfiguration: A field is invalid; the message names connection and field.
        """
        if not host:
            raise BadConfiguration(
                f"Connection {connection!r} has no host. Set it to the API's address, "
                "for example https://api.weibo.com."
            )
        parts = urlsplit(host if "://" in host else f"{schema or 'https'}://{host}")
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise BadConfiguration(
                f"Connection {connection!r}: host must be a name or an http(s) URL without a login."
            )
        netloc = parts.netloc if parts.port or not port else f"{parts.netloc}:{port}"
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
            url=f"{parts.scheme}://{netloc}",
            token=token or None,
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
    if not f"{login or ''}{region}".isascii() or not f"{login or ''}{region}".isprintable():
        raise BadConfiguration(
            f"Connection {connection!r}: login and region must be printable ASCII, without line breaks."
        )
    default = {"lambda": "https://lambda.amazonaws.com", "scf": SCF}.get(service)
    endpoint = Endpoint.parse(
        connection, host=given or default, port=port, schema=schema, token=token, extra=extra
    )
    url = "" if service == "lambda" and not given else endpoint.url
    return replace(endpoint, url=url, service=service, login=login or "", region=region)


def _positive(connection: str, name: str, value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0.0
    if not 0 < number < float("inf"):
        raise BadConfiguration(
            f"Connection {connection!r}: extra {name!r} must be a number above 0, not {value!r}."
        )
    return number
