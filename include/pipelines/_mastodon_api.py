"""Mastodon: account profiles by ``acct``, from ``GET /api/v1/accounts/lookup``.

Most servers need no token. Facts: docs.joinmastodon.org, "accounts API methods" (lookup),
"Account" (entity) and "Rate limits" (``X-RateLimit-*``; the reset is an ISO 8601 time).
"""

from __future__ import annotations

import html
import re
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fanfold import (
    Api,
    BadConfiguration,
    Call,
    Catalogue,
    CredentialRefused,
    Found,
    ItemRefused,
    KeyForm,
    NotThere,
    Probe,
    Quota,
    QuotaSpent,
    SourceBusy,
    retry_after,
    unexpected_response,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fanfold import Item, Response
    from fanfold.sources.endpoint import Endpoint

_LOOKUP = "/api/v1/accounts/lookup"
_OWNER = "/api/v1/accounts/verify_credentials"
_INSTANCE = ("/api/v2/instance", "/api/v1/instance")
"""The description of a server; many servers have only the second one."""
_MESSAGES = Catalogue(
    {
        "mastodon.no_account": ("HTTP {status}: no such account", "HTTP {status}：没有这个账号"),
        "mastodon.unknown_here": (
            "HTTP {status}: the server does not know this account of another server, which may have it",
            "HTTP {status}：该服务器不知道这个其他服务器的账号，账号在那里可能存在",
        ),
        "mastodon.suspended": (
            "The server has suspended the account and hides its profile",
            "该服务器已封停此账号，不显示其资料",
        ),
        "mastodon.other_account": (
            "{path}: HTTP 200, the response is about another account",
            "{path}：HTTP 200，响应是另一个账号的",
        ),
        "mastodon.token": (
            "The server rejected the token, or shows accounts only with one (HTTP {status}); put a valid one into "
            "the password of the connection",
            "服务器拒绝了令牌，或者只凭令牌显示账号（HTTP {status}）；请在连接的密码里填入有效的令牌",
        ),
        "mastodon.too_old": (
            "The server has Mastodon {version}, which has no look-up of accounts by name: it has been there since "
            "3.4. Use the host of another server",
            "该服务器运行 Mastodon {version}，没有按名称查询账号的接口（3.4 起才有）。请换一台服务器",
        ),
        "mastodon.quota": (
            "Mastodon's quota is used up (HTTP 429)",
            "Mastodon 的配额已用完（HTTP 429）",
        ),
        "mastodon.request": (
            "Mastodon rejected the request (HTTP {status})",
            "Mastodon 拒绝了请求（HTTP {status}）",
        ),
    }
)
# Other software of the network permits more in a name than Mastodon's own sign-up does. A domain has no
# other ASCII than letters, digits and these signs; invisible characters come with pasted text.
_DOMAIN = r"[^\x00-,/:-@\[-\^`{-\x9f\s\u200b\u200e-\u206f\ufeff\ud800-\udfff]+"
_ACCT = re.compile(rf"[\w.-]+(?:@{_DOMAIN}(?::[0-9]+)?)?")
_PUNYCODE = "xn--"


def check_item(item: str) -> str:
    """Return an ``acct`` in canonical form: without a leading @, in lower case, its domain in Unicode."""
    acct = item.removeprefix("@").lower()
    if len(acct) > 300 or not _ACCT.fullmatch(acct):
        raise ValueError("a Mastodon account looks like alice or alice@example.social")
    return _with_domain(acct, _shown)


def call(item: Item) -> Call:
    """Return the request for an account; servers compare international domains as punycode."""
    return Call(_LOOKUP, {"acct": _with_domain(item.key, _punycode)})


def _with_domain(acct: str, function: Callable[[str], str]) -> str:
    """Return an ``acct`` with the result of a function of its domain."""
    name, at, domain = acct.partition("@")
    return f"{name}@{function(domain)}" if at else acct


def shown_acct(acct: Any) -> Any:
    """Return an ``acct`` with its domain in Unicode: not each server shows it so."""
    return _with_domain(acct, _shown) if isinstance(acct, str) else acct


def _punycode(domain: str) -> str:
    return ".".join(
        label if label.isascii() else _PUNYCODE + label.encode("punycode").decode()
        for label in domain.split(".")
    )


def _shown(domain: str) -> str:
    """Return a domain in Unicode; a label that is no punycode of a printable text stays."""
    if domain.isascii() and _PUNYCODE not in domain:  # nearly all are
        return domain
    # The codec "idna" would make another domain of ß, and refuse some that exist.
    return ".".join(map(_shown_label, _normal(domain).replace("。", ".").split(".")))


def _shown_label(label: str) -> str:
    if not label.startswith(_PUNYCODE):
        return label
    try:
        found = label.removeprefix(_PUNYCODE).encode().decode("punycode")
    except UnicodeError:
        return label
    is_canonical = _punycode(found) == label and _normal(found) == found and found.isprintable()
    return found if is_canonical else label


def _normal(domain: str) -> str:
    return unicodedata.normalize("NFKC", domain).lower()


def read(item: Item, response: Response) -> Found | NotThere:
    """Return the account in a response, by HTTP status."""
    if response.status == 200 and isinstance(response.body, dict) and "id" in response.body:
        # A response that belongs to another request must not be stored under this name.
        received = response.body.get("acct")
        if isinstance(received, str) and _name(received) != _name(item.key):
            raise SourceBusy(_MESSAGES.message("mastodon.other_account", path=_LOOKUP))
        if response.body.get("suspended"):  # the rest is blanks and zeros
            return NotThere(_MESSAGES.message("mastodon.suspended"))
        return Found(({**response.body, "server": response.server},))
    if response.status in {404, 410} and is_error(response):
        domain = item.key.partition("@")[2]
        is_local = not domain or domain == _shown(response.server)
        reason = "mastodon.no_account" if is_local else "mastodon.unknown_here"
        return NotThere(_MESSAGES.message(reason, status=response.status))
    raise_for_status(response)
    raise unexpected_response(response)


def _name(acct: str) -> str:
    """Return an account's name without its server: servers omit it for their own accounts."""
    return acct.partition("@")[0].lower()


def is_error(response: Response) -> bool:
    """Whether a response is an error of Mastodon: its JSON says so, the page of a proxy does not."""
    return isinstance(response.body, dict) and "error" in response.body


def instance_calls(endpoint: Endpoint) -> list[Call]:
    """Return the requests for the server's description."""
    return [Call(path) for path in _INSTANCE]


def check_calls(endpoint: Endpoint) -> list[Call]:
    """Return the requests for the token's owner, if there is one, and the server's description."""
    return [Call(_OWNER)] * bool(endpoint.token) + instance_calls(endpoint)


def read_check(response: Response) -> None:
    """Check the response to :func:`check_calls`.

    The token of an application has no owner, which is 422: that it is valid is all that can be known.
    """
    if response.status == 429 or (response.status == 422 and is_error(response)):
        return
    raise_for_status(response)
    if response.status != 200 or not isinstance(response.body, dict):
        raise unexpected_response(response)
    # Before 3.4, each look-up is answered as that of an unknown account.
    version = _OLD.match(str(response.body.get("version")))
    if version:
        raise BadConfiguration(_MESSAGES.message("mastodon.too_old", version=version[0]))


# Other software adds its own version: "2.7.2 (compatible; Pleroma 2.5.0)".
_OLD = re.compile(r"(?:2\.[0-9]|3\.[0-3])\.[0-9]+(?!.*\()")


def read_quota(response: Response) -> Quota:
    """Return the quota in the headers of the server's description (``X-RateLimit-*``)."""
    headers = response.headers
    return Quota(
        remaining=_count(headers, "X-RateLimit-Remaining"),
        reset_in=_reset_in(headers),
        limit=_count(headers, "X-RateLimit-Limit"),
        window=300.0,
    )


def exhausted_for(response: Response) -> float | None:
    """Return the seconds until the reset if no requests remain after this response."""
    left = _count(response.headers, "X-RateLimit-Remaining")
    return _reset_in(response.headers) if left == 0 else None


def _count(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name, "")
    return int(value) if value.isdecimal() and len(value) < 10 else None


def _reset_in(headers: Mapping[str, str]) -> float | None:
    moment = _reset(headers)
    return None if moment is None else max(0.0, (moment - datetime.now(UTC)).total_seconds())


def raise_for_status(response: Response) -> None:
    """Raise the error for a status that all requests share: 400, 401, 403, 422 and 429.

    A page with such a status is that of a proxy, such as a challenge, and the request is repeated.
    """
    if response.status in {401, 403} and is_error(response):
        raise CredentialRefused(_MESSAGES.message("mastodon.token", status=response.status))
    if response.status == 429:
        raise QuotaSpent(
            _MESSAGES.message("mastodon.quota"),
            reset_at=_reset(response.headers),
            retry_after=retry_after(response.headers),
        )
    if response.status in {400, 422} and is_error(response):
        raise ItemRefused(_MESSAGES.message("mastodon.request", status=response.status))


def _reset(headers: Mapping[str, str]) -> datetime | None:
    try:
        moment = datetime.fromisoformat(headers.get("X-RateLimit-Reset", ""))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


FIELDS: Mapping[str, str] = {
    "server": "server",
    "user_id": "id",
    "screen_name": "acct",
    "name": "display_name",
    "description": "note",
    "profile_url": "url",
    "avatar_url": "avatar",
    "followers_count": "followers_count",
    "friends_count": "following_count",
    "statuses_count": "statuses_count",
    "created_at": "created_at",
    "last_status_at": "last_status_at",
    "verified": "fields",
}
"""Field of a record by column of the dataset; ``server`` is that of :func:`read`, ``description`` is HTML
(:func:`plain_text`), times are text (:func:`moment`), counts may be hidden (:func:`shown`), domains may be
punycode (:func:`shown_acct`)."""


def moment(text: str) -> datetime | None:
    """Parse an ISO 8601 time or date; without a zone it is in UTC.

    None for a time before 1970: servers that do not know one show year 1, or the like.
    """
    if text.startswith(("-", "0000")):  # a date of zeros, as PHP shows it
        return None
    parsed = datetime.fromisoformat(text)
    if parsed.year > 1:  # there is none before year 1 in another zone
        parsed = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    return parsed if parsed.year >= 1970 else None


def shown(count: Any) -> Any:
    """Return a count, or None for a negative one (number or text): a server that hides counts shows -1."""
    return None if re.match("-[0-9]", str(count)) else count


# <br> and </p> end a line. These patterns never scan past the next "<", so they take linear time;
# html.parser takes quadratic time and raises AssertionError for some texts.
_LINE_END = re.compile(r"<(?:br|/p)(?![a-z])[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"""<[a-z/!?](?:[^<>"']|"[^"<]*"|'[^'<]*')*+>""", re.IGNORECASE)


def plain_text(note: str) -> str:
    """Return the text of a profile's HTML, one line per paragraph; incomplete tags are text."""
    return html.unescape(_TAG.sub("", _LINE_END.sub("\n", note)))


def plain(note: Any) -> Any:
    """Return the text of HTML, or None if it has none; another value stays as it is."""
    return plain_text(note).strip() or None if isinstance(note, str) else note


def has_verified_link(fields: Any) -> bool:
    """Whether the server has verified a link among the fields of a profile."""
    return isinstance(fields, list) and any(
        isinstance(field, dict) and bool(field.get("verified_at")) for field in fields
    )


API = Api(
    connection="mastodon_default",
    call=call,
    read=read,
    check=Probe(check_calls, read_check),
    quota=Probe(instance_calls, read_quota),
    exhausted_for=exhausted_for,
    messages=_MESSAGES.texts,
)
KEY_FORM = KeyForm(leading="@", lower=True)
