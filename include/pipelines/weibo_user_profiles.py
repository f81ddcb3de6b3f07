"""Weibo user profiles: one row a user, by uid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold import Pipeline
from pipelines import _user_profile_charts as charts
from pipelines import _user_profiles as profiles
from pipelines import _weibo_api as weibo

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd


def rows(records: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    """Return the rows of some profiles."""
    found = profiles.fields(records, weibo.FIELDS)
    return profiles.derived(
        found.assign(
            source="weibo",
            server=weibo.SERVER,
            region=profiles.code(found["region"], weibo.PROVINCES),
            verified=found["verified"].where(found["verified"].notna(), other=False),
            verified_type=profiles.code(
                found["verified_type"], weibo.VERIFIED_TYPES, other="other"
            ),
            created_at=profiles.moment(found["created_at"], weibo.moment),
            last_status_at=profiles.moment(found["last_status_at"], weibo.moment),
        ),
        as_of,
    )


PIPELINE = Pipeline(
    name="weibo_user_profiles",
    noun=("user", "用户"),
    source=weibo.API,
    transform=rows,
    contract=profiles.UserProfile,
    key=profiles.KEY,
    dataset="user_profiles",
    charts=[
        charts.FOLLOWERS,
        charts.ACTIVITY,
        charts.VERIFIED,
        charts.RECENCY,
        charts.REGION,
        charts.TOP,
        charts.YEARS,
    ],
    item_column="user_id",
    check_item=weibo.check_item,
    key_form=weibo.KEY_FORM,
    label="screen_name",
    measure="followers_count",
    not_compared=("account_age_days", "statuses_per_day"),
)
