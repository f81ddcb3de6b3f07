"""The comparison of two datasets equals that of two lists of dicts."""

from __future__ import annotations

import csv
import json
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fanfold.errors import BadInput, Inconsistent
from fanfold.model import Basis, Forecast, Plan
from fanfold.queries.comparison import compare, write_differences
from fanfold.queries.comparison_sql import EDGES, SHOWN, VALUE_LIMIT
from fanfold.queries.comparison_types import Change, Comparison, Histogram, LoneRow, Side
from fanfold.workspace.files import write_jsonl
from fanfold.workspace.paths import Workspace

SCHEMA = pa.schema(
    [
        ("shop", pa.string()),
        ("number", pa.int64()),
        ("name", pa.string()),
        ("sales", pa.int64()),
        ("tags", pa.list_(pa.string())),
        ("age", pa.int64()),
        ("as_of", pa.timestamp("us", "UTC")),
    ]
)


def plan(**fields):
    found = {"row_key": ("shop", "number"), "measure": "sales", "label": "name", **fields}
    forecast = Forecast(1, 1, Basis.UNKNOWN)
    ignored = ("as_of", "age")
    return Plan("s", 1, 0, (0,), "", "", forecast, dataset="shops", not_compared=ignored, **found)


def write(workspace, rows, schema=SCHEMA, **options):
    """Write a dataset; the time and what is not compared differ from run to run."""
    other = {"age": len(workspace.root.name), "as_of": len(workspace.root.name)}
    workspace.dataset.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([{**other, **row} for row in rows], schema)
    pq.write_table(table, workspace.table("shops"), **options)


def runs(folder, now, old, *schemas):
    found = Workspace(folder / "now"), Workspace(folder / "older")
    for run, rows, schema in zip(found, (now, old), schemas or (SCHEMA, SCHEMA), strict=True):
        write(run, rows, schema, row_group_size=len(run.root.name) + 2)
    return found


def compared(folder, now, old, column=None, **fields):
    workspace, other = runs(folder, now, old)
    return compare(workspace, plan(**fields), other, column)


HOSTILE = (
    "<script>alert(1)</script>",
    "nul\x00bell\x07tab\tline\nend",
    "'; DROP TABLE now; --",
    '"k0"',
    "\u202e小明🎉",
    "",
    None,
)
ROW = st.fixed_dictionaries(
    {
        "shop": st.sampled_from(HOSTILE),
        "number": st.one_of(st.none(), st.integers(0, 6)),
        "name": st.sampled_from(HOSTILE),
        "sales": st.one_of(st.none(), st.integers(0, 3), st.integers(-(10**12), 10**12)),
        "tags": st.one_of(st.none(), st.lists(st.sampled_from(["a", None]), max_size=2)),
    }
)
ROWS = st.lists(ROW, max_size=60)


def numbered(rows):
    """Rows by key and their number among the rows of this key."""
    seen = Counter()
    found = {}
    for row in rows:
        key = row["shop"], row["number"]
        seen[key] += 1
        found[key, seen[key]] = row
    return found, max(seen.values(), default=0) > 1


def first(keys, size):
    """Order keys as the comparison does: by size, the largest first, then by key, nulls first."""

    def order(one):
        (shop, number), place = one
        sized = size(one)
        return (
            *((1, 0) if sized is None else (0, -sized)),
            *((shop is not None, (shop or "").encode()), (number is not None, number or 0), place),
        )

    return sorted(keys, key=order)


def text(key):
    return tuple(None if value is None else str(value) for value in key[0])


def share(before, after):
    """Return the bin of a change; None for a change without a share."""
    if before is None or after is None or not before:
        return None
    found = (after - before) / abs(before)
    return sum(found > edge if edge >= 0 else found >= edge for edge in EDGES)


def expected(now, old):
    """Compare two lists of rows in the plainest way."""
    (now, now_repeats), (old, old_repeats) = numbered(now), numbered(old)

    def side(rows, others):
        keys = first(rows.keys() - others.keys(), lambda key: rows[key]["sales"])
        names = ((text(key), rows[key]["name"], None) for key in keys[:SHOWN])
        return Side(len(keys), {}, tuple(LoneRow(*name) for name in names))

    def difference(key):
        before, after = old[key]["sales"], now[key]["sales"]
        if before is None or after is None:
            return 0.5 if before is not after else None  # after the numbers, before the equal ones
        return float(abs(after - before)) or None

    both = now.keys() & old.keys()
    columns = {
        key: tuple(name for name in ("name", "sales", "tags") if now[key][name] != old[key][name])
        for key in both
    }
    changed = first([key for key in both if columns[key]], difference)
    sales = [(old[key]["sales"], now[key]["sales"]) for key in changed]
    bins = Counter(share(*each) for each in sales if each[0] != each[1])
    return Comparison(
        key=("shop", "number"),
        columns=("sales",),
        column="sales",
        new=side(now, old),
        gone=side(old, now),
        changed=len(changed),
        unchanged=len(both) - len(changed),
        changes=tuple(
            Change(text(key), now[key]["name"], old[key]["sales"], now[key]["sales"], columns[key])
            for key in changed[:SHOWN]
        ),
        histogram=Histogram(EDGES, tuple(bins[n] for n in range(len(EDGES) + 1)), bins[None]),
        repeated=now_repeats or old_repeats,
    )


def shop(number, sales=5, **values):
    return {"shop": "a", "number": number, "name": "b", "sales": sales, "tags": None, **values}


@settings(max_examples=25, deadline=None)
@given(now=ROWS, old=ROWS)
@example(now=[shop(n) for n in range(30)], old=[shop(n) for n in range(100, 130)])
@example(now=[shop(n, n * 7 % 5) for n in range(90)], old=[shop(n, 2) for n in range(90)])
@example(
    now=[shop(n, tags=tags) for n, tags in enumerate([None, [], [None]])],
    old=[shop(n, tags=tags) for n, tags in enumerate([[], [None], None])],
)
@example(now=[shop(1, 1), shop(1, 2)], old=[shop(1, 1), shop(1, 3), shop(1, 4)])
def test_a_comparison_equals_that_of_dicts(now, old):
    with tempfile.TemporaryDirectory() as folder:
        assert compared(Path(folder), now, old) == expected(now, old)


def test_the_file_has_all_rows_that_differ(tmp_path):
    now = [shop(n, n * 7 % 5, name="=1+1" if n == 9 else "b") for n in range(90)]
    old = [shop(n, 2) for n in range(40, 120)]
    with write_differences(*files(tmp_path, now, old), None) as file:
        lines = list(csv.DictReader(file.read().decode().splitlines()))
    differing = [row for row in now[40:] if row["sales"] != 2]
    assert Counter(line["change"] for line in lines) == {
        "new": 40, "gone": 30, "changed": len(differing),
    }  # fmt: skip
    by_number = {int(line["number"]): line for line in lines}
    assert by_number[9]["label"] == "'=1+1"
    for row in differing:
        line = by_number[row["number"]]
        change = [float(line[name]) for name in ("before", "after", "difference", "share")]
        assert change == [2, row["sales"], row["sales"] - 2, (row["sales"] - 2) / 2]
        assert line["columns"] == "sales"
    with write_differences(*files(tmp_path / "same", old, old), None) as file:
        assert file.read().count(b"\n") == 1


def files(folder, now, old):
    workspace, other = runs(folder, now, old)
    return workspace, plan(), other


def test_any_numeric_column_is_compared(tmp_path):
    old = [shop(n) for n in range(40)]
    now = [shop(n, 6 if n % 2 else 5, name=f"n{n}") for n in reversed(range(1, 41))]
    found = compared(tmp_path, now, old, measure="", label="")
    assert (found.columns, found.column, found.changed, found.unchanged) == (
        ("sales",), "sales", 39, 0,
    )  # fmt: skip
    assert (found.new.count, found.gone.examples) == (1, (LoneRow(("a", "0"), None, None),))
    odd = [n for n in range(1, 40) if n % 2]
    assert found.changes[: len(odd)] == tuple(
        Change(("a", str(n)), None, 5, 6, ("name", "sales")) for n in odd[:SHOWN]
    )
    with pytest.raises(BadInput, match="numeric column 'name'"):
        compared(tmp_path, now, old, "name")


def test_a_row_of_one_run_has_the_outcome_of_its_item_in_the_other(tmp_path):
    """Shops are the items: c is not in the list any more, d failed, e is unknown, f has no such row."""
    now = [shop(1, shop="a"), shop(1, shop="new"), shop(1, shop="f")]
    old = [shop(1, shop=name) for name in "acde"] + [shop(2, shop="f")]
    workspace, other = runs(tmp_path, now, old)
    write_jsonl(workspace.keys.parent / "00000.jsonl", ["a", "\ud800", "d"])
    write_jsonl(workspace.keys.parent / "00001.jsonl", ["e", "f", "new"])
    (workspace.keys.parent / "00001.attributes.jsonl").write_text('{"key": "c"}\n')
    write_jsonl(workspace.dataset / "failed.jsonl", [{"key": "d", "status": "failed", "at": 1}])
    write_jsonl(workspace.dataset / "missing.jsonl", [{"key": "e", "status": "missing"}])
    found = compare(workspace, plan(key_column="shop"), other, None)
    assert found.gone.outcomes == {"failed": 1, "missing": 1, "ok": 1, "unlisted": 1}
    assert {each.key[0]: each.outcome for each in found.gone.examples} == {
        "c": "unlisted", "d": "failed", "e": "missing", "f": "ok",
    }  # fmt: skip
    # The other run's list is not there.
    assert found.new.outcomes == {"unlisted": 2}
    assert (
        compare(workspace, plan(key_column="shop", mode="merge"), other, None).gone.outcomes == {}
    )


def test_columns_that_are_not_in_both_are_named_and_not_compared(tmp_path):
    without = SCHEMA.remove(SCHEMA.get_field_index("tags"))
    schema = without.set(2, pa.field("name", pa.int64())).append(pa.field("city", pa.string()))
    schema = schema.set(1, pa.field("number", pa.string()))
    now = [{"shop": "a", "number": "7", "sales": 2}]
    workspace, other = runs(tmp_path, now, [shop(7, 1)], schema, SCHEMA)
    found = compare(workspace, plan(), other, None)
    assert (found.added, found.removed, found.retyped) == (("city",), ("tags",), ("name",))
    assert found.changes == (Change(("a", "7"), None, 1, 2, ("sales",)),)
    with pytest.raises(BadInput, match="key's columns city"):
        compare(workspace, plan(row_key=("city",)), other, None)


def test_numbers_that_json_lacks_are_null_and_last_and_long_values_are_cut(tmp_path):
    schema = SCHEMA.set(3, pa.field("sales", pa.float64()))
    sales = [float("nan"), float("inf"), 3.5, -0.0]
    now = [shop(n, x, name="x" * 9999) for n, x in enumerate(sales)]
    old = [shop(n, 0.0, name="x" * 9999) for n in range(4)]
    workspace, other = runs(tmp_path, now, old, schema, schema)
    found = compare(workspace, plan(), other, None)
    assert [(change.key[1], change.after) for change in found.changes] == [
        ("2", 3.5), ("0", None), ("1", None),
    ]  # fmt: skip
    assert (found.unchanged, found.changes[0].label) == (1, "x" * VALUE_LIMIT)
    json.dumps(asdict(found), allow_nan=False)


def pages_of_zeros(path):
    """The metadata is whole, the rows are not."""
    whole = path.read_bytes()
    path.write_bytes(b"PAR1" + bytes(len(whole) // 2) + whole[len(whole) // 2 + 4 :])


@pytest.mark.parametrize(
    "spoil",
    [Path.unlink, lambda path: path.write_bytes(b"PAR1 no parquet PAR1"), pages_of_zeros],
    ids=["missing", "no Parquet", "pages of zeros"],
)
@pytest.mark.parametrize("place", [0, 1], ids=["now", "other"])
def test_a_file_that_is_no_dataset_is_named(tmp_path, place, spoil):
    rows = [shop(n, n) for n in range(5000)]
    both = runs(tmp_path, rows, rows)
    path = both[place].table("shops")
    spoil(path)
    with pytest.raises(Inconsistent, match=rf"(?s)dataset {path} .*Clear `consolidate` of its run"):
        compare(both[0], plan(), both[1], None)
