"""What the charts show is what pandas counts, whatever the batches."""

import random
import tempfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.errors import Inconsistent
from fanfold.stages.processing.contract import SCHEMA, VERIFIED_TYPES
from fanfold.stages.reporting import aggregates
from fanfold.stages.reporting.aggregates import (
    COUNT_EDGES,
    RATE_EDGES,
    RECENCY_DAYS,
    TOP,
    aggregate,
)

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "followers_count": st.one_of(
                st.integers(0, 30), st.integers(0, 2**52), st.sampled_from([0, 2, 3, 46, 10**12])
            ),
            "statuses_per_day": st.one_of(
                st.none(), st.sampled_from([0.0, -0.0, 0.5]), st.floats(0, 1e12)
            ),
            "created_at": st.integers(0, 7000),
            "last_status_at": st.one_of(
                st.none(),
                st.floats(-3, 800),
                st.sampled_from(RECENCY_DAYS),
            ),
            "region": st.sampled_from([None, "广东", "北京", "火星"]),
            "verified_type": st.sampled_from([None, *VERIFIED_TYPES]),
            "verified": st.booleans(),
        }
    ),
    min_size=1,
    max_size=60,
)


@pytest.fixture(scope="session")
def written(user, as_of):
    """Write rows; return the path and the frame. Moments are given in days before ``as_of``."""

    def write(folder, rows, **options):
        draw = random.Random(0)
        path = Path(folder) / "users.parquet"
        for row in rows:
            for name in ("created_at", "last_status_at"):
                if row.get(name) is not None:
                    row[name] = as_of - timedelta(days=row[name])
        table = pa.Table.from_pylist(
            [user(number, draw, **row) for number, row in enumerate(rows)], SCHEMA
        )
        pq.write_table(table, path, **options)
        return path, table.to_pandas()

    return write


def binned(values, edges):
    """Count values above 0 by bin; the outer bins take what is beyond them."""
    above = values[values > 0]
    bounds = [0, *edges[1:], np.inf]
    return pd.cut(above, bounds, right=False, labels=False).value_counts().to_dict()


@given(rows=ROWS, batch=st.integers(1, 70), group=st.integers(1, 70))
def test_every_figure_is_what_pandas_counts(written, rows, batch, group):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(aggregates, "_BATCH_ROWS", batch)
        path, frame = written(folder, rows, row_group_size=group)
        made = aggregate(path)
    assert made.rows == len(frame)
    assert made.verified == frame["verified"].sum()
    assert made.years == frame["created_at"].dt.year.value_counts().to_dict()
    for counter, column in ((made.regions, "region"), (made.verified_types, "verified_type")):
        expected = frame[column].astype("object").value_counts().to_dict()
        assert {name: count for name, count in counter.items() if name} == expected
        assert counter[None] == frame[column].isna().sum()
    for spread, column, edges in (
        (made.followers, "followers_count", COUNT_EDGES),
        (made.rates, "statuses_per_day", RATE_EDGES),
    ):
        values = frame[column].dropna()
        assert spread.zeros == (values == 0).sum()
        assert {at: count for at, count in enumerate(spread.counts) if count} == binned(
            values, edges
        )
        assert spread.zeros + sum(spread.counts) == len(values)
        assert spread.total == pytest.approx(values.sum())
        if len(values):
            assert spread.largest == values.max()
            assert spread.quartiles == pytest.approx(values.quantile([0.25, 0.5, 0.75]).tolist())
        else:
            assert spread.quartiles is None
    days = (frame["as_of"] - frame["last_status_at"]).dropna().dt.days.clip(lower=0)
    bands = pd.cut(days, [*RECENCY_DAYS, np.inf], right=False, labels=False)
    assert made.recency == [int((bands == band).sum()) for band in range(len(RECENCY_DAYS))]
    assert made.never == frame["last_status_at"].isna().sum()
    top = frame.sort_values("followers_count", ascending=False, kind="stable").head(TOP)
    assert [account.user_id for account in made.top] == top["user_id"].tolist()
    assert [account.followers for account in made.top] == top["followers_count"].tolist()


def test_regions_without_end_take_no_more_memory(tmp_path, monkeypatch, written):
    """Beyond a number of names, only the rows are counted."""
    monkeypatch.setattr(aggregates, "_REGIONS_KEPT", 3)
    path, _ = written(tmp_path, [{"region": f"r{number}"} for number in range(10)])
    made = aggregate(path)
    assert len(made.regions) == 3
    assert made.more_regions == 7


@pytest.mark.parametrize("content", [None, b"", b"PAR1 no parquet PAR1"])
def test_a_file_that_is_no_dataset_is_named(tmp_path, content):
    path = tmp_path / "users.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Inconsistent, match=r"users\.parquet.*Clear `consolidate`"):
        aggregate(path)
