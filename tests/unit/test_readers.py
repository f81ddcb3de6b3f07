from __future__ import annotations

import gzip
import os
import random
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fanfold import readers
from fanfold.errors import BadInput
from fanfold.model import Forecast, Outcome, Plan, Status
from fanfold.readers import checking, files, limited, parquet
from fanfold.readers.parquet import BLOCK_ITEMS
from fanfold.readers.runs import from_run
from fanfold.storage.locations import Locations
from fanfold.workspace.files import read_jsonl, write_json, write_jsonl
from fanfold.workspace.paths import Workspace

UIDS = ["1404376560", "1642634100"]


def check_uid(item):
    """Return a number without leading zeros."""
    number = item.lstrip("0")
    if not (number.isascii() and number.isdecimal() and len(number) < 20):
        raise ValueError("a uid is a number")
    return number


def no_client():
    pytest.fail("files in folders need no S3 client")


def read(tmp_path, name, content, column="user_id", check=check_uid, uri=None):
    """The items of a file in the only allowed folder; Parquet from columns."""
    path = tmp_path / "inputs" / name
    path.parent.mkdir(exist_ok=True)
    if isinstance(content, dict):
        pq.write_table(pa.table(content), path)
    elif content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    locations = Locations((f"file://{path.parent}/",), no_client)
    return readers.from_uri(uri or f"file://{path}", locations, column, check)


def gz(text):
    return gzip.compress(text, mtime=0)


def listed(tmp_path, located, check=check_uid):
    workspace = Workspace(tmp_path / "run")
    counts = readers.write_items(workspace, located, check)
    return list(read_jsonl(workspace.listed)), counts


def attributes(tmp_path):
    """The listed attributes, or None if there is no file."""
    path = Workspace(tmp_path / "run").listed_attributes
    return list(read_jsonl(path)) if path.exists() else None


SAME = {
    "plain.csv": "user_id\n1404376560\n1642634100\n",
    "mark.csv": "\ufeffuser_id,name\r\n1404376560,a\r\n1642634100,b\r\n",
    "quotes.csv": 'name,user_id\n"x, ""y""",1404376560\n"line\nbreak",1642634100\n',
    "literal quote.csv": 'name,user_id\n5" pipe,1404376560\nb,1642634100\n',
    "other header.csv": "uid\n1404376560\n1642634100\n",
    "no header.csv": "1404376560\n1642634100\n",
    "no header, mark.csv": "\ufeff\n1404376560\r\n1642634100",
    "header item.csv": "item\n1404376560\n1642634100\n",
    "old mac.csv": "user_id,a\r1404376560,1\r1642634100,2\r",
    "SPACE.CSV": "user_id\n 1404376560 \n1642634100",
    "comma at the end.csv": "user_id\n1404376560,\n1642634100,,\n",
    "objects.jsonl": '{"user_id": "1404376560"}\n{"user_id": 1642634100, "x": 1}\n',
    "values.jsonl": '"1404376560"\n\n1642634100\n',
    "mark.jsonl": '\ufeff"1404376560"\n\ufeff{"user_id": 1642634100.0}\n',
    "packed.csv.gz": gz(b"user_id\n1404376560\n1642634100\n"),
    "packed.jsonl.gz": gz(b"\xef\xbb\xbf1404376560\n") + gz(b"1642634100\n"),
    "list #1.csv": "user_id\n1404376560\n1642634100\n",
    "a?b %41 100%.csv": "user_id\n1404376560\n1642634100\n",
    "integers.parquet": {"user_id": [int(uid) for uid in UIDS], "name": ["a", "b"]},
    "decimals.parquet": {"user_id": pa.array(map(Decimal, UIDS), pa.decimal128(38, 0))},
    "decimals 2.parquet": {"user_id": pa.array(map(Decimal, UIDS), pa.decimal128(38, 2))},
    "floats.parquet": {"user_id": [*map(float, UIDS), None]},
    "not a number.parquet": {"user_id": [*map(float, UIDS), float("nan")]},
    "bytes.parquet": {"user_id": [uid.encode() for uid in UIDS]},
    "dictionary.parquet": {"uid": pa.array(UIDS).dictionary_encode()},
}


@pytest.mark.parametrize("name", SAME)
def test_all_file_formats_give_the_same_items(tmp_path, name):
    assert listed(tmp_path, read(tmp_path, name, SAME[name]))[0] == UIDS


@pytest.mark.parametrize("name", ["list #1.csv", "a?b ü.csv", "a%20b.csv", "100%.csv"])
def test_a_uri_names_a_file_with_and_without_percent_encoding(tmp_path, name):
    path = tmp_path / "inputs" / name
    for uri in (f"file://{path}", path.as_uri()):
        assert listed(tmp_path, read(tmp_path, name, "user_id\n1\n", uri=uri))[0] == ["1"]


def check_account(item):
    if not item.replace("@", "").replace(".", "").isalnum():
        raise ValueError("an account looks like alice@example.social")
    return item


def test_a_first_line_that_may_be_header_or_item_is_refused_with_both_readings(tmp_path):
    """The form of Mastodon's own exports: one column, and no header."""
    exported = "alice@example.social\nbob@example.social\n"
    located = read(tmp_path, "a.csv", exported, "acct", check_account)
    assert listed(tmp_path, located, check_account)[0] == exported.split()
    located = read(tmp_path, "a.csv", "accounts\nbob@example.social\n", "acct", check_account)
    with pytest.raises(BadInput, match=r"name of the column or the first item.* Write 'acct' inst"):
        list(located)


def test_the_other_columns_of_a_csv_file_are_attributes(tmp_path):
    """Texts; a column without a name is none, and a short row has fewer."""
    content = "name,user_id,,city\nann,1404376560,x,Bern\n,\nbob,1642634100\n"
    assert listed(tmp_path, read(tmp_path, "a.csv", content))[0] == UIDS
    assert attributes(tmp_path) == [{"name": "ann", "city": "Bern"}, {"name": "bob"}]


def test_the_other_fields_of_a_jsonl_file_are_attributes(tmp_path):
    content = '{"b": [1, {"c": null}], "user_id": 1404376560, "a": "\\ud800"}\n"1642634100"\n'
    assert listed(tmp_path, read(tmp_path, "a.jsonl", content))[0] == UIDS
    assert attributes(tmp_path) == [{"a": "\ud800", "b": [1, {"c": None}]}, {}]


def test_a_map_of_a_parquet_file_is_an_attribute(tmp_path):
    maps = pa.array([[("k", b"v")]], pa.map_(pa.string(), pa.binary()))
    listed(tmp_path, read(tmp_path, "a.parquet", {"user_id": ["1"], "a": maps}))
    assert attributes(tmp_path) == [{"a": [["k", "v"]]}]


def test_the_other_columns_of_a_parquet_file_are_attributes_as_json_values(tmp_path):
    columns = {
        "day": [date(2026, 1, 2), None],
        "at": [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), None],
        "price": [Decimal("1.10"), None],
        "ratio": [0.5, float("nan")],
        "user_id": UIDS,
        "most": [float("inf"), None],
        "many": [[0.5, float("nan")], []],
        "raw": [b"\xc3\xbc", b"\xff"],
    }
    assert listed(tmp_path, read(tmp_path, "a.parquet", columns))[0] == UIDS
    first = {"at": "2026-01-02T03:04:05+00:00", "day": "2026-01-02", "price": "1.10", "most": "inf"}
    nothing = dict.fromkeys(["at", "day", "price", "most", "ratio"])
    assert attributes(tmp_path) == [
        {**first, "ratio": 0.5, "many": [0.5, None], "raw": "ü"},
        {**nothing, "many": [], "raw": "\\xff"},
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


def test_columns_of_a_query_with_one_name_are_refused():
    with pytest.raises(BadInput, match="items_sql: the columns 2 and 3 have the same name"):
        list(readers.from_rows(["user_id", "city", "city"], [["1", "Bern", "Rome"]], "user_id"))


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


LINES = "".join(f"{n},name\n" for n in range(1, 1001))
RANDOM = random.Random(7).randbytes(3000)
PACKED = gz(b"user_id\n" + b"%d\n" * 999 % tuple(range(999)) + RANDOM.hex().encode())
MALFORMED = {
    "empty.csv": ("", "needs a header"),
    "columns.csv": ("name,age\nx,1\n", "needs a header with one column 'user_id'. Of its 2 col"),
    "twice.csv": ("user_id,user_id\n1,2\n", "Of its 2 columns, 2 have this name"),
    "names.csv": ("user_id,name,Name,name\n1,a,b,c\n", "the columns 2 and 4 have the same name"),
    "semicolons.csv": ("name;user_id\nAl;1\n", "other separators than commas"),
    "joined.csv": ("user_id,name\n1,a\n\ufeffuser_id,name\n2,b\n", "line 3 is the header again"),
    "joined, one column.csv": ("user_id\n1\nuser_id\n2\n", "line 3 is the header again"),
    "no header.csv": ("1,Al\n2,Bo\n", "needs a header"),
    "latin.csv": (b"user_id\n1\n\xff\xfe\n", "line 3 is not UTF-8"),
    "late latin.csv": (b"user_id\n" + b"1\n" * 99_999 + b"\xff", "line 100001 is not UTF-8"),
    "utf-16.csv": ("user_id\n1\n".encode("utf-16"), "line 1 is not UTF-8"),
    "values.csv": ("user_id,name\n1,Al\n2,Al,Jr.\n", "line 3 has more values"),
    "open quote.csv": (f'user_id,name\n1404376560,"Al\n{LINES}', "line 2: a quote opens"),
    "open quote at the end.csv": (f'user_id,name\n{LINES}1,"Al', "line 1002: a quote opens"),
    "open quote in the header.csv": (f'user_id,"name\n{LINES}', "line 1: a quote opens"),
    "open quote, others.csv": (
        f'user_id,name\n1,"a\nb"\n2,"Al\n{LINES[:200]}3,"Bo"\n',
        "line 4: a quote opens",
    ),
    "open quote, closed far below.csv": (f'user_id,name\n1,"Al\n{LINES}3,5"\n', "line 2: a quote"),
    "second quote.csv": (f'user_id,n,m\n1,"a\nb","Al\n{LINES[:99]}', "line 3: a quote opens"),
    "quote.csv": ('user_id,name\n1,"Al" x\n', "line 2: a quote opens"),
    "no json.jsonl": ('{"user_id": 1}\n{"password": "s3cret"\n', "line 2 is not JSON"),
    "key twice.jsonl": (
        '{"user_id": 1, "user_id": 2}\n',
        "line 1 is not JSON, or an object has two",
    ),
    "deep.jsonl": (
        f'{{"user_id": 1, "s3cret": {"[" * 500}{"]" * 500}}}',
        "line 1: its attributes have",
    ),
    "no key.jsonl": ('{"id": "s3cret"}\n', "line 1 has no 'user_id'"),
    "half.jsonl": ('{"user_id": "s3cret\\ud800"}\n', "line 1: a text contains a lone surrogate"),
    "null.jsonl": ('{"user_id": null}\n["s3cret"]\n', "line 2: an item is a string or an integer"),
    "rejected.csv": ("user_id\n1\ns3cret\n", "line 3: a uid is a number"),
    "rejected.parquet": ({"user_id": ["1", "s3cret"]}, "row 2: a uid is a number"),
    "fractions.parquet": ({"user_id": [1.5]}, "row 1: an item is a string or an integer"),
    "floats.parquet": ({"user_id": [2.0**53]}, "row 1: a float holds whole numbers up to 2"),
    "times.parquet": ({"user_id": [True]}, "row 1: an item is a string or an integer"),
    "text.parquet": (b"PAR1 s3cret", "not a Parquet file, or damaged"),
    "text.csv.gz": (b"user_id\n1\n", "is not gzip, damaged or cut off"),
    "cut off.csv.gz": (PACKED[:-9], "damaged or cut off"),
    "cut off late.csv.gz": (PACKED[:-1], "damaged or cut off"),
    "no bytes.jsonl.gz": (b"", "has no bytes: it is cut off"),
    "damaged.csv.gz": (PACKED[:900] + b"\0" * 50 + PACKED[950:], "damaged or cut off"),
    "checksum.csv.gz": (PACKED[:-8] + b"abcd" + PACKED[-4:], "damaged or cut off"),
    "garbage.csv.gz": (gz(b"user_id\n1\n") + b"x", "damaged or cut off"),
    "sheet.xlsx": (b"", "must end in"),
    "sheet.csv.zip": (b"", "must end in"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_is_rejected_with_line_and_reason_but_not_its_content(tmp_path, name):
    content, said = MALFORMED[name]
    with pytest.raises(BadInput, match=said) as caught:
        listed(tmp_path, read(tmp_path, name, content))
    assert "s3cret" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_damaged_page_of_a_parquet_file_is_no_other_error(tmp_path):
    read(tmp_path, "a.parquet", {"user_id": [str(n) for n in range(9999)]})
    path = tmp_path / "inputs" / "a.parquet"
    data = bytearray(path.read_bytes())
    data[200:4000] = RANDOM + RANDOM[:800]
    with pytest.raises(BadInput, match="damaged"):
        listed(tmp_path, read(tmp_path, "a.parquet", bytes(data)))


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("{inputs}/none.csv", "there is no file"),
        ("{inputs}/none%20.csv", "there is no file .*none .csv"),
        ("{inputs}/out.csv", "symbolic link leads out"),
        ("{inputs}/pipe.csv", "not a regular file"),
        ("{inputs}/folder.csv", "not a regular file"),
        ("{inputs}/../secrets.csv", "has a NUL character, '.' or '..'"),
        ("{inputs}/%2e%2e/secrets.csv", "has a NUL character, '.' or '..'"),
        ("{inputs}/a\0.csv", "a.x00.csv' has a NUL character"),
        ("{inputs}/a.json%00.csv", "has a NUL character"),
        ("{inputs}/secrets.json", "must end in"),
        ("{inputs}/secrets.json#.csv", "there is no file"),
        ("{inputs}/secrets.json?.csv", "there is no file"),
        ("{inputs}/secrets.json%23.csv", "there is no file"),
        ("{inputs}.evil/a.csv", "not allowed"),
        ("file://{tmp}/secrets.csv", "not allowed: files are read from '.*FANFOLD_FILES_ALLOWED"),
        ("file:///proc/self/environ#.csv", "not allowed"),
        ("file:///dev/zero#.csv", "not allowed"),
        ("file:///dev/zero%23.csv", "not allowed"),
        ("file://host{tmp}/inputs/a.csv", "not allowed"),
        ("file:a.csv", "not allowed"),
        ("/etc/a.csv", "not allowed"),
        ("s3://other/a.csv", "not allowed"),
    ],
)
def test_only_regular_files_of_allowed_folders_are_read(tmp_path, uri, said):
    inputs = tmp_path / "inputs"
    (inputs / "folder.csv").mkdir(parents=True)
    os.mkfifo(inputs / "pipe.csv")
    (tmp_path / "secrets.csv").write_text("password\ns3cret\n")
    (inputs / "out.csv").symlink_to("../secrets.csv")
    (inputs / "secrets.json").write_text("s3cret")
    uri = uri.format(inputs=f"file://{inputs}", tmp=tmp_path)
    with pytest.raises(BadInput, match=said) as caught:
        list(read(tmp_path, "a.csv", None, uri=uri))
    assert "s3cret" not in str(caught.value)


MIB = 1 << 20
LARGE = {
    "line.csv.gz": (gz(b"user_id\n" + b"1" * 3 * MIB), "1,048,576 bytes in line 2"),
    "line.jsonl": (b'1\n"' + b"x" * 2 * MIB, "1,048,576 bytes in line 2"),
    "bytes.csv": (b"user_id\n" * 20_000, "100,000 bytes, the limit"),
    "decoded.jsonl.gz": (gz(b'         "1"\n' * 9_999), "100,000 bytes after decompression"),
    "items.csv.gz": (gz(b"user_id\n" + b"1\n" * 10_001), "more than 10,000 items"),
    "blanks.jsonl.gz": (gz(b"\n" * 10_001), "more than 10,000 items"),
    "rows.parquet": ({"user_id": ["1"] * 10_001}, "more than 10,000 rows"),
    "lists.parquet": ({"user_id": ["1"], "a": [[1] * 10_001]}, "10,000 rows, or elements"),
    "value.parquet": (
        {"user_id": ["1"], "a": ["x" * 2 * MIB]},
        "a value has more than 1,048,576 b",
    ),
    "decoded.parquet": (
        {"user_id": ["1"] * 99, "a": ["x" * 99_999] * 99},
        "bytes after decompression",
    ),
    "wide.parquet": (
        {"user_id": ["1"], "a": pa.array([b"x" * 2 * MIB], pa.binary(2 * MIB))},
        "a value has more than 1,048,576 b",
    ),
    "repeated.parquet": (
        {"user_id": ["1"], "a": [["x" * MIB] * 65]},
        "lists of a row have more than 67,108,864",
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_file_beyond_a_limit_is_refused_and_the_limit_named(tmp_path, name, monkeypatch):
    content, said = LARGE[name]
    limits = {
        "MAX_BYTES": 100_000 if name == "bytes.csv" else 9 * MIB,
        "MAX_DECODED_BYTES": 100_000 if name == "decoded.jsonl.gz" else 4 * MIB,
        "MAX_ITEMS": 10_000,
    }
    for module in (limited, files, parquet, checking):
        for limit in limits.keys() & vars(module).keys():
            monkeypatch.setattr(module, limit, limits[limit])
    with pytest.raises(BadInput, match=said):
        listed(tmp_path, read(tmp_path, name, content))


@pytest.mark.parametrize(
    ("columns", "kind", "value"),
    [
        (1, pa.dictionary(pa.int32(), pa.string()), "x" * 10**6),
        (1, pa.binary(20_000), b"x" * 20_000),
        (1_000, pa.int64(), 7),
    ],
    ids=["texts", "fixed length", "many columns"],
)
def test_values_that_repeat_in_a_parquet_file_are_unpacked_in_small_blocks(
    tmp_path, columns, kind, value
):
    """Rows of 100 MB and more, in a small file."""
    once = pa.array([value], kind).take(pa.array([0] * 8_000))
    table = pa.table({"user_id": ["1"] * 8_000, **dict.fromkeys(map(str, range(columns)), once)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, store_schema=False)
    located = read(tmp_path, "a.parquet", sink.getvalue().to_pybytes())
    del once, table
    before, most = pa.total_allocated_bytes(), 0
    for _ in range(100):
        assert next(located)[3]["0"] == readers.json_value(value)
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < 40 * MIB
