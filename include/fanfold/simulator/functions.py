"""The APIs that call functions in a cloud, AWS Lambda's and Tencent SCF's, over local functions.

Sources: "Invoke", AWS Lambda API Reference, and botocore's model of it; "InvokeFunction", "Common error
codes" and "Signature v3" of Tencent Cloud API 3.0 (cloud.tencent.com/document/api/583). The form of SCF's
``ErrMsg`` is that of messages quoted on the web; the documentation has only their codes.

A request is signed with the key :data:`ACCESS_KEY` and the token of the simulator as its secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from fanfold.simulator import handlers
from fanfold.simulator.exchange import Pending, Reply, Request, Route
from fanfold.simulator.handlers import MAX_PAYLOAD, Invocation, Result

ACCESS_KEY = "simulator"
"""Access key id (Lambda) and SecretId (SCF)."""
TOKEN_REQUIRED = True
_PATH = re.compile(r"/2015-03-31/functions/([^/]{1,256})/invocations")
_ARN = re.compile(
    r"(?:arn:aws[\w-]*:lambda:[\w-]+:)?(?:[0-9]{12}:)(?:function:)([\w-]+)(?::[\w$-]+)?"
)
_TC3 = "TC3-HMAC-SHA256"
_AGE_S = 300
"""Seconds for which a signature is valid."""
_TAIL = 4096
"""Bytes of the log in an answer."""


class _Error(NamedTuple):
    """An error of both services: status and type of Lambda, code of SCF (its status is 200), text."""

    status: int
    lambda_type: str
    scf_code: str
    text: str


_DENIED = _Error(
    403, "AccessDeniedException", "UnauthorizedOperation.CAM", "No permission to call the function"
)
_THROTTLED = _Error(429, "TooManyRequestsException", "RequestLimitExceeded", "Rate Exceeded.")
_NO_FUNCTION = _Error(
    404, "ResourceNotFoundException", "ResourceNotFound.FunctionName", "Function not found: {name}"
)
_NO_JSON = _Error(
    400,
    "InvalidRequestContentException",
    "InvalidParameterValue.Param",
    "Could not parse request body into json",
)
_NO_ACTION = _Error(
    400,
    "InvalidParameterValueException",
    "InvalidAction",
    "This invocation type or action is not simulated",
)
_LARGE = _Error(
    413,
    "RequestTooLargeException",
    "RequestSizeLimitExceeded",
    f"Request must be smaller than {MAX_PAYLOAD} bytes for the InvokeFunction operation",
)
_SERVICE = _Error(500, "ServiceException", "InternalError", "Internal error")
_UNKNOWN_KEY = _Error(
    403,
    "UnrecognizedClientException",
    "AuthFailure.SecretIdNotFound",
    "The security token included in the request is invalid.",
)
_SIGNATURE = _Error(
    403,
    "InvalidSignatureException",
    "AuthFailure.SignatureFailure",
    "The request signature we calculated does not match the signature you provided.",
)
_EXPIRED = _Error(
    403, "InvalidSignatureException", "AuthFailure.SignatureExpire", "Signature expired"
)
_OLD_TOKEN = _Error(
    403,
    "ExpiredTokenException",
    "AuthFailure.TokenFailure",
    "The security token included in the request is expired",
)
_BY_CODE = {
    10004: _DENIED, 10005: _DENIED, 10014: _DENIED, 20003: _NO_FUNCTION, 21327: _OLD_TOKEN,
}  # fmt: skip
"""The error for a Weibo code; :data:`_SERVICE` by default."""


def route(request: Request) -> Route | None:
    """Return the route of a request, if the API has one."""
    if _PATH.fullmatch(request.path):
        return _INVOKE
    is_scf = request.path == "/" and request.method == "POST" and _is_scf(request)
    return _SCF if is_scf else None


def _is_scf(request: Request) -> bool:
    return request.authorization.startswith(_TC3)


def template(path: str) -> str:
    """Return the path with ``{name}`` for the name of a function."""
    return "/2015-03-31/functions/{name}/invocations" if path != "/" else path


def quota_headers(request: Request) -> bytes:  # noqa: ARG001 - exchange.Api
    """Neither has rate limit headers."""
    return b""


def error(request: Request, code: int) -> Reply:
    """Return the error that corresponds to a Weibo error code."""
    if code in {10022, 10023, 10024}:
        return throttled(request, 1 if code == 10024 else math.ceil(request.quota.state()[1]))
    if code == 21332:
        return _error(request, _rejection(request) or _SIGNATURE)
    return _error(request, _BY_CODE.get(code, _SERVICE))


def throttled(request: Request, seconds: int) -> Reply:
    """Return the answer to one call too many; SCF does not say for how long."""
    reply = _error(request, _THROTTLED)
    if not _is_scf(request):
        document = json.loads(reply.body) | {
            "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"
        }
        reply.body = json.dumps(document).encode()
        reply.headers += b"Retry-After: %d\r\n" % seconds
    return reply


def _error(request: Request, found: _Error) -> Reply:
    text = found.text.format(name=_named(request))
    if _is_scf(request):
        return _scf(request, {"Error": {"Code": found.scf_code, "Message": text}})
    body = {"Type": "User" if found.status < 500 else "Service", "message": text}
    headers = f"x-amzn-ErrorType: {found.lambda_type}\r\nx-amzn-RequestId: {request.id}\r\n"
    return Reply(found.status, json.dumps(body).encode(), headers=headers.encode())


def _scf(request: Request, response: dict[str, Any]) -> Reply:
    document = {"Response": {**response, "RequestId": request.id}}
    return Reply(200, json.dumps(document).encode())


# Signatures


def token(request: Request) -> str | None:
    """Return the simulator's token if it is the secret of the signature, else an empty text."""
    return "" if _rejection(request) else request.settings.token


def _rejection(request: Request) -> _Error | None:
    fields = dict(re.findall(r"(\w+)=([^,\s]+)", request.authorization))
    access_key, _, scope = fields.get("Credential", "").partition("/")
    if access_key != ACCESS_KEY:
        return _UNKNOWN_KEY
    sign = _tc3_signature if _is_scf(request) else _sigv4_signature
    try:
        expected, signed_at = sign(request, scope.split("/"), fields["SignedHeaders"].split(";"))
    except (KeyError, ValueError, IndexError):
        return _SIGNATURE
    if not hmac.compare_digest(expected, fields.get("Signature", "")):
        return _SIGNATURE
    return _EXPIRED if abs(time.time() - signed_at) > _AGE_S else None


def _sigv4_signature(request: Request, scope: list[str], names: list[str]) -> tuple[str, float]:
    """Return the signature that botocore computes for a request, and its time."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    headers = request.headers
    auth = SigV4Auth(Credentials(ACCESS_KEY, request.settings.token), "lambda", scope[1])
    # As it was sent: in a path, botocore quotes all but these.
    url = f"http://{headers['host']}{quote(request.path, safe='/-._~')}?{urlencode(request.query, quote_via=quote)}"
    signed = AWSRequest("POST", url, {name: headers[name] for name in names}, request.body)
    signed.context["timestamp"] = headers["x-amz-date"]
    text = auth.string_to_sign(signed, auth.canonical_request(signed))
    moment = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return str(auth.signature(text, signed)), moment.timestamp()


def _tc3_signature(request: Request, scope: list[str], names: list[str]) -> tuple[str, float]:
    """Return the signature TC3-HMAC-SHA256 of a request without a query, and its time."""
    headers, timestamp = request.headers, request.headers["x-tc-timestamp"]
    if scope[1:] != ["scf", "tc3_request"] or not {"content-type", "host"} <= set(names):
        raise ValueError(scope)
    canonical = "\n".join((
        "POST", "/", "", *(f"{name}:{headers[name].strip().lower()}" for name in names), "",
        ";".join(names), hashlib.sha256(request.body).hexdigest(),
    ))  # fmt: skip
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"TC3{request.settings.token}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    text = "\n".join((_TC3, timestamp, "/".join(scope), hashed))
    return hmac.new(key, text.encode(), "sha256").hexdigest(), float(timestamp)


# Calls


def _named(request: Request) -> str:
    """Return the name of the requested function, without the rest of an ARN."""
    if _is_scf(request):
        return str(_parameters(request).get("FunctionName", ""))
    found = _PATH.fullmatch(request.path)
    name = found[1] if found else ""
    arn = _ARN.fullmatch(name)
    return arn[1] if arn else name.partition(":")[0]


def _parameters(request: Request) -> dict[str, Any]:
    try:
        document = json.loads(request.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _event(request: Request) -> bytes:
    if _is_scf(request):
        return str(_parameters(request).get("Event", "")).encode(errors="backslashreplace")
    return request.body


def _requested(request: Request) -> list[str]:
    """Return the function and a digest of its payload, which is the item of faults and counts."""
    return [f"{_named(request)} {hashlib.blake2b(_event(request), digest_size=8).hexdigest()}"]


def _refused(request: Request, action: str) -> _Error | None:
    """Return the error for a call of no function, or of none that the API takes."""
    if action not in {"", "RequestResponse", "DryRun", "InvokeFunction", "GetFunction"}:
        return _NO_ACTION
    if len(_event(request)) > MAX_PAYLOAD:
        return _LARGE
    if handlers.file_of(request.settings.functions, _named(request)) is None:
        return _NO_FUNCTION
    return None


def _call(request: Request) -> Reply:
    """Call a function; raise ``Pending`` until it has returned."""
    action = request.headers.get("x-tc-action" if _is_scf(request) else "x-amz-invocation-type", "")
    if found := _refused(request, action):
        return _error(request, found)
    if action == "DryRun":
        return Reply(204, b"")
    if action == "GetFunction":
        return _scf(request, _configuration(request))
    try:
        event = _event(request) or b"{}"
        json.loads(event)
        invocation = _invocation(request, event)
    except ValueError:  # the payload, or the client context
        return _error(request, _NO_JSON)
    if request.running is None:
        assert request.workers is not None  # noqa: S101 - for the type checker
        request.running = request.workers.start(invocation)
    if not request.running.done():
        raise Pending(request.running)
    return reply(request, handlers.result_of(request.running, invocation, request.id))


def _configuration(request: Request) -> dict[str, Any]:
    settings = request.settings
    return {
        "FunctionName": _named(request),
        "MemorySize": settings.function_memory_mb,
        "Timeout": math.ceil(settings.function_time_s),
        "Status": "Active",
    }


def _invocation(request: Request, event: bytes) -> Invocation:
    settings, name = request.settings, _named(request)
    return Invocation(
        name,
        str(Path(settings.functions).resolve()),
        event,
        _scf_context(request, name) if _is_scf(request) else _lambda_context(request, name),
        settings.function_time_s,
        settings.function_memory_mb,
    )


def _lambda_context(request: Request, name: str) -> dict[str, Any]:
    given = request.headers.get("x-amz-client-context", "")
    return {
        "aws_request_id": request.id,
        "function_name": name,
        "function_version": "$LATEST",
        "invoked_function_arn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
        "memory_limit_in_mb": str(request.settings.function_memory_mb),
        "client_context": json.loads(base64.b64decode(given)) if given else None,
    }


def _scf_context(request: Request, name: str) -> dict[str, Any]:
    return {
        "request_id": request.id,
        "function_name": name,
        "function_version": "$LATEST",
        "namespace": _parameters(request).get("Namespace", "default"),
        "memory_limit_in_mb": request.settings.function_memory_mb,
        "time_limit_in_ms": int(request.settings.function_time_s * 1000),
    }


def reply(request: Request, result: Result) -> Reply:
    """Return the answer to a call."""
    if _is_scf(request):
        return _scf(request, {"Result": _scf_result(request, result)})
    memory = request.settings.function_memory_mb
    report = (
        f"REPORT RequestId: {request.id}\tDuration: {result.duration_s * 1000:.2f} ms\t"
        f"Billed Duration: {result.billed_ms} ms\tMemory Size: {memory} MB\t"
        f"Max Memory Used: {min(result.memory >> 20, memory)} MB\t"
    )
    if result.init_s:
        report += f"Init Duration: {result.init_s * 1000:.2f} ms\t"
    log = (
        f"START RequestId: {request.id} Version: $LATEST\n{result.log}END RequestId: {request.id}\n"
    )
    headers = f"x-amzn-RequestId: {request.id}\r\nX-Amz-Executed-Version: $LATEST\r\n"
    if result.error:
        headers += "X-Amz-Function-Error: Unhandled\r\n"
    if request.headers.get("x-amz-log-type") == "Tail":
        tail = f"{log}{report}\n".encode(errors="replace")[-_TAIL:]
        headers += f"X-Amz-Log-Result: {base64.b64encode(tail).decode()}\r\n"
    return Reply(200, result.body, b"application/json", headers.encode())


_SCF_STATUS = {
    "Sandbox.Timedout": 433,
    "Runtime.ExitError": 434,
    "Function.ResponseSizeTooLarge": 407,
}
"""Status of SCF by type of error; 430, an exception in the user's code, by default."""


def _scf_result(request: Request, result: Result) -> dict[str, Any]:
    message = ""
    if result.error:
        told = json.loads(result.body)
        text = "\n".join((*told["stackTrace"], f"{told['errorType']}: {told['errorMessage']}"))
        if result.error == "Sandbox.Timedout":
            seconds = request.settings.function_time_s
            text = f"Invoking task timed out after {seconds:g} seconds"
        status = _SCF_STATUS.get(result.error, 430)
        known = {
            "errorCode": -1,
            "errorMessage": text,
            "requestId": request.id,
            "statusCode": status,
        }
        message = json.dumps(known, ensure_ascii=False)
    return {
        "FunctionRequestId": request.id,
        "InvokeResult": -1 if result.error else 0,
        "RetMsg": "" if result.error else result.body.decode(),
        "ErrMsg": message,
        "Duration": round(result.duration_s * 1000, 3),
        "BillDuration": result.billed_ms,
        "MemUsage": result.memory,
        "Log": result.log[-_TAIL:],
    }


_INVOKE = Route(_call, _requested, method="POST")
_SCF = Route(_call, _requested, method="POST")
