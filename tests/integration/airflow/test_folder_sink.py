"""The sink in one file: a folder by Airflow's ObjectStoragePath."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from fanfold.errors import BadConfiguration, Inconsistent, SinkUnavailable
from fanfold.model import Counts, FileEntry, Manifest, RunStatus
from pipelines._folder_sink import export

# Airflow and its providers warn about themselves.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("airflow_home")]

DATE = "2026-08-01T00:00:00.000Z"


def made(folder, content, date=DATE, run_id="run 1"):
    """A run with one table in a folder."""
    folder.mkdir(exist_ok=True)
    (folder / "rows.parquet").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    entry = FileEntry("rows.parquet", "parquet", 1, len(content), digest, "rows")
    other = FileEntry("failed.jsonl", "jsonl", 0, 0, "", "")
    return Manifest(
        "dag", run_id, date, RunStatus.COMPLETE, Counts(), (entry, other), 0, date, date
    )


def latest(target):
    found = json.loads((target / "dag" / "latest.json").read_text())
    folder = target / "dag" / found["folder"]
    return {name: (folder / name).read_bytes() for name in found["files"]}


def test_it_writes_only_what_is_missing_and_never_moves_back(tmp_path):
    files, target = tmp_path / "files", tmp_path / "deep" / "target"
    url = target.as_uri()
    manifest = made(files, b"one")
    export(manifest, files, url)
    assert latest(target) == {"rows.parquet": b"one"}
    inodes = {path: path.stat().st_ino for path in target.rglob("*") if path.is_file()}
    assert len(inodes) == 2
    export(manifest, files, url)
    assert {path: path.stat().st_ino for path in inodes} == inodes

    # What a killed task left, and damage, are repaired.
    (table,) = target.rglob("rows.parquet")
    table.write_bytes(b"on")
    table.with_name(".part-rows.parquet").write_bytes(b"o")
    (target / "dag" / "latest.json").write_text("{")
    export(manifest, files, url)
    assert latest(target) == {"rows.parquet": b"one"}
    assert not list(target.rglob(".part-*"))

    # The same run again with other rows: readers of the first ones keep them.
    export(made(files, b"two"), files, url)
    assert latest(target) == {"rows.parquet": b"two"}
    assert table.read_bytes() == b"one"
    export(made(files, b"old", date="2026-07-31T00:00:00.000Z", run_id="run 0"), files, url)
    assert latest(target) == {"rows.parquet": b"two"}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file://{folder}/file/exports", "NotADirectoryError|FileExistsError"),
        ("nocloud://bucket/exports", "nocloud"),
        ("exports", "set it to a URL"),  # it would be in the folder of the worker's process
    ],
)
def test_a_wrong_folder_is_named_and_not_retried(url, said, tmp_path):
    (tmp_path / "file").write_text("")
    manifest = made(tmp_path / "files", b"one")
    folder = url.format(folder=tmp_path)
    with pytest.raises(BadConfiguration, match=said):
        export(manifest, tmp_path / "files", folder)


def test_a_table_that_the_workspace_lost_is_not_exported(tmp_path):
    files = tmp_path / "files"
    manifest = made(files, b"one")
    export(manifest, files, (tmp_path / "target").as_uri())
    (entry, other) = manifest.files
    lost = replace(manifest, files=(replace(entry, sha256="0" * 64), other))
    with pytest.raises(SinkUnavailable, match="differs from what was written"):
        export(lost, files, (tmp_path / "target").as_uri())
    (files / "rows.parquet").unlink()
    with pytest.raises(Inconsistent, match="Clear `consolidate`"):
        export(lost, files, (tmp_path / "target").as_uri())
    assert latest(tmp_path / "target") == {"rows.parquet": b"one"}
