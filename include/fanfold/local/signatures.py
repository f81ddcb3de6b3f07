"""AWS Signature Version 4 on the server side, for the local S3 server.

Source: "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API Reference.
"""

from __future__ import annotations

import hmac
import re
import threading
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING, Any

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from werkzeug import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SIGNATURE = "X-Amz-Signature"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class SignedOnly:
    """WSGI middleware that passes on only requests signed with one key pair.

    It passes on one request at a time: of two conditional writes only one succeeds.
    """

    def __init__(self, application: Callable[..., Any], access_key: str, secret_key: str) -> None:
        self._application = application
        self._credentials = Credentials(access_key, secret_key)
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request; 403 if its signature is missing, wrong or expired."""
        request = Request(environ)
        body = request.get_data(cache=False)
        if code := self._rejection(request, body):
            error = f"<Error><Code>{code}</Code><Message>Access denied</Message></Error>"
            return Response(error, 403, mimetype="application/xml")(environ, start_response)
        environ["wsgi.input"] = BytesIO(body)
        with self._lock:
            # Read the whole response before the next request changes the object.
            return list(self._application(environ, start_response))

    def _rejection(self, request: Request, body: bytes) -> str:
        """Return the S3 error code for a request that must be rejected, else an empty string."""
        presigned = _SIGNATURE in request.args
        if presigned:
            fields = {name.removeprefix("X-Amz-"): value for name, value in request.args.items()}
        else:
            pairs = re.findall(r"(\w+)=([^,\s]+)", request.headers.get("Authorization", ""))
            fields = dict(pairs) | {"Date": request.headers.get("X-Amz-Date", "")}
        access_key, _, scope = fields.get("Credential", "").partition("/")
        if access_key != self._credentials.access_key:
            return "InvalidAccessKeyId" if access_key else "AccessDenied"
        region = scope.split("/")[1] if scope.count("/") == 3 else ""
        kind = S3SigV4QueryAuth if presigned else S3SigV4Auth
        expected = _signature(kind(self._credentials, "s3", region), request, fields)
        if not hmac.compare_digest(expected.encode(), fields.get("Signature", "").encode()):
            return "SignatureDoesNotMatch"
        if presigned and _expired(fields):
            return "AccessDenied"
        payload = request.headers.get("X-Amz-Content-SHA256", "")
        if _SHA256.fullmatch(payload) and payload != sha256(body).hexdigest():
            return "XAmzContentSHA256Mismatch"
        return ""


def _signature(auth: Any, request: Request, fields: dict[str, str]) -> str:
    """Return the signature that botocore computes for a request with these signature fields."""
    # The path and the query as they were sent, before any decoding.
    path, _, query = request.environ["REQUEST_URI"].partition("?")
    query = "&".join(part for part in query.split("&") if not part.startswith(f"{_SIGNATURE}="))
    names = fields.get("SignedHeaders", "").split(";")
    headers = {name: request.headers[name] for name in names if name in request.headers}
    signed = AWSRequest(request.method, f"http://{request.host}{path}?{query}", headers)
    signed.context["timestamp"] = fields.get("Date", "")
    text = auth.string_to_sign(signed, auth.canonical_request(signed))
    return str(auth.signature(text, signed))


def _expired(fields: dict[str, str]) -> bool:
    try:
        signed_at = datetime.strptime(fields["Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return datetime.now(UTC) > signed_at + timedelta(seconds=int(fields["Expires"]))
    except (KeyError, ValueError):
        return True
