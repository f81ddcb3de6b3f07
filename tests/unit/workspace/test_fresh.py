"""A run that was deleted and made again under the same id starts with an empty workspace."""

import shutil

import pytest

from fanfold.errors import Inconsistent
from fanfold.workspace.files import write_json
from fanfold.workspace.fresh import remove_previous_run, token_of
from fanfold.workspace.paths import Workspace

TOKEN = "5f2b"


def filled(tmp_path, run_id):
    workspace = Workspace.of_run(tmp_path, "dag", run_id)
    write_json(workspace.plan, {})
    write_json(workspace.batch(0).progress_file, {})
    return workspace


def test_everything_of_the_earlier_run_is_removed_and_nothing_else(tmp_path):
    workspace = filled(tmp_path, "scheduled__2026")
    other = filled(tmp_path, "scheduled__2027")
    write_json(workspace.history, [])
    assert remove_previous_run(workspace, TOKEN)
    found = {path.name for path in workspace.root.parent.iterdir()}
    assert found == {workspace.history.name, workspace.root.name, other.root.name}
    assert list(workspace.root.iterdir()) == [workspace.run]
    assert other.plan.exists()


def test_a_new_run_has_nothing_to_remove(tmp_path):
    assert not remove_previous_run(Workspace.of_run(tmp_path, "dag", "manual"), TOKEN)


def test_a_retry_of_the_same_run_keeps_what_it_has(tmp_path):
    workspace = filled(tmp_path, "manual")
    write_json(workspace.run, {"token": TOKEN})
    assert not remove_previous_run(workspace, TOKEN)
    assert workspace.plan.exists()
    assert remove_previous_run(workspace, "77aa")
    assert not workspace.plan.exists()


def test_a_workspace_of_an_earlier_version_is_told_with_the_task_that_replaces_it(tmp_path):
    workspace = filled(tmp_path, "manual")
    write_json(workspace.run, {"started": "2026-11-28"})
    with pytest.raises(Inconsistent, match="Clear `read_items` of the run with its downstream"):
        token_of(workspace)
    assert remove_previous_run(workspace, TOKEN)
    assert token_of(workspace) == TOKEN


def test_a_removal_that_is_cut_off_leaves_a_fresh_run_and_is_completed_later(tmp_path, monkeypatch):
    workspace = filled(tmp_path, "manual")

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_previous_run(workspace, TOKEN)
    assert not workspace.root.exists()
    assert len(list(workspace.root.parent.iterdir())) == 1
    assert not remove_previous_run(workspace, TOKEN)
    assert list(workspace.root.parent.iterdir()) == [workspace.root]
