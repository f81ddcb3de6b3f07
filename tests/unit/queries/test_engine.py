"""Queries of the run page have a limit of time."""

from __future__ import annotations

import pytest

from fanfold.errors import BadPipeline
from fanfold.queries import engine
from fanfold.workspace.sql import query_errors


def test_a_query_is_interrupted(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "MAX_SECONDS", 0.05)
    with (
        pytest.raises(BadPipeline, match="Long: INTERRUPT"),
        engine.opened({}, tmp_path) as connection,
        query_errors("Long"),
    ):
        connection.execute("SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b")
