from __future__ import annotations

import gzip
import json

import pandas as pd
import pytest

from fanfold import readers
from fanfold.errors import BadInput
from fanfold.sources.mastodon import check_item as check_account
from fanfold.sources.weibo import check_item as check_uid
from fanfold.workspace.files import read_jsonl
from fanfold.workspace.paths import Workspace

UIDS = ["1404376560", "1642634100"]


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


def test_blanks_are_skipped_and_counted(tmp_path):
    located = read(tmp_path, "a.csv", "user_id,n\n1404376560,1\n,2\n  ,3\n1642634100,4\n\n")
    items, counts = listed(tmp_path, located)
    assert items == UIDS
    assert counts[0] == 2
    assert counts[1] >= 2


INVALID = ["1404 376560", "14/04", "../etc", "😀", "9" * 10_000, "-1", "0", "1.4e9", "１２３"]


@pytest.mark.parametrize("item", [*INVALID, True, 1.5, ["1"]])
def test_an_item_that_the_source_rejects_is_named(tmp_path, item):
    located = readers.from_list(["1404376560", item])
    with pytest.raises(BadInput, match=r"1 of the items .* item 2 is") as caught:
        listed(tmp_path, located)
    assert len(str(caught.value)) < 500
    assert not (tmp_path / "run" / "items" / "listed.jsonl").exists()


def test_many_invalid_items_are_reported_in_one_short_message(tmp_path):
    with pytest.raises(BadInput, match="100 of the items") as caught:
        listed(tmp_path, readers.from_list(["bad id"] * 100))
    assert "and 95 more" in str(caught.value)


def test_a_uid_has_one_canonical_form(tmp_path):
    located = readers.from_list([" 1404376560", 1404376560, "01404376560"])
    assert listed(tmp_path, located)[0] == ["1404376560"] * 3


@pytest.mark.parametrize(
    ("given", "canonical"),
    [("@Gargron", "gargron"), ("alice@Example.Social", "alice@example.social"), ("a_b.c", "a_b.c")],
)
def test_an_account_has_one_canonical_form(given, canonical):
    assert check_account(given) == canonical


@pytest.mark.parametrize("item", ["", "a b", "a/b", "a@b@c", "a?x=1", "é", "a" * 301])
def test_an_invalid_account_is_rejected(item):
    with pytest.raises(ValueError, match="looks like"):
        check_account(item)


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
