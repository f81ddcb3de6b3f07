from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.errors import Inconsistent
from fanfold.workspace.files import read_json, read_jsonl, whole_file, write_json, write_jsonl
from fanfold.workspace.paths import Workspace, safe_name

if TYPE_CHECKING:
    from pathlib import Path

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(ANY_TEXT)
def test_any_text_becomes_one_path_segment(text):
    name = safe_name(text)
    assert name
    assert not name.startswith(".")
    assert "/" not in name
    assert "\0" not in name
    assert len(name.encode()) <= 160


@given(ANY_TEXT, ANY_TEXT)
def test_two_texts_never_share_a_segment(one, other):
    assert (safe_name(one) == safe_name(other)) == (one == other)


def test_a_run_id_stays_readable(tmp_path):
    root = Workspace.of_run(tmp_path, "dag", "manual__2026-01-02T03:04:05+00:00").root
    assert root == tmp_path / "dag" / "manual__2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize("run_id", ["..", "../../etc/passwd", "a/b", ".hidden", "x" * 5000])
def test_a_hostile_run_id_stays_inside_the_shared_directory(tmp_path, run_id):
    root = Workspace.of_run(tmp_path, "dag", run_id).root
    assert root.parent == tmp_path / "dag"
    assert root.resolve() == root


def test_a_failed_write_leaves_the_former_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"n": 1})

    def broken() -> None:
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert read_json(path) == {"n": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.json"]


@given(
    st.lists(
        st.recursive(st.none() | st.booleans() | st.integers() | st.text(st.characters()), st.lists)
    )
)
def test_what_is_written_as_jsonl_is_read_back(tmp_path_factory, documents):
    """Half surrogate pairs, line separators and quotes included; plain and compressed."""
    folder: Path = tmp_path_factory.mktemp("jsonl")
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
    write_jsonl(raw, [{"key": "a"}])
    assert workspace.batch(3).parts() == []
    write_jsonl(outcomes, [{"key": "a"}])
    assert workspace.batch(3).parts() == [(1, raw, outcomes)]
    assert workspace.batch(4).parts() == []


def test_two_writers_of_the_same_part_never_share_a_name(tmp_path):
    workspace = Workspace(tmp_path)
    assert workspace.batch(3).new_part(1) != workspace.batch(3).new_part(1)
