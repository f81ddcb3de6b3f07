"""AWS Lambda: the operation ``Invoke`` of its API, with boto3.

The API answers HTTP 200 also if the function failed, with the header ``X-Amz-Function-Error``. The cost is in
the last line of the log, which comes with the result. Sources: "Invoke" and "Lambda quotas" in the
documentation of AWS Lambda, and the service model of botocore.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    InvalidRegionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
    TokenRetrievalError,
    UnknownEndpointError,
)

from fanfold.errors import ItemRefused, SourceBusy
from fanfold.messages import ENGINE
from fanfold.sources import functions, strict_json
from fanfold.sources.functions import MAX_BYTES, MAX_PAYLOAD, Returned
from fanfold.sources.http import MAX_CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanfold.errors import FanfoldError
    from fanfold.sources import Function
    from fanfold.sources.endpoint import Endpoint

_CHUNK = 64 * 1024
_THROTTLED = frozenset(
    {"TooManyRequestsException", "ThrottlingException", "Throttling", "EC2ThrottledException"}
)
_NOT_READY = frozenset({408, 409})
"""A file system or a snapshot is not ready yet, or another operation changes the function."""
_DENIED = frozenset({401, 403})
_CLOCK = re.compile("Signature (expired|not yet current)")
_NO_KEY = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    TokenRetrievalError,
)
_NO_RESPONSE: tuple[tuple[type[Exception], str], ...] = (
    (ConnectTimeoutError, "http.connect_timeout"),
    (ReadTimeoutError, "http.read_timeout"),
    (SSLError, "http.tls_handshake"),
    (ProxyConnectionError, "http.proxy"),
)
_BILLED = re.compile(rb'(?:Billed Duration: |"billedDurationMs": ?)(\d+(?:\.\d+)?)')
_MEMORY = re.compile(rb'(?:Memory Size: |"memorySizeMB": ?)(\d+(?:\.\d+)?)')


def client_options(function: Function, endpoint: Endpoint) -> dict[str, Any]:
    """Return the options of boto's client for a source."""
    return {
        "connect_timeout": endpoint.connect_timeout,
        "read_timeout": function.time_limit,
        # A connection without traffic for minutes is dropped by many networks.
        "tcp_keepalive": True,
        "max_pool_connections": MAX_CONNECTIONS,
        # The fetch stage repeats calls: each has its permit.
        "retries": {"total_max_attempts": 1},
    }


class LambdaService:
    """Lambda with one client of boto3."""

    max_bytes: int | None = MAX_PAYLOAD

    def __init__(self, client: Any, function: Function, endpoint: Endpoint) -> None:
        self._client = client
        self.place = f"{client.meta.endpoint_url} ({client.meta.region_name})"
        self._options = {"Qualifier": function.qualifier} if function.qualifier else {}
        self._connection = endpoint.connection

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def call(self, name: str, payload: bytes, key: str) -> Returned:
        """Call a function; raises as :meth:`~fanfold.sources.functions.Service.call` does."""
        context = json.dumps({"custom": {"idempotency_key": key}}).encode()
        response, body = self._invoke(
            name,
            InvocationType="RequestResponse",
            LogType="Tail",
            ClientContext=base64.b64encode(context).decode(),
            Payload=payload,
        )
        cost = _cost(response.get("LogResult", ""))
        try:
            return Returned(_read(name, response, body), cost)
        except (ItemRefused, SourceBusy) as error:
            error.gb_seconds = cost
            raise

    def check(self, name: str) -> None:
        """Check that a function exists and may be called."""
        self._invoke(name, InvocationType="DryRun")

    def _invoke(self, name: str, **options: Any) -> tuple[Mapping[str, Any], bytes]:
        """Return response and body."""
        try:
            response = self._client.invoke(FunctionName=name, **options, **self._options)
            return response, _body(name, response["Payload"])
        except ClientError as error:
            raise self._refused(name, error.response) from None
        except BotoCoreError as error:
            raise self._not_sent(name, error) from None

    def _refused(self, name: str, response: Mapping[str, Any]) -> FanfoldError:
        error = response.get("Error", {})
        code = str(error.get("Code", ""))
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in _THROTTLED or status == 429:
            seconds = str(response.get("retryAfterSeconds", ""))
            return functions.throttled(
                name,
                str(response.get("Reason") or code),
                float(seconds) if re.fullmatch(r"\d{1,6}(\.\d+)?", seconds) else None,
            )
        if code.isdecimal() and status < 500:
            status = 0  # botocore found no error of Lambda: perhaps the page of a proxy
        if code == "ResourceNotFoundException":
            return functions.missing(name, code, self._connection, self._client.meta.region_name)
        if code == "InvalidSignatureException" and _CLOCK.match(str(error.get("Message"))):
            return functions.clock(name, code)
        if status in _DENIED and "Mount" not in code:
            return functions.denied(name, code, self._connection, "lambda:InvokeFunction")
        if not 400 <= status < 500 or status in _NOT_READY:
            return functions.failed(name, code or str(status), overloaded=status == 503)
        return functions.not_accepted(name, code or str(status))

    def _not_sent(self, name: str, error: BotoCoreError) -> FanfoldError:
        kind = type(error).__name__
        if isinstance(error, _NO_KEY):
            return functions.denied(name, kind, self._connection, "lambda:InvokeFunction")
        if isinstance(error, (ParamValidationError, InvalidRegionError, UnknownEndpointError)):
            return functions.missing(name, kind, self._connection, self._client.meta.region_name)
        id_ = next((id_ for kind, id_ in _NO_RESPONSE if isinstance(error, kind)), None)
        message = ENGINE.message(id_ or "http.connection_failed", path=name)
        return SourceBusy(message, unavailable=True)


def _body(name: str, stream: Any) -> bytes:
    chunks = []
    size = 0
    for chunk in stream.iter_chunks(_CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BYTES:
            stream.close()
            raise functions.result_too_large(name, MAX_BYTES)
    return b"".join(chunks)


def _read(name: str, response: Mapping[str, Any], body: bytes) -> Any:
    document, flaw = strict_json.parse(body)
    if "FunctionError" in response:
        error = document if isinstance(document, dict) else {}
        kind = str(error.get("errorType") or "")
        text = str(error.get("errorMessage") or "")
        # Without a type it is not an exception of the function, which may have the same text.
        if kind == "Sandbox.Timedout" or (not kind and "Task timed out after" in text):
            raise functions.timed_out(name)
        raise functions.raised(name, f"{kind or response['FunctionError']}: {text}".strip(": "))
    if flaw:
        message = ENGINE.message("call.not_json", name=name)
        # Without the version it is not an answer of Lambda, perhaps one of a proxy.
        raise ItemRefused(message) if "ExecutedVersion" in response else SourceBusy(message)
    return document


def _cost(log: str) -> float:
    """Return the GB-seconds in the last line of a log, as text or as JSON; 0 if it has none."""
    try:
        lines = base64.b64decode(log)
    except ValueError:
        return 0.0
    billed, memory = _BILLED.findall(lines), _MEMORY.findall(lines)
    return float(billed[-1]) / 1000 * float(memory[-1]) / 1024 if billed and memory else 0.0
