"""Weibo user profiles by functions in the cloud: one gets a profile, one makes the row, one writes it.

The functions are in ``include/functions``; they call the API, so this pipeline needs no token of it. Its
rows are those of ``weibo_user_profiles``.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from fanfold import Found, Function, NotThere, Pipeline
from pipelines import _user_profile_charts as charts
from pipelines import _user_profiles as profiles
from pipelines import _weibo_api as weibo

if TYPE_CHECKING:
    import pandas as pd

    from fanfold import Item


def read(item: Item, result: Any) -> Found | NotThere:
    """Return the row in the result of ``write_user``; a missing user comes with Weibo's code."""
    if "missing" in result:
        return NotThere(weibo.ErrorKind.MISSING.message(result["missing"]))
    return Found([result["user"]])


def rows(records: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    """Return the rows of some users, with the columns that depend on the run's date."""
    found = profiles.fields(records, {name: name for name in ("source", *weibo.FIELDS)})
    times = {
        name: profiles.moment(found[name], datetime.fromisoformat)
        for name in ("created_at", "last_status_at")
    }
    return profiles.derived(found.assign(**times, server=weibo.SERVER), as_of)


PIPELINE = Pipeline(
    name="function_map",
    noun=("user", "用户"),
    source=Function(
        ("get_user_info", "process_user", "write_user"),
        payload={"user_id": "{key}"},
        read=read,
        connection="function_default",
        messages=weibo.API.messages,
    ),
    transform=rows,
    contract=profiles.UserProfile,
    key=profiles.KEY,
    dataset="user_profiles",
    table_prefix="function_",
    charts=[charts.FOLLOWERS, charts.ACTIVITY, charts.VERIFIED, charts.REGION, charts.TOP],
    item_column="user_id",
    check_item=weibo.check_item,
    key_form=weibo.KEY_FORM,
    label="screen_name",
    measure="followers_count",
    not_compared=("account_age_days", "statuses_per_day"),
)
