"""A backup can be restored into a cluster whose volumes were lost."""

from __future__ import annotations

import stat

import pytest

from fanfold.cluster import backups, rolling
from fanfold.errors import BadConfiguration


def test_databases_and_workspaces_are_restored(cluster, undisturbed, tmp_path):
    run_id, rows = undisturbed
    folder = tmp_path / "backup"
    files = backups.back_up(cluster.compose, folder)
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    profiles = cluster.sql("warehouse", "SELECT count(*), max(as_of) FROM user_profiles")
    with pytest.raises(BadConfiguration, match="Stop it first"):
        backups.restore(cluster.compose, folder)
    cluster.compose.run("down", "--volumes", "--timeout", "20")
    backups.restore(cluster.compose, folder)
    rolling.start(cluster.compose)
    assert cluster.wait(run_id, timeout=0) > 0
    assert cluster.rows(run_id) == rows
    assert cluster.sql("warehouse", "SELECT count(*), max(as_of) FROM user_profiles") == profiles
    # The connections can be decrypted, and every component works.
    cluster.calm()
    again = cluster.start()
    cluster.wait(again)
    assert cluster.rows(again) == rows
