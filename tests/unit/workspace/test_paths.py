from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.errors import Inconsistent
from fanfold.workspace.files import read_json, read_jsonl, whole_file, write_json, write_jsonl
from fanfold.workspace.paths import Workspace, safe_name

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(ANY_TEXT, ANY_TEXT)
def test_any_text_becomes_one_path_segment_of_its_own(one, other):
    name = safe_name(one)
    assert re.fullmatch(r"[^./\0][^/\0]*", name)
    assert len(name.encode()) <= 160
    assert (name == safe_name(other)) == (one == other)


@pytest.mark.parametrize("run_id", ["..", "../../etc/passwd", "a/b", ".hidden", "x" * 5000])
def test_a_hostile_run_id_stays_inside_the_shared_directory_and_others_readable(tmp_path, run_id):
    root = Workspace.of_run(tmp_path, "dag", run_id).root
    assert root.parent == tmp_path / "dag"
    assert root.resolve() == root
    usual = "manual__2026-01-02T03:04:05+00:00"
    assert Workspace.of_run(tmp_path, "dag", usual).root == tmp_path / "dag" / usual


def test_no_run_is_in_the_folder_of_lists_that_people_write(tmp_path):
    assert Workspace.of_run(tmp_path, "inputs", "x").root.parent != tmp_path / "inputs"


def test_a_failed_write_leaves_the_former_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"名": "张伟"})
    assert "张伟" in path.read_text("utf-8"), "text stays readable"
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        raise RuntimeError(temporary.write_text("half"))
    assert read_json(path) == {"名": "张伟"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.json"]


LEAVES = st.none() | st.booleans() | st.integers() | st.text(st.characters())


@given(st.lists(st.recursive(LEAVES, st.lists)))
def test_what_is_written_as_jsonl_is_read_back(tmp_path_factory, documents):
    """Half surrogate pairs, line separators and quotes included; plain and compressed."""
    folder = tmp_path_factory.mktemp("jsonl")
    for name in ("a.jsonl", "a.jsonl.gz"):
        assert write_jsonl(folder / name, documents) == len(documents)
        assert list(read_jsonl(folder / name)) == documents
    assert (folder / "a.jsonl").read_bytes().count(b"\n") == len(documents)


@pytest.mark.parametrize(("content", "said"), [(None, "missing"), ("{", "not JSON")])
def test_a_missing_or_broken_document_is_named(tmp_path, content, said):
    path = tmp_path / "plan.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Inconsistent, match=said) as caught:
        read_json(path)
    assert str(path) in str(caught.value)


def test_a_part_counts_only_when_its_outcomes_are_there(tmp_path):
    workspace = Workspace(tmp_path)
    raw, outcomes = workspace.batch(3).new_part(1)
    assert workspace.batch(3).new_part(1) != (raw, outcomes), "two writers never share a name"
    write_jsonl(raw, [{"key": "a"}])
    assert workspace.batch(3).parts() == []
    write_jsonl(outcomes, [{"key": "a"}])
    assert workspace.batch(3).parts() == [(1, raw, outcomes)]
    assert workspace.batch(4).parts() == []
