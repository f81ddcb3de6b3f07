"""The index of keys: found exactly, or by their beginning, whatever characters they have."""

import resource
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.errors import Inconsistent, WorkspaceUnavailable
from fanfold.workspace.items import json_lines
from fanfold.workspace.key_index import containing, index_writer, positions, starting_with

HOSTILE = [*'%_"🙂', "\ud800", "\uffff", "张伟", "a\x00b", "a\nb", "'; DROP TABLE items; --"]


def write(path, keys, *, at_once=3):
    with index_writer(path) as add:
        for start in range(0, len(keys), at_once):
            add([json_lines([key]) for key in keys[start : start + at_once]])


def test_every_key_is_found_at_its_position(tmp_path):
    path = tmp_path / "keys.db"
    keys = [*HOSTILE, *(str(number) for number in range(2000))]
    write(path, keys)
    assert positions(path, keys) == {key: place for place, key in enumerate(keys)}
    assert positions(path, ["nobody", "%%"]) == {}
    assert list(tmp_path.iterdir()) == [path]


def test_a_prefix_is_a_text_not_a_pattern(tmp_path):
    path = tmp_path / "keys.db"
    write(path, [*HOSTILE, "100", "10", "1000", "2"])
    assert starting_with(path, "10", 2) == ["10", "100"]
    assert starting_with(path, "%", 9) == ["%"]
    assert starting_with(path, "\ud800", 9) == ["\ud800"]
    assert len(starting_with(path, "", 99)) == len(HOSTILE) + 4


def test_a_part_of_a_key_is_a_text_not_a_pattern(tmp_path):
    path = tmp_path / "keys.db"
    write(
        path, [*HOSTILE, "s3://b/2/web_a.csv", "s3://b/1/web_a.csv", "s3://b/1/web%.csv", "webxa"]
    )
    assert containing(path, "web_", 9) == ["s3://b/1/web_a.csv", "s3://b/2/web_a.csv"]
    assert containing(path, "web", 2) == ["s3://b/1/web%.csv", "s3://b/1/web_a.csv"]
    assert containing(path, "%", 9) == ["%", "s3://b/1/web%.csv"]


@given(st.sets(st.text(max_size=4)), st.text(max_size=2))
def test_keys_with_a_prefix_are_those_whose_bytes_have_it(tmp_path_factory, keys, prefix):
    path = tmp_path_factory.mktemp("keys") / "keys.db"
    write(path, sorted(keys))
    expected = sorted((key for key in keys if key.startswith(prefix)), key=str.encode)
    assert starting_with(path, prefix, 1000) == expected


@pytest.mark.parametrize("content", [None, b"", b"no database"])
def test_a_damaged_index_is_named_with_the_fix(tmp_path, content):
    path = tmp_path / "keys #1?.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Inconsistent, match=r"keys #1\?\.db cannot be read .*clear `plan`"):
        positions(path, ["1"])


def test_a_failed_block_leaves_no_index(tmp_path):
    path = tmp_path / "keys.db"
    with pytest.raises(TypeError), index_writer(path) as add:
        add([b'"1"', None])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_reported_with_the_fix(tmp_path):
    """SQLite has errors of its own for it."""
    path = tmp_path / "keys.db"
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, limit[1]))
    try:
        with pytest.raises(WorkspaceUnavailable, match="Free disk space"):
            write(path, [str(number) for number in range(20_000)], at_once=20_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []
