from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fanfold import readers
from fanfold.errors import BadInput
from fanfold.model import Forecast, Outcome, Plan, Status
from fanfold.readers.files import BLOCK_ITEMS
from fanfold.readers.runs import from_run
from fanfold.workspace.files import read_jsonl, write_json, write_jsonl
from fanfold.workspace.paths import Workspace

UIDS = ["1404376560", "1642634100"]


def check_uid(item):
    """Return a number without leading zeros."""
    number = item.lstrip("0")
    if not (number.isascii() and number.isdecimal() and len(number) < 20):
        raise ValueError("a uid is a number")
    return number


def read(tmp_path, name, content, column="user_id"):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content, "utf-8")
    return readers.from_file(path, column, name=f"file://{path}")


def listed(tmp_path, located, check=check_uid):
    workspace = Workspace(tmp_path / "run")
    counts = readers.write_items(workspace, located, check)
    return list(read_jsonl(workspace.listed)), counts


def attributes(tmp_path):
    """The listed attributes, or None if there is no file."""
    path = Workspace(tmp_path / "run").listed_attributes
    return list(read_jsonl(path)) if path.exists() else None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "user_id\n1404376560\n1642634100\n"),
        ("a.csv", "\ufeffuser_id,name\r\n1404376560,a\r\n1642634100,b\r\n"),
        ("a.csv", 'name,user_id\n"x, y",1404376560\n"line\nbreak",1642634100\n'),
        ("a.csv", "uid\n1404376560\n1642634100\n"),
        ("A.CSV", "user_id\n 1404376560 \n1642634100"),
        ("a.jsonl", '{"user_id": "1404376560"}\n{"user_id": 1642634100, "x": 1}\n'),
        ("a.jsonl", '"1404376560"\n\n1642634100\n'),
        ("a.csv.gz", gzip.compress(b"user_id\n1404376560\n1642634100\n", mtime=0)),
        ("a.jsonl.gz", gzip.compress(b"1404376560\n1642634100\n", mtime=0)),
    ],
)
def test_all_file_formats_give_the_same_items(tmp_path, name, content):
    assert listed(tmp_path, read(tmp_path, name, content))[0] == UIDS


def test_a_parquet_file_gives_its_column(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"user_id": [int(uid) for uid in UIDS], "name": ["a", "b"]}).to_parquet(path)
    assert listed(tmp_path, readers.from_file(path, "user_id", name="a.parquet"))[0] == UIDS


def test_the_other_columns_of_a_csv_file_are_attributes(tmp_path):
    """Texts; a column without a name is none, and a short row has fewer."""
    content = "name,user_id,,city\nann,1404376560,x,Bern\n,\nbob,1642634100\n"
    assert listed(tmp_path, read(tmp_path, "a.csv", content))[0] == UIDS
    assert attributes(tmp_path) == [{"name": "ann", "city": "Bern"}, {"name": "bob"}]


def test_the_other_fields_of_a_jsonl_file_are_attributes(tmp_path):
    content = '{"b": [1, {"c": null}], "user_id": 1404376560, "a": "\\ud800"}\n"1642634100"\n'
    assert listed(tmp_path, read(tmp_path, "a.jsonl", content))[0] == UIDS
    assert attributes(tmp_path) == [{"a": "\ud800", "b": [1, {"c": None}]}, {}]


def test_the_other_columns_of_a_parquet_file_are_attributes_as_json_values(tmp_path):
    path = tmp_path / "a.parquet"
    columns = {
        "day": [date(2026, 1, 2), None],
        "at": [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), None],
        "price": [Decimal("1.10"), None],
        "ratio": [0.5, float("nan")],
        "user_id": UIDS,
        "many": [["a"], []],
    }
    # pandas would write NaN as null.
    pq.write_table(pa.table(columns), path)
    assert listed(tmp_path, readers.from_file(path, "user_id", name="a.parquet"))[0] == UIDS
    first = {"at": "2026-01-02T03:04:05+00:00", "day": "2026-01-02", "price": "1.10"}
    nothing = dict.fromkeys(["at", "day", "price", "ratio"])
    assert attributes(tmp_path) == [
        {**first, "ratio": 0.5, "many": ["a"]},
        {**nothing, "many": []},
    ]


def test_objects_of_a_list_carry_attributes(tmp_path):
    items = [{"user_id": 1404376560, "city": "Bern"}, "1642634100"]
    assert listed(tmp_path, readers.from_list(items, "user_id"))[0] == UIDS
    assert attributes(tmp_path) == [{"city": "Bern"}, {}]


def test_an_object_without_a_key_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"item 2 is .*an object needs its key as 'user_id'"):
        listed(tmp_path, readers.from_list(["1404376560", {"id": "1"}], "user_id"))


@pytest.mark.parametrize("columns", [("city", "user_id"), ("id", "city")])
def test_the_rows_of_a_query_have_keys_and_attributes(tmp_path, columns):
    """The key is the item column, or else the first one."""
    rows = [[UIDS[0], "Bern"], [UIDS[1], None]]
    if columns[1] == "user_id":
        rows = [row[::-1] for row in rows]
    assert listed(tmp_path, readers.from_rows(columns, rows, "user_id"))[0] == UIDS
    assert attributes(tmp_path) == [{"city": "Bern"}, {"city": None}]


def test_attributes_that_begin_late_stay_beside_their_keys(tmp_path):
    late = BLOCK_ITEMS * 2 + 7
    items = [str(number + 1) for number in range(late)] + [{"user_id": "9", "a": 1}, "8"]
    assert len(listed(tmp_path, readers.from_list(items, "user_id"))[0]) == late + 2
    assert attributes(tmp_path) == [{}] * late + [{"a": 1}, {}]


def test_a_list_without_attributes_removes_those_of_an_earlier_try(tmp_path):
    listed(tmp_path, readers.from_list([{"user_id": "1", "a": 1}], "user_id"))
    assert attributes(tmp_path) == [{"a": 1}]
    listed(tmp_path, readers.from_list(["1"], "user_id"))
    assert attributes(tmp_path) is None


def test_the_failed_and_invalid_items_of_a_run_are_read_with_their_attributes(tmp_path):
    """Those of each batch, in the order of the plan; missing ones are not."""
    earlier = Workspace(tmp_path / "earlier")
    outcomes = [Status.FAILED, Status.OK, Status.MISSING, Status.INVALID, Status.OK, Status.OK]
    for number in range(3):
        batch = earlier.batch(number)
        keys = [str(2 * number + 1), str(2 * number + 2)]
        write_jsonl(batch.items_file, keys)
        write_jsonl(batch.attributes_file, [{"of": key} for key in keys])
        failed = [
            Outcome(key, outcomes[int(key) - 1]).as_json()
            for key in keys
            if outcomes[int(key) - 1] is not Status.OK
        ]
        write_jsonl(batch.failed_file, failed)
    plan = Plan("p", 6, 0, (0, 2, 4), "", "", Forecast(0, None, "unknown"))
    write_json(earlier.plan, plan.as_json())
    with pytest.raises(BadInput, match=r"run://p/r has no outcomes"):
        list(from_run(earlier, name="run://p/r"))
    write_json(earlier.manifest, {})
    assert listed(tmp_path, from_run(earlier, name="run://p/r"))[0] == ["1", "4"]
    assert attributes(tmp_path) == [{"of": "1"}, {"of": "4"}]


def test_blanks_are_skipped_and_counted(tmp_path):
    located = read(tmp_path, "a.csv", "user_id,n\n1404376560,1\n,2\n  ,3\n1642634100,4\n\n")
    items, counts = listed(tmp_path, located)
    assert items == UIDS
    assert counts[0] == 2
    assert counts[1] >= 2


def test_names_of_found_files_may_differ_in_space_at_the_end(tmp_path):
    uris = ["s3://b/x", "s3://b/x ", "s3://b/x\n"]
    found = [("file", number, uri, None) for number, uri in enumerate(uris, 1)]
    assert listed(tmp_path, found, check=str)[0] == uris


INVALID = ["1404 376560", "14/04", "../etc", "😀", "9" * 10_000, "-1", "0", "1.4e9", "１２３"]


@pytest.mark.parametrize("item", [*INVALID, True, 1.5, ["1"]])
def test_an_item_that_the_source_rejects_is_named(tmp_path, item):
    located = readers.from_list(["1404376560", item], "user_id")
    with pytest.raises(BadInput, match=r"1 of the items .* item 2 is") as caught:
        listed(tmp_path, located)
    assert len(str(caught.value)) < 500
    assert not (tmp_path / "run" / "items" / "listed.jsonl").exists()


def test_many_invalid_items_are_reported_in_one_short_message(tmp_path):
    with pytest.raises(BadInput, match="100 of the items") as caught:
        listed(tmp_path, readers.from_list(["bad id"] * 100, "user_id"))
    assert "and 95 more" in str(caught.value)


def test_a_uid_has_one_canonical_form(tmp_path):
    located = readers.from_list([" 1404376560", 1404376560, "01404376560"], "user_id")
    assert listed(tmp_path, located)[0] == ["1404376560"] * 3


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "", "needs a header"),
        ("a.csv", "name,age\nx,1\n", "'name', 'age'"),
        ("a.csv", "1404376560\n1642634100\n", "needs a header"),
        ("a.csv", b"user_id\n\xff\xfe\n", "not UTF-8"),
        ("a.jsonl", '{"user_id": 1}\n{oops\n', "line 2 is not JSON"),
        ("a.jsonl", '{"id": 1}\n', "line 1 has no 'user_id'"),
        ("a.jsonl", json.dumps({"user_id": None}) + "\n[1]\n", "item is a string or an integer"),
        ("a.parquet", b"PAR1 is not enough", "not a Parquet file"),
        ("a.csv.gz", b"user_id\n1\n", "cannot be read"),
        ("a.xlsx", b"", "must end in"),
    ],
)
def test_a_malformed_file_is_rejected_with_the_reason(tmp_path, name, content, said):
    with pytest.raises(BadInput, match=said):
        listed(tmp_path, read(tmp_path, name, content))


def test_a_missing_file_is_named():
    located = readers.from_file(
        readers.local_path("file:///nowhere/a.csv"), "user_id", name="a.csv"
    )
    with pytest.raises(BadInput, match="there is no file"):
        list(located)


@pytest.mark.parametrize("uri", ["file://host/a.csv", "file:a.csv"])
def test_a_file_uri_has_no_host(uri):
    with pytest.raises(BadInput, match="must look like"):
        readers.local_path(uri)


def test_a_local_path_may_hold_blanks_and_umlauts(tmp_path):
    path = tmp_path / "my users ü.csv"
    assert readers.local_path(path.as_uri()) == path
