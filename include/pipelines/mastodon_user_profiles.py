"""Mastodon user profiles: one row an account, by ``acct``, with the columns of the Weibo pipeline.

A server has ids of its own for all accounts, also for those of other servers: the key is the id with the
server that was asked. Mastodon verifies links, not people: ``verified`` is true if a link is verified.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold import Pipeline
from pipelines import _mastodon_api as mastodon
from pipelines import _user_profile_charts as charts
from pipelines import _user_profiles as profiles

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd


_COUNTS = ("followers_count", "friends_count", "statuses_count")


def rows(records: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    """Return the rows of some accounts."""
    found = profiles.fields(records, mastodon.FIELDS)
    return profiles.derived(
        found.assign(
            source="mastodon",
            screen_name=profiles.mapped(found["screen_name"], mastodon.shown_acct),
            description=profiles.mapped(found["description"], mastodon.plain),
            verified=profiles.mapped(found["verified"], mastodon.has_verified_link),
            **{name: profiles.mapped(found[name], mastodon.shown) for name in _COUNTS},
            created_at=profiles.moment(found["created_at"], mastodon.moment),
            last_status_at=profiles.moment(found["last_status_at"], mastodon.moment),
        ),
        as_of,
    )


PIPELINE = Pipeline(
    name="mastodon_user_profiles",
    noun=("account", "账号"),
    source=mastodon.API,
    transform=rows,
    contract=profiles.UserProfile,
    key=profiles.KEY,
    dataset="user_profiles",
    charts=[
        charts.FOLLOWERS,
        charts.ACTIVITY,
        charts.VERIFIED,
        charts.RECENCY,
        charts.TOP,
        charts.YEARS,
    ],
    item_column="acct",
    check_item=mastodon.check_item,
    key_form=mastodon.KEY_FORM,
    label="screen_name",
    measure="followers_count",
    not_compared=("account_age_days", "statuses_per_day"),
)
