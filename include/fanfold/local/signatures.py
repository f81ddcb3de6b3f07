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
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from werkzeug import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

_SIGNATURE = "X-Amz-Signature"
MAX_AGE_S = 900
"""Seconds that a signed request is valid, as at S3."""
_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]|")
"""Names of buckets ("Bucket naming rules", Amazon S3 User Guide), and none: the list of all buckets."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


class SignedOnly:
    """WSGI middleware that passes on only requests signed with one key pair, sent by no web page.

    It passes on one request at a time: of two conditional writes only one succeeds.
    """

    def __init__(
        self,
        application: Callable[..., Any],
        access_key: str,
        secret_key: str,
        names: Collection[str],
    ) -> None:
        """Make the middleware; ``names`` are the host names that requests may be for, without a port."""
        self._application = application
        self._credentials = Credentials(access_key, secret_key)
        self._names = names
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request; 403 if it must be rejected, before its body is read where that decides nothing."""
        request = Request(environ)
        code = self._rejection(request)
        body = b"" if code else request.get_data(cache=False)
        if code := code or _wrong_body(request, body):
            error = f"<Error><Code>{code}</Code><Message>Access denied</Message></Error>"
            return Response(error, 403, mimetype="application/xml")(environ, start_response)
        environ["wsgi.input"] = BytesIO(body)
        with self._lock:
            # Read the whole response before the next request changes the object.
            return list(self._application(environ, start_response))

    def _rejection(self, request: Request) -> str:
        """Return the S3 error code for a request that must be rejected, else an empty string."""
        if _is_of_page(request) or urlsplit(f"//{request.host}").hostname not in self._names:
            return "AccessDenied"
        if not _BUCKET.fullmatch(request.path.split("/")[1]):
            return "InvalidBucketName"
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
        if _expired(fields if presigned else fields | {"Expires": str(MAX_AGE_S)}):
            return "AccessDenied"
        return ""


def _is_of_page(request: Request) -> bool:
    """Whether a browser sent a request for a web page of another origin, and not to follow a link.

    Browsers set these headers (Fetch Metadata, W3C); scripts of a page cannot.
    """
    if request.headers.get("Origin", request.host_url.rstrip("/")) != request.host_url.rstrip("/"):
        return True
    site = request.headers.get("Sec-Fetch-Site", "none")
    return site not in {"none", "same-origin"} and (
        request.headers.get("Sec-Fetch-Mode") != "navigate" or request.method != "GET"
    )


def _wrong_body(request: Request, body: bytes) -> str:
    """Return the S3 error code for a body that is not the signed one, else an empty string."""
    payload = request.headers.get("X-Amz-Content-SHA256", "")
    if _SHA256.fullmatch(payload) and payload != sha256(body).hexdigest():
        return "XAmzContentSHA256Mismatch"
    return ""


def _signature(auth: Any, request: Request, fields: dict[str, str]) -> str:
    """Return the signature that botocore computes for a request with these signature fields."""
    # The path and the query as they were sent, before any decoding.
    path, _, query = request.environ["REQUEST_URI"].partition("?")
    query = "&".join(part for part in query.split("&") if not part.startswith(f"{_SIGNATURE}="))
    # A presigned PUT with a copy source of others would read any object: S3, too, refuses it.
    amz = [name.lower() for name, _ in request.headers if name.lower().startswith("x-amz-")]
    names = {*fields.get("SignedHeaders", "").split(";"), *amz}
    headers = {name: request.headers[name] for name in names if name in request.headers}
    signed = AWSRequest(request.method, f"http://{request.host}{path}?{query}", headers)
    signed.context["timestamp"] = fields.get("Date", "")
    text = auth.string_to_sign(signed, auth.canonical_request(signed))
    return str(auth.signature(text, signed))


def _expired(fields: dict[str, str]) -> bool:
    try:
        signed_at = datetime.strptime(fields["Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        lifetime = timedelta(seconds=int(fields["Expires"]))
        return not -timedelta(seconds=MAX_AGE_S) <= datetime.now(UTC) - signed_at <= lifetime
    except (KeyError, ValueError, OverflowError):
        return True
