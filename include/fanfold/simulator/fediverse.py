"""Simulated Mastodon accounts, a function of account name and time."""

from __future__ import annotations

import hashlib
import re
import struct
from datetime import date
from typing import TYPE_CHECKING, Any

from fanfold.simulator import vocabulary as words
from fanfold.simulator.people import NEW, grown
from fanfold.simulator.vocabulary import pick

if TYPE_CHECKING:
    from fanfold.simulator.people import Age

DOMAIN = "social.example"
REMOTE = {"xn--bcher-kva.example": "bücher.example"}
"""Another server with the same names, whose accounts this one knows: the domain as asked, and as shown."""
POSTS_UNTIL = date(2026, 7, 31).toordinal()
_FIRST_DAY = date(2016, 3, 16).toordinal()
_WORDS = struct.Struct("<16I")
_ACCT = re.compile(r"[a-z0-9_]{1,30}")
_SYMBOLS = "abcdefghijklmnopqrstuvwxyz0123456789_"
_MOST_DIGITS = 48  # of an id; 30 characters have at most 47

_FIRST = words.listed(
    "Ada Bruno Chloé Dmitri Elif Farah Gustavo Hana Ines Jürgen 小林 Lars Mei Noor Olu 陈静"
)
_LAST = words.listed(
    "Almeida Brandt Çelik Dubois Eriksen Fischer García 田中 Kowalski Lindqvist Ōkubo Sato"
)
_TRAPS = (
    "=cmd()", "+1", "@SUM(1)", "-2+3", "<script>alert(1)</script>", "", "  blanks  ", "a\u200bb", "مرحبا",
    ":blobcat: cat", 'quote"d', "com,ma", "tab\there", "🏳️‍⚧️",
)  # fmt: skip
_NOTES = (
    "Photographs of moss &amp; rain",
    "I write about open data.<br />Opinions my own",
    'Maps. <a href="https://example.org/tags/gischat" class="mention hashtag" rel="tag">#<span>gischat</span></a>',
    "猫と暮らす",
    "独立开发者，喜欢开源",
    "Retired nurse, cyclist, grandmother",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "she/her 🌈 she\u2019s on a boat",
)


def exists(acct: str) -> bool:
    """Return whether an account exists: 1 to 30 of ``a-z0-9_``, not starting with ``nobody``."""
    return _ACCT.fullmatch(acct) is not None and not acct.startswith("nobody")


def found(acct: str, age: Age = NEW) -> dict[str, Any] | None:
    """Return the account that a server finds by a name, with or without its domain; None if there is none."""
    name, _, domain = acct.lower().partition("@")
    if not exists(name) or domain not in {"", DOMAIN, *REMOTE}:
        return None
    if domain not in REMOTE:
        return account(name, age)
    # Ids of its own, above those of all local accounts; it hides counts and does not know times.
    return (
        account(name, age)
        | {
            "id": f"9{int(id_of(name)):0{_MOST_DIGITS}}",
            "acct": f"{name}@{REMOTE[domain]}",
            "created_at": "1970-01-01T00:00:00.000Z",
            "url": f"https://{REMOTE[domain]}/@{name}",
            "uri": f"https://{REMOTE[domain]}/users/{name}",
        }
        | dict.fromkeys(("followers_count", "following_count", "statuses_count"), -1)
    )


def id_of(acct: str) -> str:
    """Return the id of an account: its name as a number in base 37."""
    number = 0
    for symbol in acct:
        number = number * 37 + _SYMBOLS.index(symbol) + 1
    return str(number)


def acct_of_id(identity: str) -> str | None:
    """Return the account name of an id, if it is valid."""
    if not (identity.isascii() and identity.isdigit()) or len(identity) > _MOST_DIGITS:
        return None
    number = int(identity)
    symbols = []
    while number:
        number, digit = divmod(number - 1, 37)
        symbols.append(_SYMBOLS[digit])
    return "".join(reversed(symbols))


def account(acct: str, age: Age = NEW) -> dict[str, Any]:
    """Return an existing account with the fields of Mastodon 4.3.

    Names that begin with ``suspended`` are those of suspended accounts.
    """
    digest = hashlib.blake2b(acct.encode(), person=b"mastodon").digest()
    draws = _WORDS.unpack(digest)
    day = _FIRST_DAY + draws[0] % (POSTS_UNTIL - 31 - _FIRST_DAY)
    hours = 24 * (POSTS_UNTIL - day) + age.grown
    statuses = 0 if draws[1] % 23 == 0 else hours * (1 + draws[1] % 500) // 2400
    newest = POSTS_UNTIL + age.days
    ago = (newest - day) * (draws[3] & 0xFF) * (draws[4] & 0xFF) >> 16
    last = date.fromordinal(newest - ago).isoformat() if statuses else None
    url = f"https://{DOMAIN}/@{acct}"
    image = f"https://files.{DOMAIN}/{draws[5]:08x}"
    display = f"{pick(_FIRST, draws[6])} {pick(_LAST, draws[7])}"
    if draws[8] % 30 == 0:
        display = pick(_TRAPS, draws[9])
    elif draws[8] % 7 == 0:
        display += f" {pick(words.EMOJI, draws[9])}"
    shown = {
        "id": id_of(acct),
        "username": acct,
        "acct": acct,
        "display_name": display,
        "locked": draws[10] % 8 == 0,
        "bot": draws[10] % 25 == 1,
        "discoverable": (True, True, False, None)[draws[10] % 4],
        "indexable": draws[10] % 3 == 0,
        "group": draws[10] % 200 == 3,
        "created_at": f"{date.fromordinal(day).isoformat()}T00:00:00.000Z",
        "note": f"<p>{pick(_NOTES, draws[11])}</p>" if draws[11] % 5 else "",
        "url": url,
        "uri": f"https://{DOMAIN}/users/{acct}",
        "avatar": f"{image}/avatar.png",
        "avatar_static": f"{image}/avatar.png",
        "header": f"{image}/header.png",
        "header_static": f"{image}/header.png",
        "followers_count": grown(_count(draws[12], 18), draws[15], age),
        "following_count": 0 if draws[13] % 40 == 0 else _count(draws[13], 12),
        "statuses_count": statuses,
        "last_status_at": last,
        "hide_collections": None,
        "noindex": False,
        "emojis": _emojis(display),
        "roles": [],
        "fields": _fields(acct, day, draws[14]),
    }
    if not acct.startswith("suspended"):
        return shown
    blank: dict[type, Any] = {str: "", int: 0, bool: False, list: []}
    kept = ("id", "username", "acct", "created_at", "url", "uri")
    hidden = {name: blank.get(type(value)) for name, value in shown.items() if name not in kept}
    return {**shown, **hidden, "suspended": True}


def _count(draw: int, doublings: int) -> int:
    """Return a count from 0 to 2**doublings, bell-shaped on a log scale."""
    size = ((draw & 0xFF) + (draw >> 8 & 0xFF) + (draw >> 16 & 0xFF)) * doublings // 768
    return (1 << size) + ((draw >> 12) & ((1 << size) - 1)) - 1


def _emojis(display: str) -> list[dict[str, Any]]:
    if ":blobcat:" not in display:
        return []
    address = f"https://files.{DOMAIN}/emoji/blobcat.png"
    return [
        {"shortcode": "blobcat", "url": address, "static_url": address, "visible_in_picker": True}
    ]


def _fields(acct: str, day: int, draw: int) -> list[dict[str, Any]]:
    site = f'<a href="https://{acct}.example" rel="nofollow me">{acct}.example</a>'
    verified = f"{date.fromordinal(day + 30).isoformat()}T08:30:00.000+00:00"
    every = [
        {"name": "Website", "value": site, "verified_at": verified if draw & 4 else None},
        {"name": "代词", "value": "they/them", "verified_at": None},
    ]
    return every[: draw & 3]
