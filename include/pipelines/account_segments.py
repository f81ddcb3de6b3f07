"""Account segments and unusual accounts among the published user profiles.

The only item is the Parquet file of the profiles; a row is an account. The model is in ``_account_model.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from fanfold import Files, Fold, Pipeline
from pipelines import _account_charts as charts
from pipelines import _account_model as model

PROFILE = (
    "source", "server", "user_id", "screen_name", "name", "verified", "followers_count", "friends_count",
    "statuses_count", "favourites_count", "mutual_followers_count", "account_age_days",
    "last_status_at",
)  # fmt: skip
_UTC = {"unit": "us", "tz": "UTC"}


def _optional() -> Any:
    return pa.Field(nullable=True, ge=0)


class AccountFeatures(pa.DataFrameModel):
    """An account: its counts, and their logarithms (base 10, of one more than the count)."""

    source: str
    server: str
    user_id: str
    screen_name: str = pa.Field(nullable=True)
    name: str = pa.Field(nullable=True)
    verified: bool
    followers_count: pd.Int64Dtype = _optional()
    friends_count: pd.Int64Dtype = _optional()
    statuses_count: pd.Int64Dtype = _optional()
    favourites_count: pd.Int64Dtype = _optional()
    mutual_followers_count: pd.Int64Dtype = _optional()
    account_age_days: pd.Int64Dtype = _optional()
    days_since_post: pd.Int64Dtype = _optional()
    log_followers: float = _optional()
    log_friends: float = _optional()
    log_statuses: float = _optional()
    log_favourites: float = _optional()
    log_mutual: float = _optional()
    profiles_as_of: str = pa.Field(nullable=True)
    profiles_run: str = pa.Field(nullable=True)
    profiles_sha256: str = pa.Field(nullable=True)


def rows(records: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Return the accounts of some files of profiles; ages are those at the date of the profiles."""
    as_of = pd.to_datetime(records["profiles_as_of"], utc=True)
    posted = pd.to_datetime(records["last_status_at"], utc=True)
    logs = {
        f"log_{each.name}": np.log10(1 + records[each.count].astype("Float64")).round(model.DIGITS)
        for each in model.FEATURES
    }
    return records.assign(
        **logs,
        profiles_run=items.get("run_id"),
        profiles_sha256=items.get("sha256"),
        days_since_post=(as_of - posted).dt.days.astype("Int64").clip(lower=0),
        profiles_as_of=as_of.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


TYPICAL = [each.count for each in model.FEATURES] + ["account_age_days", "days_since_post"]
"""Columns with a median of each segment."""


def _medians() -> str:
    return ", ".join(
        f"avg(value) FILTER (name = '{column}') AS median_{column}" for column in TYPICAL
    )


PIPELINE = Pipeline(
    name="account_segments",
    noun=("file of profiles", "用户档案文件"),
    source=Files(
        format="parquet",
        extra="keep",  # the profiles have further columns, which are not reported
        columns={**{name: name for name in PROFILE}, "profiles_as_of": "as_of"},
    ),
    transform=rows,
    contract=AccountFeatures,
    key=("source", "server", "user_id"),
    dataset="account_features",
    folds=[
        Fold("account_segments", key=("source", "server", "user_id"), function=model.account_segments),
        Fold(
            "segment_profiles",
            key=("segment",),
            # The typical account is the one next to the centre.
            sql=f"""
                WITH profiles AS (
                    SELECT segment, any_value(segment_name) AS segment_name,
                           any_value(segment_name_zh) AS segment_name_zh, count(*) AS accounts,
                           count(*) / sum(count(*)) OVER () AS share,
                           avg(verified::INT) AS verified_share,
                           count(*) FILTER (is_unusual) AS unusual_accounts,
                           arg_min(user_id, (distance, source, server, user_id)) AS typical_user_id
                    FROM account_segments JOIN dataset USING (source, server, user_id) GROUP BY segment
                ), counts AS (
                    UNPIVOT (
                        SELECT segment, {", ".join(TYPICAL)}
                        FROM account_segments JOIN dataset USING (source, server, user_id)
                    ) ON {", ".join(TYPICAL)} INTO NAME name VALUE value
                ), ranked AS (
                    SELECT *, row_number() OVER (PARTITION BY segment, name ORDER BY value) AS place,
                           count(*) OVER (PARTITION BY segment, name) AS places
                    FROM counts
                ), medians AS (
                    -- Not median(): it keeps all values in memory, and the sort need not.
                    SELECT segment, {_medians()} FROM ranked
                    WHERE place IN ((places + 1) // 2, places // 2 + 1) GROUP BY segment
                )
                SELECT profiles.* EXCLUDE (typical_user_id), medians.* EXCLUDE (segment),
                       typical_user_id
                FROM profiles LEFT JOIN medians USING (segment)""",
        ),
        Fold("model_card", key=("position",), function=model.model_card),
    ],
    charts=charts.CHARTS,
    item_column="file",
    label="screen_name",
    measure="followers_count",
    not_compared=(
        "profiles_as_of",
        "profiles_run",
        "profiles_sha256",
        "account_age_days",
        "days_since_post",
    ),
)
