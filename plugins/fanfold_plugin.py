"""Registers the run page where Fanfold is only on ``PYTHONPATH``; an installed one has an entry point."""

from __future__ import annotations

from importlib.metadata import entry_points

if not entry_points(group="airflow.plugins", name="fanfold"):
    from fanfold.airflow.plugin import FanfoldPlugin  # noqa: F401 - Airflow looks for it here
