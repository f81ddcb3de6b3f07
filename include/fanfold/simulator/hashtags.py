"""Simulated hashtags of a Mastodon server and their statuses: the topics of :mod:`.topics` by other names.

A hashtag has no spaces and signs; where the word of a topic has some, its number is added. Accounts are named
after the users of :mod:`.people`. Of the counts of a day (UTC), those of the day in China are returned.
"""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from fanfold.simulator import fediverse, topics

_DAYS = 7
"""Days of a tag's history."""
_KEPT = 1000
"""Statuses of a tag that can be got."""


def _name(number: int, word: str) -> str:
    plain = re.sub(r"\W", "", word)
    return plain if plain == word else f"{plain}_{number}"


_NAME = {word: _name(number, word) for number, word in enumerate(topics.WORDS)}
NAMES = tuple(_NAME.values())
"""All hashtags."""
_WORDS = {name.lower(): word for word, name in _NAME.items()}


def word_of(name: str) -> str | None:
    """Return the topic of a hashtag in any case, or None if there is none."""
    return _WORDS.get(name.lower())


def trending(now: int) -> list[dict[str, Any]]:
    """Return the trending hashtags, the hottest first, with their history (``Tag``)."""
    return [_tag(word) | {"history": _history(word, now)} for word in topics.hot(now)]


def _tag(word: str) -> dict[str, Any]:
    return {
        "name": _NAME[word],
        "url": f"https://{fediverse.DOMAIN}/tags/{quote(_NAME[word].lower())}",
    }


def _history(word: str, now: int) -> list[dict[str, str]]:
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0)
    first, last = (today - timedelta(days=_DAYS - 1)).date(), today.date()
    counts = {
        day.day: (day.mentions, day.accounts)
        for day in topics.days(word, first, last, now)
        if isinstance(day, topics.Day)
    }
    history = []
    for age in range(_DAYS):
        day = today - timedelta(days=age)
        uses, accounts = counts.get(day.date(), (0, 0))
        history.append(
            {"day": f"{int(day.timestamp())}", "accounts": str(accounts), "uses": str(uses)}
        )
    return history


def statuses(word: str, now: int, limit: int, max_id: int | None) -> list[dict[str, Any]]:
    """Return the newest statuses of a topic with an id below ``max_id``, the newest first (``Status``)."""
    found = [
        post
        for post in topics.newest(word, now, _KEPT)
        if not post.is_deleted(now) and (max_id is None or post.id < max_id)
    ]
    return [_status(post, now) for post in found[:limit]]


def _status(post: topics.Post, now: int) -> dict[str, Any]:
    acct = f"user{post.uid}"
    reblogs, replies, favourites = post.counts(now)
    tags = [_tag(word) for word in post.words]
    links = " ".join(
        f'<a href="{tag["url"]}" class="mention hashtag" rel="tag">#<span>{tag["name"]}</span></a>'
        for tag in tags
    )
    text = html.escape(post.text.rpartition("#")[2])
    url = f"https://{fediverse.DOMAIN}/@{acct}/{post.id}"
    return {
        "id": str(post.id),
        "created_at": f"{datetime.fromtimestamp(post.created, UTC):%Y-%m-%dT%H:%M:%S}.000Z",
        "in_reply_to_id": None,
        "in_reply_to_account_id": None,
        "sensitive": False,
        "spoiler_text": "",
        "visibility": "public",
        "language": "zh",
        "uri": url,
        "url": url,
        "replies_count": replies,
        "reblogs_count": reblogs,
        "favourites_count": favourites,
        "edited_at": None,
        "content": f"<p>{text} {links}</p>",
        "reblog": None,
        "account": fediverse.account(acct),
        "media_attachments": [],
        "mentions": [],
        "tags": tags,
        "emojis": [],
        "card": None,
        "poll": None,
    }
