"""Account segments: the model, its names and reasons, and what happens with few or odd accounts."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from threadpoolctl import threadpool_limits

from fanfold import testing
from fanfold.errors import Inconsistent, ToleranceExceeded
from fanfold.simulator.people import FIRST_UID, profile
from fanfold.workspace.sql import open_tables
from pipelines import _account_checks as checks
from pipelines import _account_model as model
from pipelines import account_segments, weibo_user_profiles

NOW = dt.datetime(2026, 8, 1, tzinfo=dt.UTC)
COUNTS = [each.count for each in model.FEATURES]


@pytest.fixture(scope="module")
def profiles(tmp_path_factory):
    """The published profiles of 400 simulated users."""
    records = {
        str(FIRST_UID + 7 * number): [profile(str(FIRST_UID + 7 * number))] for number in range(400)
    }
    found = testing.run(weibo_user_profiles.PIPELINE, records=records, as_of=NOW, charts=False)
    path = tmp_path_factory.mktemp("profiles") / "user_profiles.parquet"
    found.rows.to_parquet(path, index=False)
    return path


def run(path, **options):
    model._fitted.cache_clear()
    item = {"file": str(path), "run_id": "daily 1", "sha256": "ab12"}
    return testing.run(account_segments.PIPELINE, [item], as_of=NOW, **options)


@pytest.fixture(scope="module")
def trained(profiles):
    """The result of these profiles."""
    return run(profiles)


def of(**columns):
    """Profiles with some counts; all others are 10."""
    size = len(next(iter(columns.values())))
    frame = pd.DataFrame({name: [10] * size for name in COUNTS}).assign(**columns)
    return frame.assign(
        source="weibo",
        server="weibo.com",
        user_id=[f"{number:06}" for number in range(size)],
        screen_name=[f"user {number}" for number in range(size)],
        name=None,
        verified=False,
        account_age_days=pd.array([1000] * size, "Int64"),
        last_status_at=pd.Timestamp("2026-07-31", tz="UTC"),
        as_of=pd.Timestamp(NOW),
    ).astype(dict.fromkeys(COUNTS, "Int64"))


def run_of(folder, **columns):
    of(**columns).to_parquet(folder / "users.parquet", index=False)
    return run(folder / "users.parquet")


def card(result):
    return result.folds["model_card"].set_index("name")


def test_every_account_has_a_segment_and_the_report_says_what_it_was_trained_on(trained):
    result = trained
    segments, rows = result.folds["account_segments"], result.rows
    assert list(zip(segments["source"], segments["user_id"], strict=True)) == sorted(
        zip(rows["source"], rows["user_id"], strict=True)
    )
    assert len(rows) == 400
    found = result.folds["segment_profiles"]
    assert found["accounts"].sum() == 400
    assert list(found["segment"]) == list(range(1, len(found) + 1))
    assert found["median_followers_count"].is_monotonic_decreasing
    assert found["segment_name"].is_unique
    typical = found.merge(segments, left_on="typical_user_id", right_on="user_id")
    nearest = segments.groupby("segment")["distance"].min()
    assert typical.set_index("segment_y")["distance"].to_dict() == nearest.to_dict()
    assert card(result)["value"][["profiles_run", "profiles_sha256"]].to_list() == [
        "daily 1",
        "ab12",
    ]
    assert result.manifest.dropped_columns == {}
    for text in ("daily 1", "Number of segments", "scikit-learn"):
        assert text in result.report


def test_the_order_of_the_accounts_makes_no_difference(profiles, trained, tmp_path):
    shuffled = pd.read_parquet(profiles).sample(frac=1, random_state=3)
    shuffled.to_parquet(tmp_path / "users.parquet", index=False)
    other = run(tmp_path / "users.parquet", charts=False)
    for name in ("account_segments", "segment_profiles", "model_card"):
        digests = [result.manifest.file_of(name).sha256 for result in (trained, other)]
        assert digests[0] == digests[1], name


def test_threads_make_no_difference():
    """Sums of several threads would differ in their last bits, with 256 accounts or more for each."""
    logs = np.random.default_rng(0).normal(3, 1, (1000, len(model.FEATURES)))
    accounts = of(**dict(zip(COUNTS, (10**logs).astype(int).T, strict=True)))
    centres = set()
    for threads in (1, 4):
        fitted = model._Model(model_table(accounts))
        with threadpool_limits(limits=threads):
            fitted.fit()
        centres.add(fitted.centres.tobytes())
    assert len(centres) == 1


def model_table(accounts):
    logs = {
        f"log_{each.name}": np.log10(1 + accounts[each.count].astype(float))
        for each in model.FEATURES
    }
    origin = dict.fromkeys(("profiles_run", "profiles_sha256", "profiles_as_of"), "")
    table = pa.Table.from_pandas(accounts.assign(**logs, **origin), preserve_index=False)
    return table.select(model._INPUT.names).cast(model._INPUT)


def test_planted_segments_and_an_unusual_account_are_found_and_explained(tmp_path):
    draw = np.random.default_rng(1)
    small, big = (
        np.round(10 ** draw.normal(mean, 0.1, size)).astype(int)
        for mean, size in ((2, 140), (5, 60))
    )
    odd = np.append(np.concatenate([small, big]), 90_000_000)
    posts = np.append(np.concatenate([small, big]) // 10, 1000)
    result = run_of(tmp_path, followers_count=odd, statuses_count=posts)
    found = result.folds["segment_profiles"].set_index("segment")
    assert found["accounts"].to_dict() == {1: 61, 2: 140}
    assert found["segment_name"].to_list() == ["More followers, more posts", "Average accounts"]
    assert found["segment_name_zh"].to_list() == ["粉丝较多、发帖较多", "一般账号"]
    entries = card(result)
    assert entries["number"]["silhouette_2"] > 0.5
    assert entries["value"]["friends"] == "left out: all accounts have the same value"
    segments = result.folds["account_segments"]
    top = segments.loc[segments["unusual_score"].idxmax()]
    assert (top["user_id"], top["is_unusual"], top["unusual_feature"]) == (
        "000200",
        True,
        "followers",
    )
    assert top["unusual_value"] == 90_000_000
    assert top["unusual_deviation"] > 0.5
    assert segments.loc[~segments["is_unusual"], "unusual_feature"].isna().all()
    assert "user 200" in result.report


@pytest.mark.parametrize("size", [1, 29])
def test_of_few_accounts_there_is_one_segment_and_none_is_unusual(size, tmp_path):
    result = run_of(
        tmp_path, followers_count=[10**number for number in range(size)][:9] + [5] * (size - 9)
    )
    segments = result.folds["account_segments"]
    assert len(segments) == size
    assert set(segments["segment_name"]) == {"All accounts"}
    assert not segments["is_unusual"].any()
    assert segments["unusual_score"].isna().all()
    assert "Too few or too similar accounts" in result.report


def test_counts_that_a_network_does_not_report_are_left_out_and_single_nulls_are_medians(tmp_path):
    """Mastodon has no favourites; equal accounts have no segments."""
    followers = pd.array([None, *range(1, 60)], "Int64")
    result = run_of(
        tmp_path, followers_count=followers, favourites_count=pd.array([None] * 60, "Int64")
    )
    entries = card(result)["value"]
    assert entries["favourites"] == "left out: no account has a value"
    assert entries["followers"].endswith(", 1 missing")
    assert len(result.folds["account_segments"]) == 60
    same = run_of(tmp_path, followers_count=[10] * 60)
    assert set(same.folds["account_segments"]["segment_name"]) == {"All accounts"}
    assert not same.folds["account_segments"]["is_unusual"].any()


def test_the_profiles_of_segments_take_little_memory(tmp_path):
    """Half a million accounts in half of a fold's memory."""
    paths = {name: tmp_path / f"{name}.parquet" for name in ("dataset", "account_segments")}
    with duckdb.connect() as connection:
        connection.sql(
            "SELECT 'weibo' AS source, 'weibo.com' AS server, printf('%06d', range) AS user_id, hash(range) % 2 AS segment, "
            "'x' AS segment_name, 'x' AS segment_name_zh, 0.5 AS distance, false AS is_unusual "
            "FROM range(500_000)"
        ).write_parquet(str(paths["account_segments"]))
        columns = ", ".join(
            f"(hash(range + {number}) % 1000)::BIGINT AS {column}"
            for number, column in enumerate(account_segments.TYPICAL)
        )
        connection.sql(
            f"SELECT 'weibo' AS source, 'weibo.com' AS server, printf('%06d', range) AS user_id, false AS verified, {columns} "
            "FROM range(500_000)"
        ).write_parquet(str(paths["dataset"]))
    (fold,) = (fold for fold in account_segments.PIPELINE.folds if fold.name == "segment_profiles")
    with open_tables(paths, tmp_path / "spill", memory="72MB") as connection:
        assert sum(connection.sql(fold.sql).df()["accounts"]) == 500_000


def table(path, segments):
    users = [str(number) for number in range(len(segments))]
    key = {"source": ["w"] * len(users), "server": ["w.com"] * len(users), "user_id": users}
    pq.write_table(pa.table({**key, "segment": segments}), path)
    return path


def test_nothing_is_published_if_too_many_accounts_move(trained, tmp_path):
    manifest = trained.manifest
    now = table(tmp_path / "now.parquet", [1, 1, 2, 2, 1])
    before = table(tmp_path / "before.parquet", [1, 2, 2, 1])
    checks.check_segments(manifest, now, None, 0)
    checks.check_segments(manifest, now, before, 50)
    with pytest.raises(
        ToleranceExceeded, match=r"2 of the 4 accounts .*\(50 %\).*tolerated are 49 %"
    ):
        checks.check_segments(manifest, now, before, 49)
    # Numbers that were exchanged are no moves; a new segment is one.
    other = table(tmp_path / "other.parquet", [2, 1, 1, 2])
    checks.check_segments(manifest, other, before, 0)
    checks.check_segments(manifest, table(tmp_path / "third.parquet", [2, 1, 3, 2]), before, 25)
    with pytest.raises(ToleranceExceeded, match="1 of the 4"):
        checks.check_segments(manifest, tmp_path / "third.parquet", before, 24)
    with pytest.raises(Inconsistent, match="401 accounts have 400 segments"):
        checks.check_segments(replace(manifest, rows=401), now, None, 0)
    # Accounts had another key when these were published.
    pq.write_table(pq.read_table(before).drop_columns("server"), before)
    checks.check_segments(manifest, now, before, 0)
