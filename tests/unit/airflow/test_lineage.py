"""The datasets that a run has read, by the names that OpenLineage gives them."""

from __future__ import annotations

import json

import pytest

from fanfold.airflow.lineage import Dataset, read
from fanfold.workspace.paths import Workspace

S3 = "s3://fanfold at http://127.0.0.1:9000 (us-east-1)"


@pytest.mark.parametrize(
    ("place", "keys", "uri", "expected"),
    [
        ("https://api.example", ["1", "2"], "", [("https://api.example", "orders")]),
        (
            S3,
            [
                "s3://fanfold/orders/date=2026-03-01/a.csv",
                "s3://fanfold/orders/date=2026-03-02/b.csv",
            ],
            "",
            [("s3://fanfold", "orders")],
        ),
        (S3, ["s3://fanfold/a.csv"], "", [("s3://fanfold", "/")]),
        ("file://", ["file:///data/drops/a.csv"], "", [("file", "/data/drops")]),
        (
            S3,
            ["s3://fanfold/profiles/date=2026-03-01/run=1/user_profiles.parquet"],
            "",
            [("s3://fanfold", "profiles/user_profiles")],
        ),
        (
            "https://api.example",
            ["1"],
            "dataset://topics/top_authors/author_id",
            [("s3://fanfold", "topics/top_authors"), ("https://api.example", "orders")],
        ),
    ],
)
def test_a_run_has_read_an_api_or_the_folders_of_its_files(
    tmp_path, monkeypatch, place, keys, uri, expected
):
    """A published table is named as ``publish`` names it."""
    monkeypatch.setenv("FANFOLD_BUCKET", "fanfold")
    workspace = Workspace(tmp_path)
    workspace.listed.parent.mkdir()
    workspace.listed.write_text("".join(f"{json.dumps(key)}\n" for key in keys), "utf-8")
    plan = {
        "source": "orders", "items": len(keys), "duplicates": 0, "starts": [0], "pipeline": "orders",
        "logical_date": "2026-03-01T00:00:00Z", "started_at": "2026-03-01T00:00:00Z",
        "forecast": {"requests": 0, "seconds": None, "basis": "unknown"}, "places": [place],
    }  # fmt: skip
    workspace.plan.write_text(json.dumps(plan), "utf-8")
    assert list(read(workspace, uri)) == [Dataset(*names) for names in expected]
