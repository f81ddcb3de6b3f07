"""Tencent SCF: the action ``InvokeFunction`` of its API, version 2018-04-16.

The API always answers with HTTP 200: with ``Error`` if the function was not called, and else with a
``Result``, whose ``InvokeResult`` is not 0 if the function failed. Sources: "InvokeFunction"
(https://cloud.tencent.com/document/product/583/58400), "Cloud Function Status Code"
(https://www.tencentcloud.com/document/product/583/35311), and the error codes of the action. The documentation
does not say where the status code of a failed call is: it is looked for in ``InvokeResult`` and in the JSON
document that ``ErrMsg`` may be, and a time-out is also recognised by its text.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fanfold.errors import CredentialRefused, ItemRefused, SourceBusy
from fanfold.messages import ENGINE
from fanfold.sources import Call, functions, strict_json
from fanfold.sources.functions import MAX_BYTES, MAX_PAYLOAD, Returned
from fanfold.sources.functions.tc3 import authorization
from fanfold.sources.http import HttpClient
from fanfold.sources.responses import unexpected_response

if TYPE_CHECKING:
    from fanfold.errors import FanfoldError
    from fanfold.sources import Function
    from fanfold.sources.endpoint import Endpoint

_VERSION = "2018-04-16"
_TYPE = "application/json; charset=utf-8"
_MAX_BODY = 3 * MAX_BYTES
"""Bytes of a response: the result is a text in it, with its quotes escaped."""
_TIMED_OUT = 433
_THROTTLED = frozenset({429, 432, 449})
"""Status codes: the rate of new instances, the number of concurrent calls, the memory of a region."""
_SYSTEM = 500
_MB = 1024
_GB = 1 << 30


class ScfService:
    """SCF at one endpoint."""

    max_bytes: int | None = MAX_PAYLOAD

    def __init__(self, function: Function, endpoint: Endpoint) -> None:
        self._function = function
        self._endpoint = endpoint
        self.place = f"{endpoint.url} ({endpoint.region})"
        self._host = urlsplit(endpoint.url).netloc
        self._http = HttpClient(endpoint, {}, {}, max_body=_MAX_BODY)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def call(self, name: str, payload: bytes, key: str) -> Returned:  # noqa: ARG002 - it is in the payload
        """Call a function; raises as :meth:`~fanfold.sources.functions.Service.call` does."""
        answer = self._send("InvokeFunction", name, Event=payload.decode())
        result = answer.get("Result")
        if not isinstance(result, dict):
            raise functions.failed(name, "no Result")
        cost = self._cost(result)
        try:
            return Returned(self._read(name, result), cost)
        except (ItemRefused, SourceBusy) as error:
            error.gb_seconds = cost
            raise

    def _cost(self, result: dict[str, Any]) -> float:
        milliseconds, memory = result.get("BillDuration"), result.get("MemUsage")
        if self._function.memory_mb is not None:
            gigabytes = self._function.memory_mb / _MB
        elif isinstance(memory, int):
            gigabytes = memory / _GB
        else:
            return 0.0
        return milliseconds / 1000 * gigabytes if isinstance(milliseconds, (int, float)) else 0.0

    @staticmethod
    def _read(name: str, result: dict[str, Any]) -> Any:
        returned = str(result.get("RetMsg") or "")
        if result.get("InvokeResult"):
            status, text = _exception(result)
            if status == _TIMED_OUT or text.startswith("Invoking task timed out after"):
                raise functions.timed_out(name)
            if status in _THROTTLED:
                raise functions.throttled(name, str(status))
            if status == _SYSTEM:
                raise functions.failed(name, str(status))
            raise functions.raised(name, text or str(status))
        body = returned.encode("utf-8", "surrogatepass")  # half a character is not JSON
        if len(body) > MAX_BYTES:
            raise functions.result_too_large(name, MAX_BYTES)
        document, flaw = strict_json.parse(body)
        if flaw:
            raise ItemRefused(ENGINE.message("call.not_json", name=name))
        return document

    def check(self, name: str) -> None:
        """Check that a function exists. A key that may only call functions is not refused here."""
        self._send("GetFunction", name)

    def _send(self, action: str, name: str, **parameters: str) -> dict[str, Any]:
        """Return the response of an action for a function."""
        parameters |= {"FunctionName": name}
        for field, value in (
            ("Namespace", self._function.namespace),
            ("Qualifier", self._function.qualifier),
        ):
            if value:
                parameters[field] = value
        body = json.dumps(parameters, ensure_ascii=False).encode()
        signed = {"Content-Type": _TYPE, "Host": self._host, "X-TC-Action": action}
        now = int(time.time())
        headers = {
            **signed,
            "X-TC-Version": _VERSION,
            "X-TC-Region": self._endpoint.region,
            "X-TC-Timestamp": str(now),
            "Authorization": authorization(
                self._endpoint.login,
                self._endpoint.token or "",
                service="scf",
                timestamp=now,
                headers=signed,
                body=body,
            ),
        }
        try:
            response, _ = self._http.send(Call("/"), headers, body)
        except SourceBusy as error:
            if error.message.id == "http.too_large":
                raise functions.result_too_large(name, MAX_BYTES) from None
            raise
        answer = response.body.get("Response") if isinstance(response.body, dict) else None
        if response.status != 200 or not isinstance(answer, dict):
            raise unexpected_response(response)
        refusal = answer.get("Error")
        code = str(refusal.get("Code")) if isinstance(refusal, dict) else ""
        may_not_look = action == "GetFunction" and "UnauthorizedOperation" in code
        if code and not may_not_look:
            raise self._refused(name, code)
        return answer

    def _refused(self, name: str, code: str) -> FanfoldError:  # noqa: PLR0911 - one error each
        connection = self._endpoint.connection
        group, _, detail = code.partition(".")
        if group in {"AuthFailure", "UnauthorizedOperation"}:
            if detail == "SignatureExpire":
                return functions.clock(name, code)
            return functions.denied(name, code, connection, "scf:InvokeFunction")
        if detail == "InsufficientBalance":
            return CredentialRefused(
                ENGINE.message("call.balance", name=name, code=code, connection=connection)
            )
        is_name = detail in {"FunctionName", "Function", "Namespace", "Qualifier", "Region"}
        is_name = is_name and group != "LimitExceeded"
        if is_name or group in {"ResourceNotFound", "UnsupportedRegion"}:
            return functions.missing(name, code, connection, self._endpoint.region)
        if group in {"RequestLimitExceeded", "LimitExceeded"}:
            return functions.throttled(name, code)
        if group in {"InternalError", "FailedOperation", "ResourceUnavailable", "ResourceInUse"}:
            return functions.failed(name, code)
        return functions.not_accepted(name, code)


def _exception(result: dict[str, Any]) -> tuple[int, str]:
    """Return the status code of a failed call, and type and text of its exception, without its stack."""
    text = str(result.get("ErrMsg") or result.get("RetMsg") or "")
    status: Any = result["InvokeResult"]
    document, _ = strict_json.parse(text.encode("utf-8", "replace"))
    if isinstance(document, dict):
        status = document.get("statusCode", status)
        text = str(document.get("errorMessage") or text)
    lines = [line for line in text.splitlines() if line.strip()]
    # Python's traceback ends with the exception.
    return status if isinstance(status, int) else -1, lines[-1] if lines else ""
