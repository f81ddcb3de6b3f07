"""Files of a run, found in a folder."""

from __future__ import annotations

import os
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.errors import BadInput
from fanfold.readers import from_list
from fanfold.readers.objects import FileCounts, find_files
from fanfold.readers.patterns import Window
from fanfold.storage.locations import Locations
from fanfold.workspace.base import LedgerRow

ALL = Window(None, date(2026, 7, 4))
JULY = Window(date(2026, 7, 1), date(2026, 7, 4))


class Folder:
    """A folder of files; ``find`` returns the keys, without its URI, and attributes of those found."""

    def __init__(self, path):
        self.path = path
        self.uri = f"file://{path}/"
        self.counts = FileCounts()

    def put(self, *names, content="x"):
        for name in names:
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def facts(self, name):
        status = (self.path / name).stat()
        return status.st_size, f"{status.st_mtime_ns:x}-{status.st_size:x}"

    def row(self, name, status="ok", **changes):
        """A row of the ledger for a file as it is."""
        size, etag = self.facts(name) if (self.path / name).exists() else (1, "e")
        facts = {"etag": etag, "size": size, "modified": "2026-07-01T00:00:00.000Z", "date": None}
        others = {"reason": "", "rows": 1, "rejected": 0, "generation": 1, "run_id": "before"}
        return LedgerRow(item=self.uri + name, status=status, **{**facts, **others, **changes})

    def find(self, *entries, window=ALL, **options):
        self.counts = FileCounts()
        entries = [
            {**each, "item": self.uri + each["item"]} if isinstance(each, dict) else self.uri + each
            for each in entries
        ]
        found = find_files(
            from_list(entries, "item"),
            Locations([self.uri], pytest.fail),
            window,
            counts=self.counts,
            **options,
        )
        return {key.removeprefix(self.uri): attributes for _, _, key, attributes in found}

    def ledger(self, *rows):
        return sorted(rows, key=lambda row: row.item)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_a_link_to_a_file_that_is_found_as_well_is_left_out(folder, caplog):
    folder.put("2026-07-01.csv", "old.txt")
    for name, target in [("latest.csv", "2026-07-01.csv"), ("older.csv", "old.txt")]:
        (folder.path / name).symlink_to(target)
    assert list(folder.find("*.csv")) == ["2026-07-01.csv", "older.csv"]
    assert f"latest.csv is left out: it is a link to {folder.uri}2026-07-01.csv" in caplog.text
    assert list(folder.find("l*.csv")) == ["latest.csv"]
    with pytest.raises(BadInput, match="an empty folder name"):
        folder.find("/old.txt")


def test_patterns_and_uris_give_each_file_once_sorted_with_its_facts(folder):
    folder.put("b/2.csv", "a/1.csv", "b/1.txt", "c.csv")
    found = folder.find("gone.csv", "c.csv", "*/*.csv", "a/")
    assert list(found) == ["a/1.csv", "b/2.csv", "c.csv", "gone.csv"]
    assert found["gone.csv"] == {}  # its fetch reports it
    for name in ("a/1.csv", "c.csv"):
        assert (found[name]["size"], found[name]["etag"]) == folder.facts(name)
        assert found[name].keys() == {"size", "etag", "modified"}


def test_only_files_with_a_date_in_the_window_are_found_and_have_it(folder):
    folder.put(
        *(f"o/{day}/a.csv" for day in ("2026-06-30", "2026-07-01", "2026-07-04", "2026-07-05"))
    )
    found = folder.find("o/{date}/*", window=JULY)
    assert {name: each["date"] for name, each in found.items()} == {
        "o/2026-07-01/a.csv": "2026-07-01",
        "o/2026-07-04/a.csv": "2026-07-04",
    }
    assert (folder.counts.listed, folder.counts.outside) == (2, 0)
    assert len(folder.find("o/{date}/*")) == 3
    assert folder.counts.text(ALL) == (
        "4 files listed for the dates until 2026-07-04, 1 outside them, 3 to read"
    )


def test_facts_of_an_entry_are_kept_and_the_others_are_looked_up(folder):
    folder.put("a.csv")
    size, etag = folder.facts("a.csv")
    whole = {"item": "not there", "Size": "7", "ETag": '"e"', "shop": "k"}
    found = folder.find({"item": "a.csv", "etag": "planned", "size": ""}, whole)
    assert found["a.csv"] | {"modified": ""} == {"etag": "planned", "size": size, "modified": ""}
    assert found["not there"] == {"size": 7, "etag": "e", "shop": "k"}
    # The ledger needs the time, too.
    merged = folder.find({"item": "a.csv", "etag": etag, "size": size}, ledger=[])
    assert merged["a.csv"]["modified"].endswith("Z")
    time = {"item": "x", "size": 1, "etag": "e", "modified": "2026-07-01T02:00:00+02:00"}
    assert folder.find(time, ledger=[])["x"]["modified"] == "2026-07-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"item": "s3://other/a.csv", "size": 1, "etag": "e"}, "FANFOLD_FILES_ALLOWED"),
        ("s3://other/*.csv", "FANFOLD_FILES_ALLOWED"),
        ("orders/a.csv", r"item 1 \('orders/a.csv'\) must be a URI"),
        ("https://a/b.csv", "must be a URI"),
        (7, "must be a URI"),
        ({"item": "file:///a", "size": "1 KB"}, "size must be a number of bytes"),
        ({"item": "file:///a", "modified": "now"}, "modified must be a time"),
    ],
)
def test_entries_that_name_no_file_are_refused(entry, said):
    locations = Locations(["file:///"], pytest.fail)
    with pytest.raises(BadInput, match=said):
        list(find_files(from_list([entry], "item"), locations, ALL, counts=FileCounts()))


@pytest.mark.parametrize(
    "line",
    [
        ("s3://s3cret/a", {}),
        ("../s3cret", {}),
        ("s3cret\0", {}),
        ("s3cret://", {}),
        ("a", {"size": "s3cret"}),
    ],
)
def test_messages_name_the_line_of_a_manifest_file_and_not_its_content(line):
    locations = Locations(["file:///"], pytest.fail)
    options = {"folder": "file:///a/", "counts": FileCounts()}
    with pytest.raises(BadInput, match="line 7") as caught:
        list(find_files([("line", 7, *line)], locations, ALL, **options))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "uri"),
    [
        ("b/1.csv", "file:///data/lists/b/1.csv"),
        ("/b/1.csv", "file:///b/1.csv"),
        ("file:///x/*[1].csv", "file:///x/*[1].csv"),
    ],
)
def test_names_in_a_manifest_file_are_relative_to_its_folder_and_no_patterns(value, uri):
    rows = [("line", 2, value, None), ("line", 3, " ", None)]
    locations = Locations(["file:///"], pytest.fail)
    found = find_files(rows, locations, ALL, folder="file:///data/lists/", counts=FileCounts())
    assert [key for _, _, key, _ in found] == [uri]


def test_names_are_relative_to_a_bucket():
    rows = [("row", 1, name, {"size": 1, "etag": "e"}) for name in ("1.csv", "/top.csv")]
    locations = Locations(["s3://b/"], pytest.fail)
    found = find_files(rows, locations, ALL, folder="s3://b/lists/", counts=FileCounts())
    assert [key for _, _, key, _ in found] == ["s3://b/lists/1.csv", "s3://b/top.csv"]


def test_only_new_and_changed_files_are_read(folder):
    folder.put("same", "touched", "new", "grown", "was missing")
    ledger = folder.ledger(
        *map(folder.row, ("same", "touched", "grown", "deleted")),
        folder.row("was missing", "missing"),
    )
    os.utime(folder.path / "touched", (1, 1))
    folder.put("grown", content="xx")
    assert list(folder.find("*", ledger=ledger)) == ["grown", "new", "touched", "was missing"]
    assert folder.counts.unchanged == 1
    assert list(folder.find("same", ledger=ledger)) == []


def test_failed_files_and_corrected_ones_are_read_again_wherever_they_are(folder, caplog):
    folder.put("o/a", "x/failed", "x/broken", "x/corrected", "x/fine")
    ledger = folder.ledger(
        folder.row("o/a"),
        folder.row("x/failed", "failed", date="2026-07-01"),
        folder.row("x/broken", "invalid"),
        folder.row("x/corrected", "invalid", etag="other"),
        folder.row("x/fine"),
        folder.row("x/gone", "failed"),
        folder.row("x/removed", "invalid", rows=0),
        folder.row("x/never", "missing"),
    )
    found = folder.find("o/*", ledger=ledger)
    assert list(found) == ["x/corrected", "x/failed", "x/removed"]
    assert found["x/removed"] == {}
    assert found["x/failed"]["date"] == "2026-07-01"
    assert found["x/failed"]["etag"] == folder.facts("x/failed")[1]
    assert "x/gone failed in an earlier run and does not exist any more" in caplog.text
    assert folder.counts.text(ALL) == (
        "1 files listed, 1 unchanged since they were published, 1 invalid and unchanged, "
        "1 that failed in earlier runs are gone, 3 to read (3 of them again)"
    )


def test_a_rebuild_reads_all_files_of_the_ledger_and_reports_those_that_are_gone(folder):
    folder.put("o/a", "o/new", "x/fine")
    ledger = folder.ledger(
        *map(folder.row, ("o/a", "x/fine", "x/gone")), folder.row("x/never", "missing")
    )
    found = folder.find("o/*", ledger=ledger, rebuild=True)
    assert list(found) == ["o/a", "o/new", "x/fine", "x/gone"]
    assert found["x/gone"] == {}


NAMES = st.sampled_from([*"abcdefgh"])
STATUS = st.sampled_from(["ok", "failed", "invalid", "missing"])


@given(st.sets(NAMES), st.dictionaries(NAMES, st.tuples(STATUS, st.booleans())), st.booleans())
def test_listing_and_ledger_are_joined_by_uri(tmp_path_factory, there, before, rebuild):
    folder = Folder(tmp_path_factory.mktemp("files"))
    folder.put(*there)
    rows = [
        folder.row(name, status, **({} if same else {"etag": "other"}))
        for name, (status, same) in before.items()
    ]
    known = {("ok", True), ("invalid", True)}
    expected = {name for name in there if rebuild or before.get(name) not in known}
    if rebuild:
        expected |= {name for name, (status, _) in before.items() if status != "missing"}
    found = folder.find("?", ledger=folder.ledger(*rows), rebuild=rebuild)
    assert list(found) == sorted(expected)
