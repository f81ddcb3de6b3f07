"""Mastodon user profiles: one row an account, by ``acct``, with the columns of the Weibo pipeline.

Mastodon verifies links, not people: ``verified`` is true if a link of the profile is verified.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanfold import Pipeline
from pipelines import _mastodon_api as mastodon
from pipelines import _user_profiles as profiles

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

_TEXTS = {
    "screen_name": "acct",
    "name": "display_name",
    "profile_url": "url",
    "avatar_url": "avatar",
}
_COUNTS = {
    "followers_count": "followers_count",
    "friends_count": "following_count",
    "statuses_count": "statuses_count",
}


def rows(records: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    """Return the rows of some accounts."""
    got = records.reindex(
        columns=[
            *("id", "note", "fields", "created_at", "last_status_at"),
            *_TEXTS.values(),
            *_COUNTS.values(),
        ]
    ).astype(object)
    columns: dict[str, Any] = {column: profiles.text(got[name]) for column, name in _TEXTS.items()}
    columns |= {column: got[name] for column, name in _COUNTS.items()}
    table = got[[]].assign(
        source="mastodon",
        user_id=got["id"],
        description=profiles.text(
            got["note"].map(lambda note: mastodon.plain(note) if isinstance(note, str) else note)
        ),
        verified=got["fields"].map(_has_verified_link),
        created_at=profiles.moment(got["created_at"], mastodon.moment),
        last_status_at=profiles.moment(got["last_status_at"], mastodon.moment),
        **columns,
    )
    return profiles.derived(table, as_of)


def _has_verified_link(fields: Any) -> bool:
    return isinstance(fields, list) and any(
        isinstance(field, dict) and bool(field.get("verified_at")) for field in fields
    )


PIPELINE = Pipeline(
    name="mastodon_user_profiles",
    noun=("account", "账号"),
    source=mastodon.API,
    transform=rows,
    contract=profiles.UserProfile,
    key=("source", "user_id"),
    dataset="user_profiles",
    charts=[
        profiles.FOLLOWERS,
        profiles.ACTIVITY,
        profiles.YEARS,
        profiles.VERIFIED,
        profiles.RECENCY,
        profiles.TOP,
    ],
    item_column="acct",
    check_item=mastodon.check_item,
    key_form=mastodon.KEY_FORM,
    label="screen_name",
    measure="followers_count",
)
