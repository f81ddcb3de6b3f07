"""Weibo user profiles: one row a user, by uid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanfold import Pipeline
from pipelines import _user_profiles as profiles
from pipelines import _weibo_api as weibo

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

_TEXTS = {
    "screen_name": "screen_name",
    "name": "name",
    "description": "description",
    "location": "location",
    "gender": "gender",
    "url": "url",
    "profile_url": "profile_url",
    "avatar_url": "avatar_large",
    "verified_reason": "verified_reason",
}
_COUNTS = {
    "followers_count": "followers_count",
    "friends_count": "friends_count",
    "statuses_count": "statuses_count",
    "favourites_count": "favourites_count",
    "mutual_followers_count": "bi_followers_count",
}


def rows(records: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    """Return the rows of some profiles."""
    got = records.reindex(
        columns=[
            *("id", "province", "verified", "verified_type", "created_at", "status"),
            *_TEXTS.values(),
            *_COUNTS.values(),
        ]
    ).astype(object)
    columns: dict[str, Any] = {column: profiles.text(got[name]) for column, name in _TEXTS.items()}
    columns |= {column: got[name] for column, name in _COUNTS.items()}
    last_post = got["status"].map(
        lambda status: status.get("created_at") if isinstance(status, dict) else None
    )
    table = got[[]].assign(
        source="weibo",
        user_id=got["id"],
        region=profiles.code(got["province"], weibo.PROVINCES),
        verified=got["verified"].where(got["verified"].notna(), other=False),
        verified_type=profiles.code(got["verified_type"], weibo.VERIFIED_TYPES, other="other"),
        created_at=profiles.moment(got["created_at"], weibo.moment),
        last_status_at=profiles.moment(last_post, weibo.moment),
        **columns,
    )
    return profiles.derived(table, as_of)


PIPELINE = Pipeline(
    name="weibo_user_profiles",
    noun=("user", "用户"),
    source=weibo.API,
    transform=rows,
    contract=profiles.UserProfile,
    key=("source", "user_id"),
    dataset="user_profiles",
    charts=[
        profiles.FOLLOWERS,
        profiles.ACTIVITY,
        profiles.YEARS,
        profiles.VERIFIED,
        profiles.REGION,
        profiles.RECENCY,
        profiles.TOP,
    ],
    item_column="user_id",
    check_item=weibo.check_item,
    key_form=weibo.KEY_FORM,
    label="screen_name",
    measure="followers_count",
)
