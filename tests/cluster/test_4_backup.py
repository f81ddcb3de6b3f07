"""What was backed up is there again in a cluster whose volumes were lost."""

from __future__ import annotations

import stat

import pytest

from fanfold.cluster import backups, rolling, runs
from fanfold.errors import BadConfiguration


def test_database_and_workspaces_come_back(cluster, undisturbed, tmp_path):
    run_id, rows, _ = undisturbed
    folder = tmp_path / "backup"
    files = backups.back_up(cluster.compose, folder)
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    profiles = cluster.sql("warehouse", "SELECT count(*), max(as_of) FROM user_profiles")
    with pytest.raises(BadConfiguration, match="Stop the cluster"):
        backups.restore(cluster.compose, folder)
    cluster.compose.run("down", "--volumes", "--timeout", "20")
    backups.restore(cluster.compose, folder)
    cluster.compose.run("up", "--detach", "--no-build")
    rolling.wait_until_well(cluster.compose)
    assert cluster.api.run(runs.PIPELINE, run_id)["state"] == "success"
    assert cluster.rows(run_id) == rows
    assert cluster.sql("warehouse", "SELECT count(*), max(as_of) FROM user_profiles") == profiles
    # Connections are readable, and all works on: a further run through every part.
    cluster.calm()
    again = cluster.start()
    cluster.wait(again)
    assert cluster.rows(again) == rows


def test_half_a_backup_is_refused_by_name(cluster, tmp_path):
    (tmp_path / "airflow.dump").write_bytes(b"")
    with pytest.raises(BadConfiguration, match=r"warehouse\.dump, workspaces"):
        backups.restore(cluster.compose, tmp_path)
