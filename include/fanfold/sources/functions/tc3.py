"""Signatures of Tencent Cloud's API: TC3-HMAC-SHA256.

Source: "Signature v3", Tencent Cloud API documentation (https://cloud.tencent.com/document/api/362/4208).
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALGORITHM = "TC3-HMAC-SHA256"


def authorization(  # noqa: PLR0913 - what is signed, and with what
    secret_id: str,
    secret_key: str,
    *,
    service: str,
    timestamp: int,
    headers: Mapping[str, str],
    body: bytes,
) -> str:
    """Return the ``Authorization`` header of a POST request to ``/``.

    Args:
        secret_id: Id of the key.
        secret_key: The key.
        service: Such as ``scf``.
        timestamp: Seconds since 1970, that of the header ``X-TC-Timestamp``.
        headers: Headers to sign; at least ``Content-Type`` and ``Host``.
        body: The body, as it is sent.
    """
    lines = {name.lower(): value.strip().lower() for name, value in headers.items()}
    signed = ";".join(sorted(lines))
    canonical = "".join(f"{name}:{lines[name]}\n" for name in sorted(lines))
    request = f"POST\n/\n\n{canonical}\n{signed}\n{_digest(body)}"
    date = f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d}"
    scope = f"{date}/{service}/tc3_request"
    text = f"{_ALGORITHM}\n{timestamp}\n{scope}\n{_digest(request.encode())}"
    key = f"TC3{secret_key}".encode()
    for part in (date, service, "tc3_request"):
        key = _hmac(key, part).digest()
    return (
        f"{_ALGORITHM} Credential={secret_id}/{scope}, SignedHeaders={signed}, "
        f"Signature={_hmac(key, text).hexdigest()}"
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _hmac(key: bytes, text: str) -> hmac.HMAC:
    return hmac.new(key, text.encode(), hashlib.sha256)
