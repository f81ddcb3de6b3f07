"""The comparison of two datasets equals that of two lists of dicts."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fanfold.errors import Inconsistent
from fanfold.model import Counts, Manifest, RunStatus
from fanfold.pipeline import Pipeline
from fanfold.sources import Compute
from fanfold.stages.comparing import compare, compare_with_previous
from fanfold.workspace.comparison import SHOWN, VALUE_LIMIT, Change, Comparison, Example, Side
from fanfold.workspace.files import read_as, read_json, write_json
from fanfold.workspace.history import remember
from fanfold.workspace.paths import Workspace

PREVIOUS = {"previous": "scheduled__2026-07-27", "previous_date": "2026-07-27T00:00:00.000Z"}
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


def pipeline(**fields):
    found = {"key": ("shop", "number"), "measure": "sales", "label": "name", **fields}
    return Pipeline(
        name="shops",
        noun="shop",
        source=Compute(function=dict),
        contract=None,
        not_compared=("age",),
        **found,
    )


def write(path, rows, schema=SCHEMA, **options):
    """Write a dataset; the time and what is not compared differ from file to file."""
    other = {"age": len(path.name), "as_of": len(path.name)}
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([{**other, **row} for row in rows], schema)
    pq.write_table(table, path, **options)
    return path


def compared(folder, now, old, **fields):
    return compare(
        write(folder / "now.parquet", now, row_group_size=7),
        write(folder / "older.parquet", old, row_group_size=5),
        pipeline(**fields),
        folder / "spill",
        **PREVIOUS,
    )


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


def expected(now, old):
    """Compare two lists of rows in the plainest way."""
    (now, now_repeats), (old, old_repeats) = numbered(now), numbered(old)

    def side(rows, others):
        keys = first(rows.keys() - others.keys(), lambda key: rows[key]["sales"])
        return Side(len(keys), tuple(Example(text(key), rows[key]["name"]) for key in keys[:SHOWN]))

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
    return Comparison(
        **PREVIOUS,
        key=("shop", "number"),
        measure="sales",
        new=side(now, old),
        gone=side(old, now),
        changed=len(changed),
        unchanged=len(both) - len(changed),
        changes=tuple(
            Change(text(key), now[key]["name"], old[key]["sales"], now[key]["sales"], columns[key])
            for key in changed[:SHOWN]
        ),
        repeated=now_repeats or old_repeats,
    )


def shop(number, sales=5, **values):
    return {"shop": "a", "number": number, "name": "b", "sales": sales, "tags": None, **values}


@settings(max_examples=40, deadline=None)
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
        found = compared(Path(folder), now, old)
        assert found == expected(now, old)
        write_json(Path(folder) / "comparison.json", found.as_json())
        assert read_as(Path(folder) / "comparison.json", Comparison.from_json) == found


def test_without_a_measure_the_first_changes_by_key_are_listed(tmp_path):
    old = [shop(n) for n in range(40)]
    now = [shop(n, 6 if n % 2 else 5, name=f"n{n}") for n in reversed(range(1, 41))]
    found = compared(tmp_path, now, old, measure="", label="")
    assert (found.measure, found.changed, found.unchanged) == ("", 39, 0)
    assert (found.new.count, found.gone.examples) == (1, (Example(("a", "0"), None),))
    assert found.changes == tuple(
        Change(("a", str(n)), None, None, None, ("name", "sales") if n % 2 else ("name",))
        for n in range(1, SHOWN + 1)
    )
    assert compared(tmp_path, now, old, measure="name").measure == ""


def test_columns_that_are_not_in_both_are_named_and_not_compared(tmp_path):
    without = SCHEMA.remove(SCHEMA.get_field_index("tags"))
    schema = without.set(2, pa.field("name", pa.int64())).append(pa.field("city", pa.string()))
    schema = schema.set(1, pa.field("number", pa.string()))
    files = (
        write(tmp_path / "now.parquet", [{"shop": "a", "number": "7", "sales": 2}], schema),
        write(tmp_path / "older.parquet", [shop(7, 1)]),
    )
    found = compare(*files, pipeline(), tmp_path / "spill", **PREVIOUS)
    assert (found.added, found.removed, found.retyped) == (("city",), ("tags",), ("name",))
    assert found.changes == (Change(("a", "7"), None, 1, 2, ("sales",)),)
    assert compare(*files, pipeline(key=("city",)), tmp_path / "spill", **PREVIOUS) is None


def test_measures_that_json_lacks_are_null_and_last_and_long_values_are_cut(tmp_path):
    schema = SCHEMA.set(3, pa.field("sales", pa.float64()))
    sales = [float("nan"), float("inf"), 3.5, -0.0]
    files = (
        write(
            tmp_path / "now.parquet",
            [shop(n, x, name="x" * 9999) for n, x in enumerate(sales)],
            schema,
        ),
        write(
            tmp_path / "older.parquet", [shop(n, 0.0, name="x" * 9999) for n in range(4)], schema
        ),
    )
    found = compare(*files, pipeline(), tmp_path / "spill", **PREVIOUS)
    assert [(change.key[1], change.after) for change in found.changes] == [
        ("2", 3.5), ("0", None), ("1", None),
    ]  # fmt: skip
    assert (found.unchanged, found.changes[0].label) == (1, "x" * VALUE_LIMIT)
    json.dumps(found.as_json(), allow_nan=False)


def manifest(run_id, day):
    moment = f"2026-07-{day}T00:00:00.000Z"
    counts = Counts(1, 1)
    return Manifest("d", run_id, moment, RunStatus.COMPLETE, counts, (), 1, moment, moment, rows=1)


def test_a_run_is_compared_with_the_one_before_and_says_so_in_a_sentence(tmp_path):
    old, new = manifest("r1", 27), manifest("r2", 28)
    before, workspace = Workspace(tmp_path / "r1"), Workspace(tmp_path / "r2")
    write(workspace.table("shops"), [shop(1), shop(2, 9)])
    write_json(workspace.comparison, "outdated")
    nothing = "There is no previous dataset to compare with."
    assert compare_with_previous(workspace, new, pipeline()) == nothing
    assert not workspace.comparison.exists()
    remember(workspace.history, old, passed=True)
    assert compare_with_previous(workspace, new, pipeline()) == nothing
    write(before.table("shops"), [shop(2), shop(2)])
    assert compare_with_previous(workspace, new, pipeline()) == (
        "Since r1: 1 rows are new, 1 are gone, 1 have changed, 0 have not. A key occurs more than "
        "once."
    )
    assert read_json(workspace.comparison)["previous"] == "r1"
    assert "no column of the key (city)" in compare_with_previous(
        workspace, new, pipeline(key=("city",))
    )
    assert not workspace.comparison.exists()


def pages_of_zeros(path):
    """The metadata is whole, the rows are not."""
    whole = path.read_bytes()
    path.write_bytes(b"PAR1" + bytes(len(whole) // 2) + whole[len(whole) // 2 + 4 :])


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PAR1 no parquet PAR1"),
        pages_of_zeros,
    ],
    ids=["missing", "empty", "no Parquet", "pages of zeros"],
)
@pytest.mark.parametrize(
    ("spoiled", "remedy"),
    [
        ("now", "Clear `consolidate` with its downstream tasks"),
        ("older", "Clear `consolidate` of the run scheduled__2026-07-27"),
    ],
)
def test_a_file_that_is_no_dataset_is_named_with_its_remedy(tmp_path, spoiled, spoil, remedy):
    rows = [shop(n, n) for n in range(5000)]
    paths = {name: write(tmp_path / f"{name}.parquet", rows) for name in ("now", "older")}
    spoil(paths[spoiled])
    with pytest.raises(Inconsistent, match=rf"(?s)dataset {paths[spoiled]} .*{remedy}"):
        compare(paths["now"], paths["older"], pipeline(), tmp_path / "spill", **PREVIOUS)
