"""What is new of an item begins at its newest row, less the lag, and never after the run."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fanfold.readers import from_list
from fanfold.readers.since import with_since

AS_OF = datetime(2026, 7, 4, 19, tzinfo=UTC)


@pytest.fixture
def since(tmp_path):
    def since(values, kind, as_of=AS_OF, column="day"):
        path = tmp_path / "state.parquet"
        items = [item for item, _ in values]
        columns = {"_item": items, "day": pa.array([value for _, value in values], kind)}
        pq.write_table(pa.table(columns), path, row_group_size=2)
        pipeline = SimpleNamespace(cursor=column, lag_days=2, check_item=str.upper)
        located = with_since(from_list(["a", "B", "C"], "item"), pipeline, path, as_of)
        return {key: attributes["since"] for *_, key, attributes in located}

    return since


def at(day, hour=0, tz=None):
    return datetime.combine(date(2026, 7, day), time(hour), tz)


ROWS = [("A", 1), ("B", 3), ("A", 2), ("B", 1), ("C", None)]


@pytest.mark.parametrize(
    ("value", "kind", "found"),
    [
        (lambda day: date(2026, 7, day), pa.date32(), ["2026-06-30", "2026-07-01"]),
        (at, pa.timestamp("ns"), ["2026-06-30T00:00:00", "2026-07-01T00:00:00"]),
        (
            lambda day: at(day, 1, UTC),
            pa.timestamp("us", "Asia/Shanghai"),
            ["2026-06-30T09:00:00+08:00", "2026-07-01T09:00:00+08:00"],
        ),
    ],
)
def test_it_begins_at_the_newest_value_of_the_item_whatever_its_type(since, value, kind, found):
    """A null is none."""
    rows = [(item, day and value(day)) for item, day in ROWS]
    expected = dict(zip(["a", "B", "C"], [*found, None], strict=True))
    assert since(rows, kind) == expected
    # A wrong value in the future does not end the history, nor do values after a run of an earlier date.
    future = [*rows, ("A", value(2).replace(year=2062)), ("C", value(6))]
    assert since(future, kind) == expected
    earlier = since(rows, kind, as_of=AS_OF.replace(day=1))
    assert earlier == {**expected, "B": earlier["B"]}
    assert earlier["B"] == found[0].replace("06-30", "06-29")


def test_the_day_after_the_run_counts_where_the_source_is_ahead_of_utc(since):
    assert since([("A", date(2026, 7, 5))], pa.date32())["a"] == "2026-07-03"


@pytest.mark.parametrize(("kind", "column"), [(pa.string(), "day"), (pa.date32(), "new")])
def test_rows_of_another_contract_say_nothing(since, kind, column):
    """They are kept with earlier_rows=keep, and lack the column or have a text in it."""
    value = "2026-07-01" if pa.types.is_string(kind) else date(2026, 7, 1)
    assert set(since([("A", value)], kind, column=column).values()) == {None}
