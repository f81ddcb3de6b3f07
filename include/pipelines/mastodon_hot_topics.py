"""Hot topics of a Mastodon server: one row an event of a hashtag, as in the Weibo pipeline.

Items are the trending hashtags, or a list. A hashtag that was listed by the run has rows ``listed`` and
``day``; ``mention_count`` and ``account_count`` are its uses and accounts of a day (UTC). Of each hashtag the
newest 200 statuses are read, those of accounts of other servers, too, as far as the server knows them.

Mastodon leaves out what was deleted, and posts of accounts that it limits or suspends meanwhile: there are
no rows ``deleted``, and :mod:`pipelines._hot_topics` says how ``deleted`` is derived. Mastodon verifies links,
not people: ``verified`` is true if a link of the author's profile is verified.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from fanfold import Pipeline
from pipelines import _hot_topic_charts as charts
from pipelines import _hot_topics as topics
from pipelines import _mastodon_api as mastodon
from pipelines import _mastodon_topics_api as api
from pipelines import _user_profiles as profiles

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATUS = {
    "server": "server",
    "id": "id",
    "happened_at": "created_at",
    "author_id": "account.id",
    "author": "account.acct",
    "verified": "account.fields",
    "followers": "account.followers_count",
    "text": "content",
    "reposts": "reblogs_count",
    "comments": "replies_count",
    "likes": "favourites_count",
}
"""Field of a status by column; ``text`` is HTML."""
_COUNTS = ("followers", "reposts", "comments", "likes")


def rows(records: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of some hashtags."""
    servers = dict(profiles.fields(records, {"server": "server"})["server"].items())
    if api.NONE in records:
        records = records[records[api.NONE].isna()]
    found = profiles.fields(records, _STATUS)
    statuses = found.assign(
        kind="status",
        happened_at=profiles.moment(found["happened_at"], mastodon.moment),
        author=profiles.mapped(found["author"], mastodon.shown_acct),
        text=profiles.mapped(found["text"], mastodon.plain),
        verified=profiles.mapped(found["verified"], mastodon.has_verified_link),
        **{name: profiles.mapped(found[name], mastodon.shown) for name in _COUNTS},
    )
    listed = [
        {"item": key, "server": servers.get(key), **row}
        for key, attributes in items.to_dict("index").items()
        for row in _listed(attributes)
    ]
    of_tags = pd.DataFrame(
        listed, columns=["item", "server", "kind", "id", "happened_at", *_LISTED], dtype=object
    )
    return pd.concat([of_tags.set_index("item"), statuses])


_LISTED = ("rank", "list_size", "mention_count", "account_count")


def _listed(attributes: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a hashtag on the list: its place, and its days; a given one may have neither."""
    if isinstance(hour := attributes.get("hour"), str):
        place = {name: attributes.get(name) for name in ("rank", "list_size")}
        yield {"kind": "listed", "id": hour, "happened_at": hour, **place}
    days = attributes.get("days")
    for day in days if isinstance(days, list) else ():
        yield {
            "kind": "day",
            "id": day["day"],
            "happened_at": f"{day['day']}T00:00:00Z",
            "mention_count": day["uses"],
            "account_count": day["accounts"],
        }


PIPELINE = Pipeline(
    name="mastodon_hot_topics",
    noun=("hashtag", "话题标签"),
    source=api.API,
    transform=rows,
    contract=topics.TopicEvent,
    key=topics.KEY,
    dataset="topic_events",
    table_prefix="mastodon_",
    mode="merge",
    folds=topics.FOLDS,
    charts=charts.CHARTS,
    item_column="topic",
    check_item=api.check_item,
    key_form=api.KEY_FORM,
    label="author",
    measure="likes",
)
